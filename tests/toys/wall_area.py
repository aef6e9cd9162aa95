"""An area of evaluation from outside the package: how much of a heart is wall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.comparison import Comparison, distances
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import REAL, Presentation, Ranges, Side, values_table
from cardiomorph.evaluation.record import Measured, Record, known_values, mean
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured


class WallShare:
    name = "wall"
    version = 1
    column_prefix = "wall_"

    def measure(self, view: HeartView) -> Measured:
        labels = np.concatenate([label.array.ravel() for label in view.heart.labels.values()])
        share = float((labels == Label.MYOCARDIUM).sum() / (labels > 0).sum()) if labels.any() else None
        return Measured({"share": share}, {"counts": np.bincount(labels, minlength=4)})

    def summarise(self, hearts: Populations) -> Summary:
        ours, theirs = (known_values(records, self.name, "share") for records in (hearts.synthetic, hearts.real))
        if not ours or not theirs:
            return Summary(missing={(): "no heart has a label"})
        found = [
            Comparison(("share",), value=mean(ours), real=mean(theirs)),
            *distances((), ours, theirs, hearts.rng(9)),
        ]
        return Summary(
            tuple(found), by_heart={"voxels": {r.id: r.array(self.name, "counts").sum() for r in hearts.synthetic}}
        )

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        found = summary.get("wasserstein")
        if found.value is None or found.floor95 is None or found.floor is None:
            return [not_measured("wall")]
        return [judged("wall", found.value, found.floor95, 2 * found.floor, f"{found.value:.3f} apart", less=True)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation:
        records = {REAL: real, **{side.name: side.records for side in sides}}
        values = {"share": {name: known_values(rs, self.name, "share") for name, rs in records.items()}}
        table = values_table(self.name, sides)
        return Presentation("Wall", "Share of the heart that is wall.", [table], {"walls": Ranges(values, "wall")})
