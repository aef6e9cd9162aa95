"""Fisher's linear discriminant (1936) between groups, for few subjects: covariance within groups, shrunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHRINKAGE = 0.3
"""Towards the covariance's diagonal."""


@dataclass(frozen=True)
class Discriminant:
    """What tells groups apart: (features, groups) weights and (groups,) offsets."""

    groups: tuple[str, ...]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def named(self, features: NDArray[np.float64]) -> str:
        """The group of one subject."""
        return self.groups[int(np.argmax(features @ self.weights + self.offsets))]


def discriminant(features: Mapping[str, NDArray[np.float64]]) -> Discriminant:
    """From (subjects, features) of two groups or more."""
    groups = tuple(features)
    means = np.stack([features[group].mean(axis=0) for group in groups])
    within = np.concatenate([features[g] - m for g, m in zip(groups, means, strict=True)])
    covariance = within.T @ within / max(1, len(within) - len(groups))
    diagonal = np.diag(np.maximum(np.diag(covariance), 1e-12))
    weights = np.linalg.solve((1.0 - _SHRINKAGE) * covariance + _SHRINKAGE * diagonal, means.T)
    return Discriminant(groups, weights, -0.5 * np.einsum("gd,dg->g", means, weights))
