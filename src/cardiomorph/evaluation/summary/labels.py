"""Metrics of labels: function, plausibility, validity, consistency along the axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation import consistency, plausibility, validity
from cardiomorph.evaluation.distances import correlation_floor, correlation_gap
from cardiomorph.evaluation.examination import Record
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.summary.common import Summary, by_group, distances_with_floors, known_values

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


def summarise_function(
    summary: Summary, synthetic: Sequence[Record], real: Sequence[Record], rng: np.random.Generator
) -> None:
    metrics = summary.metrics
    inside = []
    for group, (ours, theirs) in by_group(synthetic, real).items():
        metrics[f"function.n.{group}"], metrics[f"function.n_real.{group}"] = float(len(ours)), float(len(theirs))
        if not theirs:
            summary.missing[f"function.{group}"] = "the cohort has no real heart of this group"
            continue
        for key in COMPARED:
            a, b = known_values(ours, "measures", key), known_values(theirs, "measures", key)
            if not a or not b:
                side = "synthetic" if not a else "real"
                summary.missing[f"function.{group}.{key}"] = f"no {side} heart of {group} has it"
                continue
            for origin, values in (("", a), ("_real", b)):
                metrics[f"function.mean{origin}.{group}.{key}"] = float(np.mean(values))
                metrics[f"function.sd{origin}.{group}.{key}"] = (
                    float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                )
            distances_with_floors(metrics, "function", f"{group}.{key}", a, b, rng)
            floor = metrics.get(f"function.wasserstein_floor95.{group}.{key}")
            if key in HEADLINE and floor is not None:
                inside.append(metrics[f"function.wasserstein.{group}.{key}"] <= floor)
        _correlations(summary, group, ours, theirs, rng)
    if inside:
        metrics["function.inside_floor"] = float(np.mean(inside))
        metrics["function.inside_floor_count"] = float(sum(inside))
        metrics["function.compared"] = float(len(inside))
    for origin, records in (("", synthetic), ("_real", real)):
        fractions = [
            known_values([r], "measures", "lv_ef_pct") + known_values([r], "measures", "rv_ef_pct") for r in records
        ]
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


def summarise_plausibility(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record]) -> None:
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


def summarise_validity(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record]) -> None:
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


def summarise_consistency(summary: Summary, synthetic: Sequence[Record], real: Sequence[Record]) -> None:
    """Shares of synthetic hearts inside the real 5-95 % range; real hearts' own share, each left out of its range."""
    groups = {r.group for r in synthetic}
    reference = [r for r in real if r.group in groups] or list(real)
    for part, area, names in (
        ("consistency", "consistency", consistency.LABEL_MEASURES),
        ("image", "consistency.image", consistency.IMAGE_MEASURES),
    ):
        shares, floors = [], []
        for name in names:
            ours, theirs = known_values(synthetic, part, name), known_values(reference, part, name)
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
