from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.validity import (
    BOUNDED,
    COUNTED,
    CRITERIA,
    VOLUME_CRITERIA,
    Bounds,
    bounds_of,
    circularity,
    concavity,
    slice_shape,
    slice_shapes,
    volume_failures,
)
from cardiomorph.volume import Volume

N = 80
X, Y = np.meshgrid(np.arange(N), np.arange(N), indexing="ij")
SPACING_MM = (1.5, 1.5, 8.0)


def disc(x, y, radius):
    return np.hypot(X - x, Y - y) <= radius


def square(x, y, side):
    return (x <= X) & (x + side > X) & (y <= Y) & (y + side > Y)


def correct_slice():
    """LV disc at (48, 40) in a ring, RV disc behind it towards low x, cut off by the ring."""
    label = np.zeros((N, N), np.uint8)
    label[disc(26, 40, 17)] = Label.RV
    label[disc(48, 40, 19)] = Label.MYOCARDIUM
    label[disc(48, 40, 13)] = Label.LV
    return label


def failures(label):
    """What fails where a bounded criterion may exceed the correct slice's by 0.05.

    An elongation by 0.15: a form's perimeter counts that of its holes and pieces.
    """
    shape, correct = slice_shape(label, 2.25), slice_shape(correct_slice(), 2.25)
    bounds = Bounds({name: correct[name] + (0.15 if "elongation" in name else 0.05) for name in BOUNDED})
    failed = bounds.failures(np.array([list(shape.values())]))[0]
    return {name for name, fails in zip(shape, failed, strict=True) if fails}


def painted(*strokes):
    label = correct_slice()
    for where, structure in strokes:
        label[where] = structure
    return label


def test_a_correct_slice_fails_no_criterion():
    shape = slice_shape(correct_slice(), 2.25)
    assert tuple(shape) == CRITERIA
    assert not any(math.isnan(value) for value in shape.values())
    assert {shape[name] for name in COUNTED} == {0.0}
    assert shape["lv_on_background"] == shape["lv_on_rv"] == 0
    assert failures(correct_slice()) == set()


@pytest.mark.parametrize(
    "criterion, label, size",
    [
        ("rv_hole", painted((square(18, 39, 3), Label.BACKGROUND)), 9),
        ("myocardium_hole", painted((square(63, 39, 2), Label.BACKGROUND)), 4),
        ("lv_parts", painted((square(63, 39, 1), Label.LV)), 1),
        ("rv_parts", painted(((Y == 40) & (X < 30), Label.BACKGROUND)), 1),
        ("myocardium_parts", painted((square(69, 39, 2), Label.MYOCARDIUM)), 1),
    ],
)
def test_a_defect_fails_its_own_criterion_and_no_other(criterion, label, size):
    assert slice_shape(label, 2.25)[criterion] == size
    assert failures(label) == {criterion}


def test_a_hole_in_the_cavity_is_no_gap_between_cavity_and_wall():
    shape = slice_shape(painted((square(46, 39, 3), Label.BACKGROUND)), 2.25)
    assert shape["lv_hole"] == 9
    assert {name for name in COUNTED if shape[name] > 0} == {"lv_hole"}


def test_muscle_inside_the_cavity_is_a_hole_and_a_second_piece_of_muscle():
    shape = slice_shape(painted((square(46, 39, 3), Label.MYOCARDIUM)), 2.25)
    assert shape["lv_hole"] == 9
    assert {name for name in COUNTED if shape[name] > 0} == {"lv_hole", "myocardium_parts"}


def test_a_notch_in_the_rv_shows_in_its_concavity():
    assert failures(painted((square(8, 39, 14), Label.BACKGROUND))) == {"rv_concavity"}


def test_a_gap_between_cavity_and_wall_is_counted_in_pixels():
    gap = disc(48, 40, 13) & ~disc(48, 40, 11)
    shape = slice_shape(painted((gap, Label.BACKGROUND)), 2.25)
    assert shape["lv_myocardium_gap"] == gap.sum()
    assert shape["lv_on_background"] == 1
    assert {name for name in COUNTED if shape[name] > 0} == {"lv_myocardium_gap"}


def test_a_gap_between_rv_and_wall_is_counted_in_pixels():
    label = painted()
    crescent = (label == Label.RV) & disc(48, 40, 22) & (np.abs(Y - 40) <= 3)
    label[crescent] = Label.BACKGROUND
    assert 10 < crescent.sum() < 100
    shape = slice_shape(label, 2.25)
    assert shape["rv_myocardium_gap"] == crescent.sum()
    assert {name for name in COUNTED if shape[name] > 0} == {"rv_myocardium_gap"}


def test_an_rv_that_does_not_touch_the_wall_is_apart():
    label = painted((correct_slice() == Label.RV, Label.BACKGROUND), (disc(14, 40, 11), Label.RV))
    assert failures(label) == {"rv_apart"}


def test_an_rv_that_touches_the_wall_at_a_corner_is_not_apart():
    label = np.zeros((20, 20), np.uint8)
    label[2:6, 2:6], label[6:12, 6:12] = Label.RV, Label.MYOCARDIUM
    assert slice_shape(label, 2.25)["rv_apart"] == 0
    label[5, 5] = Label.BACKGROUND
    assert slice_shape(label, 2.25)["rv_apart"] == 1


@pytest.mark.parametrize("structure, criterion", [(Label.BACKGROUND, "lv_on_background"), (Label.RV, "lv_on_rv")])
def test_a_cavity_that_is_half_bare_borders_on_what_is_outside(structure, criterion):
    label = np.zeros((40, 40), np.uint8)
    label[4:36, 4:36] = structure
    label[10:20, 6:30] = Label.MYOCARDIUM
    label[10:20, 10:20] = Label.LV
    label[9, 10:20] = Label.MYOCARDIUM
    shape = slice_shape(label, 2.25)
    assert shape[criterion] == pytest.approx(0.25)
    assert shape[({"lv_on_background", "lv_on_rv"} - {criterion}).pop()] == 0


def test_a_cavity_at_the_edge_of_the_picture_borders_on_background():
    label = np.full((10, 10), Label.LV, np.uint8)
    assert slice_shape(label, 2.25)["lv_on_background"] == 1


def test_a_notch_in_the_cavity_shows_in_its_concavity():
    label = painted((square(35, 37, 13) & (Y < 43), Label.MYOCARDIUM))
    cavity, left = (correct_slice() == Label.LV).sum(), (label == Label.LV).sum()
    before, after = slice_shape(correct_slice(), 2.25), slice_shape(label, 2.25)
    hull = cavity / (1 - before["lv_concavity"])
    assert after["lv_concavity"] == pytest.approx(1 - left / hull, abs=0.02)
    assert after["lv_elongation"] > before["lv_elongation"] + 0.05
    assert failures(label) - {"lv_elongation"} == {"lv_concavity"}


def test_a_notch_in_the_wall_shows_in_the_epicardium():
    label = painted((square(62, 38, 8), Label.BACKGROUND))
    before, after = slice_shape(correct_slice(), 2.25), slice_shape(label, 2.25)
    assert after["epicardium_concavity"] > before["epicardium_concavity"] + 0.02
    assert after["lv_concavity"] == before["lv_concavity"]


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_rectangle_is_not_concave(width, height):
    mask = np.zeros((40, 40), bool)
    mask[3 : 3 + width, 5 : 5 + height] = True
    assert concavity(mask) == pytest.approx(0, abs=1e-12)


def test_an_l_has_the_concavity_of_its_geometry():
    """Three quarters of a square with side 2a: the hull lacks half of the missing quarter."""
    mask = square(10, 10, 40) & ~square(30, 30, 20)
    assert concavity(mask) == pytest.approx(1 - 1200 / 1400)


@given(st.floats(8, 30))
def test_a_disc_is_round_and_hardly_concave(radius):
    mask = disc(40, 40, radius)
    assert circularity(mask) == pytest.approx(1, abs=0.12)
    assert 0 <= concavity(mask) < 0.12


@pytest.mark.parametrize("side", [20, 40, 60])
def test_a_square_has_the_circularity_of_a_square_and_a_disc_is_rounder(side):
    assert circularity(square(5, 5, side)) == pytest.approx(math.pi / 4, abs=0.1)
    assert circularity(disc(40, 40, side / 2)) > circularity(square(5, 5, side))


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_rectangle_has_the_circularity_of_its_sides(ratio):
    mask = np.zeros((300, 100), bool)
    mask[5 : 5 + 60 * ratio, 5:65] = True
    assert circularity(mask) == pytest.approx(math.pi * ratio / (1 + ratio) ** 2, rel=0.06)


def test_an_ellipse_has_the_circularity_of_its_axes():
    """Perimeter by Ramanujan's formula."""
    a, b = 30.0, 15.0
    around = math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))
    mask = ((X - 40) / a) ** 2 + ((Y - 40) / b) ** 2 <= 1
    assert circularity(mask) == pytest.approx(4 * math.pi * math.pi * a * b / around**2, abs=0.1)


def test_no_slice_no_shape():
    shape = slice_shape(np.zeros((20, 20), np.uint8), 2.25)
    assert tuple(shape) == CRITERIA
    assert all(math.isnan(value) for value in shape.values())


def test_a_structure_that_is_absent_or_small_has_no_form():
    label = np.zeros((40, 40), np.uint8)
    label[10:30, 10:30] = Label.MYOCARDIUM
    shape = slice_shape(label, 2.25)
    absent = {name for name, value in shape.items() if math.isnan(value)}
    assert absent == {"lv_on_background", "lv_on_rv", "lv_concavity", "rv_concavity", "lv_elongation"}
    label[18:20, 18:20] = Label.LV
    absent = {name for name, value in slice_shape(label, 2.25).items() if math.isnan(value)}
    assert absent == {"lv_concavity", "rv_concavity", "lv_elongation"}
    assert not math.isnan(slice_shape(label, 20.0)["lv_concavity"])


def test_only_labelled_slices_are_judged():
    stack = np.zeros((N, N, 5), np.uint8)
    stack[:, :, 1], stack[:, :, 3] = correct_slice(), painted((square(63, 39, 2), Label.BACKGROUND))
    shapes = slice_shapes(Volume(stack, SPACING_MM))
    assert shapes.shape == (2, len(CRITERIA))
    assert shapes[:, CRITERIA.index("myocardium_hole")].tolist() == [0, 4]
    assert slice_shapes(Volume(np.zeros((8, 8, 2), np.uint8), SPACING_MM)).shape == (0, len(CRITERIA))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 5))
def test_a_bound_is_the_percentile_of_what_is_there(values, unknown):
    shapes = np.full((len(values) + unknown, len(CRITERIA)), np.nan)
    column = CRITERIA.index("rv_concavity")
    shapes[: len(values), column] = values
    bounds = bounds_of([shapes[:2], shapes[2:]], 99.0)
    assert set(bounds.largest) == set(BOUNDED)
    assert bounds.largest["rv_concavity"] == pytest.approx(np.percentile(values, 99))
    assert bounds.largest["lv_concavity"] == math.inf


def test_no_real_heart_no_bound():
    assert set(bounds_of([]).largest.values()) == {math.inf}


def test_counts_fail_above_zero_and_the_rest_above_the_bound():
    bounds = Bounds(dict.fromkeys(BOUNDED, 0.2))
    at_limit = np.array([[0.0 if name in COUNTED else 0.2 for name in CRITERIA]])
    assert not bounds.failures(at_limit).any()
    assert bounds.failures(at_limit + 0.01).all()
    assert not bounds.failures(np.full((3, len(CRITERIA)), np.nan)).any()


def heart(scale=1.0, n_slices=6):
    stack = np.zeros((N, N, n_slices), np.uint8)
    for index in range(n_slices):
        stack[:, :, index][disc(26, 40, 17 * scale)] = Label.RV
        stack[:, :, index][disc(48, 40, 19)] = Label.MYOCARDIUM
        stack[:, :, index][disc(48, 40, 13 * scale)] = Label.LV
    return stack


def failed(ed, es=None):
    labels = {"ED": Volume(ed, SPACING_MM)} | ({} if es is None else {"ES": Volume(es, SPACING_MM)})
    return {name for name, fails in volume_failures(labels).items() if fails}


def test_a_correct_heart_fails_no_volume_criterion():
    assert failed(heart(), heart(0.8)) == set()
    both = {"ED": Volume(heart(), SPACING_MM), "ES": Volume(heart(0.8), SPACING_MM)}
    assert set(volume_failures(both)) == set(VOLUME_CRITERIA)


@pytest.mark.parametrize(
    "structure, expected",
    [
        (Label.LV, "lv_in_pieces"),
        (Label.RV, "rv_in_pieces"),
        (Label.MYOCARDIUM, "myocardium_in_pieces"),
    ],
)
@pytest.mark.parametrize("phase", [0, 1])
def test_a_second_piece_anywhere_is_found(structure, expected, phase):
    hearts = [heart(), heart(0.8)]
    hearts[phase][2:4, 2:4, 1:3] = structure
    assert failed(*hearts) == {expected}


def test_pieces_that_meet_at_a_corner_are_one():
    ed = heart()
    ed[:, :, 3:] = np.roll(ed[:, :, 3:], 3, axis=0)
    assert failed(ed) == set()


def test_an_empty_slice_between_two_is_missing():
    ed = heart()
    ed[:, :, 2][ed[:, :, 2] == Label.RV] = Label.BACKGROUND
    assert failed(ed) == {"structure_missing_between", "rv_in_pieces"}


def test_a_structure_may_end_early_at_either_end():
    ed = heart()
    ed[:, :, 0][ed[:, :, 0] == Label.LV] = Label.BACKGROUND
    ed[:, :, 4:][ed[:, :, 4:] == Label.RV] = Label.BACKGROUND
    assert failed(ed) == set()


def test_an_rv_below_the_left_apex_is_found():
    ed = heart()
    ed[:, :, -1][ed[:, :, -1] != Label.RV] = Label.BACKGROUND
    assert failed(ed) == {"rv_below_apex"}


@pytest.mark.parametrize("structure", [Label.LV, Label.RV])
def test_a_ventricle_that_does_not_contract_is_found(structure):
    ed, es = heart(), heart(0.8)
    es[ed == structure] = structure
    assert failed(ed, es) == {"systole_not_smaller"}


def test_systole_is_judged_in_millilitres():
    ed, es = Volume(heart(0.8), SPACING_MM), Volume(heart(), SPACING_MM)
    assert volume_failures({"ED": ed, "ES": es})["systole_not_smaller"]
    shorter = Volume(es.array, (1.5, 1.5, 4.0))
    assert not volume_failures({"ED": ed, "ES": shorter})["systole_not_smaller"]


def test_one_phase_says_nothing_of_systole():
    assert set(volume_failures({"ED": Volume(heart(), SPACING_MM)})) == set(VOLUME_CRITERIA) - {"systole_not_smaller"}
