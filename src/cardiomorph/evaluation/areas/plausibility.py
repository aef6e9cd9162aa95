"""Clinical plausibility: do hearts of a group meet the group's textbook rule as often as real patients do?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cardiomorph.evaluation.areas.function import Function
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.plausibility import RULES, hit_rate
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import NONE, Presentation, Side, Table
from cardiomorph.evaluation.record import NOTHING, Measured, Record
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured


class Plausibility:
    """Rates at which hearts meet their group's rule, by what `Function` measured."""

    name = "plausibility"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        return NOTHING

    def summarise(self, hearts: Populations) -> Summary:
        found: list[Comparison] = []
        inside: list[bool] = []
        missing: dict[tuple[str, ...], str] = {}
        for group, populations in hearts.by_group().items():
            if group not in RULES:
                continue
            ours, theirs = (hit_rate(group, [dict(r.of(Function.name)) for r in records]) for records in populations)
            if ours is None or theirs is None:
                reason = "needs height and weight" if group in ("HCM", "RV") else "needs ED and ES"
                missing[group,] = f"the rule ({RULES[group]}) {reason}"
                continue
            real = {"real": theirs.share, "real_low": theirs.low, "real_high": theirs.high}
            found.append(Comparison(("rule_hits",), (group,), ours.share, **real))
            inside.append(theirs.low <= ours.share <= theirs.high)
        if inside:
            found.append(Comparison(("inside_interval",), value=float(np.mean(inside))))
        return Summary(tuple(found), missing)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        share = summary.get("inside_interval").value
        if share is None:
            return [not_measured(self.name)]
        rates = ", ".join(f"{c.of[0]} {c.value:.0%} (real {c.real:.0%})" for c in summary.every("rule_hits"))
        return [judged(self.name, share, 1.0, 0.75, f"hearts that meet their group's rule: {rates}")]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation:
        rows = []
        for group, rule in RULES.items():
            rates = [side.summary.get("rule_hits", of=(group,)) for side in sides]
            if rates[0].value is None:
                continue
            theirs = f"{rates[0].real:.0%} ({rates[0].real_low:.0%}-{rates[0].real_high:.0%})"
            rows.append([group, rule, theirs, *(NONE if r.value is None else f"{r.value:.0%}" for r in rates)])
        return Presentation(
            "Clinical plausibility",
            "Share of hearts that meet their group's textbook rule, beside the real patients' share with its exact "
            "95 % binomial interval. The aim is to look like the patients, not like the textbook.",
            [Table(["group", "rule", "real (95 %)", *(side.name for side in sides)], rows)],
        )
