"""How much of a heart survives the shape model: the control that every sampler's numbers stand beside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, STRUCTURES, Phase
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.evaluation.function import structure_volume_ml
from cardiomorph.evaluation.overlap import dice, thirds
from cardiomorph.evaluation.validity import bounds_of, slice_shapes
from cardiomorph.latent.trajectory import Trajectory, decode_labels, encode_labels, encode_subject
from cardiomorph.models.label_vae import LabelVAE
from cardiomorph.volume import Volume


def decoded_volume(model: LabelVAE, trajectory: Trajectory, phase: Phase, spacing_mm: float) -> Volume:
    """A trajectory's labels as an (x, y, slice) volume; slice spacing is length over number of slices."""
    codes = trajectory.codes[phase]
    labels = np.moveaxis(decode_labels(model, codes), 0, -1)
    return Volume(labels, (spacing_mm, spacing_mm, trajectory.length_mm[phase] / len(codes)))


def reconstruction_report(model: LabelVAE, subjects: Iterable[PreparedSubject]) -> dict[str, Any]:
    """Dice of slice-wise reconstruction by structure and third, volume bias of encode-equalise-decode, in percent.

    Returns:
        ``invalid_slices_pct`` (of the labels and of what the model makes of them, against bounds from these labels),
        ``dice`` (mean over subjects and phases, by structure and their mean), ``dice_base|middle|apex`` (likewise by
        third of the axis), ``volume_bias_pct`` (mean signed relative difference), ``subjects``.
        A structure that no heart has is left out.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    bias: dict[str, list[float]] = {label.name.lower(): [] for label in STRUCTURES}
    shapes: dict[str, list[NDArray[np.float64]]] = {"real": [], "rebuilt": []}
    count = 0
    for subject in subjects:
        count += 1
        trajectory = encode_subject(model, subject)
        for phase in PHASES:
            truth = subject.frames[phase].label
            rebuilt = decode_labels(model, encode_labels(model, truth))
            volume = subject.label_volume(phase)
            shapes["real"].append(slice_shapes(volume))
            shapes["rebuilt"].append(slice_shapes(volume.with_array(np.moveaxis(rebuilt, 0, -1))))
            parts = {"dice": slice(None), **{f"dice_{k}": v for k, v in thirds(len(truth)).items()}}
            decoded = decoded_volume(model, trajectory, phase, subject.geometry.spacing_mm)
            for label in STRUCTURES:
                name = label.name.lower()
                for part, chosen in parts.items():
                    score = dice(rebuilt[chosen], truth[chosen], label)
                    # A third without a structure (no RV at the apex) has no Dice: it counts for neither.
                    if not math.isnan(score):
                        scores.setdefault(part, {}).setdefault(name, []).append(score)
                before = structure_volume_ml(volume, label)
                if before > 0:
                    bias[name].append(100.0 * (structure_volume_ml(decoded, label) / before - 1.0))
    return {
        "subjects": count,
        "invalid_slices_pct": _invalid_slices_pct(shapes),
        **{part: _means(by_structure) for part, by_structure in scores.items()},
        "volume_bias_pct": {name: float(np.mean(values)) for name, values in bias.items() if values},
    }


def _invalid_slices_pct(shapes: Mapping[str, Sequence[NDArray[np.float64]]]) -> dict[str, float]:
    """Share of labelled slices that break a criterion, real and rebuilt, in percent; bounds are the real slices'."""
    bounds = bounds_of(shapes["real"])
    found = {}
    for side, parts in shapes.items():
        broken = np.concatenate([np.zeros(0, bool), *(bounds.failures(part).any(axis=1) for part in parts)])
        found[side] = 100.0 * float(broken.mean()) if len(broken) else math.nan
    return found


def _means(by_structure: dict[str, list[float]]) -> dict[str, float]:
    means = {name: float(np.mean(values)) for name, values in by_structure.items()}
    return {**means, "mean": float(np.mean(list(means.values())))}
