from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import GROUPS, STRUCTURES
from cardiomorph.data.prepare import PreparationConfig, prepare_subject, to_source_grid
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import structure_volume_ml
from cardiomorph.evaluation.overlap import dice
from conftest import Heart, analytic_subject, hearts_of

groups = st.sampled_from(GROUPS)
in_plane_mm = st.floats(0.9, 2.0)


def subject_at(group, spacing_mm, slice_mm=10.0, **changes):
    hearts = {phase: replace(heart, **changes) for phase, heart in hearts_of(group).items()}
    shape = (round(150 / spacing_mm), round(130 / spacing_mm), 8)
    return analytic_subject(hearts, shape, (spacing_mm, spacing_mm, slice_mm))


@given(groups, in_plane_mm, st.floats(5, 12))
def test_volumes_survive_preparation(group, spacing_mm, slice_mm):
    subject = subject_at(group, spacing_mm, slice_mm)
    prepared = prepare_subject(subject)
    for phase, frame in subject.frames.items():
        after = prepared.label_volume(phase)
        heart = (frame.label.array > 0).sum() * frame.label.voxel_ml
        # Between grids that are nearly alike (1.48 and 1.5 mm) a heart keeps or loses a whole row at either side.
        width = np.flatnonzero((frame.label.array > 0).any(axis=(1, 2)))
        rows = 2.0 / (width[-1] - width[0] + 1)
        assert (after.array > 0).sum() * after.voxel_ml == pytest.approx(heart, rel=max(0.03, rows))
        for label in STRUCTURES:
            before = structure_volume_ml(frame.label, label)
            assert structure_volume_ml(after, label) == pytest.approx(before, rel=0.06)


@pytest.mark.parametrize("spacing_mm", [0.75, 1.0, 1.25, 1.5, 1.5625, 1.6, 1.8])
def test_no_structure_shrinks_or_swells_on_the_whole(spacing_mm):
    """Over groups and crops: how crop and source pixels meet within a heart depends on the crop's corner."""
    changes = []
    for group, size in product(GROUPS, (112, 128, 144)):
        subject = subject_at(group, spacing_mm)
        prepared = prepare_subject(subject, PreparationConfig(size=size))
        for phase, frame in subject.frames.items():
            changes.append(
                [
                    structure_volume_ml(prepared.label_volume(phase), label) / structure_volume_ml(frame.label, label)
                    for label in STRUCTURES
                ]
            )
    np.testing.assert_allclose(np.mean(changes, axis=0), 1.0, atol=0.01)


@given(groups, st.integers(0, 3), st.integers(0, 3))
def test_a_source_at_the_target_spacing_is_only_cropped(group, right, up):
    hearts = {p: replace(h, centre_mm=(86 + 0.7 * right, 64 + 0.7 * up)) for p, h in hearts_of(group).items()}
    subject = analytic_subject(hearts, (120, 110, 8), (1.5, 1.5, 10.0))
    prepared = prepare_subject(subject, PreparationConfig(orientation="source"))
    for phase, frame in subject.frames.items():
        for label in STRUCTURES:
            assert (prepared.frames[phase].label == label).sum() == (frame.label.array == label).sum()


@given(groups, in_plane_mm)
def test_there_and_back_gives_the_same_heart(group, spacing_mm):
    subject = subject_at(group, spacing_mm)
    prepared = prepare_subject(subject)
    for phase, frame in subject.frames.items():
        back = to_source_grid(prepared.frames[phase].label, "label", prepared.geometry, phase)
        assert back.array.shape == frame.label.array.shape
        assert back.spacing_mm == frame.label.spacing_mm
        assert back.array.dtype == np.uint8
        for label in STRUCTURES:
            assert dice(back.array, frame.label.array, label) > (0.97 if spacing_mm > 1.2 else 0.95)


@given(groups, in_plane_mm)
def test_no_class_is_invented_between_two_others(group, spacing_mm):
    subject = subject_at(group, spacing_mm)
    for frame in subject.frames.values():
        # Background around an LV cavity, no wall, no RV: 1 and 2 lie between 0 and 3.
        frame.label.array[np.isin(frame.label.array, (1, 2))] = 0
    prepared = prepare_subject(subject)
    for frame in prepared.frames.values():
        assert set(np.unique(frame.label)) == {0, 3}
        assert set(np.unique(to_source_grid(frame.label, "label", prepared.geometry).array)) == {0, 3}


@given(st.integers(0, 1000), st.floats(-1000, 1000), st.floats(0.01, 100))
def test_images_are_scaled_to_minus_one_and_one_whatever_their_units(seed, offset, factor):
    subject = analytic_subject(hearts_of("NOR"), seed=seed)
    other = replace(
        subject,
        frames={
            phase: Frame(f.label, f.image.with_array((offset + factor * f.image.array).astype(np.float32)))
            for phase, f in subject.frames.items()
        },
    )
    for frame, same in zip(
        prepare_subject(subject).frames.values(), prepare_subject(other).frames.values(), strict=True
    ):
        assert frame.image.dtype == np.float32
        assert frame.image.min() >= -1
        assert frame.image.max() <= 1
        assert frame.image.std() > 0.1
        np.testing.assert_allclose(frame.image, same.image, atol=2e-2)


def test_images_return_to_the_intensities_they_came_from():
    subject = analytic_subject(hearts_of("NOR"))
    prepared = prepare_subject(subject, PreparationConfig(lower_percentile=0, upper_percentile=100))
    back = to_source_grid(prepared.frames["ED"].image, "image", prepared.geometry)
    heart = subject.frames["ED"].label.array > 0
    before, after = subject.frames["ED"].image.array[heart], back.array[heart]
    assert np.corrcoef(before, after)[0, 1] > 0.98
    assert after.mean() == pytest.approx(before.mean(), rel=0.01)


@given(groups, st.integers(-8, 6), st.integers(-5, 5))
def test_where_the_heart_lies_does_not_matter(group, right, up):
    shape, spacing_mm = (130, 110, 8), (1.6, 1.6, 10.0)
    hearts = {p: replace(h, centre_mm=(110.0, 88.0)) for p, h in hearts_of(group).items()}
    moved = {p: replace(h, centre_mm=(110.0 + 1.6 * right, 88.0 + 1.6 * up)) for p, h in hearts.items()}
    here = prepare_subject(analytic_subject(hearts, shape, spacing_mm))
    there = prepare_subject(analytic_subject(moved, shape, spacing_mm))
    for phase in hearts:
        assert (here.frames[phase].label != there.frames[phase].label).mean() < 1e-3


@given(groups, in_plane_mm)
def test_as_scanned_the_crop_is_centred_on_the_box_of_both_phases(group, spacing_mm):
    prepared = prepare_subject(subject_at(group, spacing_mm), PreparationConfig(orientation="source"))
    occupied = np.any([(frame.label > 0).any(axis=0) for frame in prepared.frames.values()], axis=0)
    for axis in (0, 1):
        where = np.flatnonzero(occupied.any(axis=1 - axis))
        assert 0.5 * (where[0] + where[-1]) == pytest.approx(63.5, abs=1.5)


def test_both_phases_share_one_crop():
    hearts = {phase: replace(heart, taper=0) for phase, heart in hearts_of("NOR").items()}
    prepared = prepare_subject(analytic_subject(hearts))
    centres = [np.argwhere(frame.label == 3)[:, 1:].mean(axis=0) for frame in prepared.frames.values()]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.3)


def test_a_grid_smaller_than_the_crop_is_filled_with_background_and_dark():
    heart = Heart(10, 4, 8, centre_mm=(34.0, 26.0))
    subject = analytic_subject({"ED": heart, "ES": replace(heart, lv_mm=7)}, (40, 36, 8), (1.5, 1.5, 10.0))
    prepared = prepare_subject(subject)
    for phase, frame in prepared.frames.items():
        assert frame.label.shape[1:] == (128, 128)
        assert (frame.label[:, 0] == 0).all()
        assert (frame.image[:, 0] == -1).all()
        back = to_source_grid(frame.label, "label", prepared.geometry, phase)
        np.testing.assert_array_equal(back.array, subject.frames[phase].label.array)


def test_empty_end_slices_are_dropped_and_the_first_is_remembered():
    hearts = hearts_of("NOR")
    hearts = {"ED": replace(hearts["ED"], n_labelled=6, first=1), "ES": replace(hearts["ES"], n_labelled=4, first=2)}
    prepared = prepare_subject(analytic_subject(hearts))
    assert prepared.geometry.first_slice == {"ED": 1, "ES": 2}
    assert [frame.n_slices for frame in prepared.frames.values()] == [6, 4]
    assert prepared.length_mm("ED") == 60
    back = to_source_grid(prepared.frames["ES"].label, "label", prepared.geometry, "ES")
    assert np.flatnonzero(back.array.any(axis=(0, 1))).tolist() == [2, 3, 4, 5]
    assert to_source_grid(prepared.frames["ED"].label, "label", prepared.geometry).array[:, :, 1].any()


def test_the_source_grid_grows_for_a_longer_heart():
    prepared = prepare_subject(analytic_subject(hearts_of("NOR")))
    longer = np.repeat(prepared.frames["ED"].label, 2, axis=0)
    assert to_source_grid(longer, "label", prepared.geometry).array.shape == (90, 80, 14)


def test_axes_are_not_swapped():
    prepared = prepare_subject(analytic_subject(hearts_of("NOR")))
    label = prepared.frames["ED"].label
    rv, lv = (np.argwhere(label[0] == code).mean(axis=0) for code in (1, 3))
    assert rv[0] < lv[0] - 10
    assert rv[1] == pytest.approx(lv[1], abs=0.5)


def test_a_heart_larger_than_the_crop_is_an_error():
    subject = analytic_subject(hearts_of("NOR"), spacing_mm=(1.6, 1.6, 10.0))
    with pytest.raises(CardiomorphError, match=r"p: the crop of 48 mm loses \d+% of the heart"):
        prepare_subject(subject, PreparationConfig(size=32))


def test_labels_alone_can_be_prepared():
    subject = analytic_subject(hearts_of("NOR"))
    subject = replace(subject, frames={p: Frame(f.label) for p, f in subject.frames.items()})
    prepared = prepare_subject(subject)
    assert prepared.frames["ED"].image is None
    assert prepared.geometry.intensity_range is None
