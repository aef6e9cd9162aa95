"""Tests of two sets: against independent references, at their level under the null, with the power that they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance

from cardiomorph.evaluation.two_samples import (
    CHANGES,
    Stratum,
    area_under_curve,
    classifier_test,
    energy_test,
    power,
    spread_ratio,
)


def normal(n, d=3, seed=0, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).standard_normal((n, d))


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.integers(3, 12), st.integers(3, 12), st.integers(0, 1000))
def test_the_distance_is_the_formulas(n, m, seed):
    x, y = normal(n, seed=seed), normal(m, seed=seed + 1, shift=0.7)
    expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert energy_test([(x, y)], rng(), 5).distance == pytest.approx(n * m / (n + m) * expected)


def test_in_one_dimension_it_is_scipys():
    x, y = normal(30, 1, 1), normal(40, 1, 2, shift=1)
    # scipy gives the root of half of it.
    expected = 2 * energy_distance(x[:, 0], y[:, 0]) ** 2 / 2
    assert energy_test([(x, y)], rng(), 5).distance * 70 / 1200 == pytest.approx(expected, rel=1e-6)


def test_p_values_are_even_where_nothing_differs():
    found = [energy_test([(normal(15, seed=2 * s), normal(20, seed=2 * s + 1))], rng(s), 99).p for s in range(200)]
    assert np.mean(np.array(found) < 0.05) < 0.11
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)
    assert min(found) > 0


def test_strata_of_other_sizes_do_not_make_a_difference():
    """Two groups far apart, mixed 1 to 4 on one side and 4 to 1 on the other: within groups all is alike."""
    far = 10.0
    pairs = [(normal(40, seed=1), normal(10, seed=2)), (normal(10, seed=3, shift=far), normal(40, seed=4, shift=far))]
    assert energy_test(pairs, rng()).p > 0.05
    pooled = [tuple(np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))]
    assert energy_test(pooled, rng()).p < 0.01


@pytest.mark.parametrize(("change", "seen"), [("shift", True), ("spread", True), ("nothing", False)])
def test_the_classifier_sees_what_differs_and_nothing_else(change, seen):
    x = {"shift": normal(60, shift=0.8), "spread": normal(60, scale=0.4), "nothing": normal(60)}[change]
    told = classifier_test(x, normal(50, seed=9), rng())
    assert told.low <= told.auc <= told.high
    assert (told.low > 0.5) == seen


def test_few_hearts_are_not_classified():
    assert classifier_test(normal(9), normal(50), rng()) is None


def test_the_area_under_the_curve_is_the_share_of_right_pairs():
    scores, positive = np.array([0.1, 0.4, 0.35, 0.8, 0.4]), np.array([False, False, True, True, True])
    pairs = [(p > q) + 0.5 * (p == q) for p in scores[positive] for q in scores[~positive]]
    assert area_under_curve(scores, positive) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_the_ratio_of_spreads_is_found_with_its_interval(scale):
    found = spread_ratio([(normal(300, scale=scale), normal(300, seed=5))], rng())
    assert found.ratio == pytest.approx(scale, rel=0.1)
    assert found.low < scale < found.high


def test_the_power_is_that_of_the_test_itself():
    """What it claims for half the spread is what happens to sets with half the spread."""
    real = normal(25, seed=3)
    claimed = power([Stratum(real, len(real), 60)], rng(), simulations=60)
    happened = np.mean(
        [
            energy_test([(normal(60, seed=s, scale=0.5), normal(25, seed=1000 + s))], rng(s), 100).p < 0.05
            for s in range(60)
        ]
    )
    assert claimed["half_spread"] == pytest.approx(happened, abs=0.25)
    assert claimed["collapse"] > 0.95
    assert claimed["nothing"] < 0.2
    assert claimed["copies"] == 0
    assert claimed.keys() == CHANGES.keys()


def test_more_hearts_have_more_power():
    few, many = (power([Stratum(normal(n, seed=1), n, n)], rng(), 40)["shift_half_sd"] for n in (10, 60))
    assert many > few
