from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.fidelity import (
    BINS,
    bootstrap,
    checkerboard,
    coverage_measures,
    frechet_distance,
    histogram,
    histogram_distance,
    intensity_measures,
    kernel_distance,
    mean_pairwise_similarity,
    noise_level,
    real_floor,
    sharpness,
)

seeds = st.integers(0, 2**31)


def features(seed, n=40, d=5, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift


@given(seeds)
def test_frechet_is_the_textbook_formula(seed):
    a, b = features(seed), features(seed + 1, n=60, scale=1.7, shift=0.5)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = np.trace(sqrtm(cov_a @ cov_b)).real
    shift = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    expected = shift + np.trace(cov_a) + np.trace(cov_b) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


@given(seeds, st.lists(st.floats(-10, 10), min_size=5, max_size=5))
def test_a_shifted_set_is_its_squared_shift_away(seed, shift):
    a = features(seed)
    assert frechet_distance(a, a + shift) == pytest.approx(np.square(shift).sum(), abs=1e-7)


@given(seeds, st.floats(0.1, 5))
def test_a_scaled_set_is_apart_by_its_spread(seed, factor):
    """The Gaussians N(0, S) and N(0, f^2 S) are (1 - f)^2 tr S apart."""
    a = features(seed)
    a -= a.mean(axis=0)
    assert frechet_distance(a, factor * a) == pytest.approx((1 - factor) ** 2 * np.trace(np.cov(a.T)), abs=1e-7)


def test_fewer_hearts_than_features_have_a_distance_too():
    a = features(0, n=6, d=30)
    assert frechet_distance(a, a + 2.0) == pytest.approx(30 * 4, rel=1e-9)
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-6)


def test_many_draws_of_two_gaussians_have_the_gaussians_distance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (700, 3)), rng.normal([1, 0, 2], 2, (700, 3))
    assert frechet_distance(a, b) == pytest.approx(5 + 3 * (2 - 1) ** 2, rel=0.1)


@given(seeds, st.integers(2, 8), st.integers(2, 8))
def test_the_kernel_distance_is_its_double_loop(seed, n, m):
    a, b = features(seed, n), features(seed + 1, m, shift=0.3)

    def kernel(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    within_a = [kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j]
    within_b = [kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j]
    across = [kernel(x, y) for x in a for y in b]
    expected = np.mean(within_a) + np.mean(within_b) - 2 * np.mean(across)
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_kernel_distance_is_unbiased():
    rng = np.random.default_rng(0)
    found = [kernel_distance(*rng.normal(size=(2, 15, 4))) for _ in range(2000)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(2000)


@given(seeds, st.integers(1, 5))
def test_identical_sets_cover_each_other(seed, k):
    """A ball to the k-th neighbour holds k + 1 points of its own set."""
    a = features(seed)
    found = coverage_measures(a, a[::-1], k)
    assert found == {"precision": 1, "recall": 1, "density": pytest.approx((k + 1) / k), "coverage": 1}


@given(seeds)
def test_sets_far_apart_cover_nothing(seed):
    a = features(seed)
    assert set(coverage_measures(a, a + 1e4).values()) == {0}


@given(seeds, st.integers(1, 5))
def test_coverage_measures_are_those_of_a_loop(seed, k):
    real, made = features(seed, 20, 2), features(seed + 1, 15, 2)

    def radius(points, index):
        return sorted(math.dist(points[index], other) for other in points)[k]

    in_real = [[math.dist(r, s) <= radius(real, i) for s in made] for i, r in enumerate(real)]
    in_made = [[math.dist(r, s) <= radius(made, j) for j, s in enumerate(made)] for r in real]
    assert coverage_measures(real, made, k) == pytest.approx(
        {
            "precision": sum(any(row[j] for row in in_real) for j in range(15)) / 15,
            "recall": sum(any(row) for row in in_made) / 20,
            "density": sum(map(sum, in_real)) / (k * 15),
            "coverage": sum(any(row) for row in in_real) / 20,
        }
    )


def test_copies_of_one_heart_are_precise_but_cover_little():
    real = np.arange(30.0)[:, None] * [1.0, 0.0]
    found = coverage_measures(real, real[:1] + np.zeros((10, 1)), k=5)
    assert found["precision"] == 1
    assert found["recall"] == pytest.approx(1 / 30)
    # Of hearts in a row only the first four reach the first one with five neighbours.
    assert found["coverage"] == pytest.approx(4 / 30)


def hearts(n, first=0):
    """Hearts of 1, 2, 3, 1, 2, ... slices that carry their number."""
    return [np.full((1 + i % 3, 2), float(first + i)) for i in range(n)]


@pytest.mark.parametrize("n_real, n_made, expected", [(10, 20, (5, 5)), (11, 3, (5, 3)), (4, 2, (2, 2))])
def test_both_sides_of_a_bootstrap_have_half_as_many_hearts_as_the_real_set(n_real, n_made, expected):
    seen = []

    def statistic(a, b):
        seen.append((len(np.unique(a)), len(np.unique(b))))
        for side in (a, b):
            for number, count in zip(*np.unique(side[:, 0], return_counts=True), strict=True):
                assert count == 1 + number % 3
        return float(len(seen))

    mean, low, high = bootstrap(statistic, hearts(n_real), hearts(n_made), np.random.default_rng(0), 41)
    assert set(seen) == {expected}
    assert (mean, low, high) == pytest.approx((21, 2, 40))


def test_a_real_floor_parts_the_real_hearts():
    seen = []

    def statistic(a, b):
        seen.append(set(a[:, 0]) & set(b[:, 0]))
        assert len(np.unique(a)) == len(np.unique(b)) == 4
        return float(len(seen))

    assert real_floor(statistic, hearts(9), np.random.default_rng(0), 21) == pytest.approx((11, 20))
    assert not any(seen)


@given(seeds, st.floats(0.01, 50))
def test_the_noise_level_recovers_a_known_sigma(seed, sigma):
    noise = np.random.default_rng(seed).normal(0, sigma, (200, 200))
    ramp = np.add.outer(np.arange(200.0), 0.5 * np.arange(200.0))
    assert noise_level(noise) == pytest.approx(sigma, rel=0.03)
    assert noise_level(noise + ramp) == pytest.approx(sigma, rel=0.03)


def test_a_ramp_has_no_noise_and_the_sharpness_of_its_slope():
    ramp = np.add.outer(0.03 * np.arange(40.0), 0.04 * np.arange(30.0))
    assert noise_level(ramp) == pytest.approx(0, abs=1e-12)
    assert sharpness(ramp, ramp > 0.5) == pytest.approx(0.05)
    assert sharpness(ramp, ramp < -1) is None


def test_a_painted_phantom_has_the_measures_it_was_painted_with():
    labels = np.zeros((2, 40, 40), np.uint8)
    labels[0, 5:15, 10:20] = Label.RV
    labels[0, 15:35, 5:25] = Label.MYOCARDIUM
    labels[0, 20:30, 10:20] = Label.LV
    images = np.full(labels.shape, -0.9)
    images[labels == Label.MYOCARDIUM] = -0.2
    images[labels == Label.RV] = 0.4
    images[labels == Label.LV] = 0.6
    images[1, 20:] = -0.5
    found = intensity_measures(images, labels)
    assert found["blood"] == pytest.approx(0.5)
    assert found["blood_sd"] == pytest.approx(0.1)
    assert found["myocardium"] == pytest.approx(-0.2)
    assert found["myocardium_sd"] == pytest.approx(0)
    assert found["contrast"] == pytest.approx(0.7)
    assert found["background"] == pytest.approx((-0.9 * (1600 - 500) - 0.9 * 800 - 0.5 * 800) / 2700)
    assert found["papillary"] == 0
    assert found["noise"] == pytest.approx(np.mean([noise_level(image) for image in images]))
    assert found["sharpness"] == pytest.approx(sharpness(images[0], labels[0] > 0))


def test_papillary_muscle_is_what_is_dark_in_the_cavity_but_for_its_rim():
    labels = np.full((1, 30, 30), Label.MYOCARDIUM, np.uint8)
    labels[0, 5:25, 5:25] = Label.LV
    images = np.where(labels == Label.LV, 0.6, -0.2)
    images[0, 5, 5:25] = -0.2
    images[0, 10:14, 10:15] = 0.1
    assert intensity_measures(images, labels)["papillary"] == pytest.approx(20 / 18**2)
    images[0, 10:14, 10:15] = 0.25
    assert intensity_measures(images, labels)["papillary"] == 0


def test_an_absent_class_has_no_brightness():
    images = np.zeros((1, 20, 20))
    found = intensity_measures(images, np.zeros(images.shape, np.uint8))
    assert found["background"] == found["noise"] == 0
    absent = {"blood", "blood_sd", "myocardium", "myocardium_sd", "contrast", "papillary", "sharpness"}
    assert {key for key, value in found.items() if value is None} == absent
    wall = np.full(images.shape, Label.MYOCARDIUM, np.uint8)
    found = intensity_measures(images, wall)
    assert found["myocardium"] == 0
    assert found["contrast"] is found["blood"] is found["background"] is None


def test_a_histogram_counts_shares_and_clips():
    assert len(BINS) == 65
    counts = histogram(np.array([[-7.0, -1.0, 0.001], [0.999, 1.0, 3.0]]))
    assert counts.sum() == pytest.approx(1)
    assert counts[[0, 32, 63]] == pytest.approx([2 / 6, 1 / 6, 3 / 6])
    assert histogram(np.empty(0)).sum() == 0


@given(seeds, st.integers(0, 20))
def test_histograms_are_apart_by_the_bins_they_were_shifted(seed, bins):
    values = np.random.default_rng(seed).uniform(-0.9, 0.3, 500)
    here, there = histogram(values), np.roll(histogram(values), bins)
    assert histogram_distance(here, there) == pytest.approx(bins * 2 / 64, abs=1e-12)


def test_equal_pictures_are_perfectly_similar_and_one_has_no_pair():
    picture = np.random.default_rng(0).uniform(-1, 1, (32, 32))
    rng = np.random.default_rng(1)
    assert mean_pairwise_similarity(np.stack([picture] * 4), rng) == pytest.approx(1)
    assert mean_pairwise_similarity(picture[None], rng) is None
    noise = np.random.default_rng(2).uniform(-1, 1, (4, 32, 32))
    assert abs(mean_pairwise_similarity(noise, rng)) < 0.1


@given(seeds)
def test_noise_and_smooth_images_have_no_checkerboard(seed):
    noise = np.random.default_rng(seed).normal(size=(6, 64, 64))
    smooth = np.stack([np.outer(np.sin(np.linspace(0, 3, 64)), np.cos(np.linspace(0, 2, 64)))] * 3)
    assert 0.8 < checkerboard(noise) < 1.3
    assert checkerboard(smooth + 0.01 * noise[:3]) < 1.3


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_grid_as_faint_as_the_noise_is_found(period, axis):
    noise = np.random.default_rng(0).normal(size=(6, 64, 64))
    grid = np.expand_dims(np.cos(2 * np.pi * np.arange(64) / period), (0, 3 - axis))
    assert checkerboard(noise + grid) > 3
