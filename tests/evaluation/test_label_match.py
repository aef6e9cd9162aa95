from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from cardiomorph.anatomy import STRUCTURES, Label
from cardiomorph.evaluation.label_match import label_match, surface_distance_mm

SPACING_MM = (1.5, 1.5)
NAMES = [structure.name.lower() for structure in STRUCTURES]


def square(x=10, y=10, side=20, size=64):
    mask = np.zeros((size, size), bool)
    mask[x : x + side, y : y + side] = True
    return mask


def nested(x=30, y=30, size=64):
    label = np.zeros((size, size), np.uint8)
    for structure, radius in ((Label.RV, 20), (Label.MYOCARDIUM, 14), (Label.LV, 7)):
        label[np.hypot(np.arange(size)[:, None] - x, np.arange(size)[None] - y) <= radius] = structure
    return label


def shifted_squares_mm(side, shift):
    """Edge pixels of two squares, one ``shift`` pixels further along x: what a pixel is away from the other's edge."""
    away = []
    for x, y in product(range(side), range(side)):
        if x in (0, side - 1) or y in (0, side - 1):
            to_level, to_upright = min(y, side - 1 - y), min(x - shift, side - 1 + shift - x)
            away.append(shift - x if x < shift else min(to_level, to_upright))
    return np.mean(away)


@given(st.integers(0, 12), st.floats(0.5, 3))
def test_shifted_plates_are_as_far_apart_as_they_were_shifted(shift, spacing):
    plate, other = np.zeros((2, 40, 40), bool)
    plate[5], other[5 + shift] = True, True
    assert surface_distance_mm(plate, other, (spacing, 1.0)) == pytest.approx(shift * spacing)
    assert surface_distance_mm(plate.T, other.T, (1.0, spacing)) == pytest.approx(shift * spacing)


@given(st.integers(4, 20), st.integers(0, 3))
def test_a_shifted_square_has_its_counted_distance(side, shift):
    """By symmetry both directions have the same mean."""
    found = surface_distance_mm(square(side=side), square(10 + shift, side=side), (1.0, 1.0))
    assert found == pytest.approx(shifted_squares_mm(side, shift))


@given(st.integers(0, 1000), st.sampled_from([(1.0, 1.0), (1.5, 0.7)]))
def test_the_distance_is_the_mean_over_both_edges(seed, spacing):
    rng = np.random.default_rng(seed)
    a, b = square(*rng.integers(2, 20, 2), side=int(rng.integers(3, 20))), square(*rng.integers(2, 20, 2), side=15)
    edges = []
    for mask in (a, b):
        inner = mask[1:-1, 1:-1] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
        edges.append(np.argwhere(mask & ~np.pad(inner, 1)) * spacing)
    across = cdist(*edges)
    expected = np.concatenate([across.min(axis=0), across.min(axis=1)]).mean()
    assert surface_distance_mm(a, b, spacing) == pytest.approx(expected)
    assert surface_distance_mm(b, a, spacing) == pytest.approx(expected)


def test_concentric_squares_are_apart_by_their_margin():
    """The outer square's corners reach a little further."""
    found = surface_distance_mm(square(10, 10, 40), square(13, 13, 34), (1.0, 1.0))
    assert found == pytest.approx(3, rel=0.05)


def test_an_empty_mask_has_no_distance():
    empty = np.zeros((64, 64), bool)
    assert surface_distance_mm(square(), empty, SPACING_MM) is None
    assert surface_distance_mm(empty, square(), SPACING_MM) is None
    assert surface_distance_mm(empty, empty, SPACING_MM) is None


def test_equal_maps_agree_perfectly():
    label = np.stack([nested(), nested(28, 33)])
    match = label_match(label, label, SPACING_MM)
    assert match == {f"dice_{n}": 1 for n in NAMES} | {f"distance_{n}_mm": 0 for n in NAMES} | {
        "dice": 1,
        "distance_mm": 0,
    }


def test_dice_is_taken_over_the_stack_and_distance_over_its_slices():
    label, read = np.zeros((2, 2, 64, 64), np.uint8)
    label[0][square()], read[0][square(12)] = Label.LV, Label.LV
    label[1][square(side=8)], read[1][square(side=8)] = Label.LV, Label.LV
    match = label_match(label, read, SPACING_MM)
    assert match["dice_lv"] == pytest.approx(2 * (18 * 20 + 64) / (2 * (400 + 64)))
    assert match["distance_lv_mm"] == pytest.approx(1.5 * shifted_squares_mm(20, 2) / 2)
    assert match["dice"] == match["dice_lv"]
    assert match["distance_mm"] == match["distance_lv_mm"]


def test_a_structure_that_only_one_map_has_scores_nothing_and_has_no_distance():
    label, read = np.zeros((2, 1, 64, 64), np.uint8)
    label[0][square()] = Label.RV
    label[0][square(40)], read[0][square(40)] = Label.LV, Label.LV
    match = label_match(label, read, SPACING_MM)
    assert match["dice_rv"] == 0
    assert match["distance_rv_mm"] is None
    assert match["dice_myocardium"] is match["distance_myocardium_mm"] is None
    assert (match["dice"], match["distance_mm"]) == (0.5, 0)


def test_means_are_over_structures():
    label, read = nested()[None], nested(31, 32)[None]
    match = label_match(label, read, SPACING_MM)
    assert match["dice"] == pytest.approx(np.mean([match[f"dice_{n}"] for n in NAMES]))
    assert match["distance_mm"] == pytest.approx(np.mean([match[f"distance_{n}_mm"] for n in NAMES]))
    assert 0.5 < match["dice"] < 1
    assert 0 < match["distance_mm"] < 1.5 * np.hypot(1, 2)


def test_empty_maps_cannot_be_compared():
    empty = np.zeros((3, 16, 16), np.uint8)
    assert set(label_match(empty, empty, SPACING_MM).values()) == {None}
    assert label_match(empty, empty, SPACING_MM).keys() == label_match(nested()[None], nested()[None], (1, 1)).keys()
