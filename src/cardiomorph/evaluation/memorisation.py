"""Are synthetic hearts copies of training patients? Distances to the nearest training heart, of labels and of images.

Too close is closer than the 5th percentile of the training hearts' own distances to their nearest other one. If
held-out patients lie as near to the synthetic hearts as training patients do, nobody can tell who was in the training
set: the membership-inference attack by distance (Hilprecht et al., PoPETs 2019) then has an AUC of one half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from cardiomorph.anatomy import PHASES, STRUCTURES
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.latent.trajectory import slab_centres

SLICES = 12
_STEP = 2
Descriptors = NDArray[np.float32]


def _nearest_slices(n: int) -> NDArray[np.intp]:
    """Which of n slices stand for `SLICES` equal slabs of the axis."""
    return np.floor(slab_centres(SLICES) * n).astype(np.intp)


def label_descriptor(subject: PreparedSubject) -> NDArray[np.bool_]:
    """A heart's labels at 12 slices a phase and every second pixel, one bit a structure, flat."""
    parts = []
    for phase in PHASES:
        label = subject.frames[phase].label
        small = label[_nearest_slices(len(label)), ::_STEP, ::_STEP]
        parts += [small == structure for structure in STRUCTURES]
    return np.concatenate([part.ravel() for part in parts])


def image_descriptor(subject: PreparedSubject) -> NDArray[np.float16] | None:
    """A heart's images likewise, the middle half of the crop, zero mean and unit length; None without images."""
    parts = []
    for phase in PHASES:
        image = subject.frames[phase].image
        if image is None:
            return None
        margin = image.shape[1] // 4
        middle = image[:, margin : 3 * margin, margin : 3 * margin]
        small = middle[:, ::_STEP, ::_STEP] + middle[:, 1::_STEP, ::_STEP]
        small = small + middle[:, ::_STEP, 1::_STEP] + middle[:, 1::_STEP, 1::_STEP]
        parts.append(small[_nearest_slices(len(small))].ravel())
    flat = np.concatenate(parts).astype(np.float64)
    flat -= flat.mean()
    return np.asarray(flat / max(1e-12, float(np.linalg.norm(flat))), np.float16)


def label_distances(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, m) distances between (n, bits) and (m, bits) label descriptors: 1 - Dice over all structures together."""
    left, right = a.astype(np.float32), b.astype(np.float32)
    sizes = left.sum(axis=1)[:, None] + right.sum(axis=1)[None]
    return np.asarray(1.0 - 2.0 * (left @ right.T) / np.maximum(sizes, 1.0), np.float64)


def image_distances(a: Descriptors, b: Descriptors) -> NDArray[np.float64]:
    """(n, m) distances between image descriptors: 1 - correlation."""
    return np.asarray(1.0 - a.astype(np.float32) @ b.astype(np.float32).T, np.float64)


@dataclass(frozen=True)
class Memorisation:
    """How near synthetic hearts come to training hearts.

    Attributes:
        share_too_close: of the synthetic hearts, those no further from a training heart than ``threshold``.
        threshold: 5th percentile of the training hearts' distances to their nearest other training heart.
        to_training, to_heldout: median distance of a synthetic heart to the nearest of as many training or held-out
            hearts; ``to_heldout`` None without held-out hearts.
        membership_auc: area under the curve of telling training from held-out hearts by their distance to the nearest
            synthetic one; 0.5 is guessing. None without held-out hearts.
        nearest: by synthetic heart, the nearest training heart's index and distance.
    """

    share_too_close: float
    threshold: float
    to_training: float
    to_heldout: float | None
    membership_auc: float | None
    nearest: tuple[tuple[int, float], ...]


def memorisation(
    to_training: NDArray[np.float64],
    within_training: NDArray[np.float64],
    to_heldout: NDArray[np.float64],
    rng: np.random.Generator,
) -> Memorisation:
    """Measures from distances, (synthetic, training), (training, training) and (synthetic, held-out; may be empty)."""
    others = within_training + np.diag(np.full(len(within_training), np.inf))
    threshold = float(np.percentile(others.min(axis=1), 5))
    nearest = to_training.argmin(axis=1)
    distance = to_training[np.arange(len(nearest)), nearest]
    held = to_heldout.shape[1]
    # As many training as held-out hearts: the nearest of many is nearer than the nearest of few.
    same_number = to_training if not held else to_training[:, rng.permutation(to_training.shape[1])[:held]]
    return Memorisation(
        share_too_close=float((distance <= threshold).mean()),
        threshold=threshold,
        to_training=float(np.median(same_number.min(axis=1))),
        to_heldout=float(np.median(to_heldout.min(axis=1))) if held else None,
        membership_auc=auc(-to_training.min(axis=0), -to_heldout.min(axis=0)) if held else None,
        nearest=tuple((int(i), float(d)) for i, d in zip(nearest, distance, strict=True)),
    )


def auc(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Probability that a member scores higher than another; ties count half (Mann and Whitney, 1947)."""
    return float(mannwhitneyu(members, others, method="asymptotic").statistic / (len(members) * len(others)))
