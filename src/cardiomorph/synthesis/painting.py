"""Labels and styles become images, with as much noise as is asked for.

A generator that must rebuild images learns to be quieter than they are, for noise that falls elsewhere than theirs
costs it feature matching; and how much it adds differs with the style. So the strength of its noise is found for every
parent: that at which its healthy heart has most of the noise level of the parent's images, or of the level drawn.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES
from cardiomorph.evaluation.fidelity import noise_level
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.trajectory import N_SLICES, decode_labels
from cardiomorph.latent.virtual import parent_named
from cardiomorph.models.image_generator import ImagePainter

MAX_STRENGTH = 2.0
NOISE_SHARE = 0.8
"""Share of the noise level to reach, not all of it: the estimator counts fine anatomy as noise, too. What other choices
give stands in docs/results.md."""

_BATCH = 8
_TRIED = [N_SLICES // 4, 3 * N_SLICES // 4]


def paint(
    painter: ImagePainter,
    style: NDArray[np.float32],
    labels: NDArray[np.uint8],
    rng: np.random.Generator | None = None,
    strength: float | NDArray[np.float32] = 1.0,
) -> NDArray[np.float32]:
    """(n, style_dims) and (n, size, size) labels -> (n, size, size) images in [-1, 1].

    Args:
        rng: source of the noise that the model may add; None paints without.
        strength: standard deviation of that noise, of all slices or (n,) of each.
    """
    noise = None
    if rng is not None and painter.config.noise:
        drawn = rng.standard_normal((len(labels), 1, *labels.shape[1:]), np.float32)
        noise = torch.from_numpy(drawn * np.asarray(strength, np.float32).reshape(-1, 1, 1, 1))
    parts = []
    for start in range(0, len(labels), _BATCH):
        batch = slice(start, start + _BATCH)
        here = None if noise is None else noise[batch]
        parts.append(painter.paint(torch.from_numpy(style[batch]), torch.from_numpy(labels[batch]), here))
    return torch.cat(parts)[:, 0].numpy()


def noise_strength(atlas: Atlas, source: str, seed: int) -> float:
    """How strong the noise is that a parent and its diseased hearts are painted with; found once a parent.

    Raises:
        CardiomorphError: the atlas has no such parent.
    """
    key = source, seed
    if key not in atlas.noise_strengths:
        parent = parent_named(atlas, source, seed)
        if parent.styles is None or parent.noise is None:
            return 1.0
        codes = np.concatenate([parent.trajectory.codes[phase][_TRIED] for phase in PHASES])
        styles = np.concatenate([parent.styles[phase][_TRIED] for phase in PHASES])
        labels = decode_labels(atlas.shape_model, codes)
        atlas.noise_strengths[key] = strength_for(atlas.painter, styles, labels, NOISE_SHARE * parent.noise)
    return atlas.noise_strengths[key]


def strength_for(painter: ImagePainter, styles: NDArray[np.float32], labels: NDArray[np.uint8], noise: float) -> float:
    """Strength, from 0 to 2, at which slices have a noise level (in [-1, 1] units); 1 for a model without noise.

    The variance of an image grows by what is proportional to the square of the strength: two paintings give the line.
    """
    if not painter.config.noise:
        return 1.0
    once, twice = (
        _variance(paint(painter, styles, labels, np.random.default_rng(0), strength)) for strength in (1.0, 2.0)
    )
    slope = (twice - once) / 3.0
    if slope <= 0.0:
        return 1.0
    return min(MAX_STRENGTH, math.sqrt(max(0.0, 1.0 + (noise**2 - once) / slope)))


def _variance(images: NDArray[np.floating]) -> float:
    return float(np.mean([noise_level(image) for image in images])) ** 2
