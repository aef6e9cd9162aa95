"""How much of a heart survives the shape model: the control that every sampler's numbers stand beside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from cardiomorph.anatomy import PHASES, STRUCTURES, Phase
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.evaluation.function import structure_volume_ml
from cardiomorph.evaluation.overlap import dice, thirds
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
        ``dice`` (mean over subjects and phases, by structure and their mean), ``dice_base|middle|apex`` (likewise by
        third of the axis), ``volume_bias_pct`` (mean signed relative difference), ``subjects``.
        A structure that no heart has is left out.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    bias: dict[str, list[float]] = {label.name.lower(): [] for label in STRUCTURES}
    count = 0
    for subject in subjects:
        count += 1
        trajectory = encode_subject(model, subject)
        for phase in PHASES:
            truth = subject.frames[phase].label
            rebuilt = decode_labels(model, encode_labels(model, truth))
            parts = {"dice": slice(None), **{f"dice_{k}": v for k, v in thirds(len(truth)).items()}}
            decoded = decoded_volume(model, trajectory, phase, subject.geometry.spacing_mm)
            for label in STRUCTURES:
                name = label.name.lower()
                for part, chosen in parts.items():
                    score = dice(rebuilt[chosen], truth[chosen], label)
                    # A third without a structure (no RV at the apex) has no Dice: it counts for neither.
                    if not math.isnan(score):
                        scores.setdefault(part, {}).setdefault(name, []).append(score)
                before = structure_volume_ml(subject.label_volume(phase), label)
                if before > 0:
                    bias[name].append(100.0 * (structure_volume_ml(decoded, label) / before - 1.0))
    return {
        "subjects": count,
        **{part: _means(by_structure) for part, by_structure in scores.items()},
        "volume_bias_pct": {name: float(np.mean(values)) for name, values in bias.items() if values},
    }


def _means(by_structure: dict[str, list[float]]) -> dict[str, float]:
    means = {name: float(np.mean(values)) for name, values in by_structure.items()}
    return {**means, "mean": float(np.mean(list(means.values())))}
