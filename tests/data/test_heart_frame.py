from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import PHASES, STRUCTURES, Label
from cardiomorph.data.heart_frame import heart_frame
from cardiomorph.data.prepare import PreparationConfig, prepare_subject, to_source_grid
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.evaluation.overlap import dice
from cardiomorph.volume import Volume
from conftest import analytic_subject, hearts_of

CENTRE_MM = (110.0, 105.0)
angles = st.floats(-179, 179)


def plane(turn_deg, scale, centre_mm, spacing_mm, n):
    """One slice, no two of whose directions look alike: unturned, the RV lies at low x and reaches towards high y."""
    x, y = (np.arange(m) * d - c for m, d, c in zip(n, spacing_mm, centre_mm, strict=True))
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    along, across = cos * x[:, None] + sin * y[None], -sin * x[:, None] + cos * y[None]
    label = np.zeros(along.shape, np.uint8)
    label[np.hypot(along + 34, across - 4) <= 17 * scale] = Label.RV
    label[np.hypot(along + 26, across - 20) <= 10 * scale] = Label.RV
    label[np.hypot(along, across) <= 20 * scale + 9] = Label.MYOCARDIUM
    label[np.hypot(along, across) <= 20 * scale] = Label.LV
    return label


def turned_subject(
    turn_deg=0.0, centre_mm=CENTRE_MM, spacing_mm=(1.4, 1.4), n=(160, 150), slice_mm=(10.0, 10.0), n_slices=(5, 4)
):
    """The image is the label's codes, painted 10 times as bright."""
    frames = {}
    for phase, scale, distance, count in zip(PHASES, (1.0, 0.8), slice_mm, n_slices, strict=True):
        stack = [plane(turn_deg, scale * (1 - 0.06 * k), centre_mm, spacing_mm, n) for k in range(count)]
        label = Volume(np.stack(stack, axis=2), (*spacing_mm, distance))
        frames[phase] = Frame(label, label.with_array(10.0 * label.array.astype(np.float32)))
    return Subject("p", "NOR", frames)


def without(subject, *structures):
    return replace(
        subject,
        frames={
            phase: Frame(f.label.with_array(np.where(np.isin(f.label.array, structures), 0, f.label.array)))
            for phase, f in subject.frames.items()
        },
    )


UPRIGHT = turned_subject()
UPRIGHT_DEG = heart_frame(UPRIGHT)[1]


def between(a_deg, b_deg):
    return abs((a_deg - b_deg + 180) % 360 - 180)


@given(angles)
def test_the_rotation_is_the_angle_by_which_a_heart_was_turned(turn_deg):
    (x, y), rotation_deg = heart_frame(turned_subject(turn_deg))
    assert -180 < rotation_deg <= 180
    assert between(rotation_deg, UPRIGHT_DEG + turn_deg) < 0.7
    # 20 mm from the LV towards the RV.
    assert math.hypot(x - CENTRE_MM[0], y - CENTRE_MM[1]) == pytest.approx(20, abs=0.3)
    towards = math.degrees(math.atan2(y - CENTRE_MM[1], x - CENTRE_MM[0]))
    assert between(towards, rotation_deg + 180) < 0.7


@pytest.mark.parametrize(
    "where, expected", [((-1, 0), 0), ((1, 0), 180), ((0, 1), -90), ((0, -1), 90), ((-1, -1), 45), ((1, 1), -135)]
)
def test_an_rv_towards_low_x_needs_no_turning(where, expected):
    label = np.zeros((61, 61, 3), np.uint8)
    label[25:36, 25:36] = Label.LV
    x, y = 30 + 20 * where[0], 30 + 20 * where[1]
    label[x - 3 : x + 4, y - 3 : y + 4] = Label.RV
    frame = Frame(Volume(label, (1.0, 1.0, 8.0)))
    assert heart_frame(Subject("p", "NOR", {"ED": frame, "ES": frame}))[1] == expected


def test_the_angle_is_one_of_millimetres():
    here = heart_frame(turned_subject(50))[1]
    oblong = heart_frame(turned_subject(50, spacing_mm=(1.0, 2.0), n=(230, 110)))[1]
    assert between(here, oblong) < 0.7


def test_slices_count_by_the_area_of_their_rv():
    label = np.zeros((81, 81, 2), np.uint8)
    label[35:46, 35:46] = Label.LV
    label[6:15, 36:45, 0], label[39:42, 8:11, 1] = Label.RV, Label.RV
    frame = Frame(Volume(label, (1.0, 1.0, 8.0)))
    left, up = 81 * np.array([-30.0, 0.0]), 9 * np.array([0.0, -31.0])
    expected = math.degrees(math.atan2(*(left + up)[::-1])) + 180
    assert heart_frame(Subject("p", "NOR", {"ED": frame, "ES": frame}))[1] == pytest.approx(expected, abs=0.02)


@given(angles)
def test_a_turned_heart_prepares_to_the_same_labels(turn_deg):
    """Dice of a heart and of its turned copy, both prepared."""
    here, there = prepare_subject(UPRIGHT), prepare_subject(turned_subject(turn_deg))
    for phase in PHASES:
        for structure, least in zip(STRUCTURES, (0.95, 0.95, 0.95), strict=True):
            assert dice(here.frames[phase].label, there.frames[phase].label, structure) > least
        images = here.frames[phase].image, there.frames[phase].image
        assert np.corrcoef(*(image.ravel() for image in images))[0, 1] > 0.95


@given(angles)
def test_in_the_crop_the_rv_lies_towards_low_x_of_the_centre(turn_deg):
    label = prepare_subject(turned_subject(turn_deg)).frames["ED"].label
    rv, left = (np.argwhere(np.isin(label, which))[:, 1:].mean(axis=0) for which in ([1], [2, 3]))
    assert math.degrees(math.atan2(*(rv - left)[::-1])) % 360 == pytest.approx(180, abs=1.5)
    assert left == pytest.approx([63.5 + 20 / 1.5, 63.5], abs=1.0)


def test_a_mirrored_heart_stays_mirrored():
    """Turning is all that is done: no flip may hide in it."""
    mirrored = replace(
        UPRIGHT, frames={p: Frame(f.label.with_array(f.label.array[:, ::-1])) for p, f in UPRIGHT.frames.items()}
    )
    here, there = (prepare_subject(subject).frames["ED"].label for subject in (UPRIGHT, mirrored))
    assert dice(here[:, :, ::-1], there, Label.RV) > 0.93
    assert dice(here, there, Label.RV) < dice(here[:, :, ::-1], there, Label.RV) - 0.03


@given(angles, st.floats(1.0, 1.9))
def test_the_source_grid_inverts_a_turned_crop(turn_deg, spacing_mm):
    n = (round(220 / spacing_mm), round(210 / spacing_mm))
    subject = turned_subject(turn_deg, spacing_mm=(spacing_mm, spacing_mm), n=n)
    prepared = prepare_subject(subject)
    for phase, frame in subject.frames.items():
        back = to_source_grid(prepared.frames[phase].label, "label", prepared.geometry)
        assert back.array.shape[:2] == frame.label.array.shape[:2]
        for structure in STRUCTURES:
            kept = back.array[:, :, : frame.label.n_slices]
            assert dice(kept, frame.label.array, structure) > 0.93
    image = to_source_grid(prepared.frames["ED"].image, "image", prepared.geometry)
    inside = subject.frames["ED"].label.array > 0
    assert np.corrcoef(image.array[inside], subject.frames["ED"].image.array[inside])[0, 1] > 0.9


def test_a_quarter_turn_back_lies_where_the_heart_lay():
    subject = turned_subject(90)
    back = to_source_grid(prepare_subject(subject).frames["ED"].label, "label", prepare_subject(subject).geometry)
    for structure in STRUCTURES:
        before, after = (
            np.argwhere(a == structure).mean(axis=0) for a in (subject.frames["ED"].label.array, back.array)
        )
        np.testing.assert_allclose(after, before, atol=0.3)


def test_without_an_rv_nothing_is_turned_and_the_lv_is_the_centre():
    centre, rotation = heart_frame(without(turned_subject(70), Label.RV))
    assert rotation == 0
    assert centre == pytest.approx(CENTRE_MM, abs=0.2)
    assert prepare_subject(without(turned_subject(70), Label.RV)).geometry.rotation_deg == 0


def test_without_an_lv_the_labels_are_the_centre():
    subject = without(turned_subject(70), Label.LV, Label.MYOCARDIUM)
    where = np.argwhere(subject.frames["ED"].label.array > 0)[:, :2].mean(axis=0) * 1.4
    centre, rotation = heart_frame(subject)
    assert rotation == 0
    assert centre == pytest.approx(where)


@given(angles)
def test_as_scanned_nothing_is_turned(turn_deg):
    subject = turned_subject(turn_deg, spacing_mm=(1.5, 1.5), n=(147, 140))
    for orientation in ("source", "grid"):
        config = PreparationConfig(orientation=orientation, size=144)
        prepared = prepare_subject(subject, config)
        assert prepared.geometry.rotation_deg == 0
        for phase, frame in subject.frames.items():
            for structure in STRUCTURES:
                assert (prepared.frames[phase].label == structure).sum() == (frame.label.array == structure).sum()


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_on_the_grid_a_heart_stays_where_it_lies_in_the_field_of_view(right, up):
    """At the crop's own spacing and an even number of pixels no voxel moves but by the crop's corner."""
    centre_mm = (1.5 * (80 + right), 1.5 * (75 + up))
    subject = turned_subject(15, centre_mm, (1.5, 1.5), (160, 150))
    prepared = prepare_subject(subject, PreparationConfig(orientation="grid"))
    for phase, frame in subject.frames.items():
        expected = np.moveaxis(frame.label.array[16 : 16 + 128, 11 : 11 + 128], -1, 0)
        np.testing.assert_array_equal(prepared.frames[phase].label, expected)


def test_the_three_orientations_centre_on_three_things():
    subject = turned_subject(30, (100.5, 90.0), (1.5, 1.5), (160, 150))
    centres = {
        orientation: prepare_subject(subject, PreparationConfig(orientation=orientation)).geometry.centre_mm
        for orientation in ("heart", "source", "grid")
    }
    occupied = np.argwhere((subject.frames["ED"].label.array > 0).any(axis=2)) * 1.5
    assert centres["heart"] == pytest.approx(heart_frame(subject)[0], abs=0.8)
    assert centres["source"] == pytest.approx((occupied.min(axis=0) + occupied.max(axis=0)) / 2, abs=0.8)
    assert centres["grid"] == pytest.approx((1.5 * 159 / 2, 1.5 * 149 / 2), abs=0.8)


def test_phases_with_their_own_slice_spacing_have_their_own_lengths():
    prepared = prepare_subject(turned_subject(20, slice_mm=(10.0, 8.0), n_slices=(5, 4)))
    assert prepared.geometry.es_slice_spacing_mm == 8
    assert [prepared.length_mm(phase) for phase in PHASES] == [50, 32]
    assert prepared.label_volume("ED").spacing_mm == (1.5, 1.5, 10)
    assert prepared.label_volume("ES").spacing_mm == (1.5, 1.5, 8)
    alike = prepare_subject(turned_subject(20))
    assert alike.geometry.es_slice_spacing_mm is None
    assert [alike.length_mm(phase) for phase in PHASES] == [50, 40]


def test_a_symmetric_heart_at_low_x_is_not_turned_at_all():
    assert heart_frame(analytic_subject(hearts_of("NOR")))[1] == 0
