"""Appearances of nobody: the statistics are those of the cohort, and no subject is among the draws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.latent.appearance import MAX_FACTORS, appearance_statistics, vary_styles


def looks(n, rank=3, noise=0.0, seed=0):
    """n subjects whose appearances vary along ``rank`` directions, smooth along the axis."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(rank, 2, 1, 5)) * np.ones((1, 1, 32, 1))
    mean = rng.normal(size=(2, 32, 5))
    codes = mean + np.einsum("nk,kpsd->npsd", rng.normal(size=(n, rank)), directions)
    codes += noise * rng.normal(size=codes.shape)
    return [dict(zip(("ED", "ES"), subject.astype(np.float32), strict=True)) for subject in codes]


def statistics(subjects):
    """Of appearances whose noise is of no interest."""
    return appearance_statistics(subjects, [1.0] * len(subjects))


def packed(subjects):
    return np.stack([np.stack([s["ED"], s["ES"]]) for s in subjects]).reshape(len(subjects), -1).astype(float)


def test_the_factors_are_the_principal_components():
    subjects = looks(200, noise=0.01)
    found = statistics(subjects)
    values = np.linalg.eigvalsh(np.cov(packed(subjects).T))[::-1][: len(found.factors)]
    factors = found.factors.reshape(len(found.factors), -1).astype(float)
    np.testing.assert_allclose((factors**2).sum(axis=1), values, rtol=1e-3)
    gram = factors @ factors.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-3 * values[0])
    np.testing.assert_allclose(found.mean.ravel(), packed(subjects).mean(axis=0), atol=1e-5)


def test_draws_have_the_cohorts_mean_and_covariance():
    subjects = looks(400)
    found = statistics(subjects)
    rng = np.random.default_rng(1)
    drawn, real = packed([found.draw(rng)[0] for _ in range(1500)]), packed(subjects)
    spread = np.sqrt(real.var(axis=0).mean())
    assert np.abs(drawn.mean(axis=0) - real.mean(axis=0)).max() < 0.25 * spread
    assert np.abs(np.cov(drawn.T) - np.cov(real.T)).max() < 0.25 * np.cov(real.T).max()


@given(st.integers(2, 40), st.integers(0, 2**31))
def test_along_the_factors_a_draw_stays_within_the_range_of_the_subjects(n, seed):
    found = statistics(looks(n, rank=4, noise=0.2))
    found = replace(found, along=np.zeros_like(found.along))
    assert len(found.factors) <= min(MAX_FACTORS, n - 1)
    drawn, _ = found.draw(np.random.default_rng(seed))
    deviation = np.stack([drawn["ED"], drawn["ES"]]).ravel() - found.mean.ravel()
    factors = found.factors.reshape(len(found.factors), -1).astype(float)
    coordinates = factors @ deviation / (factors**2).sum(axis=1)
    assert (coordinates >= found.minimum - 1e-3).all()
    assert (coordinates <= found.maximum + 1e-3).all()


def test_neighbouring_slices_differ_as_much_as_the_cohorts():
    subjects = looks(60, rank=2, noise=0.3)
    found = statistics(subjects)
    rng = np.random.default_rng(0)

    def raggedness(sets):
        return np.mean([np.diff(styles["ED"] - found.mean[0], axis=0) ** 2 for styles in sets])

    assert raggedness([found.draw(rng)[0] for _ in range(60)]) == pytest.approx(raggedness(subjects), rel=0.1)


def test_what_the_factors_leave_goes_together_as_in_the_cohort():
    rng = np.random.default_rng(0)
    axis = np.exp(-0.3 * np.abs(np.subtract.outer(np.arange(64), np.arange(64))))
    numbers = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 0.2]])
    white = rng.normal(size=(4000, 64, 3))
    codes = np.linalg.cholesky(axis) @ white @ np.linalg.cholesky(numbers).T
    found = statistics([dict(zip(("ED", "ES"), c.reshape(2, 32, 3), strict=True)) for c in codes])
    drawn = packed([found.draw(rng)[0] for _ in range(4000)])
    expected = np.kron(axis, numbers)
    assert np.linalg.norm(np.cov(drawn.T) - expected) < 0.25 * np.linalg.norm(expected)
    correlated = expected > 0.3
    np.testing.assert_allclose(np.cov(drawn.T)[correlated].mean(), expected[correlated].mean(), rtol=0.1)


def test_two_equal_subjects_give_their_common_appearance():
    (one,) = looks(1)
    drawn, _ = statistics([one, one]).draw(np.random.default_rng(0))
    np.testing.assert_allclose(drawn["ES"], one["ES"], atol=1e-5)


def test_no_subject_is_a_factor():
    subjects = looks(6, rank=4)
    found = statistics(subjects)
    deviations = packed(subjects) - packed(subjects).mean(axis=0)
    factors = found.factors.reshape(len(found.factors), -1)
    cosines = deviations @ factors.T / np.outer(np.linalg.norm(deviations, axis=1), np.linalg.norm(factors, axis=1))
    assert np.abs(cosines).max() == pytest.approx(0.8, abs=0.199)


@given(st.integers(1, 40))
def test_one_appearance_for_all_slices_is_their_mean(n):
    codes = np.random.default_rng(n).normal(size=(n, 3))
    np.testing.assert_array_equal(vary_styles(codes, "slice"), codes.astype(np.float32))
    np.testing.assert_allclose(vary_styles(codes, "mean"), np.broadcast_to(codes.mean(axis=0), codes.shape), atol=1e-6)


def test_smooth_keeps_what_is_slow_and_drops_what_is_fast():
    place = (np.arange(32) + 0.5) / 32
    slow, fast = np.cos(np.pi * 2 * place)[:, None], np.cos(np.pi * 20 * place)[:, None]
    np.testing.assert_allclose(vary_styles(1.0 + slow + fast, "smooth"), 1.0 + slow, atol=1e-6)


@given(st.lists(st.floats(0, 0.1), min_size=2, max_size=60))
def test_noise_is_drawn_as_the_cohort_has_it(noise):
    found = appearance_statistics(looks(len(noise)), noise)
    rng = np.random.default_rng(0)
    drawn = [found.draw(rng)[1] for _ in range(100)]
    assert min(noise) - 1e-6 <= min(drawn) and max(drawn) <= max(noise) + 1e-6


def test_half_of_the_noise_drawn_lies_below_the_cohorts_median():
    noise = np.random.default_rng(1).gamma(4, 0.5, 80)
    found = appearance_statistics(looks(80), noise)
    rng = np.random.default_rng(2)
    drawn = np.array([found.draw(rng)[1] for _ in range(2000)])
    assert np.mean(drawn < np.median(noise)) == pytest.approx(0.5, abs=0.04)
    assert drawn.std() == pytest.approx(noise.std(), rel=0.15)
