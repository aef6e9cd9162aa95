"""Measured hearts beside patients, fold by fold: tests that re-label within group and fold, and their power."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import GROUPS
from cardiomorph.evaluation.areas.joint import MEASURES
from cardiomorph.evaluation.fidelity import coverage_measures
from cardiomorph.evaluation.two_samples import (
    CHANGES,
    Stratum,
    classifier_test,
    energy_test,
    power,
    scale_of,
    spread_ratio,
)

ALL, FIRST = "all", "fold 0"
"""Parts of a comparison, beside the groups."""
_NEIGHBOURS = 3
_RANGE = (5, 95)
_LEAST = 3

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(hearts, measures) of a set and of patients."""


@dataclass(frozen=True)
class MeasuredHeart:
    """In which fold and group a heart is, and `MEASURES` of it; NaN what it lacks."""

    fold: int
    group: str
    measures: NDArray[np.float64]


def _table(hearts: Sequence[MeasuredHeart], group: str, folds: Sequence[int]) -> NDArray[np.float64]:
    """(hearts, measures) of those that have them all."""
    rows = np.array([one.measures for one in hearts if one.group == group and one.fold in folds])
    rows = rows.reshape(-1, len(MEASURES))
    return rows[~np.isnan(rows).any(axis=1)]


def _parts(real: Sequence[MeasuredHeart]) -> dict[str, tuple[list[str], list[int]]]:
    """What is compared: groups and folds."""
    groups = [group for group in GROUPS if any(one.group == group for one in real)]
    folds = sorted({one.fold for one in real})
    return {ALL: (groups, folds), FIRST: (groups, folds[:1]), **{group: ([group], folds) for group in groups}}


def compared(made: Sequence[MeasuredHeart], real: Sequence[MeasuredHeart], seed: int) -> dict[str, dict[str, Any]]:
    """A set beside the patients, in every part."""
    return {
        part: _of_part(made, real, groups, folds, np.random.default_rng([seed, 41]))
        for part, (groups, folds) in _parts(real).items()
    }


def _of_part(
    made: Sequence[MeasuredHeart],
    real: Sequence[MeasuredHeart],
    groups: Sequence[str],
    folds: Sequence[int],
    rng: np.random.Generator,
) -> dict[str, Any]:
    within = {group: _table(real, group, sorted({one.fold for one in real})) for group in groups}
    scale = scale_of(list(within.values()))
    strata = [(group, fold) for group in groups for fold in folds]
    sides: dict[tuple[str, int], Pair] = {
        (group, fold): (_table(made, group, [fold]) / scale, _table(real, group, [fold]) / scale)
        for group, fold in strata
    }
    sides = {stratum: pair for stratum, pair in sides.items() if min(map(len, pair))}
    if not sides:
        return {}
    test = energy_test(list(sides.values()), rng)
    found: dict[str, Any] = {"energy": test.distance, "p": test.p}
    found |= {name: sum(len(pair[i]) for pair in sides.values()) for i, name in enumerate(("hearts", "patients"))}
    ours, theirs = ({group: _table(side, group, folds) / scale for group in groups} for side in (made, real))
    known = [group for group in groups if min(len(ours[group]), len(theirs[group])) > 1]
    if known:
        spread = spread_ratio([(ours[group], theirs[group]) for group in known], rng)
        found |= {"sd_ratio": spread.ratio, "sd_ratio_low": spread.low, "sd_ratio_high": spread.high}
        found["sd_ratios"] = by_measure(spread.by_measure)
        shifts = [ours[group].mean(axis=0) - theirs[group].mean(axis=0) for group in known]
        found["shifts_sd"] = by_measure(np.mean(shifts, axis=0))
        ranges = [np.percentile(within[group] / scale, _RANGE, axis=0) for group in known]
        inside = [
            ((ours[group] >= low) & (ours[group] <= high)).mean()
            for group, (low, high) in zip(known, ranges, strict=True)
        ]
        found["in_range"] = float(np.mean(inside))
    found |= _classified(sides, within, scale, rng)
    covered = [coverage_measures(theirs[g], ours[g], _NEIGHBOURS) for g in known if len(theirs[g]) > _NEIGHBOURS + 1]
    if covered:
        found |= {name: float(np.mean([one[name] for one in covered])) for name in ("recall", "coverage")}
    return found


def _classified(
    sides: Mapping[tuple[str, int], Pair],
    within: Mapping[str, NDArray[np.float64]],
    scale: NDArray[np.float64],
    rng: np.random.Generator,
) -> dict[str, float]:
    """A classifier that learns on other folds: hearts as deviations from their group's patients."""
    centred = [
        np.concatenate([pair[i] - within[group].mean(axis=0) / scale for (group, _), pair in sides.items()])
        for i in (0, 1)
    ]
    where = [np.concatenate([np.full(len(pair[i]), fold) for (_, fold), pair in sides.items()]) for i in (0, 1)]
    several = len(np.unique(where[1])) > 1
    told = classifier_test(centred[0], centred[1], rng, (where[0], where[1]) if several else None)
    return {} if told is None else {"auc": told.auc, "auc_low": told.low, "auc_high": told.high}


def by_measure(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(MEASURES, values.round(4).tolist(), strict=True))


def powers(real: Sequence[MeasuredHeart], hearts: int, part: str, seed: int) -> dict[str, float]:
    groups, folds = _parts(real)[part]
    everywhere = sorted({one.fold for one in real})
    within = {group: _table(real, group, everywhere) for group in groups}
    scale = scale_of(list(within.values()))
    strata = [
        Stratum(within[group] / scale, len(_table(real, group, [fold])), hearts) for group in groups for fold in folds
    ]
    strata = [one for one in strata if one.real_count and len(one.real) >= _LEAST]
    return power(strata, np.random.default_rng([seed, 43]))


def table_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The comparison as a Markdown table, over all folds and in fold 0, and what the test could have seen."""
    tests = ("p, all folds", "p, fold 0", "SD ratio (95 %)", "largest shift, SD", "AUC (95 %)")
    columns = ("", *tests, "recall", "coverage", "in range")
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name, parts in found["sets"].items():
        one, first = parts[ALL], parts[FIRST]
        cells = [_number(one, "p", ".3f"), _number(first, "p", ".3f"), _ranged(one, "sd_ratio"), _largest(one)]
        cells += [_ranged(one, "auc"), *(_number(one, key, ".2f") for key in ("recall", "coverage"))]
        yield f"| {' | '.join([name, *cells, _number(one, 'in_range', '.0%')])} |"
    for part, powers in found["power"].items():
        seen = ", ".join(f"{name.replace('_', ' ')} {powers[name]:.0%}" for name in CHANGES)
        yield f"Found out at p < 0.05, {part}: {seen}"


def _number(found: Mapping[str, Any], key: str, form: str) -> str:
    return format(found[key], form) if key in found else "–"


def _ranged(found: Mapping[str, Any], key: str) -> str:
    return f"{found[key]:.2f} ({found[f'{key}_low']:.2f} to {found[f'{key}_high']:.2f})" if key in found else "–"


def _largest(found: Mapping[str, Any]) -> str:
    if "shifts_sd" not in found:
        return "–"
    measure, shift = max(found["shifts_sd"].items(), key=lambda item: abs(item[1]))
    return f"{shift:+.2f} {measure}"
