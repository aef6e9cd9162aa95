from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from cardiomorph.evaluation.distances import (
    DISTANCES,
    correlation_floor,
    correlation_gap,
    correlations,
    halves,
    split_half_floor,
)

wasserstein, energy = DISTANCES["wasserstein"], DISTANCES["energy"]
samples = st.lists(st.floats(-100, 100), min_size=4, max_size=30)
seeds = st.integers(0, 2**31)


def table(seed, n=20, columns=4):
    return np.random.default_rng(seed).normal(size=(n, columns)) @ np.random.default_rng(seed + 1).normal(
        size=(columns, columns)
    )


@given(samples, st.floats(-50, 50))
def test_a_shifted_set_is_as_far_away_as_it_was_shifted(values, shift):
    assert wasserstein(values, np.add(values, shift)) == pytest.approx(abs(shift), abs=1e-9)


def test_two_points_have_their_textbook_distances():
    assert wasserstein([0.0], [3.0]) == pytest.approx(3)
    assert energy([0.0], [3.0]) == pytest.approx(np.sqrt(6))
    assert wasserstein([0.0, 1.0], [0.0, 3.0]) == pytest.approx(1)


@given(samples)
def test_a_set_is_no_distance_from_itself(values):
    for distance in DISTANCES.values():
        assert distance(values, values[::-1]) == pytest.approx(0, abs=1e-7)


@given(st.integers(2, 40), seeds)
def test_halves_part_the_set(n, seed):
    first, second = halves(n, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(n))
    assert 0 <= len(second) - len(first) <= 1


@given(samples, seeds)
def test_a_floor_is_reproducible(values, seed):
    once, again = (split_half_floor(values, wasserstein, np.random.default_rng(seed), splits=20) for _ in range(2))
    assert once == again


def test_fewer_than_four_values_have_no_floor():
    rng = np.random.default_rng(0)
    for n in range(4):
        assert split_half_floor(np.arange(n), wasserstein, rng) is None
    assert split_half_floor(np.arange(4), wasserstein, rng) is not None


def test_the_floor_of_four_values_can_be_counted():
    """{0, 0, 1, 1} splits into halves alike (4 ways of 6, distance 0) or apart (2 of 6, distance 1)."""
    floor = split_half_floor([0, 0, 1, 1], wasserstein, np.random.default_rng(0), splits=3000)
    assert floor.mean == pytest.approx(1 / 3, abs=0.03)
    assert floor.p95 == 1


def test_the_floor_is_the_mean_and_the_95th_percentile_of_what_the_distance_says():
    found = iter(np.arange(101.0).tolist())
    floor = split_half_floor(np.arange(10), lambda a, b: next(found), np.random.default_rng(0), splits=101)
    assert (floor.mean, floor.p95) == pytest.approx((50, 95))


@given(samples, seeds, st.floats(0.1, 10), st.floats(-50, 50))
def test_a_wasserstein_floor_scales_with_the_unit_and_forgets_the_offset(values, seed, factor, offset):
    here = split_half_floor(values, wasserstein, np.random.default_rng(seed), splits=10)
    there = split_half_floor(factor * np.asarray(values) + offset, wasserstein, np.random.default_rng(seed), splits=10)
    assert there.mean == pytest.approx(factor * here.mean, abs=1e-8)
    assert there.p95 == pytest.approx(factor * here.p95, abs=1e-8)


@given(seeds)
def test_correlations_are_those_of_numpy_and_scipy(seed):
    values = table(seed)
    np.testing.assert_allclose(correlations(values, ranks=False), np.corrcoef(values.T), atol=1e-12)
    np.testing.assert_allclose(correlations(values, ranks=True), spearmanr(values).statistic, atol=1e-12)


def test_tied_ranks_are_scipys():
    values = np.random.default_rng(0).integers(0, 4, (30, 3)).astype(float)
    np.testing.assert_allclose(correlations(values, ranks=True), spearmanr(values).statistic, atol=1e-12)


@pytest.mark.parametrize("ranks", [True, False])
@pytest.mark.parametrize("constants", [(0.0, 5.0), (0.1, 0.3), (0.7, 1e6 + 0.1)])
@pytest.mark.parametrize("n", [6, 7, 10, 23])
def test_a_measure_that_never_changes_correlates_with_nothing(ranks, constants, n):
    values = table(3, n, 4)
    values[:, 1], values[:, 3] = constants
    found = correlations(values, ranks=ranks)
    for constant in (1, 3):
        others = [column for column in range(4) if column != constant]
        np.testing.assert_allclose(found[constant, others], 0, atol=1e-9)
        np.testing.assert_allclose(found[others, constant], 0, atol=1e-9)
    assert found[0, 2] == pytest.approx(correlations(values[:, [0, 2]], ranks=ranks)[0, 1])


@given(seeds, st.booleans())
def test_a_table_has_no_gap_to_itself_in_any_order(seed, ranks):
    values = table(seed)
    assert correlation_gap(values, values, ranks=ranks) == 0
    assert correlation_gap(values, values[::-1], ranks=ranks) == pytest.approx(0, abs=1e-12)


def test_opposite_correlations_are_two_apart():
    rising = np.stack([np.arange(10.0), np.arange(10.0) ** 3], axis=1)
    falling = rising * [1, -1]
    assert correlation_gap(rising, falling, ranks=True) == pytest.approx(2)


@given(seeds, st.booleans())
def test_the_gap_is_the_mean_over_pairs(seed, ranks):
    a, b = table(seed), table(seed + 7)
    ours, theirs = correlations(a, ranks=ranks), correlations(b, ranks=ranks)
    pairs = [abs(ours[i, j] - theirs[i, j]) for i in range(4) for j in range(i)]
    assert correlation_gap(a, b, ranks=ranks) == pytest.approx(np.mean(pairs))


def test_one_measure_has_no_pairs_and_no_gap():
    assert correlation_gap(np.ones((9, 1)), np.zeros((9, 1)), ranks=True) == 0


def test_the_correlation_floor_is_reproducible_and_needs_eight_hearts():
    values = table(0)
    once, again = (correlation_floor(values, np.random.default_rng(1), ranks=True, splits=20) for _ in range(2))
    assert once == again
    assert 0 < once.mean < once.p95 < 2
    assert correlation_floor(values[:7], np.random.default_rng(1), ranks=True) is None
    assert correlation_floor(values[:8], np.random.default_rng(1), ranks=True, splits=5) is not None
