"""Grain like the source's: what a painted heart lacks in noise, once it lies on the scanner's grid, is added.

A scanner's noise is not white (images are interpolated, coils filtered), so the texture that is added has the spectrum
of what is fine in the source's own picture, in the same slice, with phases drawn at random. How much is lacking is told
by medians, which edges and trabeculae hardly move.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cardiomorph.evaluation.fidelity import noise_level_by_median

Image = NDArray[np.float32]
_FINE_PX = 1.5
_LEAST_PX = 8


def grained(painted: Image, source: Image, region: NDArray[np.bool_], rng: np.random.Generator) -> Image:
    """The painted image with the source's grain, one strength for all slices.

    Args:
        painted, source: (x, y, slice), in one intensity scale.
        region: where hearts are painted; in each slice its box gets the grain.
        rng: of the phases.
    """
    boxes = [box for index in range(region.shape[2]) if (box := _box(region, index)) is not None]
    textures = [_texture(source[box], rng) for box in boxes]
    wanted, there, added = (
        _noise_variance(parts) for parts in ([source[b] for b in boxes], [painted[b] for b in boxes], textures)
    )
    lacking = wanted - there
    if lacking <= 0 or added <= 0:
        return painted
    strength = math.sqrt(lacking / added)
    result = painted.copy()
    for box, texture in zip(boxes, textures, strict=True):
        result[box] += strength * texture
    return result


def _box(region: NDArray[np.bool_], index: int) -> tuple[slice, slice, int] | None:
    """The region's box in a slice; None where there is too little of it to have a spectrum."""
    x, y = (np.flatnonzero(np.any(region[..., index], axis=axis)) for axis in (1, 0))
    if len(x) < _LEAST_PX or len(y) < _LEAST_PX:
        return None
    return slice(int(x[0]), int(x[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1), index


def _noise_variance(parts: list[Image]) -> float:
    return float(np.mean([noise_level_by_median(part) ** 2 for part in parts])) if parts else 0.0


def _texture(picture: Image, rng: np.random.Generator) -> Image:
    """A random picture with the spectrum of what is fine in another one."""
    fine = picture - gaussian_filter(picture, _FINE_PX)
    amplitude = np.abs(np.fft.rfft2(fine - fine.mean()))
    phases = np.fft.rfft2(rng.standard_normal(picture.shape))
    made = np.fft.irfft2(amplitude * phases / np.maximum(np.abs(phases), 1e-9), s=picture.shape)
    return made.astype(np.float32)
