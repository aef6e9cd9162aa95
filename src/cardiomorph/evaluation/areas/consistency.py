"""Consistency in 3D: do neighbouring slices belong to one heart, in labels and in images, as they do in real hearts?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.consistency import IMAGE_MEASURES, LABEL_MEASURES, image_consistency, label_consistency
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import REAL, FigureData, Presentation, Ranges, Side, Table, percent
from cardiomorph.evaluation.record import Measured, Record, Scalars, known_values
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured

_SHARE = "inside_real_range"
_PARTS: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "labels": ((), LABEL_MEASURES),
    "images": (("image",), IMAGE_MEASURES),
}
"""Where the measures of each part stand in a comparison's path, and which they are."""


class Consistency:
    """Shares of hearts inside the real hearts' 5-95 % range of each through-plane measure."""

    name = "consistency"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        labels, images, spacing = view.heart.labels, view.heart.images, view.slice_spacing_mm
        of_labels = [label_consistency(label, spacing) for label in labels.values()]
        of_images = [image_consistency(images[phase], labels[phase], spacing) for phase in images]
        return Measured({**_mean(of_labels), **_mean(of_images)}, {})

    def summarise(self, hearts: Populations) -> Summary:
        groups = {record.group for record in hearts.synthetic}
        reference = [record for record in hearts.real if record.group in groups] or list(hearts.real)
        found: list[Comparison] = []
        missing: dict[tuple[str, ...], str] = {}
        for path, measures in _PARTS.values():
            shares = []
            for measure in measures:
                ours, theirs = (known_values(records, self.name, measure) for records in (hearts.synthetic, reference))
                if not ours or len(theirs) < 4:
                    side = "synthetic" if not ours else "real"
                    reason = f"too few {side} hearts have it (three slices or images needed)"
                    missing[*path, measure] = reason
                    continue
                share, *others = _beside_range((*path, measure), ours, theirs)
                found += [share, *others]
                shares.append(share)
            if shares:
                mean, floor = (float(np.mean([getattr(s, part) for s in shares])) for part in ("value", "floor"))
                found.append(Comparison((*path, _SHARE), value=mean, floor=floor))
        return Summary(tuple(found), missing)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        return [_verdict(f"3D consistency of {part}", summary.get(*path, _SHARE)) for part, (path, _) in _PARTS.items()]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation:
        figures: dict[str, FigureData] = {}
        rows = []
        records = {REAL: real, **{side.name: side.records for side in sides}}
        for part, (path, measures) in _PARTS.items():
            shares = {measure: [s.summary.get(*path, measure, _SHARE) for s in sides] for measure in measures}
            known = {measure: of_sets for measure, of_sets in shares.items() if of_sets[0].value is not None}
            if not known:
                continue
            values = {m: {name: known_values(rs, self.name, m) for name, rs in records.items()} for m in known}
            figures[f"consistency_{part}"] = Ranges(values, f"through-plane measures of {part}")
            rows += [
                [f"{part}: {measure}", percent(of_sets[0].floor), *(percent(share.value) for share in of_sets)]
                for measure, of_sets in known.items()
            ]
        explained = {**LABEL_MEASURES, **IMAGE_MEASURES}
        return Presentation(
            "Consistency in 3D",
            "Shares of hearts inside the real hearts' 5-95 % range; the column real is each real heart against the "
            "range of the others. All hearts are compared at the cohort's slice spacing. This is the paper's Fig. 4 in "
            "numbers.",
            [
                Table(["measure", REAL, *(side.name for side in sides)], rows),
                Table(["measure", ""], [list(pair) for pair in explained.items()], "what the measures are"),
            ],
            figures,
        )


def _mean(phases: Sequence[Scalars]) -> Scalars:
    """Mean of every measure over the phases that have it; None where none has."""
    result: dict[str, float | None] = {}
    for measure in dict.fromkeys(measure for phase in phases for measure in phase):
        values = [value for phase in phases if (value := phase.get(measure)) is not None]
        result[measure] = float(np.mean(values)) if values else None
    return result


def _beside_range(path: tuple[str, ...], ours: Sequence[float], theirs: Sequence[float]) -> list[Comparison]:
    """The share of values inside the real range, first; the medians, and the range."""
    low, high = np.percentile(theirs, [5, 95])
    share = float(np.mean([(low <= value <= high) for value in ours]))
    return [
        Comparison((*path, _SHARE), value=share, floor=_left_out_share(theirs)),
        Comparison((*path, "median"), value=float(np.median(ours)), real=float(np.median(theirs))),
        Comparison((*path, "low"), real=float(low)),
        Comparison((*path, "high"), real=float(high)),
    ]


def _left_out_share(values: Sequence[float]) -> float:
    """Share of values inside the 5-95 % range of the others."""
    array = np.asarray(values)
    inside = []
    for index, value in enumerate(array):
        low, high = np.percentile(np.delete(array, index), [5, 95])
        inside.append(low <= value <= high)
    return float(np.mean(inside))


def _verdict(area: str, share: Comparison) -> Verdict:
    if share.value is None or share.floor is None:
        return not_measured(area)
    reason = (
        f"{share.value:.0%} of through-plane measures in the real 5-95 % range; "
        f"real hearts left out of it {share.floor:.0%}"
    )
    return judged(area, share.value, share.floor - 0.05, share.floor - 0.3, reason)
