"""Metrics of images: fidelity in pixels and in feature spaces, and whether images match their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation import fidelity
from cardiomorph.evaluation.examination import Record
from cardiomorph.evaluation.summary.common import Summary, distances_with_floors, known_values

INTENSITIES = (
    "blood",
    "blood_sd",
    "myocardium",
    "myocardium_sd",
    "background",
    "contrast",
    "papillary",
    "noise",
    "sharpness",
    "checkerboard",
)
SPACES = ("own", "imagenet")
# Hearts whose features are kept in memory, slices of each; repeats of a distance between random halves of hearts;
# slices that coverage is counted over.
_POOL, _SLICES, _REPEATS, _MAX_COVERAGE = 120, 8, 20, 1000


def summarise_fidelity(
    summary: Summary, synthetic: Sequence[Record], real: Sequence[Record], rng: np.random.Generator
) -> None:
    metrics = summary.metrics
    ours, theirs = ([r for r in records if "picture" in r.arrays] for records in (synthetic, real))
    if len(ours) < 2 or len(theirs) < 4:
        summary.missing["fidelity"] = f"{len(ours)} synthetic and {len(theirs)} real hearts have images"
        return
    for name in INTENSITIES:
        a, b = known_values(ours, "image", name), known_values(theirs, "image", name)
        if a and b:
            metrics[f"fidelity.mean.{name}"], metrics[f"fidelity.mean_real.{name}"] = (
                float(np.mean(a)),
                float(np.mean(b)),
            )
            distances_with_floors(metrics, "fidelity", name, a, b, rng)
    histograms = [np.stack([r.array("histogram") for r in records]) for records in (ours, theirs)]
    metrics["fidelity.histogram"] = fidelity.histogram_distance(histograms[0].mean(axis=0), histograms[1].mean(axis=0))
    metrics["fidelity.histogram_floor95"] = _histogram_floor(histograms[1], rng)
    for origin, records in (("", ours), ("_real", theirs)):
        pictures = np.stack([r.array("picture").astype(np.float32) for r in _sample(records, rng)])
        similarity = fidelity.mean_pairwise_similarity(pictures, rng)
        if similarity is not None:
            metrics[f"fidelity.ssim_between{origin}"] = similarity
    for space in SPACES:
        _feature_space(summary, space, ours, theirs, rng)


def _histogram_floor(histograms: NDArray[np.float64], rng: np.random.Generator) -> float:
    found = []
    for _ in range(200):
        order = rng.permutation(len(histograms))
        half = len(order) // 2
        a, b = histograms[order[:half]].mean(axis=0), histograms[order[half:]].mean(axis=0)
        found.append(fidelity.histogram_distance(a, b))
    return float(np.percentile(found, 95))


def _sample(records: Sequence[Record], rng: np.random.Generator) -> list[Record]:
    return [records[index] for index in sorted(rng.permutation(len(records))[:_POOL].tolist())]


def _feature_space(
    summary: Summary, space: str, synthetic: Sequence[Record], real: Sequence[Record], rng: np.random.Generator
) -> None:
    metrics = summary.metrics
    pools = [[r for r in records if space in r.arrays] for records in (synthetic, real)]
    if min(len(pool) for pool in pools) < 4:
        reason = "no segmenter was given (--segmenter)" if space == "own" else "the extra 'features' is not installed"
        summary.missing[f"fidelity.{space}"] = f"{reason}, or fewer than four hearts have images"
        return
    ours, theirs = ([_some(r.array(space).astype(np.float64)) for r in _sample(pool, rng)] for pool in pools)
    # One scale for all features, the real ones', so that a kernel is not ruled by the few largest.
    stacked = np.concatenate(theirs)
    centre, scale = stacked.mean(axis=0), stacked.std(axis=0).mean() or 1.0
    ours, theirs = ([(features - centre) / scale for features in hearts] for hearts in (ours, theirs))
    for name, statistic in (("frechet", fidelity.frechet_distance), ("kernel", fidelity.kernel_distance)):
        mean, low, high = fidelity.bootstrap(statistic, theirs, ours, rng, _REPEATS)
        floor, floor95 = fidelity.real_floor(statistic, theirs, rng, _REPEATS)
        metrics |= {
            f"fidelity.{name}.{space}": mean,
            f"fidelity.{name}_low.{space}": low,
            f"fidelity.{name}_high.{space}": high,
            f"fidelity.{name}_floor.{space}": floor,
            f"fidelity.{name}_floor95.{space}": floor95,
        }
    half = len(theirs) // 2
    order = rng.permutation(len(theirs))
    first, second = ([theirs[i] for i in part] for part in (order[:half], order[half : 2 * half]))
    drawn = [ours[i] for i in rng.permutation(len(ours))[:half]]
    for origin, hearts in (("", drawn), ("_real", second)):
        found = fidelity.coverage_measures(_capped(first, rng), _capped(hearts, rng))
        for name, value in found.items():
            metrics[f"fidelity.{name}{origin}.{space}"] = value


def _some(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `_SLICES` of a heart's slices, evenly taken: neighbours tell little more."""
    return features[np.unique(np.linspace(0, len(features) - 1, _SLICES).round().astype(int))]


def _capped(hearts: list[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.float64]:
    stacked = np.concatenate(hearts)
    return stacked[np.sort(rng.permutation(len(stacked))[:_MAX_COVERAGE])]


def summarise_label_match(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record], *, held: bool) -> None:
    ours, theirs = ([r for r in records if r.match] for records in (synthetic, real))
    if not ours or not theirs:
        summary.missing["label_match"] = "needs images and a segmenter (--segmenter)"
        return
    if not held:
        summary.missing["label_match.real"] = (
            "no real heart is held out; the ceiling is of hearts the segmenter trained on"
        )
    for key in ours[0].match:
        a, b = known_values(ours, "match", key), known_values(theirs, "match", key)
        if a:
            summary.metrics[f"label_match.{key}"] = float(np.mean(a))
            worst = 95 if "distance" in key else 5
            summary.metrics[f"label_match.{key}_p{worst}"] = float(np.percentile(a, worst))
        if b:
            summary.metrics[f"label_match.{key}_real"] = float(np.mean(b))
