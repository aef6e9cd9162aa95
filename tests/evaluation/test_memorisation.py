from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import STRUCTURES
from cardiomorph.data.prepare import PreparedFrame, prepare_subject
from cardiomorph.data.subject import Frame
from cardiomorph.evaluation.memorisation import (
    SLICES,
    auc,
    image_descriptor,
    image_distances,
    label_descriptor,
    label_distances,
    memorisation,
)
from conftest import analytic_subject, hearts_of

seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def prepared():
    return [
        prepare_subject(analytic_subject(hearts_of(group, variant), seed=10 * variant + number))
        for number, group in enumerate(("NOR", "DCM", "HCM"))
        for variant in range(2)
    ]


def with_images(subject, change):
    frames = {p: PreparedFrame(f.label, change(f.image).astype(np.float32)) for p, f in subject.frames.items()}
    return replace(subject, frames=frames)


def cloud(seed, n, d=3):
    return np.random.default_rng(seed).normal(size=(n, d))


def distances(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def test_copies_of_training_hearts_are_all_too_close():
    training, heldout = cloud(0, 40), cloud(1, 15)
    copied = [7, 3, 3, 39]
    made = training[copied]
    rng = np.random.default_rng(0)
    found = memorisation(distances(made, training), distances(training, training), distances(made, heldout), rng)
    assert found.share_too_close == 1
    assert found.nearest == tuple((index, 0.0) for index in copied)
    assert found.to_training < found.to_heldout


def test_a_generator_that_copies_every_training_heart_gives_its_members_away():
    training, heldout = cloud(0, 30), cloud(1, 30)
    found = memorisation(
        distances(training, training),
        distances(training, training),
        distances(training, heldout),
        np.random.default_rng(0),
    )
    assert found.membership_auc == 1
    assert found.to_training == 0


def test_hearts_far_from_everybody_are_no_copies():
    training, heldout, made = cloud(0, 30), cloud(1, 10), cloud(2, 20) + 100
    found = memorisation(
        distances(made, training), distances(training, training), distances(made, heldout), np.random.default_rng(0)
    )
    assert found.share_too_close == 0
    assert found.to_training == pytest.approx(found.to_heldout, rel=0.02)


def test_who_was_in_the_training_set_cannot_be_told_of_hearts_that_know_neither():
    areas = []
    for seed in range(60):
        training, heldout, made = cloud(seed, 40), cloud(1000 + seed, 40), cloud(2000 + seed, 50)
        rng = np.random.default_rng(seed)
        within = distances(training, training)
        areas.append(memorisation(distances(made, training), within, distances(made, heldout), rng).membership_auc)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)


@given(seeds, st.integers(2, 20), st.integers(1, 8), st.integers(0, 12))
def test_every_measure_is_that_of_a_loop(seed, n_training, n_made, n_heldout):
    training, made, heldout = cloud(seed, n_training), cloud(seed + 1, n_made), cloud(seed + 2, n_heldout)
    n_heldout = min(n_heldout, n_training)
    heldout = heldout[:n_heldout]
    found = memorisation(
        distances(made, training),
        distances(training, training),
        distances(made, heldout),
        np.random.default_rng(seed),
    )

    def nearest(point, others):
        return min(float(np.linalg.norm(point - other)) for other in others)

    own = [nearest(training[i], np.delete(training, i, axis=0)) for i in range(n_training)]
    assert found.threshold == pytest.approx(np.percentile(own, 5))
    assert found.share_too_close == np.mean([nearest(point, training) < found.threshold for point in made])
    for point, (index, distance) in zip(made, found.nearest, strict=True):
        assert distance == pytest.approx(nearest(point, training))
        assert distance == pytest.approx(np.linalg.norm(point - training[index]))
    if not n_heldout:
        assert found.to_heldout is found.membership_auc is None
        assert found.to_training == pytest.approx(np.median([nearest(point, training) for point in made]))
        return
    assert found.to_heldout == pytest.approx(np.median([nearest(point, heldout) for point in made]))
    assert found.to_training >= np.median([nearest(point, training) for point in made]) - 1e-12
    members, others = ([-nearest(point, made) for point in side] for side in (training, heldout))
    pairs = [(m > o) + 0.5 * (m == o) for m in members for o in others]
    assert found.membership_auc == pytest.approx(np.mean(pairs))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_the_auc_counts_pairs_and_ties_half(members, others):
    pairs = [(m > o) + 0.5 * (m == o) for m in members for o in others]
    assert auc(np.array(members, float), np.array(others, float)) == pytest.approx(np.mean(pairs))


@given(seeds, st.integers(1, 6), st.integers(1, 6), st.integers(1, 40))
def test_label_distances_are_one_minus_dice(seed, n, m, bits):
    rng = np.random.default_rng(seed)
    a, b = rng.random((n, bits)) < 0.4, rng.random((m, bits)) < 0.6
    expected = [[1 - 2 * (x & y).sum() / max(1, x.sum() + y.sum()) for y in b] for x in a]
    np.testing.assert_allclose(label_distances(a, b), expected, atol=1e-6)


@given(seeds, st.integers(1, 5), st.integers(1, 5))
def test_image_distances_are_one_minus_correlation(seed, n, m):
    def descriptors(values):
        centred = values - values.mean(axis=1, keepdims=True)
        return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)

    a, b = cloud(seed, n, 50), cloud(seed + 1, m, 50)
    expected = [[1 - np.corrcoef(x, y)[0, 1] for y in b] for x in a]
    np.testing.assert_allclose(image_distances(descriptors(a), descriptors(b)), expected, atol=1e-5)


def test_equal_hearts_have_equal_descriptors_and_no_distance(prepared):
    again = prepare_subject(analytic_subject(hearts_of("NOR"), seed=0))
    np.testing.assert_array_equal(label_descriptor(prepared[0]), label_descriptor(again))
    np.testing.assert_array_equal(image_descriptor(prepared[0]), image_descriptor(again))
    labels = np.stack([label_descriptor(p) for p in (*prepared, again)])
    images = np.stack([image_descriptor(p) for p in (*prepared, again)])
    assert label_distances(labels, labels)[0, -1] == 0
    assert image_distances(images, images)[0, -1] == pytest.approx(0, abs=1e-3)
    assert label_distances(labels, labels)[0, 1:-1].min() > 0.01
    assert image_distances(images, images)[0, 1:-1].min() > 0.01


def test_a_descriptor_has_one_bit_for_every_structure_phase_and_second_pixel(prepared):
    descriptor = label_descriptor(prepared[0])
    assert descriptor.dtype == bool
    assert descriptor.shape == (2 * len(STRUCTURES) * SLICES * 64 * 64,)
    assert image_descriptor(prepared[0]).shape == (2 * SLICES * 32 * 32,)


def test_repeated_slices_leave_the_descriptors_as_they_are(prepared):
    subject = prepared[0]
    frames = {
        p: PreparedFrame(np.repeat(f.label, 3, axis=0), np.repeat(f.image, 3, axis=0))
        for p, f in subject.frames.items()
    }
    longer = replace(subject, frames=frames)
    np.testing.assert_array_equal(label_descriptor(longer), label_descriptor(subject))
    np.testing.assert_array_equal(image_descriptor(longer), image_descriptor(subject))


@pytest.mark.parametrize("gain, offset", [(1.0, 0.3), (0.2, 0.0), (0.5, -0.4), (3.0, 2.0)])
def test_gain_and_offset_leave_the_image_descriptor_as_it_is(prepared, gain, offset):
    here, there = image_descriptor(prepared[0]), image_descriptor(with_images(prepared[0], lambda i: gain * i + offset))
    np.testing.assert_allclose(there.astype(float), here.astype(float), atol=2e-5)
    assert image_distances(here[None], there[None])[0, 0] == pytest.approx(0, abs=1e-3)


def test_an_image_descriptor_has_zero_mean_and_unit_length_and_its_negative_is_two_away(prepared):
    here = image_descriptor(prepared[0])
    assert here.astype(float).mean() == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(here.astype(float)) == pytest.approx(1, abs=1e-3)
    there = image_descriptor(with_images(prepared[0], lambda image: -image))
    assert image_distances(here[None], there[None])[0, 0] == pytest.approx(2, abs=1e-3)


def test_only_the_middle_of_the_crop_is_described(prepared):
    def framed(image):
        changed = image.copy()
        changed[:, :32], changed[:, 96:], changed[:, :, :32], changed[:, :, 96:] = 1, 1, -1, -1
        return changed

    np.testing.assert_array_equal(image_descriptor(with_images(prepared[0], framed)), image_descriptor(prepared[0]))


def test_without_images_there_is_no_image_descriptor():
    subject = analytic_subject(hearts_of("NOR"))
    subject = replace(subject, frames={p: Frame(f.label) for p, f in subject.frames.items()})
    assert image_descriptor(prepare_subject(subject)) is None


def test_a_constant_image_is_described_by_zeros(prepared):
    assert not image_descriptor(with_images(prepared[0], np.zeros_like)).any()
