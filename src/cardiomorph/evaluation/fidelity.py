"""How real do images look? Distances and coverage of sets of feature vectors, and plain pixel statistics.

Frechet distance: Heusel et al., NeurIPS 2017. Kernel distance: Binkowski et al., ICLR 2018. Precision and recall:
Kynkaanniemi et al., NeurIPS 2019. Density and coverage: Naeem et al., ICML 2020. Noise: Immerkaer, CVIU 64(2), 1996.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, convolve
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance
from skimage.metrics import structural_similarity

from cardiomorph.anatomy import Label

Features = NDArray[np.float64]
NEIGHBOURS = 5


def frechet_distance(a: Features, b: Features) -> float:
    """Squared Frechet distance of the Gaussians fitted to two (n, d) sets.

    |mu_a - mu_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)). The last trace is the nuclear norm of the product of
    the centred sets, or of their triangular factors: no matrix root, and exact for singular covariances too.
    """
    centred_a = (a - a.mean(axis=0)) / math.sqrt(len(a) - 1)
    centred_b = (b - b.mean(axis=0)) / math.sqrt(len(b) - 1)
    triangular_a, triangular_b = (scipy.linalg.qr(x, mode="r")[0][: x.shape[1]] for x in (centred_a, centred_b))
    cross = np.linalg.svd(triangular_a @ triangular_b.T, compute_uv=False).sum()
    shift = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum())
    return max(0.0, shift + float((centred_a**2).sum() + (centred_b**2).sum() - 2.0 * cross))


def kernel_distance(a: Features, b: Features) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3; may be slightly negative."""
    d = a.shape[1]

    def kernel(x: Features, y: Features) -> Features:
        return np.asarray((x @ y.T / d + 1.0) ** 3)

    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    within_a = (aa.sum() - np.trace(aa)) / (len(a) * (len(a) - 1))
    within_b = (bb.sum() - np.trace(bb)) / (len(b) * (len(b) - 1))
    return float(within_a + within_b - 2.0 * ab.mean())


def coverage_measures(real: Features, synthetic: Features, k: int = NEIGHBOURS) -> dict[str, float]:
    """Precision, recall, density and coverage of (n, d) sets, by balls that reach the k-th neighbour."""
    real_radius = np.sort(cdist(real, real), axis=1)[:, k]
    synthetic_radius = np.sort(cdist(synthetic, synthetic), axis=1)[:, k]
    across = cdist(real, synthetic)
    in_real = across <= real_radius[:, None]
    in_synthetic = across <= synthetic_radius[None]
    return {
        "precision": float(in_real.any(axis=0).mean()),
        "recall": float(in_synthetic.any(axis=1).mean()),
        "density": float(in_real.sum(axis=0).mean() / k),
        "coverage": float(in_real.any(axis=1).mean()),
    }


Statistic = Callable[[Features, Features], float]


def bootstrap(
    statistic: Statistic,
    real: list[Features],
    synthetic: list[Features],
    rng: np.random.Generator,
    repeats: int,
) -> tuple[float, float, float]:
    """Mean and 95 % interval of a statistic over random halves of the real hearts against as many synthetic ones.

    Whole hearts are drawn, for slices of one heart are no independent samples. Both sides have as many hearts as half
    the real set, where there are as many, so that the result stands beside `real_floor`: these distances grow as sets
    shrink.
    """
    size = len(real) // 2
    found = [
        statistic(_drawn(real, size, rng), _drawn(synthetic, min(size, len(synthetic)), rng)) for _ in range(repeats)
    ]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(np.mean(found)), float(low), float(high)


def real_floor(
    statistic: Statistic, real: list[Features], rng: np.random.Generator, repeats: int
) -> tuple[float, float]:
    """Mean and 95th percentile of a statistic between random halves of the real hearts."""
    found = []
    for _ in range(repeats):
        order = rng.permutation(len(real))
        half = len(real) // 2
        found.append(statistic(_stacked(real, order[:half]), _stacked(real, order[half : 2 * half])))
    return float(np.mean(found)), float(np.percentile(found, 95))


def _drawn(hearts: list[Features], size: int, rng: np.random.Generator) -> Features:
    return _stacked(hearts, rng.permutation(len(hearts))[:size])


def _stacked(hearts: list[Features], order: NDArray[np.intp]) -> Features:
    return np.concatenate([hearts[index] for index in order])


def on_own_scale(images: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n, x, y) slices of one heart scaled to [-1, 1] by their own percentiles (0.5 and 99.5).

    A preparation takes percentiles of whole scans, and a synthetic scan ends where the crop does: without this its
    contrast would be stretched, and it would look brighter and noisier than the same pixels of a real one.
    """
    low, high = np.percentile(images, [0.5, 99.5])
    scale = 2.0 / max(1e-6, float(high - low))
    return np.asarray(np.clip((images - low) * scale - 1.0, -1.0, 1.0), np.float32)


_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
_SD_BY_MEDIAN = 1.4826
"""A normal variable's SD by the median of its absolute value."""


def noise_level(image: NDArray[np.floating]) -> float:
    """Standard deviation of white noise in an (x, y) picture, from what a 3 x 3 Laplacian difference lets through."""
    return float(math.sqrt(math.pi / 2) * _passed(image).mean() / 6.0)


def noise_level_by_median(image: NDArray[np.floating]) -> float:
    """The same from the median of what is let through, which edges and trabeculae hardly move."""
    return float(_SD_BY_MEDIAN * np.median(_passed(image)) / 6.0)


def _passed(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Absolute Laplacian difference; white noise of SD 1 has an SD of 6 in it."""
    return np.asarray(np.abs(convolve(image.astype(np.float64), _DIFFERENCE, mode="reflect"))[1:-1, 1:-1])


def sharpness(image: NDArray[np.floating], heart: NDArray[np.bool_]) -> float | None:
    """Mean length of the gradient inside a mask, per pixel."""
    gradient = np.hypot(*np.gradient(image.astype(np.float64)))
    return float(gradient[heart].mean()) if heart.any() else None


def checkerboard(images: NDArray[np.floating]) -> float:
    """How far energy at periods of 2, 4 and 8 pixels stands out of (n, x, y) slices; about 1 where nothing does.

    A generator that enlarges by two may leave its grid in an image (Odena et al., Distill 2016): lines in the power
    spectrum at 1/2, 1/4 and 1/8 of the sampling frequency. The ratio of the power there to that at the frequencies
    beside it, mean over rows and columns; the largest of the three.
    """
    powers = []
    for axis in (1, 2):
        along = np.moveaxis(images.astype(np.float64), axis, -1)
        n = along.shape[-1]
        spectrum = np.abs(np.fft.rfft((along - along.mean(axis=-1, keepdims=True)) * np.hanning(n), axis=-1)) ** 2
        powers.append(spectrum.mean(axis=(0, 1)))
    power, last = np.mean(powers, axis=0), images.shape[-1] // 2
    found = []
    for period in (2, 4, 8):
        # The window spreads a line over its neighbours: the next ones but one are what it is held against.
        line = images.shape[-1] // period
        beside = [k for k in (line - 4, line - 3, line + 3, line + 4) if 0 < k <= last]
        found.append(power[line] / max(power[beside].mean(), np.finfo(float).tiny))
    return float(max(found))


def intensity_measures(images: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float | None]:
    """Brightness, contrast, noise, sharpness and checkerboard of (n, x, y) slices in [-1, 1].

    None where a class is absent.
    ``blood`` is the mean over both cavities, ``contrast`` blood minus myocardium, ``papillary`` the share of the LV's
    cavity that is darker than half-way from its median to the wall's: muscle that no label holds.
    """
    blood = images[np.isin(labels, (Label.LV, Label.RV))]
    wall = images[labels == Label.MYOCARDIUM]
    background = images[labels == Label.BACKGROUND]
    edges = [s for s in (sharpness(i, m > 0) for i, m in zip(images, labels, strict=True)) if s is not None]
    return {
        "blood": _mean(blood),
        "blood_sd": float(blood.std()) if blood.size else None,
        "myocardium": _mean(wall),
        "myocardium_sd": float(wall.std()) if wall.size else None,
        "background": _mean(background),
        "contrast": float(blood.mean() - wall.mean()) if blood.size and wall.size else None,
        "papillary": _dark_share(images, labels),
        "noise": float(np.mean([noise_level(image) for image in images])),
        "sharpness": float(np.mean(edges)) if edges else None,
        "checkerboard": checkerboard(images),
    }


def _dark_share(images: NDArray[np.floating], labels: NDArray[np.integer]) -> float | None:
    """Without the cavity's rim, which is blood and wall in one pixel."""
    inside = np.stack([binary_erosion(label == Label.LV) for label in labels])
    wall = images[labels == Label.MYOCARDIUM]
    if not inside.any() or not wall.size:
        return None
    halfway = 0.5 * (np.median(images[inside]) + np.median(wall))
    return float((images[inside] < halfway).mean())


def _mean(values: NDArray[np.floating]) -> float | None:
    return float(values.mean()) if values.size else None


BINS = np.linspace(-1.0, 1.0, 65)


def histogram(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shares of the intensities in 64 equal bins from -1 to 1."""
    counts, _ = np.histogram(np.clip(images, -1, 1), BINS)
    return np.asarray(counts / max(1, counts.sum()))


def histogram_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """1-Wasserstein distance of two histograms over [-1, 1]."""
    centres = 0.5 * (BINS[1:] + BINS[:-1])
    return float(wasserstein_distance(centres, centres, a, b))


def mean_pairwise_similarity(
    pictures: NDArray[np.floating], rng: np.random.Generator, pairs: int = 200
) -> float | None:
    """Mean structural similarity of random pairs of (n, x, y) pictures in [-1, 1]: the lower, the more diverse."""
    n = len(pictures)
    if n < 2:
        return None
    found = []
    for _ in range(min(pairs, n * (n - 1) // 2)):
        first, second = rng.choice(n, 2, replace=False)
        found.append(structural_similarity(pictures[first], pictures[second], data_range=2.0))
    return float(np.mean(found))
