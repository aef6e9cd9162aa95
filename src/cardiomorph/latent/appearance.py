"""How a cohort's images look, as statistics of their style codes: a source of appearances that are nobody's.

A subject's appearance is a style code a slice in both phases, resampled to 32 slices like its shape, and how noisy its
images are. Over the subjects of a cohort the codes are a joint Gaussian: few leading factors, and a rest, which holds
most of what distinguishes neighbouring slices of one subject. The rest's covariance is the Kronecker product of how
codes go together along axis and phases, and how the numbers of one code do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.special import ndtr, ndtri

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.options import StyleVariation

Styles = Mapping[Phase, NDArray[np.float32]]
"""By phase, (32, style_dims) codes along the axis."""
MAX_FACTORS = 16
_DECILES = np.linspace(0.0, 1.0, 11)
_WAVES = 4
_VARIANCE_KEPT = 0.95


def vary_styles(codes: NDArray[np.floating], variation: StyleVariation) -> NDArray[np.float32]:
    """How (n, style_dims) codes change along the axis.

    Args:
        variation: "slice" leaves every slice its own (the paper); "smooth" keeps the four slowest cosine waves, so that
            neighbours share what they have in common; "mean" gives all slices one appearance.
    """
    if variation == "slice":
        return np.asarray(codes, np.float32)
    waves = dct(np.asarray(codes, float), axis=0, norm="ortho")
    waves[1 if variation == "mean" else _WAVES :] = 0.0
    return idct(waves, axis=0, norm="ortho").astype(np.float32)


@dataclass(frozen=True)
class AppearanceStatistics:
    """Mean, leading factors and the rest's covariance of the appearances of a cohort.

    Attributes:
        mean: (2, 32, style_dims), ED first.
        factors: (k, 2, 32, style_dims), orthogonal directions, each as long as the standard deviation along it.
        minimum, maximum: (k,) range of the subjects along each factor, in standard deviations.
        along, across: (64, 64) and (style_dims, style_dims) roots of the rest's covariance, over phases and slices (ED
            first), and over the numbers of a code.
        noise: (11,) deciles of the noise levels of the subjects' images, least and greatest included.
    """

    mean: NDArray[np.float32]
    factors: NDArray[np.float32]
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    along: NDArray[np.float32]
    across: NDArray[np.float32]
    noise: NDArray[np.float32]

    def draw(self, rng: np.random.Generator) -> tuple[dict[Phase, NDArray[np.float32]], float]:
        """Styles of nobody, normal along every factor within the range of the subjects, and a noise level by itself."""
        low, high = ndtr(self.minimum.astype(float)), ndtr(self.maximum.astype(float))
        coordinates = ndtri(low + rng.uniform(size=len(low)) * (high - low))
        drawn = self.mean + np.tensordot(coordinates, self.factors.astype(float), axes=1)
        noise = float(np.interp(rng.uniform(), _DECILES, self.noise))
        white = rng.standard_normal((len(self.along), len(self.across)))
        drawn += (self.along.astype(float) @ white @ self.across.astype(float).T).reshape(drawn.shape)
        return {phase: drawn[index].astype(np.float32) for index, phase in enumerate(PHASES)}, noise


def appearance_statistics(
    subjects: Sequence[Styles], noise: Sequence[float], *, share: bool = False
) -> AppearanceStatistics:
    """Statistics of two or more subjects' appearances: the factors that hold 95 % of the variance, at most 16.

    Args:
        share: of an atlas to give away. Factors are combinations of few subjects, who can be told by lying in their
            span: there are none, and the covariance over slices, phases and numbers holds all variance. Noise levels
            are those of a log-normal distribution, not single subjects'.
    """
    codes = np.stack([np.stack([styles[phase] for phase in PHASES]) for styles in subjects]).astype(float)
    mean = codes.mean(axis=0)
    n = len(codes)
    scores, singular, rows = np.linalg.svd((codes - mean).reshape(n, -1) / np.sqrt(n - 1), full_matrices=False)
    held = np.cumsum(singular**2) / max(float((singular**2).sum()), np.finfo(float).tiny)
    kept = 0 if share else min(MAX_FACTORS, n - 1, int(np.searchsorted(held, _VARIANCE_KEPT)) + 1)
    coordinates = np.sqrt(n - 1) * scores[:, :kept]
    rest = ((scores[:, kept:] * singular[kept:]) @ rows[kept:]).reshape(n, -1, mean.shape[-1])
    along, across = np.einsum("nad,nbd->ab", rest, rest), np.einsum("nad,nae->de", rest, rest)
    return AppearanceStatistics(
        mean=mean.astype(np.float32),
        factors=(singular[:kept, None] * rows[:kept]).reshape(kept, *mean.shape).astype(np.float32),
        minimum=coordinates.min(axis=0).astype(np.float32),
        maximum=coordinates.max(axis=0).astype(np.float32),
        along=_root(along / max(float(along.trace()), np.finfo(float).tiny)),
        across=_root(across),
        noise=(_smooth_deciles(noise) if share else np.quantile(noise, _DECILES)).astype(np.float32),
    )


def _smooth_deciles(noise: Sequence[float]) -> NDArray[np.float64]:
    """Deciles of the log-normal distribution with the same mean and SD of logarithms, its ends at 1 and 99 %."""
    logs = np.log(np.maximum(noise, np.finfo(float).tiny))
    return np.asarray(np.exp(logs.mean() + logs.std() * ndtri(np.clip(_DECILES, 0.01, 0.99))))


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """A matrix whose product with its own transpose is the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), np.float32)
