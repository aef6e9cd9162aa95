"""What is written lies where the patient lies: in the world, whatever the storage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import PHASES, STRUCTURES, Label
from cardiomorph.data.entry import Entry
from cardiomorph.data.heart_check import base_first
from cardiomorph.data.heart_frame import standard_affine
from cardiomorph.data.prepare import PreparationConfig, prepare_subject, to_source_grid
from cardiomorph.data.subject import Frame
from cardiomorph.nifti_header import ZOOMS_WIN
from cardiomorph.volume import Volume
from conftest import SHAPE, SPACING_MM, analytic_subject, hearts_of

CROP = PreparationConfig()


def oblique(seed, handedness):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    turn[:, 2] *= handedness * np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING_MM
    affine[:3, 3] = np.random.default_rng(seed).normal(0, 100, 3)
    return affine


def placed(affine, *, turn_deg=0.0, apex_first=False):
    """An analytic subject at that place, stored either way round."""
    subject = analytic_subject(hearts_of("NOR"))
    frames = {
        phase: Frame(*(replace(volume, affine=affine, code=1) for volume in (frame.label, frame.image)))
        for phase, frame in subject.frames.items()
    }
    subject = replace(subject, frames=frames)
    return replace(subject, frames={p: f.turned() for p, f in frames.items()}) if apex_first else subject


def centroid(volume: Volume, structure: Label) -> np.ndarray:
    return (volume.affine @ [*np.argwhere(volume.array == structure).mean(axis=0), 1.0])[:3]


@given(st.integers(0, 100), st.sampled_from([1, -1]), st.booleans(), st.sampled_from(["heart", "source"]))
def test_crop_and_native_grid_lie_where_the_source_lies(seed, handedness, apex_first, orientation):
    stored = placed(oblique(seed, handedness), apex_first=apex_first)
    prepared = prepare_subject(base_first(stored), CROP.model_copy(update={"orientation": orientation}))
    for phase in PHASES:
        source = stored.frames[phase].label
        back = to_source_grid(prepared.frames[phase].label, "label", prepared.geometry, phase)
        np.testing.assert_allclose(back.affine, source.affine, atol=1e-9)
        assert back.array.shape == source.array.shape
        for structure in STRUCTURES:
            where = centroid(source, structure)
            assert np.linalg.norm(centroid(prepared.label_volume(phase), structure) - where) < 0.6
            assert np.linalg.norm(centroid(back, structure) - where) < 0.6
            assert 2 * ((back.array == structure) & (source.array == structure)).sum() > 0.95 * (
                (back.array == structure).sum() + (source.array == structure).sum()
            )


@given(st.integers(8, 40), st.floats(0.8, 1.3))
def test_any_number_of_slices_covers_the_same_length_from_the_same_base(n_slices, longer):
    prepared = prepare_subject(placed(oblique(1, 1)))
    geometry, length_mm = prepared.geometry, prepared.length_mm("ED")
    affine = geometry.crop_affine("ED", n_slices, longer * length_mm)
    own = geometry.crop_affine("ED", prepared.frames["ED"].n_slices, length_mm)
    base, own_base = (matrix @ [0, 0, -0.5, 1] for matrix in (affine, own))
    np.testing.assert_allclose(base, own_base, atol=1e-9)
    apex = affine @ [0, 0, n_slices - 0.5, 1]
    assert np.linalg.norm(apex - base) == pytest.approx(longer * length_mm)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(steps, [1.5, 1.5, longer * length_mm / n_slices])


def test_phases_with_places_of_their_own_keep_them():
    subject = placed(oblique(2, 1))
    shifted = subject.frames["ES"].label.affine.copy()
    shifted[:3, 3] += (3.0, -4.0, 5.0)
    es = Frame(*(replace(v, affine=shifted) for v in (subject.frames["ES"].label, subject.frames["ES"].image)))
    prepared = prepare_subject(replace(subject, frames={"ED": subject.frames["ED"], "ES": es}))
    for phase, frame in {"ED": subject.frames["ED"], "ES": es}.items():
        where = centroid(frame.label, Label.LV)
        assert np.linalg.norm(centroid(prepared.label_volume(phase), Label.LV) - where) < 0.6


def test_a_heart_without_a_place_lies_as_hearts_lie():
    """In RAS: the apex to the left (-x), forward (+y) and down (-z) of the base; the RV to the right and in front."""
    prepared = prepare_subject(analytic_subject(hearts_of("NOR")))
    volume = prepared.label_volume("ED")
    lv, rv = centroid(volume, Label.LV), centroid(volume, Label.RV)
    assert rv[0] > lv[0] + 10
    assert rv[1] > lv[1] + 10
    to_apex = volume.affine[:3, 2]
    assert to_apex[0] < 0
    assert to_apex[1] > 0
    assert to_apex[2] < 0
    # The anterior wall, at low y of the crop, is the upper one.
    assert (volume.affine[:3, 1])[2] < 0


@given(st.tuples(*[st.integers(2, 60)] * 3), st.tuples(*[st.floats(0.5, 12)] * 3))
def test_the_standard_place_is_orthogonal_left_handed_and_centred(shape, spacing_mm):
    affine = standard_affine(shape, spacing_mm)
    axes = affine[:3, :3] / spacing_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(-1)
    np.testing.assert_allclose(affine @ [*(np.array(shape) - 1) / 2, 1], [0, 0, 0, 1], atol=1e-9)


def test_the_door_turns_and_says_so(tmp_path):
    subject = placed(oblique(4, -1), apex_first=True)
    entry = Entry("p", tmp_path, (), lambda codes: subject, tmp_path)
    found = entry.load()
    assert found.apex_first
    assert "its slices run from apex to base: turned" in found.doubts
    assert found.frames["ED"].label.array.shape == SHAPE
    np.testing.assert_allclose(
        centroid(found.frames["ED"].label, Label.LV), centroid(subject.frames["ED"].label, Label.LV)
    )


@given(st.integers(0, 100), st.booleans())
def test_a_scan_stored_as_mirror_images_is_the_same_heart(seed, apex_first):
    """Scanners' rows run from front to back or back to front; the affine says which, and models see one of the two."""
    plain = placed(oblique(seed, -1))
    stored = replace(plain, frames={phase: frame.mirrored() for phase, frame in plain.frames.items()})
    if apex_first:
        stored = replace(stored, frames={phase: frame.turned() for phase, frame in stored.frames.items()})
    prepared, same = prepare_subject(base_first(stored)), prepare_subject(plain)
    assert prepared.geometry.mirrored
    for phase in PHASES:
        np.testing.assert_array_equal(prepared.frames[phase].label, same.frames[phase].label)
        np.testing.assert_allclose(prepared.frames[phase].image, same.frames[phase].image, atol=1e-5)
        back = to_source_grid(prepared.frames[phase].label, "label", prepared.geometry, phase)
        np.testing.assert_allclose(back.affine, stored.frames[phase].label.affine, atol=1e-9)


def test_without_an_affine_that_says_so_nothing_is_taken_for_a_mirror_image():
    for code, doubts in ((0, ()), (1, (ZOOMS_WIN,))):
        subject = placed(oblique(3, 1))
        frames = {
            phase: Frame(*(replace(v, code=code, doubts=doubts) for v in (frame.label, frame.image)))
            for phase, frame in subject.frames.items()
        }
        assert not prepare_subject(replace(subject, frames=frames)).geometry.mirrored
