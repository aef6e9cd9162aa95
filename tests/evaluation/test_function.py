from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.function import (
    MEASURE_COLUMNS,
    body_surface_m2,
    ejection_fraction_pct,
    long_axis_mm,
    measure_heart,
    slice_wall_thickness_mm,
    structure_volume_ml,
    wall_thickness_mm,
)
from cardiomorph.volume import Volume

FINE_MM = 0.5


def cylinder(lv_mm, wall_mm, n_slices, slice_mm=8.0, rv_mm=0.0, empty=0, pixel_mm=FINE_MM):
    """An LV cylinder in a ring wall, an RV cylinder apart from it, ``empty`` slices at either end."""
    x = np.arange(-60, 60, pixel_mm) + 0.5 * pixel_mm
    radius = np.hypot(x[:, None], x[None])
    plane = np.zeros(radius.shape, np.uint8)
    plane[radius <= lv_mm + wall_mm] = Label.MYOCARDIUM
    plane[radius <= lv_mm] = Label.LV
    plane[np.hypot(x[:, None] + 42, x[None]) < rv_mm] = Label.RV
    stack = np.repeat(plane[:, :, None], n_slices, axis=2)
    return Volume(np.pad(stack, ((0, 0), (0, 0), (empty, empty))), (pixel_mm, pixel_mm, slice_mm))


def test_a_cylinder_has_its_analytic_measures():
    ed, es = cylinder(20, 8, 9, rv_mm=12, empty=1), cylinder(13, 11, 8, rv_mm=9)
    measures = measure_heart({"ED": ed, "ES": es}, 180, 80)
    edv, esv = math.pi * 20**2 * 72 / 1000, math.pi * 13**2 * 64 / 1000
    rv_edv, rv_esv = math.pi * 12**2 * 72 / 1000, math.pi * 9**2 * 64 / 1000
    mass = 1.05 * math.pi * (28**2 - 20**2) * 72 / 1000
    expected = {
        "lv_edv_ml": edv,
        "lv_esv_ml": esv,
        "lv_ef_pct": 100 * (1 - esv / edv),
        "rv_edv_ml": rv_edv,
        "rv_esv_ml": rv_esv,
        "rv_ef_pct": 100 * (1 - rv_esv / rv_edv),
        "lv_mass_g": mass,
        "long_axis_mm": 72,
        "long_axis_es_mm": 64,
        "rv_lv_edv_ratio": rv_edv / edv,
        "body_surface_m2": 2.0,
        "lv_edv_index_ml_m2": edv / 2,
        "lv_mass_index_g_m2": mass / 2,
    }
    assert {key: measures[key] for key in expected} == pytest.approx(expected, rel=0.01)
    assert measures["wall_max_mm"] == pytest.approx(8, abs=0.3)
    assert measures["wall_max_es_mm"] == pytest.approx(11, abs=0.3)
    assert set(MEASURE_COLUMNS) <= measures.keys()


@given(st.floats(8, 30), st.floats(4, 15))
def test_a_ring_is_as_thick_as_its_radii_say(lv_mm, wall_mm):
    plane = cylinder(lv_mm, wall_mm, 1).array[:, :, 0]
    assert slice_wall_thickness_mm(plane, (FINE_MM, FINE_MM)) == pytest.approx(wall_mm, abs=0.3)


def test_oblong_pixels_are_measured_in_mm():
    plane = cylinder(20, 8, 1).array[:, ::2, 0]
    assert slice_wall_thickness_mm(plane, (FINE_MM, 2 * FINE_MM)) == pytest.approx(8, abs=0.4)


def test_volumes_follow_the_spacing_and_no_other_structure():
    thin, thick = (cylinder(20, 8, 5, slice_mm=d) for d in (5, 10))
    assert structure_volume_ml(thick, Label.LV) == pytest.approx(2 * structure_volume_ml(thin, Label.LV))
    assert structure_volume_ml(thick, Label.RV) == 0


def test_an_open_horseshoe_is_no_wall():
    volume = cylinder(20, 8, 3)
    middle = volume.array.shape[1] // 2
    plane = volume.array[:, :, 0]
    plane[: volume.array.shape[0] // 2, middle - 12 : middle + 12][
        plane[: volume.array.shape[0] // 2, middle - 12 : middle + 12] == Label.MYOCARDIUM
    ] = 0
    assert slice_wall_thickness_mm(plane, (FINE_MM, FINE_MM)) is None
    assert wall_thickness_mm(volume)[0] is None
    assert wall_thickness_mm(volume)[1] == pytest.approx(8, abs=0.3)


def test_a_cavity_without_wall_and_a_wall_without_cavity_have_no_thickness():
    plane = cylinder(20, 8, 1).array[:, :, 0]
    for gone in (Label.LV, Label.MYOCARDIUM):
        assert slice_wall_thickness_mm(np.where(plane == gone, 0, plane), (FINE_MM, FINE_MM)) is None


def test_the_thickest_slice_counts():
    thin, thick = cylinder(20, 6, 2), cylinder(20, 12, 1)
    both = thin.with_array(np.concatenate([thin.array, thick.array], axis=2))
    assert measure_heart({"ED": both})["wall_max_mm"] == pytest.approx(12, abs=0.3)


def test_a_missing_phase_gives_none_for_what_needs_it():
    measures = measure_heart({"ED": cylinder(20, 8, 5)})
    assert measures["lv_edv_ml"] > 0
    for key in ("lv_esv_ml", "lv_ef_pct", "rv_ef_pct", "wall_max_es_mm", "myocardium_es_ed_ratio"):
        assert measures[key] is None
    assert measure_heart({"ES": cylinder(20, 8, 5)})["lv_edv_ml"] is None
    assert measure_heart({}).keys() == measures.keys()
    assert set(measure_heart({}).values()) == {None}


def test_unknown_height_or_weight_gives_no_index():
    measures = measure_heart({"ED": cylinder(20, 8, 5)}, height_cm=180)
    assert measures["body_surface_m2"] is measures["lv_edv_index_ml_m2"] is None


def test_no_right_ventricle_has_no_ejection_fraction():
    heart = cylinder(20, 8, 5)
    assert measure_heart({"ED": heart, "ES": heart})["rv_ef_pct"] is None
    assert ejection_fraction_pct(0, 0) is None


@given(st.floats(1, 500), st.floats(0, 1))
def test_ejection_fraction_is_the_share_put_out(edv, share):
    assert ejection_fraction_pct(edv, edv * (1 - share)) == pytest.approx(100 * share, abs=1e-9)


def test_body_surface_is_mosteller():
    assert body_surface_m2(180, 80) == pytest.approx(2.0)
    assert body_surface_m2(160, 60) == pytest.approx(math.sqrt(160 * 60) / 60)
    assert body_surface_m2(None, 80) is body_surface_m2(180, None) is None


def test_the_long_axis_ignores_slices_with_right_ventricle_only():
    heart = cylinder(20, 8, 5, rv_mm=12)
    heart.array[:, :, 0][heart.array[:, :, 0] != Label.RV] = 0
    assert long_axis_mm(heart) == 4 * 8


def test_an_empty_heart_measures_zero_without_warnings():
    measures = measure_heart({"ED": Volume(np.zeros((8, 8, 3), np.uint8), (1.5, 1.5, 10.0))})
    assert measures["lv_edv_ml"] == measures["long_axis_mm"] == 0
    assert measures["wall_max_mm"] is None
