"""Appearances of nobody: the statistics are those of the cohort, and no subject is among the draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.latent.appearance import MAX_FACTORS, appearance_statistics, styles_along


def looks(n, rank=3, noise=0.0, seed=0):
    """n subjects whose appearances vary along ``rank`` directions, smooth along the axis."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(rank, 2, 1, 5)) * np.ones((1, 1, 32, 1))
    mean = rng.normal(size=(2, 32, 5))
    codes = mean + np.einsum("nk,kpsd->npsd", rng.normal(size=(n, rank)), directions)
    codes += noise * rng.normal(size=codes.shape)
    return [dict(zip(("ED", "ES"), subject.astype(np.float32), strict=True)) for subject in codes]


def packed(subjects):
    return np.stack([np.stack([s["ED"], s["ES"]]) for s in subjects]).reshape(len(subjects), -1).astype(float)


def test_the_factors_are_the_principal_components():
    subjects = looks(200, noise=0.01)
    found = appearance_statistics(subjects)
    values = np.linalg.eigvalsh(np.cov(packed(subjects).T))[::-1][: len(found.factors)]
    factors = found.factors.reshape(len(found.factors), -1).astype(float)
    np.testing.assert_allclose((factors**2).sum(axis=1), values, rtol=1e-3)
    gram = factors @ factors.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-3 * values[0])
    np.testing.assert_allclose(found.mean.ravel(), packed(subjects).mean(axis=0), atol=1e-5)


def test_draws_have_the_cohorts_mean_and_covariance():
    subjects = looks(400)
    found = appearance_statistics(subjects)
    rng = np.random.default_rng(1)
    drawn, real = packed([found.draw(rng) for _ in range(1500)]), packed(subjects)
    spread = np.sqrt(real.var(axis=0).mean())
    assert np.abs(drawn.mean(axis=0) - real.mean(axis=0)).max() < 0.25 * spread
    assert np.abs(np.cov(drawn.T) - np.cov(real.T)).max() < 0.25 * np.cov(real.T).max()


@given(st.integers(2, 40), st.integers(0, 2**31))
def test_a_draw_stays_within_the_range_of_the_subjects(n, seed):
    found = appearance_statistics(looks(n, rank=4, noise=0.2))
    assert len(found.factors) <= min(MAX_FACTORS, n - 1)
    drawn = found.draw(np.random.default_rng(seed))
    deviation = np.stack([drawn["ED"], drawn["ES"]]).ravel() - found.mean.ravel()
    factors = found.factors.reshape(len(found.factors), -1).astype(float)
    coordinates = factors @ deviation / (factors**2).sum(axis=1)
    assert (coordinates >= found.minimum - 1e-3).all()
    assert (coordinates <= found.maximum + 1e-3).all()


def test_grain_between_neighbouring_slices_is_left_out():
    found = appearance_statistics(looks(60, rank=2, noise=0.3))
    drawn = found.draw(np.random.default_rng(0))["ED"] - found.mean[0]
    ragged = np.abs(np.diff(drawn, n=2, axis=0)).mean()
    noisy = looks(60, rank=2, noise=0.3)[0]["ED"] - found.mean[0]
    assert ragged < 0.5 * np.abs(np.diff(noisy, n=2, axis=0)).mean()


def test_two_equal_subjects_give_their_common_appearance():
    (one,) = looks(1)
    drawn = appearance_statistics([one, one]).draw(np.random.default_rng(0))
    np.testing.assert_allclose(drawn["ES"], one["ES"], atol=1e-5)


def test_no_subject_is_a_factor():
    subjects = looks(6, rank=4)
    found = appearance_statistics(subjects)
    deviations = packed(subjects) - packed(subjects).mean(axis=0)
    factors = found.factors.reshape(len(found.factors), -1)
    cosines = deviations @ factors.T / np.outer(np.linalg.norm(deviations, axis=1), np.linalg.norm(factors, axis=1))
    assert np.abs(cosines).max() == pytest.approx(0.8, abs=0.199)


@given(st.integers(1, 40))
def test_one_appearance_for_all_slices_is_their_mean(n):
    codes = np.random.default_rng(n).normal(size=(n, 3))
    np.testing.assert_array_equal(styles_along(codes, "slice"), codes.astype(np.float32))
    np.testing.assert_allclose(styles_along(codes, "mean"), np.broadcast_to(codes.mean(axis=0), codes.shape), atol=1e-6)


def test_smooth_keeps_what_is_slow_and_drops_what_is_fast():
    place = (np.arange(32) + 0.5) / 32
    slow, fast = np.cos(np.pi * 2 * place)[:, None], np.cos(np.pi * 20 * place)[:, None]
    np.testing.assert_allclose(styles_along(1.0 + slow + fast, "smooth"), 1.0 + slow, atol=1e-6)
