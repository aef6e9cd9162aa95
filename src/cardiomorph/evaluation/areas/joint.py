"""Joint: are the synthetic hearts of a group the real ones' population, over seven measures at once?

Unlike distances inside a floor of real halves these tests say what they could have seen: their power.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation.areas.function import Function
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.fidelity import coverage_measures
from cardiomorph.evaluation.heart_files import UNKNOWN_GROUP
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Presentation, Side, Table, number, percent
from cardiomorph.evaluation.record import NOTHING, Measured, Record
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.two_samples import (
    CHANGES,
    LEVEL,
    Stratum,
    classifier_test,
    energy_test,
    power,
    scale_of,
    spread_ratio,
)
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured

MEASURES = ("lv_edv_ml", "lv_ef_pct", "rv_edv_ml", "rv_ef_pct", "lv_mass_g", "wall_max_mm", "long_axis_mm")
ALL = "all"
"""The groups together; hearts are re-labelled within their group."""
_LEAST = 10
"""Hearts of a group below which nothing is tested: seven measures need more hearts than measures."""
_LEAST_TOGETHER = 3
"""Hearts of a group below which it has no part in the test of all groups together."""
_NEIGHBOURS = 3
_RANDOM_STREAM = 23
_ENOUGH = 0.8
_MUST_SEE = ("collapse", "half_spread")


class Joint:
    """Energy test, classifier, spread, recall and coverage in the space of measures, with the tests' power."""

    name = "joint"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        return NOTHING

    def summarise(self, hearts: Populations) -> Summary:
        rng = hearts.rng(_RANDOM_STREAM)
        found: list[Comparison] = []
        missing: dict[tuple[str, ...], str] = {}
        tables = {
            group: tuple(_complete(side) for side in records)
            for group, records in hearts.by_group().items()
            if group != UNKNOWN_GROUP
        }
        enough = {group: pair for group, pair in tables.items() if min(map(len, pair)) >= _LEAST_TOGETHER}
        for group in tables:
            ours, theirs = tables[group]
            if min(len(ours), len(theirs)) < _LEAST:
                missing[group,] = f"needs {_LEAST} hearts on both sides with {', '.join(MEASURES)}"
                continue
            centre, scale = theirs.mean(axis=0), theirs.std(axis=0, ddof=1)
            found += _of_group(group, (ours - centre) / scale, (theirs - centre) / scale, rng)
        if enough:
            scale = scale_of([theirs for _, theirs in enough.values()])
            pairs = [(ours / scale, theirs / scale) for ours, theirs in enough.values()]
            test = energy_test(pairs, rng)
            found += [Comparison(("energy",), (ALL,), test.distance), Comparison(("p",), (ALL,), test.p)]
            found += _powers(ALL, [Stratum(theirs, len(theirs), len(ours)) for ours, theirs in pairs], rng)
        return Summary(tuple(found), missing)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        p = summary.get("p", of=(ALL,)).value
        if p is None:
            return [not_measured(self.name)]
        seen = {name: summary.get("power", of=(ALL, name)).value or 0.0 for name in CHANGES}
        could = ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in seen.items() if name != "nothing")
        reason = (
            f"energy test over {len(MEASURES)} measures, within groups: p = {p:.3f}; of such sets it finds out: {could}"
        )
        blind = min(seen[name] for name in _MUST_SEE) < _ENOUGH
        # A test that would not have seen a collapse says little by finding nothing.
        return [judged(self.name, p, 2.0 if blind else LEVEL, LEVEL if blind else 0.01, reason)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        having = [side for side in sides if side.summary.comparisons]
        if not having:
            return None
        rows = [row for side in having for row in _rows(side)]
        header = ["set", "group", "energy", "p", "AUC (95 %)", "SD ratio (95 %)", "recall", "coverage"]
        return Presentation(
            "Joint",
            f"{', '.join(MEASURES)} together, standardised by the real group. p: share of random re-labellings of "
            "hearts that are at least as far apart as the two sets are. AUC: a classifier on hearts it has not seen. "
            "Recall and coverage beside one real half's of the other. Power: of sets simulated with the real group's "
            "mean and covariance at these numbers of hearts, and changed, the share that the energy test finds out; "
            "copies of real hearts are for memorisation to find.",
            [
                Table(header, rows),
                Table(["group", *(name.replace("_", " ") for name in CHANGES)], _power_rows(having[0]), "power"),
            ],
        )


def _complete(records: Sequence[Record]) -> NDArray[np.float64]:
    """(hearts, measures) of the hearts that have them all."""
    rows = [[record.of(Function.name).get(measure) for measure in MEASURES] for record in records]
    return np.array([row for row in rows if None not in row], np.float64).reshape(-1, len(MEASURES))


def _of_group(
    group: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], rng: np.random.Generator
) -> list[Comparison]:
    test = energy_test([(ours, theirs)], rng)
    found = [Comparison(("energy",), (group,), test.distance), Comparison(("p",), (group,), test.p)]
    if (told := classifier_test(ours, theirs, rng)) is not None:
        found.append(Comparison(("auc",), (group,), told.auc, told.low, told.high))
    spread = spread_ratio([(ours, theirs)], rng)
    found.append(Comparison(("sd_ratio",), (group,), spread.ratio, spread.low, spread.high))
    order = rng.permutation(len(theirs))
    one, other = theirs[order[: len(order) // 2]], theirs[order[len(order) // 2 :]]
    covered, floor = coverage_measures(theirs, ours, _NEIGHBOURS), coverage_measures(one, other, _NEIGHBOURS)
    found += [Comparison((name,), (group,), covered[name], real=floor[name]) for name in ("recall", "coverage")]
    return [*found, *_powers(group, [Stratum(theirs, len(theirs), len(ours))], rng)]


def _powers(of: str, strata: Sequence[Stratum], rng: np.random.Generator) -> list[Comparison]:
    return [Comparison(("power",), (of, name), share) for name, share in power(strata, rng).items()]


def _rows(side: Side) -> list[list[str]]:
    rows = []
    for test in side.summary.every("p"):
        (group,) = test.of
        auc, sd, recall, coverage, energy = (
            side.summary.get(name, of=(group,)) for name in ("auc", "sd_ratio", "recall", "coverage", "energy")
        )
        beside = [
            f"{number(one.value)} ({number(one.real)})" if one.value is not None else "" for one in (recall, coverage)
        ]
        rows.append([side.name, group, number(energy.value), number(test.value), _ranged(auc), _ranged(sd), *beside])
    return rows


def _ranged(one: Comparison) -> str:
    return "" if one.value is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _power_rows(side: Side) -> list[list[str]]:
    groups = [test.of[0] for test in side.summary.every("p")]
    return [
        [group, *(percent(side.summary.get("power", of=(group, name)).value) for name in CHANGES)] for group in groups
    ]
