"""Fidelity of images: distances in feature spaces and in pixels between synthetic and real hearts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation import fidelity
from cardiomorph.evaluation.comparison import Comparison, distances
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import REAL, Histograms, Presentation, Side, values_table
from cardiomorph.evaluation.record import MIDDLE_IMAGE, NOTHING, Measured, Record, known_values
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured
from cardiomorph.models.imagenet import IMAGENET_MISSING

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
OWN, IMAGENET = "own", "imagenet"
"""Feature spaces: of the segmenter, and of a network that has seen photographs."""
_HISTOGRAM = "histogram"
_TOO_FEW = {
    OWN: "no segmenter was given (--segmenter), or fewer than four hearts have images",
    IMAGENET: "the extra 'features' is not installed, or fewer than four hearts have images",
}
_RANDOM_STREAM = 2
# Hearts whose features are kept in memory, slices of each; repeats of a distance between random halves of hearts;
# slices that coverage is counted over.
_POOL, _SLICES, _REPEATS, _MAX_COVERAGE = 120, 8, 50, 1000


class Fidelity:
    """Distances of images, each beside that between halves of the real hearts."""

    name = "fidelity"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        if view.slices is None:
            return NOTHING
        arrays: dict[str, NDArray[np.generic]] = {_HISTOGRAM: fidelity.histogram(view.slices.images)}
        if view.segmented is not None:
            arrays[OWN] = view.segmented[1]
        if view.imagenet_features is not None:
            arrays[IMAGENET] = view.imagenet_features
        return Measured(fidelity.intensity_measures(view.slices.images, view.slices.labels), arrays)

    def summarise(self, hearts: Populations) -> Summary:
        missing: dict[tuple[str, ...], str] = {}
        ours, theirs = ([r for r in records if r.has(MIDDLE_IMAGE)] for records in (hearts.synthetic, hearts.real))
        if ours and not any(record.has(self.name, IMAGENET) for record in ours):
            missing[IMAGENET,] = IMAGENET_MISSING
        if len(ours) < 2 or len(theirs) < 4:
            missing[()] = f"{len(ours)} synthetic and {len(theirs)} real hearts have images"
            return Summary((), missing)
        rng = hearts.rng(_RANDOM_STREAM)
        found: list[Comparison] = []
        for measure in INTENSITIES:
            a, b = known_values(ours, self.name, measure), known_values(theirs, self.name, measure)
            if a and b:
                found.append(Comparison(("mean",), (measure,), float(np.mean(a)), real=float(np.mean(b))))
                found += distances((measure,), a, b, rng)
        found.append(_histograms(ours, theirs, rng))
        between = [_similarity_between(records, rng) for records in (ours, theirs)]
        found.append(Comparison(("ssim_between",), value=between[0], real=between[1]))
        for space, reason in _TOO_FEW.items():
            distances_in = _feature_space(space, ours, theirs, rng)
            if not distances_in:
                missing.setdefault((space,), reason)
            found += distances_in
        return Summary(tuple(found), missing)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        for space in (OWN, IMAGENET):
            found = summary.get("frechet", of=(space,))
            if found.value is not None and found.floor is not None and found.floor95 is not None:
                reason = (
                    f"Frechet distance ({space} features) {found.value:.3g}; "
                    f"between halves of the real hearts {found.floor:.3g}"
                )
                return [judged(self.name, found.value, found.floor95, 2.0 * found.floor, reason, less=True)]
        return [not_measured(self.name)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        having = [side for side in sides if side.summary.get(_HISTOGRAM).value is not None]
        if not having:
            return None
        shares = {
            name: np.mean([r.array(self.name, _HISTOGRAM) for r in records if r.has(self.name, _HISTOGRAM)], axis=0)
            for name, records in ((REAL, real), *((side.name, side.records) for side in having))
        }
        return Presentation(
            "Images",
            "Frechet and kernel distances in the features of a segmenter trained on real hearts (own) and of an "
            "ImageNet network (imagenet), on equal numbers of hearts; nothing here is an FID, which only Inception's "
            "features give. The column real is the 95 % floor of a distance, or the real hearts' own value.",
            [values_table(self.name, having, "all image metrics")],
            {"histograms": Histograms(shares, fidelity.BINS, "intensities")},
        )


def _histograms(ours: Sequence[Record], theirs: Sequence[Record], rng: np.random.Generator) -> Comparison:
    """1-Wasserstein distance of mean intensity histograms."""
    a, b = (np.stack([r.array(Fidelity.name, _HISTOGRAM) for r in records]) for records in (ours, theirs))
    distance = fidelity.histogram_distance(a.mean(axis=0), b.mean(axis=0))
    return Comparison((_HISTOGRAM,), value=distance, floor95=_histogram_floor(b, rng))


def _histogram_floor(histograms: NDArray[np.float64], rng: np.random.Generator) -> float:
    found = []
    for _ in range(200):
        order = rng.permutation(len(histograms))
        half = len(order) // 2
        a, b = histograms[order[:half]].mean(axis=0), histograms[order[half:]].mean(axis=0)
        found.append(fidelity.histogram_distance(a, b))
    return float(np.percentile(found, 95))


def _similarity_between(records: Sequence[Record], rng: np.random.Generator) -> float | None:
    pictures = np.stack([r.array(MIDDLE_IMAGE).astype(np.float32) for r in _sample(records, rng)])
    return fidelity.mean_pairwise_similarity(pictures, rng)


def _sample(records: Sequence[Record], rng: np.random.Generator) -> list[Record]:
    return [records[index] for index in sorted(rng.permutation(len(records))[:_POOL].tolist())]


def _feature_space(
    space: str, synthetic: Sequence[Record], real: Sequence[Record], rng: np.random.Generator
) -> list[Comparison]:
    """Distances and coverage in one space of features; empty where fewer than four hearts of a side have them."""
    pools = [[r for r in records if r.has(Fidelity.name, space)] for records in (synthetic, real)]
    if min(len(pool) for pool in pools) < 4:
        return []
    ours, theirs = ([_some(r.array(Fidelity.name, space).astype(np.float64)) for r in _sample(p, rng)] for p in pools)
    # One scale for all features, the real ones', so that a kernel is not ruled by the few largest.
    stacked = np.concatenate(theirs)
    centre, scale = stacked.mean(axis=0), stacked.std(axis=0).mean() or 1.0
    ours, theirs = ([(features - centre) / scale for features in hearts] for hearts in (ours, theirs))
    found = []
    for name, statistic in (("frechet", fidelity.frechet_distance), ("kernel", fidelity.kernel_distance)):
        mean, low, high = fidelity.bootstrap(statistic, theirs, ours, rng, _REPEATS)
        floor, floor95 = fidelity.real_floor(statistic, theirs, rng, _REPEATS)
        found.append(Comparison((name,), (space,), mean, low, high, floor=floor, floor95=floor95))
    half = len(theirs) // 2
    order = rng.permutation(len(theirs))
    first, second = ([theirs[i] for i in part] for part in (order[:half], order[half : 2 * half]))
    drawn = [ours[i] for i in rng.permutation(len(ours))[:half]]
    value, real_value = (
        fidelity.coverage_measures(_capped(first, rng), _capped(hearts, rng)) for hearts in (drawn, second)
    )
    return found + [Comparison((name,), (space,), value[name], real=real_value[name]) for name in value]


def _some(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `_SLICES` of a heart's slices, evenly taken: neighbours tell little more."""
    return features[np.unique(np.linspace(0, len(features) - 1, _SLICES).round().astype(int))]


def _capped(hearts: list[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.float64]:
    stacked = np.concatenate(hearts)
    return stacked[np.sort(rng.permutation(len(stacked))[:_MAX_COVERAGE])]
