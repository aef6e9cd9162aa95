"""Label match: does a segmenter that was trained on real images read a synthetic heart's label off its image?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.label_match import label_match
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Presentation, Side, values_table
from cardiomorph.evaluation.record import NOTHING, Measured, Record, known_values, mean
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured


class LabelMatch:
    """Dice and surface distance of label and segmented image; the ceiling is that of held-out real images."""

    name = "label_match"
    version = 1
    column_prefix = "label_match_"

    def measure(self, view: HeartView) -> Measured:
        if view.slices is None or view.segmented is None:
            return NOTHING
        return Measured(label_match(view.slices.labels, view.segmented[0], view.slices.spacing_mm), {})

    def summarise(self, hearts: Populations) -> Summary:
        held_out = hearts.heldout
        ours, theirs = (
            [r for r in records if r.of(self.name)] for records in (hearts.synthetic, held_out or hearts.training)
        )
        if not ours or not theirs:
            return Summary(missing={(): "needs images and a segmenter (--segmenter)"})
        missing: dict[tuple[str, ...], str] = {}
        if not held_out:
            missing["real",] = "no real heart is held out; the ceiling is of hearts the segmenter trained on"
        found: list[Comparison] = []
        for measure in ours[0].of(self.name):
            a, b = known_values(ours, self.name, measure), known_values(theirs, self.name, measure)
            found.append(Comparison((measure,), value=mean(a), real=mean(b)))
            if a:
                worst = 95 if "distance" in measure else 5
                found.append(Comparison((f"{measure}_p{worst}",), value=float(np.percentile(a, worst))))
        return Summary(tuple(found), missing)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        dice = summary.get("dice")
        if dice.value is None or dice.real is None:
            return [not_measured("label match")]
        reason = f"Dice of label and segmented image {dice.value:.3f}; on real images {dice.real:.3f}"
        return [judged("label match", dice.value, dice.real - 0.05, dice.real - 0.15, reason)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        having = [side for side in sides if side.summary.comparisons]
        if not having:
            return None
        return Presentation(
            "Label match",
            "A segmenter trained on real images reads the synthetic ones; Dice and mean symmetric surface distance to "
            "the label each was painted from. The column real is the same on real images, held-out ones where there "
            "are any.",
            [values_table(self.name, having, "all metrics of label match")],
        )
