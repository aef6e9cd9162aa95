"""From records of hearts to flat, named numbers: synthetic beside real, each distance beside its floor.

Every function here takes records and returns entries of ``metrics.json``; what cannot be had is absent, and the reason
stands in ``Summary.missing``. docs/evidence.md lists the keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import GROUPS
from cardiomorph.evaluation import consistency, fidelity, plausibility, validity
from cardiomorph.evaluation.distances import (
    DISTANCES,
    correlation_floor,
    correlation_gap,
    split_half_floor,
)
from cardiomorph.evaluation.examination import Record, Scalars
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.hearts import UNKNOWN_GROUP
from cardiomorph.evaluation.memorisation import Memorisation, image_distances, label_distances, memorisation

Metrics = dict[str, float]
HEADLINE = ("lv_edv_ml", "lv_ef_pct", "rv_edv_ml", "rv_ef_pct", "lv_mass_g")
"""The five measures whose distances decide the verdict on function."""
COMPARED = (
    *MEASURE_COLUMNS,
    "lv_mass_es_g",
    "sphericity",
    "rv_lv_edv_ratio",
    "wall_basal_mean_mm",
    "wall_middle_mean_mm",
    "wall_apical_mean_mm",
)
INTENSITIES = ("blood", "blood_sd", "myocardium", "myocardium_sd", "background", "contrast", "noise", "sharpness")
SPACES = ("own", "imagenet")
# Hearts whose features are kept in memory, and repeats of a distance between random halves of hearts.
_POOL, _REPEATS, _MAX_COVERAGE = 120, 20, 1000


@dataclass
class Summary:
    """What an evaluation found.

    Attributes:
        metrics: flat entries of metrics.json.
        missing: by area, why something could not be measured.
        invalid: by synthetic heart, its share of invalid slices.
        memorised: by "label" and "image", the distances; indices are into `training`.
    """

    metrics: Metrics = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    invalid: dict[str, float] = field(default_factory=dict)
    memorised: dict[str, Memorisation] = field(default_factory=dict)
    training: list[str] = field(default_factory=list)


def summarise(synthetic: Sequence[Record], real: Sequence[Record], split: Mapping[str, str], seed: int = 0) -> Summary:
    """All statistics of one synthetic set against the real one.

    Args:
        split: by real heart, "train" or "heldout".
        seed: of random halves and draws.
    """
    summary = Summary()
    training = [r for r in real if split.get(r.id) != "heldout"]
    heldout = [r for r in real if split.get(r.id) == "heldout"]
    _function(summary, synthetic, real, np.random.default_rng([seed, 1]))
    _plausibility(summary, synthetic, real)
    _validity(summary, synthetic, real)
    _consistency(summary, synthetic, real)
    _fidelity(summary, synthetic, real, np.random.default_rng([seed, 2]))
    _label_match(summary, synthetic, heldout or training, held=bool(heldout))
    _memorisation(summary, synthetic, training, heldout, np.random.default_rng([seed, 3]))
    return summary


def by_group(synthetic: Sequence[Record], real: Sequence[Record]) -> dict[str, tuple[list[Record], list[Record]]]:
    """Synthetic and real hearts by group; those of an unknown group stand beside all real ones."""
    groups: dict[str, tuple[list[Record], list[Record]]] = {}
    for group in (*GROUPS, UNKNOWN_GROUP):
        ours = [r for r in synthetic if r.group == group]
        theirs = list(real) if group == UNKNOWN_GROUP else [r for r in real if r.group == group]
        if ours:
            groups[group] = (ours, theirs)
    return groups


def _values(records: Iterable[Record], part: str, key: str) -> list[float]:
    found = (getattr(record, part).get(key) for record in records)
    return [float(value) for value in found if value is not None]


def _distances(
    metrics: Metrics, area: str, name: str, ours: list[float], theirs: list[float], rng: np.random.Generator
) -> None:
    """Both distances of one measure with their floors."""
    for kind, distance in DISTANCES.items():
        metrics[f"{area}.{kind}.{name}"] = float(distance(ours, theirs))
        floor = split_half_floor(theirs, distance, rng)
        if floor:
            metrics[f"{area}.{kind}_floor.{name}"] = floor.mean
            metrics[f"{area}.{kind}_floor95.{name}"] = floor.p95


def _function(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record], rng: np.random.Generator) -> None:
    metrics = summary.metrics
    inside = []
    for group, (ours, theirs) in by_group(synthetic, real).items():
        metrics[f"function.n.{group}"], metrics[f"function.n_real.{group}"] = float(len(ours)), float(len(theirs))
        if not theirs:
            summary.missing[f"function.{group}"] = "the cohort has no real heart of this group"
            continue
        for key in COMPARED:
            a, b = _values(ours, "measures", key), _values(theirs, "measures", key)
            if not a or not b:
                side = "synthetic" if not a else "real"
                summary.missing[f"function.{group}.{key}"] = f"no {side} heart of {group} has it"
                continue
            for origin, values in (("", a), ("_real", b)):
                metrics[f"function.mean{origin}.{group}.{key}"] = float(np.mean(values))
                metrics[f"function.sd{origin}.{group}.{key}"] = (
                    float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                )
            _distances(metrics, "function", f"{group}.{key}", a, b, rng)
            floor = metrics.get(f"function.wasserstein_floor95.{group}.{key}")
            if key in HEADLINE and floor is not None:
                inside.append(metrics[f"function.wasserstein.{group}.{key}"] <= floor)
        _correlations(summary, group, ours, theirs, rng)
    if inside:
        metrics["function.inside_floor"] = float(np.mean(inside))
        metrics["function.inside_floor_count"] = float(sum(inside))
        metrics["function.compared"] = float(len(inside))
    for origin, records in (("", synthetic), ("_real", real)):
        fractions = [_values([r], "measures", "lv_ef_pct") + _values([r], "measures", "rv_ef_pct") for r in records]
        known = [values for values in fractions if values]
        if known:
            metrics[f"function.negative_ef{origin}"] = float(sum(min(values) < 0 for values in known))


def _correlations(
    summary: Summary, group: str, ours: list[Record], theirs: list[Record], rng: np.random.Generator
) -> None:
    tables = [_complete(records) for records in (ours, theirs)]
    if min(len(table) for table in tables) < 4:
        summary.missing[f"function.correlation.{group}"] = "fewer than four hearts have every measure"
        return
    for kind, ranks in (("spearman", True), ("pearson", False)):
        summary.metrics[f"function.{kind}_gap.{group}"] = correlation_gap(*tables, ranks=ranks)
        floor = correlation_floor(tables[1], rng, ranks=ranks)
        if floor:
            summary.metrics[f"function.{kind}_gap_floor95.{group}"] = floor.p95


def _complete(records: Iterable[Record]) -> NDArray[np.float64]:
    """(hearts, measures) of the hearts that have every one of `MEASURE_COLUMNS`."""
    rows = [[r.measures.get(key) for key in MEASURE_COLUMNS] for r in records]
    return np.array([row for row in rows if None not in row], np.float64).reshape(-1, len(MEASURE_COLUMNS))


def _plausibility(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record]) -> None:
    metrics, inside = summary.metrics, []
    for group, (ours, theirs) in by_group(synthetic, real).items():
        if group not in plausibility.RULES:
            continue
        hits = plausibility.hit_rate(group, [r.measures for r in ours])
        real_hits = plausibility.hit_rate(group, [r.measures for r in theirs])
        if hits is None or real_hits is None:
            reason = "needs height and weight" if group in ("HCM", "RV") else "needs ED and ES"
            summary.missing[f"plausibility.{group}"] = f"the rule ({plausibility.RULES[group]}) {reason}"
            continue
        metrics[f"plausibility.rule_hits.{group}"] = hits.share
        metrics[f"plausibility.rule_hits_real.{group}"] = real_hits.share
        metrics[f"plausibility.rule_hits_real_low.{group}"] = real_hits.low
        metrics[f"plausibility.rule_hits_real_high.{group}"] = real_hits.high
        inside.append(real_hits.low <= hits.share <= real_hits.high)
    if inside:
        metrics["plausibility.inside_interval"] = float(np.mean(inside))


def _validity(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record]) -> None:
    metrics = summary.metrics
    bounds = validity.bounds_of([r.shapes for r in real])
    for origin, records in (("", synthetic), ("_real", real)):
        failures = [bounds.failures(record.shapes) for record in records]
        stacked = np.concatenate([np.empty((0, len(validity.CRITERIA)), bool), *failures])
        if not len(stacked):
            continue
        metrics[f"validity.invalid_slices{origin}"] = float(stacked.any(axis=1).mean())
        metrics[f"validity.invalid_slices_counted{origin}"] = float(
            stacked[:, : len(validity.COUNTED)].any(axis=1).mean()
        )
        metrics[f"validity.hearts_with_invalid_slices{origin}"] = float(np.mean([f.any() for f in failures]))
        for name, rate in zip(validity.CRITERIA, stacked.mean(axis=0), strict=True):
            metrics[f"validity.slice.{name}{origin}"] = float(rate)
        for name in validity.VOLUME_CRITERIA:
            known = [record.volume[name] for record in records if name in record.volume]
            if known:
                metrics[f"validity.volume.{name}{origin}"] = float(np.mean(known))
        if not origin:
            summary.invalid = {
                r.id: float(f.any(axis=1).mean()) for r, f in zip(records, failures, strict=True) if len(f)
            }


def _consistency(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record]) -> None:
    """Shares of synthetic hearts inside the real 5-95 % range; real hearts' own share, each left out of its range."""
    groups = {r.group for r in synthetic}
    reference = [r for r in real if r.group in groups] or list(real)
    for part, area, names in (
        ("consistency", "consistency", consistency.LABEL_MEASURES),
        ("image", "consistency.image", consistency.IMAGE_MEASURES),
    ):
        shares, floors = [], []
        for name in names:
            ours, theirs = _values(synthetic, part, name), _values(reference, part, name)
            if not ours or len(theirs) < 4:
                side = "synthetic" if not ours else "real"
                summary.missing[f"{area}.{name}"] = f"too few {side} hearts have it (three slices or images needed)"
                continue
            low, high = np.percentile(theirs, [5, 95])
            share = float(np.mean([(low <= value <= high) for value in ours]))
            floor = _left_out_share(theirs)
            summary.metrics |= {
                f"{area}.{name}.inside_real_range": share,
                f"{area}.{name}.inside_real_range_floor": floor,
                f"{area}.{name}.median": float(np.median(ours)),
                f"{area}.{name}.median_real": float(np.median(theirs)),
                f"{area}.{name}.low_real": float(low),
                f"{area}.{name}.high_real": float(high),
            }
            shares.append(share)
            floors.append(floor)
        if shares:
            summary.metrics[f"{area}.inside_real_range"] = float(np.mean(shares))
            summary.metrics[f"{area}.inside_real_range_floor"] = float(np.mean(floors))


def _left_out_share(values: Sequence[float]) -> float:
    """Share of values inside the 5-95 % range of the others."""
    array = np.asarray(values)
    inside = []
    for index, value in enumerate(array):
        low, high = np.percentile(np.delete(array, index), [5, 95])
        inside.append(low <= value <= high)
    return float(np.mean(inside))


def _fidelity(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record], rng: np.random.Generator) -> None:
    metrics = summary.metrics
    ours, theirs = ([r for r in records if "picture" in r.arrays] for records in (synthetic, real))
    if len(ours) < 2 or len(theirs) < 4:
        summary.missing["fidelity"] = f"{len(ours)} synthetic and {len(theirs)} real hearts have images"
        return
    for name in INTENSITIES:
        a, b = _values(ours, "image", name), _values(theirs, "image", name)
        if a and b:
            metrics[f"fidelity.mean.{name}"], metrics[f"fidelity.mean_real.{name}"] = (
                float(np.mean(a)),
                float(np.mean(b)),
            )
            _distances(metrics, "fidelity", name, a, b, rng)
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
    ours, theirs = ([r.array(space).astype(np.float64) for r in _sample(pool, rng)] for pool in pools)
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


def _capped(hearts: list[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.float64]:
    stacked = np.concatenate(hearts)
    return stacked[np.sort(rng.permutation(len(stacked))[:_MAX_COVERAGE])]


def _label_match(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record], *, held: bool) -> None:
    ours, theirs = ([r for r in records if r.match] for records in (synthetic, real))
    if not ours or not theirs:
        summary.missing["label_match"] = "needs images and a segmenter (--segmenter)"
        return
    if not held:
        summary.missing["label_match.real"] = (
            "no real heart is held out; the ceiling is of hearts the segmenter trained on"
        )
    for key in ours[0].match:
        a, b = _values(ours, "match", key), _values(theirs, "match", key)
        if a:
            summary.metrics[f"label_match.{key}"] = float(np.mean(a))
            summary.metrics[f"label_match.{key}_p5"] = float(np.percentile(a, 5))
        if b:
            summary.metrics[f"label_match.{key}_real"] = float(np.mean(b))


def _memorisation(
    summary: Summary,
    synthetic: Sequence[Record],
    training: Sequence[Record],
    heldout: Sequence[Record],
    rng: np.random.Generator,
) -> None:
    kinds: tuple[tuple[str, str, Callable[..., NDArray[np.float64]]], ...] = (
        ("label", "label_bits", label_distances),
        ("image", "image_vector", image_distances),
    )
    summary.training = [r.id for r in training]
    for kind, array, distance in kinds:
        ours, known, unseen = ([r for r in rs if array in r.arrays] for rs in (synthetic, training, heldout))
        if not ours or len(known) < 3 or len(known) < len(training):
            summary.missing[f"memorisation.{kind}"] = "needs hearts of two phases" + " with images" * (kind == "image")
            continue
        known_vectors, unseen_vectors = (_vectors(rs, array) for rs in (known, unseen))
        found = memorisation(
            _chunked(partial(distance, b=known_vectors), ours, array),
            distance(known_vectors, known_vectors),
            _chunked(partial(distance, b=unseen_vectors), ours, array) if unseen else np.empty((len(ours), 0)),
            rng,
        )
        summary.memorised[kind] = found
        summary.metrics[f"memorisation.{kind}_share_too_close"] = found.share_too_close
        summary.metrics[f"memorisation.{kind}_threshold"] = found.threshold
        summary.metrics[f"memorisation.{kind}_to_training"] = found.to_training
        if found.to_heldout is not None and found.membership_auc is not None:
            summary.metrics[f"memorisation.{kind}_to_heldout"] = found.to_heldout
            summary.metrics[f"memorisation.{kind}_membership_auc"] = found.membership_auc
    if not heldout:
        summary.missing["memorisation.membership_auc"] = "no real heart is held out"


def _vectors(records: Sequence[Record], array: str) -> NDArray[np.generic]:
    stored = [record.array(array) for record in records]
    if array == "label_bits":
        return np.stack([np.unpackbits(bits).astype(bool) for bits in stored]) if stored else np.empty((0, 0), bool)
    return np.stack(stored) if stored else np.empty((0, 0), np.float16)


def _chunked(
    to: Callable[[NDArray[np.generic]], NDArray[np.float64]], records: Sequence[Record], array: str, size: int = 32
) -> NDArray[np.float64]:
    """Distances of many hearts, a few of them in memory at a time."""
    return np.concatenate([to(_vectors(records[i : i + size], array)) for i in range(0, len(records), size)])


def finite(metrics: Mapping[str, float]) -> tuple[Metrics, list[str]]:
    """The finite entries, and the names of the others: NaN never passes in silence."""
    good = {key: value for key, value in metrics.items() if math.isfinite(value)}
    return good, [key for key in metrics if key not in good]


def mean_scalars(series: Sequence[Scalars], key: str) -> float | None:
    """Mean of one entry over those that have it."""
    values = [value for scalars in series if (value := scalars.get(key)) is not None]
    return float(np.mean(values)) if values else None
