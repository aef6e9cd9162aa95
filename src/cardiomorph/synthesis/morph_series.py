"""Morphs of a few parents at rising severity, measured: what stays of the parent, and whether the disease grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import DISEASES, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.fidelity import intensity_measures
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.evaluation.identity import (
    appearance_drift,
    mean_overlap,
    monotonicity,
    position_drift_mm,
    rotation_drift_deg,
)
from cardiomorph.evaluation.reconstruction import decoded_volume
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.samplers.choice import Sampler
from cardiomorph.latent.trajectory import Trajectory, decode_labels, equalise, morph
from cardiomorph.latent.virtual import parent_named
from cardiomorph.progress import track
from cardiomorph.synthesis.painting import paint

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
_PAINTED = 6


def identity_metrics(
    atlas: Atlas, cohort: Cohort, parents: Sequence[str], sampler: Sampler, seed: int = 0
) -> dict[str, float]:
    """Entries ``identity.*`` of metrics.json, means over parents and diseases, and ``.GROUP`` by disease.

    ``overlap`` is the Dice of severity 0 and the parent's own labels; the drifts are between severity 0 and 1.
    """
    found: dict[str, list[float]] = {}
    for position, name in enumerate(track(parents, "morphing")):
        parent = parent_named(atlas, name, seed)
        if name in cohort.ids():
            _add(found, "overlap", _overlap(atlas, cohort, parent))
        for number, target in enumerate(t for t in DISEASES if t in atlas.groups):
            draw = sampler.draw(atlas.group(target), parent.trajectory, np.random.default_rng([seed, position, number]))
            for key, value in _series(atlas, parent, draw.trajectory, target).items():
                _add(found, key, value)
                _add(found, f"{key}.{target}", value)
    return {f"identity.{key}": float(np.mean(values)) for key, values in found.items()}


def _add(found: dict[str, list[float]], key: str, value: float | None) -> None:
    if value is not None:
        found.setdefault(key, []).append(value)


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
        "monotonicity": monotonicity(SEVERITIES, measures, group),  # type: ignore[arg-type]
        "position_drift_mm": position_drift_mm(before, after),
        "rotation_drift_deg": rotation_drift_deg(before, after),
    }
    if parent.styles is not None:
        looks = [_looks(atlas, parent, np.moveaxis(volume.array, -1, 0)) for volume in ends]
        result["appearance_drift"] = appearance_drift(*looks)
    return result


def _looks(atlas: Atlas, parent: Parent, labels: NDArray[np.uint8]) -> dict[str, float | None]:
    assert parent.styles is not None, "asked for above"
    chosen = np.linspace(0, len(labels) - 1, _PAINTED + 2).astype(int)[1:-1]
    style = parent.styles["ED"][chosen]
    return intensity_measures(paint(atlas.painter, style, labels[chosen]), labels[chosen])
