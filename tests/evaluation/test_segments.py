from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.segments import segment_thickness_mm, septal_direction
from cardiomorph.volume import Volume

PIXEL_MM = 0.5
LV_MM = 18.0
RV_AT_LOW_X = math.pi
ANTERIOR_TO_SEPTUM = {"basal": (1, 2, 3, 4, 5, 6), "middle": (7, 8, 9, 10, 11, 12), "apical": (13, 14, 15, 16)}


def heart(thickness, n_slices=6, rv_at=RV_AT_LOW_X, rv_mm=12.0, spacing_mm=(PIXEL_MM, PIXEL_MM)):
    """An LV disc in a wall as thick as ``thickness(angle, slice)``, the angle in radians past the RV's direction."""
    x, y = (np.arange(-56, 56, d) + 0.5 * d for d in spacing_mm)
    radius = np.hypot(x[:, None], y[None])
    angle = (np.arctan2(y[None], x[:, None]) - rv_at) % (2 * math.pi)
    label = np.zeros((*radius.shape, n_slices), np.uint8)
    for index in range(n_slices):
        plane = label[:, :, index]
        plane[np.hypot(x[:, None] - 40 * math.cos(rv_at), y[None] - 40 * math.sin(rv_at)) < rv_mm] = Label.RV
        plane[radius <= LV_MM + thickness(angle, index)] = Label.MYOCARDIUM
        plane[radius <= LV_MM] = Label.LV
    return Volume(label, (*spacing_mm, 8.0))


def even(mm):
    return lambda angle, index: mm


def thick_between(low_deg, high_deg, mm=12.0, elsewhere_mm=6.0):
    return lambda angle, index: np.where(
        (np.degrees(angle) >= low_deg) & (np.degrees(angle) < high_deg), mm, elsewhere_mm
    )


def numbers(measures):
    return [measures[f"wall_aha_{number:02d}_mm"] for number in range(1, 17)]


def thickest_of_level(measures, level):
    return max(ANTERIOR_TO_SEPTUM[level], key=lambda number: measures[f"wall_aha_{number:02d}_mm"])


@given(st.floats(5, 12), st.integers(3, 7))
def test_an_even_wall_is_as_thick_in_every_segment_and_level(wall_mm, n_slices):
    measures = segment_thickness_mm(heart(even(wall_mm), n_slices))
    assert len(measures) == 16 + 6
    assert set(measures) == {f"wall_aha_{n:02d}_mm" for n in range(1, 17)} | {
        f"wall_{level}_{kind}_mm" for level in ANTERIOR_TO_SEPTUM for kind in ("mean", "max")
    }
    assert list(measures.values()) == pytest.approx([wall_mm] * 22, abs=0.4)


@pytest.mark.parametrize(
    "low_deg, basal, middle",
    [(0, 2, 8), (60, 1, 7), (120, 6, 12), (180, 5, 11), (240, 4, 10), (300, 3, 9)],
    ids=["anteroseptal", "anterior", "anterolateral", "inferolateral", "inferior", "inferoseptal"],
)
def test_a_thick_sixth_of_the_ring_is_one_segment(low_deg, basal, middle):
    measures = segment_thickness_mm(heart(thick_between(low_deg, low_deg + 60)))
    assert thickest_of_level(measures, "basal") == basal
    assert thickest_of_level(measures, "middle") == middle
    thick, thin = measures[f"wall_aha_{basal:02d}_mm"], sorted(numbers(measures)[:6])[:3]
    assert thick > 8
    assert thin == pytest.approx([6, 6, 6], abs=0.3)
    assert measures["wall_basal_max_mm"] == thick


@pytest.mark.parametrize(
    "low_deg, number", [(45, 13), (-45, 14), (225, 15), (135, 16)], ids=["anterior", "septal", "inferior", "lateral"]
)
def test_a_thick_quarter_of_the_apex_is_one_segment(low_deg, number):
    def thickness(angle, index):
        past = (np.degrees(angle) - low_deg) % 360
        return np.where(past < 90, 12.0, 6.0)

    assert thickest_of_level(segment_thickness_mm(heart(thickness)), "apical") == number


def test_with_the_rv_at_low_x_anterior_is_low_y_and_lateral_high_x():
    volume = heart(even(6.0))
    x, y = (np.arange(n) * PIXEL_MM - 56 + 0.5 * PIXEL_MM for n in volume.array.shape[:2])
    radius = np.hypot(x[:, None], y[None])
    bump = (radius > LV_MM) & (radius < LV_MM + 12)
    for where, basal, apical in (
        (y[None] < -np.abs(x[:, None]) * 2, 1, 13),
        (y[None] > np.abs(x[:, None]) * 2, 4, 15),
        (x[:, None] > 0.2 * LV_MM + 2 * np.abs(y[None] + 12), 6, 16),
    ):
        measures = segment_thickness_mm(
            volume.with_array(np.where((bump & where)[..., None], Label.MYOCARDIUM, volume.array))
        )
        assert thickest_of_level(measures, "basal") == basal
        assert thickest_of_level(measures, "apical") == apical


@given(st.floats(0, 2 * math.pi), st.floats(-4, 4), st.floats(-4, 4))
def test_eccentric_circles_have_the_thickness_of_their_geometry(rv_at, right_mm, up_mm):
    """From a point of the inner circle the outer one, of radius R around c, is R - |p - c| away."""
    outer_mm = 28.0

    def thickness(angle, index):
        direction = angle + rv_at
        along = right_mm * np.cos(direction) + up_mm * np.sin(direction)
        across2 = right_mm**2 + up_mm**2 - along**2
        return along + np.sqrt(outer_mm**2 - across2) - LV_MM

    volume = heart(thickness, 3, rv_at, rv_mm=10)
    # The RV overlaps no wall, but an eccentric wall moves the middle of the septum: take it from the labels.
    septum = septal_direction(volume)
    points = np.linspace(0, 2 * math.pi, 3600, endpoint=False)
    exact = outer_mm - np.hypot(LV_MM * np.cos(points) - right_mm, LV_MM * np.sin(points) - up_mm)
    sector = np.floor(((points - septum) % (2 * math.pi)) / (math.pi / 3)).astype(int) % 6
    expected = {number: exact[sector == place].mean() for place, number in enumerate((2, 1, 6, 5, 4, 3))}
    measures = segment_thickness_mm(volume)
    for number, mm in expected.items():
        assert measures[f"wall_aha_{number:02d}_mm"] == pytest.approx(mm, abs=0.45)
    assert measures["wall_basal_mean_mm"] == pytest.approx(exact.mean(), abs=0.45)
    assert measures["wall_basal_max_mm"] == pytest.approx(max(expected.values()), abs=0.45)


@given(st.floats(-math.pi, math.pi))
def test_turning_the_whole_heart_leaves_the_segments_as_they_are(rv_at):
    def thickness(angle, index):
        return 8 + 3 * np.cos(angle - 1.0) + 0.3 * index

    here, there = (segment_thickness_mm(heart(thickness, rv_at=at)) for at in (RV_AT_LOW_X, rv_at))
    assert list(there.values()) == pytest.approx(list(here.values()), abs=0.4)


@given(st.floats(-3.1, 3.1))
def test_the_septum_faces_the_rv(rv_at):
    assert septal_direction(heart(even(8), 3, rv_at)) == pytest.approx(rv_at, abs=0.02)


def test_the_septal_direction_is_one_of_millimetres():
    volume = heart(even(8), 3, math.radians(130), spacing_mm=(0.5, 1.0))
    assert septal_direction(volume) == pytest.approx(math.radians(130), abs=0.02)
    assert numbers(segment_thickness_mm(volume)) == pytest.approx([8] * 16, abs=0.5)


def test_every_level_is_measured_in_its_own_slices():
    measures = segment_thickness_mm(heart(lambda angle, index: (5, 7, 9)[index // 2]))
    for level, mm in zip(("basal", "middle", "apical"), (5, 7, 9), strict=True):
        assert measures[f"wall_{level}_mean_mm"] == pytest.approx(mm, abs=0.3)
        assert measures[f"wall_{level}_max_mm"] == pytest.approx(mm, abs=0.4)
        for number in ANTERIOR_TO_SEPTUM[level]:
            assert measures[f"wall_aha_{number:02d}_mm"] == pytest.approx(mm, abs=0.4)


def test_slices_with_open_walls_are_left_out_of_the_thirds():
    closed = heart(lambda angle, index: (5, 7, 9)[index], 3)
    volume = Volume(np.concatenate([closed.array[:, :, :1]] * 2 + [closed.array], axis=2), closed.spacing_mm)
    quarter = volume.array.shape[0] // 2
    for index in range(2):
        plane = volume.array[:, :, index]
        plane[quarter:][plane[quarter:] == Label.MYOCARDIUM] = Label.BACKGROUND
    assert segment_thickness_mm(volume) == pytest.approx(segment_thickness_mm(closed), abs=0.1)


def test_no_rv_means_no_segments_but_still_a_mean_of_every_level():
    measures = segment_thickness_mm(heart(even(8), rv_mm=0))
    assert numbers(measures) == [None] * 16
    for level in ANTERIOR_TO_SEPTUM:
        assert measures[f"wall_{level}_max_mm"] is None
        assert measures[f"wall_{level}_mean_mm"] == pytest.approx(8, abs=0.3)
    assert septal_direction(heart(even(8), rv_mm=0)) is None


def test_open_walls_have_no_thickness_anywhere():
    volume = heart(even(8))
    half = volume.array.shape[0] // 2
    volume.array[half:][volume.array[half:] == Label.MYOCARDIUM] = Label.BACKGROUND
    assert set(segment_thickness_mm(volume).values()) == {None}


def test_one_closed_slice_is_the_base():
    measures = segment_thickness_mm(heart(even(8), 1))
    assert None not in numbers(measures)[:6]
    assert numbers(measures)[6:] == [None] * 10
    assert measures["wall_apical_mean_mm"] is None


def test_an_empty_volume_has_no_segments():
    assert set(segment_thickness_mm(Volume(np.zeros((8, 8, 3), np.uint8), (1.5, 1.5, 8.0))).values()) == {None}
