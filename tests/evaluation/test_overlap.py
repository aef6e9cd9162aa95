from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiomorph.anatomy import STRUCTURES
from cardiomorph.evaluation.overlap import dice, dice_by_structure, thirds

maps = arrays(np.uint8, (4, 5, 3), elements=st.integers(0, 3))


@given(maps, maps, st.sampled_from(STRUCTURES))
def test_dice_is_the_f1_score(a, b, label):
    true_positive = sum(x == y == label for x, y in zip(a.flat, b.flat, strict=True))
    false = sum((x == label) != (y == label) for x, y in zip(a.flat, b.flat, strict=True))
    score = dice(a, b, label)
    if true_positive + false == 0:
        assert math.isnan(score)
    else:
        assert score == pytest.approx(2 * true_positive / (2 * true_positive + false))
    assert score == dice(b, a, label) or math.isnan(score)


@given(maps)
def test_a_map_covers_itself(a):
    for label, score in zip(STRUCTURES, dice_by_structure(a, a).values(), strict=True):
        assert score == 1 or not (a == label).any()


def test_structures_go_by_their_names():
    assert list(dice_by_structure(np.ones((1, 1, 1)), np.ones((1, 1, 1)))) == ["rv", "myocardium", "lv"]


@given(st.integers(3, 40))
def test_thirds_part_the_stack_evenly_base_first(n_slices):
    parts = thirds(n_slices)
    assert list(parts) == ["base", "middle", "apex"]
    assert [i for part in parts.values() for i in range(n_slices)[part]] == list(range(n_slices))
    lengths = [len(range(n_slices)[part]) for part in parts.values()]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] - lengths[-1] <= 1
