"""What a network makes of patients whom it has not seen: overlap, distance, and what a cardiologist reads off."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance
from numpy.typing import NDArray
from torch import nn

from cardiomorph.anatomy import MYOCARDIAL_DENSITY_G_PER_ML, N_CLASSES, PHASES, STRUCTURES, Label, Phase
from cardiomorph.evaluation.function import structure_volume_ml
from cardiomorph.evaluation.overlap import agreement, thirds
from cardiomorph.segmentation.clean_up import cleaned
from cardiomorph.utility.cases import Case, Stack
from cardiomorph.utility.network import logits_of
from cardiomorph.utility.plan import Plan, off_grid, on_grid, standardised
from cardiomorph.utility.settings import NetworkSettings
from cardiomorph.volume import Volume

Scores = dict[str, float]
FUNCTION = ("lv_edv_ml", "lv_ef_pct", "rv_edv_ml", "rv_ef_pct", "lv_mass_g")


def segmented(
    network: nn.Module, stack: Stack, plan: Plan, settings: NetworkSettings, device: str
) -> NDArray[np.uint8]:
    """(n, nx, ny) labels on the scan's own grid, each structure's largest body alone."""
    images = on_grid(torch.from_numpy(standardised(stack)), stack, plan)
    return cleaned(off_grid(logits_of(network, images, settings, device), stack))


def scores_of(case: Case, found: Mapping[Phase, NDArray[np.uint8]]) -> Scores:
    """Of one patient, means over both phases.

    Keys: ``dice``, ``dice.S``, ``dice.PHASE``, ``dice.THIRD``, ``hd95_mm`` and ``hd95_mm.S`` (95 % Hausdorff distance;
    left out where a structure was not found at all), ``missed`` (structures that were not), ``error.M`` of function
    (found less true).
    """
    scores: Scores = {}
    parts: dict[str, list[float]] = {}
    for phase in PHASES:
        stack, labels = case.stacks[phase], found[phase]
        by_structure = agreement(stack.label, labels)
        for name, value in by_structure.items():
            parts.setdefault(f"dice.{name}", []).append(value)
        parts.setdefault(f"dice.{phase}", []).append(float(np.mean(list(by_structure.values()))))
        for third, value in _by_third(stack.label, labels).items():
            parts.setdefault(f"dice.{third}", []).append(value)
        for name, distance in _distances_mm(stack, labels).items():
            parts.setdefault("missed", []).append(float(math.isnan(distance)))
            parts.setdefault(f"hd95_mm.{name}", []).append(distance)
    for key, values in parts.items():
        known = [value for value in values if not math.isnan(value)]
        if known:
            scores[key] = float(np.mean(known))
    scores["dice"] = float(np.mean([scores[f"dice.{phase}"] for phase in PHASES]))
    distances = [scores[key] for key in scores if key.startswith("hd95_mm.")]
    if distances:
        scores["hd95_mm"] = float(np.mean(distances))
    true, ours = (_function(case, labels) for labels in ({p: case.stacks[p].label for p in PHASES}, found))
    return scores | {f"error.{name}": ours[name] - true[name] for name in FUNCTION if name in true and name in ours}


def _by_third(true: NDArray[np.uint8], found: NDArray[np.uint8]) -> dict[str, float]:
    """Mean Dice in each third of the labelled slices."""
    where = np.flatnonzero(true.any(axis=(1, 2)))
    if not len(where):
        return {}
    first, last = where[0], where[-1] + 1
    return {
        name: float(np.mean(list(agreement(true[first:last][part], found[first:last][part]).values())))
        for name, part in thirds(last - first).items()
        if part.stop > part.start
    }


def _distances_mm(stack: Stack, found: NDArray[np.uint8]) -> dict[str, float]:
    """95 % Hausdorff distance of each structure that there is; NaN where it was not found."""
    ours, true = (
        torch.nn.functional.one_hot(torch.from_numpy(array).long(), N_CLASSES).movedim(-1, 0)[None]
        for array in (found, stack.label)
    )
    x, y, z = stack.spacing_mm
    with warnings.catch_warnings():
        # MONAI warns of an option of its own.
        warnings.simplefilter("ignore", FutureWarning)
        distances = compute_hausdorff_distance(ours, true, percentile=95, spacing=(z, x, y))[0].tolist()
    there = [label for label in STRUCTURES if (stack.label == label).any()]
    return {label.name.lower(): value if math.isfinite(value := distances[label - 1]) else math.nan for label in there}


def _function(case: Case, labels: Mapping[Phase, NDArray[np.uint8]]) -> dict[str, float]:
    volumes = {
        (phase, label): structure_volume_ml(
            Volume(np.moveaxis(labels[phase], 0, -1), case.stacks[phase].spacing_mm), label
        )
        for phase in PHASES
        for label in STRUCTURES
    }
    found = {"lv_mass_g": MYOCARDIAL_DENSITY_G_PER_ML * volumes["ED", Label.MYOCARDIUM]}
    for name, label in (("lv", Label.LV), ("rv", Label.RV)):
        end_diastolic = volumes["ED", label]
        found[f"{name}_edv_ml"] = end_diastolic
        if end_diastolic > 0:
            found[f"{name}_ef_pct"] = 100.0 * (1.0 - volumes["ES", label] / end_diastolic)
    return found


def scored(
    network: nn.Module, cases: Mapping[str, Case], plan: Plan, settings: NetworkSettings, device: str
) -> dict[str, Scores]:
    """Scores of every case, by name."""
    return {
        name: scores_of(case, {p: segmented(network, case.stacks[p], plan, settings, device) for p in PHASES})
        for name, case in sorted(cases.items())
    }
