"""Anatomical validity: how many slices and hearts break criteria that no heart should, beside the real rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import REAL, FailureRates, Presentation, Side, Table, percent
from cardiomorph.evaluation.record import Measured, Record, known_values, mean
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.validity import (
    BOUNDED,
    COUNTED,
    CRITERIA,
    VOLUME_CRITERIA,
    bounds_of,
    slice_shapes,
    volume_failures,
)
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured

INVALID_SLICES = "invalid_slices"
"""Share of slices that break any criterion: of all, and in measures.csv of each heart's."""
_SHAPES = "shapes"
_TOTALS = {
    INVALID_SLICES: "slices failing any",
    "invalid_slices_counted": "slices with holes, gaps, pieces, RV apart",
    "hearts_with_invalid_slices": "hearts with such a slice",
}
_OVER_SLICES, _OVER_VOLUMES = "slice", "volume"


class Validity:
    """Rates of failure by criterion, with bounds of shape that are taken from the real hearts."""

    name = "validity"
    version = 1
    column_prefix = "fails_"

    def measure(self, view: HeartView) -> Measured:
        labels = view.heart.labels
        shapes = np.concatenate([slice_shapes(label) for label in labels.values()])
        return Measured(volume_failures(labels), {_SHAPES: shapes})

    def summarise(self, hearts: Populations) -> Summary:
        shapes = [[r.array(self.name, _SHAPES) for r in rs] for rs in (hearts.synthetic, hearts.real)]
        bounds = bounds_of(shapes[1])
        ours, theirs = ([bounds.failures(heart) for heart in of_hearts] for of_hearts in shapes)
        rates, real_rates = _slice_rates(ours), _slice_rates(theirs)
        found = [Comparison(path, value=rates.get(path), real=real_rates.get(path)) for path in rates | real_rates]
        sides = [hearts.synthetic if rates else [], hearts.real if real_rates else []]
        for name in VOLUME_CRITERIA:
            value, real = (mean(known_values(records, self.name, name)) for records in sides)
            found.append(Comparison((_OVER_VOLUMES, name), value=value, real=real))
        pairs = zip(hearts.synthetic, ours, strict=True)
        invalid = {record.id: float(failed.any(axis=1).mean()) for record, failed in pairs if len(failed)}
        return Summary(tuple(found), by_heart={INVALID_SLICES: invalid})

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        invalid = summary.get(INVALID_SLICES)
        ours, theirs = invalid.value, invalid.real
        if ours is None or theirs is None:
            return [not_measured(self.name)]
        reason = f"{ours:.1%} of slices break an anatomical criterion, {theirs:.1%} of real ones"
        return [judged(self.name, ours, theirs, 2.0 * theirs, reason, less=True)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation:
        rows = [[REAL, *(percent(sides[0].summary.get(total).real) for total in _TOTALS)]]
        rows += [[side.name, *(percent(side.summary.get(total).value) for total in _TOTALS)] for side in sides]
        explained = {**COUNTED, **BOUNDED, **VOLUME_CRITERIA}
        return Presentation(
            "Anatomical validity",
            "Criteria of Painchaud et al. (IEEE TMI 2020) slice by slice, and criteria over the volume. Bounds of "
            "shape are the 99th percentile of the real slices, so real slices fail some of them too.",
            [
                Table(["", *_TOTALS.values()], rows),
                Table(["criterion", "failing"], [list(pair) for pair in explained.items()], "what the criteria mean"),
            ],
            {
                "validity_slices": _failure_rates(sides, _OVER_SLICES, CRITERIA, "slices failing a criterion"),
                "validity_hearts": _failure_rates(
                    sides, _OVER_VOLUMES, tuple(VOLUME_CRITERIA), "hearts failing a criterion over the volume"
                ),
            },
        )


def _slice_rates(failures: Sequence[NDArray[np.bool_]]) -> dict[tuple[str, ...], float]:
    """Rates of failure from each heart's (slices, criteria); empty where no heart has a labelled slice."""
    stacked = np.concatenate([np.empty((0, len(CRITERIA)), bool), *failures])
    if not len(stacked):
        return {}
    totals = (
        stacked.any(axis=1).mean(),
        stacked[:, : len(COUNTED)].any(axis=1).mean(),
        np.mean([failed.any() for failed in failures]),
    )
    rates = {(total,): float(rate) for total, rate in zip(_TOTALS, totals, strict=True)}
    each = zip(CRITERIA, stacked.mean(axis=0), strict=True)
    return rates | {(_OVER_SLICES, criterion): float(rate) for criterion, rate in each}


def _failure_rates(sides: Sequence[Side], over: str, criteria: Sequence[str], title: str) -> FailureRates:
    real = {c: sides[0].summary.get(over, c).real for c in criteria}
    rates = {REAL: real, **{side.name: {c: side.summary.get(over, c).value for c in criteria} for side in sides}}
    known = {name: {c: rate for c, rate in found.items() if rate is not None} for name, found in rates.items()}
    return FailureRates(known, title)
