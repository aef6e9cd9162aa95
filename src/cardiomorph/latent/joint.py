"""The joint Gaussian of whole hearts: ED codes, ES codes and both lengths at once, with few numbers from many patients.

A group has sixteen patients or so, and a heart a thousand numbers: a covariance of its own would be those patients, and
would give them away. So a group has a mean, smooth along the axis in what tells it from the others; how hearts vary
around it is learnt from all groups together: a standard deviation an element (times one factor a group for ED, one for
ES, one for lengths), modes along the axis, and a few modes over phases and latent dimensions at once. Slow modes along
the axis are form; the fast ones are mostly where breath-holds put the slices, and vary in other latent dimensions, so
that each kind has modes of its own over these. The lengths follow the modes that are even along the axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.trajectory import LatentCodes, Trajectory

Array = NDArray[np.float64]

SLOW_MODES = 2
"""Modes along the axis that are taken for form."""
AXIS_VARIANCE = 0.95
"""Share of the variance along the axis that slow and fast modes hold."""
CODE_VARIANCE = 0.95
"""Share of the variance over phases and latent dimensions that modes hold; the rest made hearts that nobody has."""
MEAN_WAVES = 3
"""Cosine waves along the axis in which a group's mean may differ from that of all."""
_RIDGE = 0.5
_LEAST_REST = 0.05


@dataclass(frozen=True)
class Coordinates:
    """A heart's deviation from a mean, in numbers that are standard normal over a group.

    Attributes:
        slow, fast: (modes along the axis, modes over phases and dimensions).
        lengths: (2,).
    """

    slow: Array
    fast: Array
    lengths: Array

    def mixed(self, other: Coordinates, share: float, most: float) -> Coordinates:
        """Coordinates whose correlation with these is ``share``; these are cut off at ``most``."""

        def mix(own: Array, new: Array) -> Array:
            return np.asarray(share * np.clip(own, -most, most) + np.sqrt(1.0 - share**2) * new)

        parts = zip(self.parts, other.parts, strict=True)
        return Coordinates(*(mix(own, new) for own, new in parts))

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        return self.slow, self.fast, self.lengths


@dataclass(frozen=True)
class JointStatistics:
    """One group's joint Gaussian over v = (ED codes, ES codes, log ED length, log ES length), of size D.

    Attributes:
        mean: (D,) of the group.
        sd: (D,) that of all groups together, times the group's factors.
        healthy_mean, healthy_sd: (D,) the same of the group that parents come from.
        along, across: (32, a) slow modes along the axis, (phases n_z, m) their modes over phases and dimensions.
        along_fast, across_fast: the same of the fast ones.
        lengths_on: (2, m) how lengths follow the modes that are even along the axis.
        lengths_rest: (2, 2) lower triangular, what they do on their own.
    """

    mean: Array
    sd: Array
    healthy_mean: Array
    healthy_sd: Array
    along: Array
    across: Array
    along_fast: Array
    across_fast: Array
    lengths_on: Array
    lengths_rest: Array

    def drawn(self, rng: np.random.Generator) -> Coordinates:
        """Coordinates of a heart of the group."""
        return Coordinates(*(rng.standard_normal(shape) for shape in self._shapes))

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        slow, fast = ((a.shape[1], b.shape[1]) for a, b in self._modes)
        return slow, fast, (len(self.lengths_rest),)

    @property
    def _modes(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        return (self.along, self.across), (self.along_fast, self.across_fast)

    def deviation(self, at: Coordinates) -> Array:
        """(D,) in standard deviations."""
        codes = self.along @ at.slow @ self.across.T + self.along_fast @ at.fast @ self.across_fast.T
        lengths = self.lengths_on @ at.slow[0] + self.lengths_rest @ at.lengths
        return np.concatenate([_phases_first(codes).ravel(), lengths])

    def coordinates(self, deviation: Array) -> Coordinates:
        """Of (D,) in standard deviations: what the modes hold of it, by least squares."""
        n_codes = len(self.along) * len(self.across)
        codes = _slices_first(deviation[:n_codes].reshape(len(PHASES), len(self.along), -1))
        slow, fast = (np.linalg.pinv(a) @ codes @ np.linalg.pinv(b).T for a, b in self._modes)
        lengths = np.linalg.solve(self.lengths_rest, deviation[n_codes:] - self.lengths_on @ slow[0])
        return Coordinates(slow, fast, lengths)

    def factors(self) -> Array:
        """(rank, D) rows whose Gram matrix is the correlation that the modes make."""
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        rows = []
        for unit in np.eye(sum(sizes)):
            parts = np.split(unit, np.cumsum(sizes)[:-1])
            shaped = (part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True))
            rows.append(self.deviation(Coordinates(*shaped)))
        return np.stack(rows)


def pack(trajectory: Trajectory) -> Array:
    """A trajectory as one vector: ED codes, ES codes, logarithms of the ED and ES length."""
    lengths = [np.log(trajectory.length_mm[phase]) for phase in PHASES]
    return np.concatenate([*(trajectory.codes[phase].ravel() for phase in PHASES), lengths])


def unpack(vector: Array, shape: tuple[int, ...]) -> Trajectory:
    """The inverse of `pack`; ``shape`` is a phase's (32, n_z)."""
    n_codes = len(PHASES) * int(np.prod(shape))
    lengths = {phase: float(np.exp(vector[n_codes + i])) for i, phase in enumerate(PHASES)}
    return Trajectory(codes=unpack_codes(vector, shape), length_mm=lengths)


def unpack_codes(vector: Array, shape: tuple[int, ...]) -> dict[Phase, LatentCodes]:
    """The codes alone."""
    size = int(np.prod(shape))
    return {p: vector[i * size : (i + 1) * size].reshape(shape) for i, p in enumerate(PHASES)}


def joint_statistics(vectors: Mapping[str, Array], shape: tuple[int, ...], healthy: str) -> dict[str, JointStatistics]:
    """The joint Gaussians of groups of (subjects, D) packed trajectories; ``shape`` is a phase's (32, n_z)."""
    means = _smooth_means({name: group.mean(axis=0) for name, group in vectors.items()}, shape)
    sd = _deviations_of_groups(vectors, shape)
    deviations = np.concatenate([standardised(v - v.mean(axis=0), sd[name]) for name, v in vectors.items()])
    deviations *= np.sqrt(len(deviations) / sum(len(v) - 1 for v in vectors.values()))
    n_codes = len(PHASES) * int(np.prod(shape))
    codes = np.stack([_slices_first(row.reshape(len(PHASES), *shape)) for row in deviations[:, :n_codes]])
    along = _leading(_correlation(np.concatenate(list(codes.transpose(0, 2, 1)))), AXIS_VARIANCE)
    slow, fast = along[:, :SLOW_MODES], along[:, SLOW_MODES:]
    across, across_fast = (_modes_across(codes, part) for part in (slow, fast))
    lengths = _length_model(codes, deviations[:, n_codes:], slow, across)
    return {
        name: JointStatistics(mean, sd[name], means[parents], sd[parents], slow, across, fast, across_fast, *lengths)
        for name, mean in means.items()
        for parents in [healthy if healthy in means else name]
    }


def standardised(deviation: Array, sd: Array) -> Array:
    """In standard deviations; what does not vary stays as it is."""
    return np.asarray(deviation / np.where(sd > 0, sd, 1.0))


def _deviations_of_groups(vectors: Mapping[str, Array], shape: tuple[int, ...]) -> dict[str, Array]:
    """(D,) SD of each group: that of all together, times one factor for ED codes, one for ES codes, one for lengths."""
    squares = {name: ((v - v.mean(axis=0)) ** 2).sum(axis=0) for name, v in vectors.items()}
    pooled = np.sqrt(np.sum(list(squares.values()), axis=0) / sum(len(v) - 1 for v in vectors.values()))
    edges = int(np.prod(shape)) * np.arange(1, len(PHASES) + 1)
    found = {}
    for name, square in squares.items():
        ratio = standardised(np.sqrt(square / (len(vectors[name]) - 1)), pooled)
        factors = [np.full(len(part), np.sqrt((part**2).mean())) for part in np.split(ratio, edges)]
        found[name] = pooled * np.concatenate(factors)
    return found


def _modes_across(codes: Array, along: Array) -> Array:
    """(phases n_z, m) leading modes of how (subjects, slices, phases n_z) deviations vary in modes along the axis."""
    if not along.shape[1]:
        return np.zeros((codes.shape[2], 0))
    scores = np.concatenate(list(np.linalg.pinv(along) @ codes))
    return _leading(scores.T @ scores / len(scores), CODE_VARIANCE)


def _smooth_means(means: Mapping[str, Array], shape: tuple[int, ...]) -> dict[str, Array]:
    """Groups' means whose differences from the mean of all are smooth along the axis."""
    of_all = np.mean(list(means.values()), axis=0)
    n_codes = len(PHASES) * int(np.prod(shape))
    smooth = {}
    for name, mean in means.items():
        difference = mean - of_all
        waves = dct(difference[:n_codes].reshape(len(PHASES), *shape), axis=1, norm="ortho")
        waves[:, MEAN_WAVES:] = 0.0
        smooth[name] = of_all + np.concatenate([idct(waves, axis=1, norm="ortho").ravel(), difference[n_codes:]])
    return smooth


def _slices_first(codes: Array) -> Array:
    """(phases, slices, n_z) -> (slices, phases n_z)."""
    return codes.transpose(1, 0, 2).reshape(codes.shape[1], -1)


def _phases_first(codes: Array) -> Array:
    """The inverse."""
    return codes.reshape(len(codes), len(PHASES), -1).transpose(1, 0, 2)


def _correlation(rows: Array) -> Array:
    """Of the columns of deviations, whose mean is zero."""
    covariance = rows.T @ rows
    scale = np.sqrt(np.diag(covariance))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _leading(covariance: Array, wanted: float) -> Array:
    """(n, k) leading eigenvectors, as long as their SD, all pointing up; k such that they hold the share wanted."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    share = np.cumsum(values) / max(float(values.sum()), np.finfo(float).tiny)
    kept = min(len(values), int(np.searchsorted(share, wanted)) + 1)
    signs = np.where(vectors[:, :kept].sum(axis=0) < 0, -1.0, 1.0)
    return np.asarray(vectors[:, :kept] * np.sqrt(values[:kept]) * signs)


def _length_model(codes: Array, lengths: Array, along: Array, across: Array) -> tuple[Array, Array]:
    """How (subjects, 2) lengths follow the first mode's coordinates, a ridge regression, and the rest's factor."""
    even = np.stack([(np.linalg.pinv(along) @ one @ np.linalg.pinv(across).T)[0] for one in codes])
    gram = even.T @ even + _RIDGE * len(even) * np.eye(even.shape[1])
    on = np.linalg.solve(gram, even.T @ lengths).T
    # The modes' coordinates are standard normal; what they do not explain is the lengths' own.
    values, vectors = np.linalg.eigh(_correlation(lengths) - on @ on.T)
    rest = (vectors * np.maximum(values, _LEAST_REST)) @ vectors.T
    return on, np.asarray(np.linalg.cholesky(rest))
