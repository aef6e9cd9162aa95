"""The latent space as a map: the two directions in which hearts of all groups differ most, groups as ellipses on it.

The map needs group statistics only, so it can be drawn for an atlas that holds no subject. Coordinates are scaled by
their spread over all hearts; the axes are the principal components of the mixture of the groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.joint import pack
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory

Point = tuple[float, float]


@dataclass(frozen=True)
class Ellipse:
    """A group on the map: its mean and its covariance, which holds 39 % of a Gaussian's points within one radius."""

    centre: Point
    covariance: tuple[Point, Point]


class LatentMap:
    """Two axes through an atlas's latent space, a function of its group statistics alone."""

    def __init__(self, groups: Mapping[str, GroupStatistics]) -> None:
        self.groups = groups
        weights = np.array([group.n_subjects for group in groups.values()], float)
        weights /= weights.sum()
        means = np.stack([group.joint.mean for group in groups.values()])
        self.centre = weights @ means
        rows = [*(np.sqrt(weights)[:, None] * (means - self.centre))]
        rows += [np.sqrt(w) * self._deviations(group) for w, group in zip(weights, groups.values(), strict=True)]
        stacked = np.vstack(rows)
        spread = np.sqrt((stacked**2).sum(axis=0))
        self.spread = np.where(spread > 0, spread, 1.0)
        _, singular, axes = np.linalg.svd(stacked / self.spread, full_matrices=False)
        strongest = np.abs(axes[:2]).argmax(axis=1)
        self.axes = axes[:2] * np.sign(axes[[0, 1], strongest])[:, None]
        self.explained = (singular[:2] ** 2 / (singular**2).sum()).tolist()

    @staticmethod
    def _deviations(group: GroupStatistics) -> NDArray[np.float64]:
        """(rank, D) rows whose Gram matrix is the group's covariance."""
        return group.joint.factors() * group.joint.sd

    def place(self, trajectory: Trajectory) -> Point:
        """Where a heart lies."""
        x, y = self.axes @ ((pack(trajectory) - self.centre) / self.spread)
        return float(x), float(y)

    @cached_property
    def ellipses(self) -> dict[str, Ellipse]:
        """Every group's mean and covariance on the map."""
        found = {}
        for name, group in self.groups.items():
            x, y = self.axes @ ((group.joint.mean - self.centre) / self.spread)
            projected = (self._deviations(group) / self.spread) @ self.axes.T
            (a, b), (c, d) = (projected.T @ projected).tolist()
            found[name] = Ellipse((float(x), float(y)), ((a, b), (c, d)))
        return found


def correlations(atlas: Atlas) -> dict[str, dict[str, list[list[float]]]]:
    """Kendall's rank correlation between latent dimensions, by group and phase (the paper, section 2.1)."""
    return {
        name: {phase: found.kendall.round(3).tolist() for phase, found in group.phases.items()}
        for name, group in atlas.groups.items()
    }
