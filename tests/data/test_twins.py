from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.transform import resize

from cardiomorph.data.subject import Frame
from cardiomorph.data.twins import Fingerprint, find_twins, fingerprint, same_heart
from cardiomorph.volume import Volume
from conftest import analytic_subject, hearts_of


def fingerprints(**subjects):
    return {name: fingerprint(subject) for name, subject in subjects.items()}


def test_one_image_with_two_annotations_is_one_heart():
    first = analytic_subject(hearts_of("NOR"), seed=1)
    relabelled = replace(
        first,
        frames={
            phase: Frame(analytic_subject(hearts_of("HCM")).frames[phase].label, frame.image)
            for phase, frame in first.frames.items()
        },
    )
    other = analytic_subject(hearts_of("NOR", 1), seed=2)
    assert find_twins(fingerprints(c=first, a=relabelled, b=other)) == [["a", "c"]]


def test_different_images_are_different_hearts():
    subjects = {f"p{seed}": analytic_subject(hearts_of("NOR"), seed=seed) for seed in range(6)}
    assert find_twins(fingerprints(**subjects)) == []


def test_an_image_in_other_units_is_the_same_heart():
    subject = analytic_subject(hearts_of("NOR"))
    scaled = replace(
        subject,
        frames={p: Frame(f.label, f.image.with_array(3 * f.image.array + 50)) for p, f in subject.frames.items()},
    )
    assert find_twins(fingerprints(a=subject, b=scaled)) == [["a", "b"]]


def pictures(**noises):
    """Fingerprints of a shared picture and, by name, so much of another one: less of it is more alike."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((64, 64, 12))
    return {
        name: Fingerprint(
            np.ones(1, np.float32),
            (shared + noise * direction).astype(np.float32),
            shared < 99,
            np.empty((0, 40, 40), np.float32),
        )
        for name, noise, direction in (
            (name, noise, rng.standard_normal(shared.shape)) for name, noise in sorted(noises.items())
        )
    }


def test_likeness_passes_from_one_to_the_next():
    # a and c are each near b, but not near enough to each other.
    prints = pictures(a=0.18, b=0.0, c=0.18)
    assert not same_heart(prints["a"], prints["c"])
    assert find_twins(prints) == [["a", "b", "c"]]


def test_two_pairs_are_two_sets():
    one, two = (fingerprint(analytic_subject(hearts_of("NOR"), seed=seed)) for seed in (1, 2))
    assert find_twins({"a": one, "b": two, "c": two, "d": one}) == [["a", "d"], ["b", "c"]]


def test_nobody_and_one_alone_have_no_twin():
    assert find_twins({}) == []
    assert find_twins(fingerprints(a=analytic_subject(hearts_of("NOR")))) == []


def changed(subject, array, spacing_mm=None):
    """The subject with every array, of labels and of images, changed by a function."""

    def volume(given, order):
        return Volume(np.ascontiguousarray(array(given.array, order)), spacing_mm or given.spacing_mm, None)

    frames = {p: Frame(volume(f.label, 0), volume(f.image, 1)) for p, f in subject.frames.items()}
    return replace(subject, frames=frames)


def resampled(array, order):
    shape = (round(array.shape[0] * 1.2), round(array.shape[1] * 1.2), array.shape[2])
    return resize(array, shape, order=order, preserve_range=True, anti_aliasing=False).astype(array.dtype)


CHANGES = {
    "cropped": lambda array, order: array[6:-2, 3:-7],
    "padded": lambda array, order: np.pad(array, ((40, 10), (0, 30), (0, 0))),
    "mirrored": lambda array, order: array[::-1],
    "turned": lambda array, order: np.rot90(array),
    "without its last slices": lambda array, order: array[..., :-2],
    "without a slice between": lambda array, order: np.delete(array, 4, axis=2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_scan_that_was_changed_is_the_same_heart(change):
    subjects = {f"p{seed}": analytic_subject(hearts_of("NOR", seed), seed=seed) for seed in range(4)}
    again = changed(subjects["p2"], CHANGES[change])
    assert find_twins(fingerprints(**subjects, again=again)) == [["again", "p2"]]


def test_a_scan_on_another_grid_is_the_same_heart():
    subjects = {f"p{seed}": analytic_subject(hearts_of("NOR", seed), seed=seed) for seed in range(4)}
    x, y, z = subjects["p2"].frames["ED"].label.spacing_mm
    again = changed(subjects["p2"], resampled, (x / 1.2, y / 1.2, z))
    assert find_twins(fingerprints(**subjects, again=again)) == [["again", "p2"]]


def test_labels_stand_in_for_missing_images():
    subject = analytic_subject(hearts_of("NOR"))
    bare = replace(subject, frames={p: Frame(f.label) for p, f in subject.frames.items()})
    assert find_twins(fingerprints(a=bare, b=bare)) == [["a", "b"]]


def in_an_empty_field(subject, value=0.0):
    """The heart and a margin of it, in a field of one value, as a composited or masked image has."""
    kept = np.any([f.label.array > 0 for f in subject.frames.values()], axis=(0, 3))
    frames = {
        phase: Frame(f.label, f.image.with_array(np.where(kept[..., None], f.image.array, value).astype(np.float32)))
        for phase, f in subject.frames.items()
    }
    return replace(subject, frames=frames)


def bare(subject):
    return replace(subject, frames={p: Frame(f.label) for p, f in subject.frames.items()})


@pytest.mark.parametrize("change", ["cropped", "padded"])
def test_labels_alone_that_were_changed_are_the_same_heart(change):
    subjects = {f"p{seed}": bare(analytic_subject(hearts_of("NOR", seed))) for seed in range(4)}
    again = bare(changed(analytic_subject(hearts_of("NOR", 2)), CHANGES[change]))
    assert find_twins(fingerprints(**subjects, again=again)) == [["again", "p2"]]


def test_hearts_that_share_an_empty_field_are_different_hearts():
    subjects = {f"p{seed}": analytic_subject(hearts_of("NOR"), (200, 200, 8), seed=seed) for seed in range(4)}
    for value in (0.0, 500.0):
        empty = {name: in_an_empty_field(subject, value) for name, subject in subjects.items()}
        assert find_twins(fingerprints(**empty)) == []
        assert find_twins(fingerprints(**empty, again=empty["p2"])) == [["again", "p2"]]


def test_label_maps_of_hearts_of_almost_one_size_are_different_hearts():
    def heart(lv_mm, es):
        ed = hearts_of("NOR")["ED"]
        return bare(analytic_subject({"ED": replace(ed, lv_mm=lv_mm), "ES": replace(ed, lv_mm=es, n_labelled=6)}))

    different = {f"p{index}": heart(22 + 0.8 * index, 15 + 0.8 * index) for index in range(6)}
    assert find_twins(fingerprints(**different)) == []
