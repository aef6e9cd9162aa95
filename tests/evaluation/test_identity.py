from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from cardiomorph.anatomy import DISEASES, Label
from cardiomorph.evaluation.identity import (
    DISEASE_MEASURES,
    appearance_drift,
    centre_mm,
    mean_overlap,
    monotonicity,
    position_drift_mm,
    reidentified,
    rotation_drift_deg,
)
from cardiomorph.volume import Volume

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


def heart(x_mm=0.0, y_mm=0.0, rv_deg=180.0, n_slices=3, rv_mm=14.0):
    """LV of 15 mm in a wall of 8 at (x, y), the RV in a direction from it; pixels of 1 x 0.5 mm."""
    x, y = np.arange(-70, 70, 1.0) + 0.5, np.arange(-70, 70, 0.5) + 0.25
    rv_x, rv_y = (38 * f(math.radians(rv_deg)) for f in (math.cos, math.sin))
    label = np.zeros((x.size, y.size), np.uint8)
    label[np.hypot(x[:, None] - x_mm - rv_x, y[None] - y_mm - rv_y) < rv_mm] = Label.RV
    label[np.hypot(x[:, None] - x_mm, y[None] - y_mm) <= 23] = Label.MYOCARDIUM
    label[np.hypot(x[:, None] - x_mm, y[None] - y_mm) <= 15] = Label.LV
    return Volume(np.repeat(label[..., None], n_slices, axis=2), (1.0, 0.5, 8.0))


EMPTY = Volume(np.zeros((140, 280, 3), np.uint8), (1.0, 0.5, 8.0))


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_a_shift_is_found_in_mm(right_mm, up_mm):
    assert position_drift_mm(heart(), heart(right_mm, up_mm)) == pytest.approx(math.hypot(right_mm, up_mm), abs=0.1)
    assert rotation_drift_deg(heart(), heart(right_mm, up_mm)) == pytest.approx(0, abs=0.5)


@given(st.floats(0, 360), st.floats(-180, 180))
def test_a_rotation_is_found_in_degrees_either_way(start_deg, turn_deg):
    parent, child = heart(rv_deg=start_deg), heart(rv_deg=start_deg + turn_deg)
    assert rotation_drift_deg(parent, child) == pytest.approx(abs(turn_deg), abs=0.5)
    assert rotation_drift_deg(child, parent) == pytest.approx(abs(turn_deg), abs=0.5)
    assert position_drift_mm(parent, child) == pytest.approx(0, abs=1e-9)


def test_the_centre_is_that_of_the_lv_in_mm():
    assert centre_mm(heart(5, -7)) == pytest.approx([70 + 5 - 0.5, 70 - 7 - 0.25], abs=0.05)


def test_without_a_ventricle_nothing_drifts():
    no_rv = heart(rv_mm=0)
    assert rotation_drift_deg(heart(), no_rv) is rotation_drift_deg(no_rv, heart()) is None
    assert position_drift_mm(heart(), no_rv) == 0
    assert centre_mm(EMPTY) is position_drift_mm(heart(), EMPTY) is position_drift_mm(EMPTY, heart()) is None


def test_overlap_is_the_mean_dice_over_structures_that_either_has():
    a, b = np.zeros((2, 10, 10), np.uint8)
    a[:4], b[:4] = Label.LV, Label.LV
    assert mean_overlap(a, b) == 1
    a[6:8], b[7:9] = Label.RV, Label.RV
    assert mean_overlap(a, b) == pytest.approx((1 + 0.5) / 2)
    a[9:] = Label.MYOCARDIUM
    assert mean_overlap(a, b) == pytest.approx((1 + 0.5 + 0) / 3)
    assert mean_overlap(a * 0, b * 0) == 0


def series(group, values):
    """Measures in which the disease grows by ``values``, whichever way it changes them."""
    name, direction = DISEASE_MEASURES[group]
    return [{name: None if value is None else 100.0 + direction * value, "other": 1.0} for value in values]


def test_every_disease_has_a_measure():
    assert set(DISEASE_MEASURES) == set(DISEASES)


@pytest.mark.parametrize("group", DISEASES)
@pytest.mark.parametrize(
    "values, expected",
    [
        ((1, 2, 3, 4, 50), 1),
        ((90, 60, 59, 20, 3), -1),
        ((7, 7, 7, 7, 7), 0),
        ((0, 3, -3, 3, 0), 0),
        ((1, 3, 2, 4, 5), 0.9),
        ((5, 4, 2, 3, 1), -0.9),
    ],
    ids=["growing", "healing", "constant", "returning", "almost growing", "almost healing"],
)
def test_a_series_is_as_steady_as_its_ranks(group, values, expected):
    assert monotonicity(SEVERITIES, series(group, values), group) == pytest.approx(expected)


def test_monotonicity_is_spearmans_correlation_along_the_disease():
    values = (2, 5, 4, 1, 3)
    expected = spearmanr(SEVERITIES, values).statistic
    assert monotonicity(SEVERITIES, series("DCM", values), "DCM") == pytest.approx(expected)
    assert monotonicity(SEVERITIES, series("MINF", values), "MINF") == pytest.approx(expected)


def test_a_missing_measure_leaves_monotonicity_open():
    assert monotonicity(SEVERITIES, series("HCM", (1, 2, None, 4, 5)), "HCM") is None
    assert monotonicity(SEVERITIES, series("HCM", (1, 2, 3, 4, 5)), "RV") is None


def test_appearance_drifts_by_its_largest_change():
    parent = {"blood": 0.5, "myocardium": -0.2, "background": -0.7}
    assert appearance_drift(parent, parent) == 0
    assert appearance_drift(parent, parent | {"blood": 0.4, "background": -0.4}) == pytest.approx(0.3)
    assert appearance_drift(parent, parent | {"myocardium": -0.45}) == pytest.approx(0.25)
    assert appearance_drift(parent, parent | {"blood": None}) is None
    assert appearance_drift({"blood": 0.5}, parent) is None


class TestReidentification:
    def test_children_that_are_like_their_parents_are_found(self):
        rng = np.random.default_rng(0)
        parents = rng.normal(size=(10, 200))
        own = np.repeat(np.arange(10), 3)
        assert reidentified(3 * parents[own] + 0.1 * rng.normal(size=(30, 200)) + 5, parents, own) == 1.0

    def test_strangers_are_found_by_chance(self):
        rng = np.random.default_rng(1)
        own = np.repeat(np.arange(10), 100)
        found = reidentified(rng.normal(size=(1000, 50)), rng.normal(size=(10, 50)), own)
        assert found == pytest.approx(0.1, abs=0.05)
