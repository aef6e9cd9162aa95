"""Attacks on an atlas that is given away: does it tell whose hearts made it, and can their hearts be had back from it?

The attacker has the atlas and a patient's own codes, and asks whether the patient was among those who made it. Three
scores: how little of his deviation lies outside the span of the group's modes (where all factors of n subjects are
kept, a subject lies in their span exactly), how near he is to the group's mean, and how likely the Gaussian finds him.
Each is an area under the curve, members against others; 0.5 is guessing. Others whom the shape model never saw also
differ because their codes do; so the statistics are asked alone, too: made anew from four fifths of the training
hearts, they must tell these from the last fifth, whom the model saw as well. The reconstruction attack decodes the
heart nearest to a patient that the modes can make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import HEALTHY, PHASES
from cardiomorph.evaluation.identity import mean_overlap
from cardiomorph.evaluation.two_samples import area_under_curve
from cardiomorph.latent.joint import Array, JointStatistics, joint_statistics, pack, standardised, unpack
from cardiomorph.latent.trajectory import Trajectory, decode_labels
from cardiomorph.models.label_vae import LabelVAE
from cardiomorph.progress import track

ATTACKS = ("span", "distance", "likelihood")
_FOLDS = 5
_LEAST = 3
"""Members and others below which nothing is told."""
_REST = 0.05
_RECONSTRUCTED = 20
_EVERY = 3

Hearts = Mapping[str, Sequence[Trajectory]]


def attack_report(
    model: LabelVAE, groups: Mapping[str, JointStatistics], training: Hearts, heldout: Hearts, seed: int = 0
) -> dict[str, Any]:
    """What the attacks find.

    Args:
        groups: the atlas's joint Gaussians.
        training, heldout: hearts by group.

    Returns:
        ``membership`` (by attack; with models and statistics, against held-out hearts), ``statistics_alone`` (by
        attack, over five folds of the training hearts), ``reconstruction_dice`` and ``reconstruction_dice_heldout``
        (mean Dice of the nearest heart that the modes make and the patient's rebuilt one), ``reconstruction`` (its area
        under the curve). What there are too few hearts for is left out.
    """
    found: dict[str, Any] = {}
    if (told := _told(groups, training, heldout)) is not None:
        found["membership"] = told
    if (alone := _statistics_alone(training, seed)) is not None:
        found["statistics_alone"] = alone
    ours, others = (_rebuilt_dice(model, groups, hearts, seed) for hearts in (training, heldout))
    if min(len(ours), len(others)) >= _LEAST:
        found |= {
            "reconstruction_dice": float(np.mean(ours)),
            "reconstruction_dice_heldout": float(np.mean(others)),
            "reconstruction": _auc(ours, others),
        }
    return found


def scores(joint: JointStatistics, heart: Trajectory) -> tuple[float, float, float]:
    """How much like a member a heart is, by `ATTACKS`; larger is more."""
    deviation = standardised(pack(heart) - joint.mean, joint.sd)
    at = joint.coordinates(deviation)
    rest = deviation - joint.deviation(at)
    length = float(np.linalg.norm(deviation))
    unlikely = float(sum((part**2).sum() for part in at.parts) + (rest**2).sum() / _REST)
    return -float(np.linalg.norm(rest)) / max(length, 1e-12), -length, -unlikely


def _told(groups: Mapping[str, JointStatistics], members: Hearts, others: Hearts) -> dict[str, float] | None:
    ours, theirs = (
        np.array([scores(groups[name], heart) for name, found in hearts.items() if name in groups for heart in found])
        for hearts in (members, others)
    )
    if min(len(ours), len(theirs)) < _LEAST:
        return None
    return {name: _auc(ours[:, index], theirs[:, index]) for index, name in enumerate(ATTACKS)}


def _auc(members: Array, others: Array) -> float:
    both = np.concatenate([others, members])
    return area_under_curve(both, np.arange(len(both)) >= len(others))


def _statistics_alone(training: Hearts, seed: int) -> dict[str, float] | None:
    """Statistics of four fifths of each group tell these from the last fifth; all folds' scores together."""
    fold_of = {
        name: np.random.default_rng([seed, index]).permutation(len(found)) % _FOLDS
        for index, (name, found) in enumerate(training.items())
        if len(found) >= _FOLDS
    }
    if not fold_of:
        return None
    told = {True: np.empty((0, len(ATTACKS))), False: np.empty((0, len(ATTACKS)))}
    for fold in range(_FOLDS):
        split = {
            inside: {name: _chosen(training[name], (own != fold) == inside) for name, own in fold_of.items()}
            for inside in told
        }
        shape = next(iter(split[True].values()))[0].codes["ED"].shape
        vectors = {name: np.stack([pack(heart) for heart in found]) for name, found in split[True].items()}
        joint = joint_statistics(vectors, shape, HEALTHY)
        for inside, hearts in split.items():
            rows = [scores(joint[name], heart) for name, found in hearts.items() for heart in found]
            told[inside] = np.concatenate([told[inside], rows])
    return {name: _auc(told[True][:, index], told[False][:, index]) for index, name in enumerate(ATTACKS)}


def _chosen(hearts: Sequence[Trajectory], wanted: NDArray[np.bool_]) -> list[Trajectory]:
    return [heart for heart, is_wanted in zip(hearts, wanted, strict=True) if is_wanted]


def _rebuilt_dice(model: LabelVAE, groups: Mapping[str, JointStatistics], hearts: Hearts, seed: int) -> Array:
    """Dice of what the shape model makes of a patient and the nearest heart that the modes make, of at most 20."""
    known = [(name, heart) for name, found in hearts.items() if name in groups for heart in found]
    order = np.random.default_rng(seed).permutation(len(known))[:_RECONSTRUCTED]
    found = []
    for index in track([int(i) for i in order], "attacking"):
        name, heart = known[index]
        joint = groups[name]
        deviation = joint.deviation(joint.coordinates(standardised(pack(heart) - joint.mean, joint.sd)))
        near = unpack(joint.mean + joint.sd * deviation, heart.codes["ED"].shape)
        pairs = [[decode_labels(model, one.codes[p][::_EVERY]) for one in (heart, near)] for p in PHASES]
        found.append(float(np.mean([mean_overlap(a, b) for a, b in pairs])))
    return np.array(found)
