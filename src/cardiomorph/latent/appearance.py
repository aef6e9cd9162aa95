"""How a cohort's images look, as statistics of their style codes: a source of appearances that are nobody's.

A subject's appearance is a style code a slice in both phases, resampled to 32 slices like its shape. Over the
subjects of a cohort these are a joint Gaussian of few factors; what distinguishes neighbouring slices of one subject
is grain, lies beyond the leading factors and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.special import ndtr, ndtri

from cardiomorph.anatomy import PHASES, Phase

Styles = Mapping[Phase, NDArray[np.float32]]
"""By phase, (32, style_dims) codes along the axis."""
Along = Literal["slice", "smooth", "mean"]
MAX_FACTORS = 16
_WAVES = 4
_VARIANCE_KEPT = 0.95


def styles_along(codes: NDArray[np.floating], along: Along) -> NDArray[np.float32]:
    """How (n, style_dims) codes change along the axis.

    Args:
        along: "slice" leaves every slice its own (the paper); "smooth" keeps the four slowest cosine waves, so that
            neighbours share what they have in common; "mean" gives all slices one appearance.
    """
    if along == "slice":
        return np.asarray(codes, np.float32)
    waves = dct(np.asarray(codes, float), axis=0, norm="ortho")
    waves[1 if along == "mean" else _WAVES :] = 0.0
    return idct(waves, axis=0, norm="ortho").astype(np.float32)


@dataclass(frozen=True)
class AppearanceStatistics:
    """Mean and leading factors of the appearances of a cohort.

    Attributes:
        mean: (2, 32, style_dims), ED first.
        factors: (k, 2, 32, style_dims), orthogonal directions, each as long as the standard deviation along it.
        minimum, maximum: (k,) range of the subjects along each factor, in standard deviations.
    """

    mean: NDArray[np.float32]
    factors: NDArray[np.float32]
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]

    def draw(self, rng: np.random.Generator) -> dict[Phase, NDArray[np.float32]]:
        """An appearance of nobody: normal along every factor, within the range of the cohort's subjects."""
        low, high = ndtr(self.minimum.astype(float)), ndtr(self.maximum.astype(float))
        coordinates = ndtri(low + rng.uniform(size=len(low)) * (high - low))
        drawn = self.mean + np.tensordot(coordinates, self.factors.astype(float), axes=1)
        return {phase: drawn[index].astype(np.float32) for index, phase in enumerate(PHASES)}


def appearance_statistics(subjects: Sequence[Styles]) -> AppearanceStatistics:
    """Statistics of two or more subjects' appearances: the factors that hold 95 % of the variance, at most 16."""
    codes = np.stack([np.stack([styles[phase] for phase in PHASES]) for styles in subjects]).astype(float)
    mean = codes.mean(axis=0)
    n = len(codes)
    scores, singular, rows = np.linalg.svd((codes - mean).reshape(n, -1) / np.sqrt(n - 1), full_matrices=False)
    share = np.cumsum(singular**2) / max(float((singular**2).sum()), np.finfo(float).tiny)
    kept = min(MAX_FACTORS, n - 1, int(np.searchsorted(share, _VARIANCE_KEPT)) + 1)
    coordinates = np.sqrt(n - 1) * scores[:, :kept]
    return AppearanceStatistics(
        mean=mean.astype(np.float32),
        factors=(singular[:kept, None] * rows[:kept]).reshape(kept, *mean.shape).astype(np.float32),
        minimum=coordinates.min(axis=0).astype(np.float32),
        maximum=coordinates.max(axis=0).astype(np.float32),
    )
