"""What the shape model's latent space is like: which dimensions live, what they do, how straight its ways are.

Live dimensions by their KL divergence (Higgins et al., ICLR 2017), each dimension's effect on the areas of a slice,
interpolation between hearts of different groups, and how well the groups can be told apart from the codes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, STRUCTURES
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.evaluation.discriminant import discriminant
from cardiomorph.latent.trajectory import N_SLICES, Trajectory, decode_labels
from cardiomorph.models.label_vae import LabelVAE, one_hot

ACTIVE_NATS = 0.05
"""A latent dimension with a smaller mean KL says nothing about the slice."""
STEPS = 10
_PAIRS = 24


@torch.inference_mode()
def latent_report(model: LabelVAE, subjects: Iterable[PreparedSubject]) -> dict[str, Any]:
    """Which latent dimensions are alive: mean KL and spread of the posterior means over all slices.

    Returns:
        ``kl_nats`` and ``sd_of_means`` by dimension, ``active`` their number with more than 0.05 nats.
    """
    kl, means = [], []
    for subject in subjects:
        for phase in PHASES:
            posterior = model.encode(one_hot(torch.from_numpy(subject.frames[phase].label), len(model.config.classes)))
            kl.append(posterior.kl_per_dimension().numpy())
            means.append(posterior.mean.numpy())
    per_dimension = np.concatenate(kl).mean(axis=0)
    return {
        "active": int((per_dimension > ACTIVE_NATS).sum()),
        "dimensions": len(per_dimension),
        "kl_nats": per_dimension.round(4).tolist(),
        "sd_of_means": np.concatenate(means).std(axis=0).round(4).tolist(),
    }


def traversal(
    model: LabelVAE, centre: NDArray[np.floating], sd: NDArray[np.floating], reach: Sequence[float]
) -> NDArray[np.uint8]:
    """Slices decoded along each dimension in turn, (n_z, len(reach), size, size).

    Args:
        centre: (n_z,) code to start from.
        sd: (n_z,) length of a step in each dimension.
        reach: how many steps to go.
    """
    codes = centre + np.eye(len(centre))[:, None] * np.asarray(reach)[None, :, None] * sd
    return decode_labels(model, codes.reshape(-1, len(centre))).reshape(
        len(centre), len(reach), *[model.config.size] * 2
    )


def area_effects(traversed: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Change of each structure's area from the first to the last step of a `traversal`, in percent of its mean area.

    Returns:
        (n_z, 3), RV, myocardium, LV; 0 for a structure that the slice lacks.
    """
    areas = np.stack([(traversed == label).sum(axis=(2, 3)) for label in STRUCTURES], axis=-1).astype(float)
    mean = areas.mean(axis=1)
    change = areas[:, -1] - areas[:, 0]
    return np.divide(100.0 * change, mean, out=np.zeros_like(change), where=mean > 0)


def interpolation_report(
    model: LabelVAE, groups: Mapping[str, Sequence[Trajectory]], seed: int = 0
) -> dict[str, float]:
    """How straight and even the ways between hearts of different groups are, over 24 pairs and 10 steps each.

    Returns:
        ``largest_step``: the largest of the ten changes (1 - Dice over all structures) as a share of their sum, mean
        over pairs; 0.1 is even, 1 a jump. ``detour``: the sum of the changes by the change from end to end; 1 is
        straight. Empty with fewer than two groups.
    """
    present = [group for group, found in groups.items() if found]
    if len(present) < 2:
        return {}
    rng = np.random.default_rng(seed)
    weights = np.linspace(0.0, 1.0, STEPS + 1)[:, None]
    largest, detours = [], []
    for _ in range(_PAIRS):
        first, second = rng.choice(present, 2, replace=False)
        phase, index = PHASES[int(rng.integers(2))], int(rng.integers(N_SLICES // 8, N_SLICES * 3 // 4))
        a, b = (groups[group][int(rng.integers(len(groups[group])))].codes[phase][index] for group in (first, second))
        labels = decode_labels(model, (1.0 - weights) * a + weights * b)
        changes = [_change(one, other) for one, other in pairwise(labels)]
        whole = _change(labels[0], labels[-1])
        if whole > 0:
            largest.append(max(changes) / sum(changes))
            detours.append(sum(changes) / whole)
    return {"largest_step": float(np.mean(largest)), "detour": float(np.mean(detours))} if largest else {}


def _change(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """1 - Dice over all structures together."""
    total = int((a > 0).sum() + (b > 0).sum())
    return 1.0 - 2.0 * int(((a == b) & (a > 0)).sum()) / total if total else 0.0


def separability(
    training: Mapping[str, Sequence[Trajectory]], heldout: Mapping[str, Sequence[Trajectory]]
) -> dict[str, float]:
    """How often a held-out subject's group can be read from its codes, by a linear discriminant.

    Features are a subject's mean code of each phase and both log lengths.

    Returns:
        ``accuracy``, ``chance`` (of the most frequent group) and ``subjects``; empty where nobody is held out or no
        group has two training subjects.
    """
    groups = [group for group, found in training.items() if len(found) > 1]
    unknown = [(group, t) for group in groups for t in heldout.get(group, ())]
    if not unknown or len(groups) < 2:
        return {}
    features = {group: np.stack([_features(t) for t in training[group]]) for group in groups}
    found = discriminant(features)
    right = [found.named(_features(t)) == group for group, t in unknown]
    counts = [sum(g == group for g, _ in unknown) for group in groups]
    return {
        "accuracy": float(np.mean(right)),
        "chance": max(counts) / len(unknown),
        "subjects": len(unknown),
    }


def _features(trajectory: Trajectory) -> NDArray[np.float64]:
    codes = [trajectory.codes[phase].mean(axis=0) for phase in PHASES]
    return np.concatenate([*codes, [np.log(trajectory.length_mm[phase]) for phase in PHASES]])
