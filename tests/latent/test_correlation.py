"""Kendall, the sine transform and the repair, against scipy and linear algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from cardiomorph.latent.correlation import cholesky, kendall_matrix, positive_definite, sine_transform


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 40), st.booleans())
def test_kendall_equals_scipy_with_and_without_ties(seed, n, ties):
    samples = np.random.default_rng(seed).normal(size=(n, 4))
    if ties:
        samples = samples.round(0)
    matrix = kendall_matrix(samples)
    for i in range(4):
        for j in range(4):
            expected = 1.0 if i == j else kendalltau(samples[:, i], samples[:, j]).statistic
            if np.isfinite(expected):
                assert matrix[i, j] == pytest.approx(expected, abs=1e-6)


def test_a_constant_column_correlates_with_nothing():
    samples = np.column_stack([np.zeros(9), np.arange(9.0)])
    assert np.array_equal(kendall_matrix(samples), np.eye(2))


def test_sine_transform_recovers_the_gaussian_correlation():
    rng = np.random.default_rng(0)
    rho = 0.6
    samples = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=3000)
    assert sine_transform(kendall_matrix(samples))[0, 1] == pytest.approx(rho, abs=0.03)


def test_a_positive_definite_matrix_is_left_alone():
    matrix = np.array([[1.0, 0.3], [0.3, 1.0]])
    repaired, facts = positive_definite(matrix)
    assert repaired is matrix
    assert not facts.repaired
    assert facts.repair_frobenius == 0
    assert facts.condition == pytest.approx(1.3 / 0.7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_repaired_matrix_is_a_correlation_with_a_cholesky_factor(seed):
    samples = np.random.default_rng(seed).normal(size=(6, 12))
    matrix = sine_transform(kendall_matrix(samples))
    factor, facts = cholesky(matrix)
    assert facts.repaired
    assert facts.smallest_eigenvalue < 1e-4
    assert facts.repair_frobenius > 0
    product = factor @ factor.T
    assert np.allclose(np.diag(product), 1.0)
    assert np.linalg.eigvalsh(product)[0] > 0
