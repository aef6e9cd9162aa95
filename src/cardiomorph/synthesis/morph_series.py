"""Morphs of a few parents at rising severity, measured: what stays of the parent, and whether the disease grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import DISEASES, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.fidelity import intensity_measures
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.identity import (
    appearance_drift,
    mean_overlap,
    monotonicity,
    position_drift_mm,
    rotation_drift_deg,
)
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Presentation, Side
from cardiomorph.evaluation.reconstruction import decoded_volume
from cardiomorph.evaluation.record import NOTHING, Measured, Record
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.samplers.choice import Sampler
from cardiomorph.latent.trajectory import Trajectory, decode_labels, equalise, morph
from cardiomorph.latent.virtual import parent_named, virtual_name
from cardiomorph.progress import track
from cardiomorph.synthesis.painting import paint
from cardiomorph.synthesis.reidentification import APPEARANCE, SHAPE, painted_slices, reidentification

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
PARENTS = 6
"""Healthy hearts whose morphs are measured."""
REIDENTIFIED_AMONG = 20
"""Healthy hearts among which a diseased heart's parent is looked for; one child of each disease."""
OVERLAP, MONOTONICITY = "overlap", "monotonicity"
_SURE, _LIKELY = 0.5, 0.25


@dataclass(frozen=True)
class Identity:
    """The area of evaluation that asks whether a morphed heart stays its parent, and its disease grows with severity.

    Attributes:
        atlas: of the synthesis; None where there is none at hand, ``why`` then says why.
        cohort: the real hearts.
        sampler: of the synthesis.
    """

    atlas: Atlas | None
    why: str
    cohort: Cohort
    sampler: Sampler

    name = "identity"
    version = 2
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        return NOTHING

    def summarise(self, hearts: Populations) -> Summary:
        if self.atlas is None:
            return Summary(missing={(): self.why})
        parents = list(self.atlas.parents) or [virtual_name(number) for number in range(1, REIDENTIFIED_AMONG + 1)]
        series, crowd = (_evenly(parents, count) for count in (PARENTS, REIDENTIFIED_AMONG))
        found = identity_comparisons(self.atlas, self.cohort, series, self.sampler, hearts.seed)
        summary = Summary((*found, *reidentification(self.atlas, crowd, self.sampler, hearts.seed)))
        if summary.get(OVERLAP).value is not None:
            return summary
        return replace(summary, missing={(OVERLAP,): "the atlas's parents are not in this cohort"})

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        growth, overlap = (summary.get(name).value for name in (MONOTONICITY, OVERLAP))
        shape, look = (summary.get(name) for name in (SHAPE, APPEARANCE))
        if shape.value is None or shape.real is None:
            return [not_measured(self.name)]
        told = [(one.value, one.real) for one in (shape, look) if one.value is not None and one.real is not None]
        # How far above chance: 0 for guessing, 1 for every parent found.
        skill = min((value - chance) / (1.0 - chance) for value, chance in told)
        # A virtual parent has no labels of its own to overlap with.
        kept = "" if overlap is None else f"severity 0 overlaps its parent with Dice {overlap:.3f}; "
        by_look = "" if look.value is None else f", by appearance in {look.value:.0%}"
        grown = "" if growth is None else f"; severity and disease rise together with rank correlation {growth:.2f}"
        reason = (
            f"{kept}diseased hearts' own parent is found by shape in {shape.value:.0%}{by_look} "
            f"(chance {shape.real:.0%}){grown}"
        )
        return [judged(self.name, skill, _SURE, _LIKELY, reason)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        return None


def _evenly(names: Sequence[str], count: int) -> list[str]:
    return [names[index] for index in np.unique(np.linspace(0, len(names) - 1, count).round().astype(int))]


def identity_comparisons(
    atlas: Atlas, cohort: Cohort, parents: Sequence[str], sampler: Sampler, seed: int = 0
) -> tuple[Comparison, ...]:
    """Means over parents and diseases, and of each disease.

    ``overlap`` is the Dice of severity 0 and the parent's own labels; the drifts are between severity 0 and 1.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for position, name in enumerate(track(parents, "morphing")):
        parent = parent_named(atlas, name, seed)
        if name in cohort.ids():
            _add(found, _overlap(atlas, cohort, parent), OVERLAP)
        for number, target in enumerate(t for t in DISEASES if t in atlas.groups):
            draw = sampler.draw(atlas.group(target), parent.trajectory, np.random.default_rng([seed, position, number]))
            for quantity, value in _series(atlas, parent, draw.trajectory, target).items():
                _add(found, value, quantity)
                _add(found, value, quantity, target)
    return tuple(
        Comparison((quantity,), tuple(of), value=float(np.mean(values))) for (quantity, *of), values in found.items()
    )


def _add(found: dict[tuple[str, ...], list[float]], value: float | None, *name: str) -> None:
    if value is not None:
        found.setdefault(name, []).append(value)


def _overlap(atlas: Atlas, cohort: Cohort, parent: Parent) -> float:
    subject = cohort.load(parent.id)
    scores = []
    for phase in PHASES:
        truth = subject.frames[phase].label
        rebuilt = decode_labels(atlas.shape_model, equalise(parent.trajectory.codes[phase], len(truth)))
        scores.append(mean_overlap(rebuilt, truth))
    return float(np.mean(scores))


def _series(atlas: Atlas, parent: Parent, target: Trajectory, group: str) -> dict[str, float | None]:
    spacing = parent.geometry.spacing_mm
    measures: list[Measures] = []
    ends = []
    for severity in SEVERITIES:
        trajectory = morph(parent.trajectory, target, severity)
        labels = {p: decoded_volume(atlas.shape_model, trajectory, p, spacing) for p in PHASES}
        measures.append(measure_heart(labels, parent.height_cm, parent.weight_kg))
        if severity in (0.0, 1.0):
            ends.append(labels["ED"])
    before, after = ends
    result: dict[str, float | None] = {
        MONOTONICITY: monotonicity(SEVERITIES, measures, group),  # type: ignore[arg-type]
        "position_drift_mm": position_drift_mm(before, after),
        "rotation_drift_deg": rotation_drift_deg(before, after),
    }
    if parent.styles is not None:
        looks = [_looks(atlas, parent, np.moveaxis(volume.array, -1, 0)) for volume in ends]
        result["appearance_drift"] = appearance_drift(*looks)
    return result


def _looks(atlas: Atlas, parent: Parent, labels: NDArray[np.uint8]) -> dict[str, float | None]:
    assert parent.styles is not None, "asked for above"
    chosen = painted_slices(len(labels))
    style = parent.styles["ED"][chosen]
    return intensity_measures(paint(atlas.painter, style, labels[chosen]), labels[chosen])
