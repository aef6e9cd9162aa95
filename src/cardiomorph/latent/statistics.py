"""What the hearts of one group have in common in latent space: the paper's statistics and the joint Gaussian's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.latent.correlation import Matrix, kendall_matrix
from cardiomorph.latent.trajectory import LatentCodes, Trajectory


@dataclass(frozen=True)
class PhaseStatistics:
    """One group in one phase (the paper, section 2.1): elementwise over subjects, each (32, n_z)."""

    mean: LatentCodes
    sd: LatentCodes
    minimum: LatentCodes
    maximum: LatentCodes
    kendall: Matrix
    """Rank correlation between latent dimensions over all slices of the group, (n_z, n_z)."""


@dataclass(frozen=True)
class JointStatistics:
    """One group's joint Gaussian over v = (ED codes, ES codes, log ED length, log ES length), of size D.

    A sampler shrinks the empirical correlation F^T F towards a target T: the Kronecker product of phase, slice and
    latent correlations for the codes, the empirical correlation of the two lengths, and nothing between codes and
    lengths. F is stored rotated onto its singular vectors, so that no row of it is a patient.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    factors: NDArray[np.float64]
    """(rank, D) with F^T F the empirical correlation."""
    factor_minimum: NDArray[np.float64]
    """(rank,) smallest coordinate of a subject along each factor, where subjects have unit variance."""
    factor_maximum: NDArray[np.float64]
    phase_correlation: Matrix
    slice_correlation: Matrix
    latent_correlation: Matrix
    length_correlation: Matrix


@dataclass(frozen=True)
class GroupStatistics:
    """Everything a sampler may know of a group."""

    n_subjects: int
    phases: Mapping[Phase, PhaseStatistics]
    joint: JointStatistics


def group_statistics(trajectories: Sequence[Trajectory]) -> GroupStatistics:
    """Statistics of two or more hearts of one group."""
    return GroupStatistics(
        n_subjects=len(trajectories),
        phases={p: _phase_statistics(np.stack([t.codes[p] for t in trajectories])) for p in PHASES},
        joint=joint_statistics(np.stack([pack(t) for t in trajectories]), trajectories[0].codes["ED"].shape),
    )


def _phase_statistics(codes: NDArray[np.float64]) -> PhaseStatistics:
    """From (subjects, 32, n_z)."""
    return PhaseStatistics(
        mean=codes.mean(axis=0),
        sd=codes.std(axis=0, ddof=1),
        minimum=codes.min(axis=0),
        maximum=codes.max(axis=0),
        kendall=kendall_matrix(codes.reshape(-1, codes.shape[-1])),
    )


def pack(trajectory: Trajectory) -> NDArray[np.float64]:
    """A trajectory as one vector: ED codes, ES codes, logarithms of the ED and ES length."""
    lengths = [np.log(trajectory.length_mm[phase]) for phase in PHASES]
    return np.concatenate([*(trajectory.codes[phase].ravel() for phase in PHASES), lengths])


def unpack(vector: NDArray[np.float64], shape: tuple[int, ...]) -> Trajectory:
    """The inverse of `pack`; ``shape`` is a phase's (32, n_z)."""
    size = int(np.prod(shape))
    return Trajectory(
        codes={p: vector[i * size : (i + 1) * size].reshape(shape) for i, p in enumerate(PHASES)},
        length_mm={p: float(np.exp(vector[len(PHASES) * size + i])) for i, p in enumerate(PHASES)},
    )


def joint_statistics(vectors: NDArray[np.float64], shape: tuple[int, ...]) -> JointStatistics:
    """The joint Gaussian of (subjects, D) packed trajectories; ``shape`` is a phase's (32, n_z)."""
    n = len(vectors)
    mean, sd = vectors.mean(axis=0), vectors.std(axis=0, ddof=1)
    deviations = (vectors - mean) / np.where(sd > 0, sd, 1.0) / np.sqrt(n - 1)
    subjects, singular, rows = np.linalg.svd(deviations, full_matrices=False)
    kept = singular > 1e-10 * singular[0]
    coordinates = np.sqrt(n - 1) * subjects[:, kept]
    n_codes = len(PHASES) * int(np.prod(shape))
    codes = deviations[:, :n_codes].reshape(n, len(PHASES), *shape)
    return JointStatistics(
        mean=mean,
        sd=sd,
        minimum=vectors.min(axis=0),
        maximum=vectors.max(axis=0),
        factors=singular[kept, None] * rows[kept],
        factor_minimum=coordinates.min(axis=0),
        factor_maximum=coordinates.max(axis=0),
        phase_correlation=_mode_correlation(codes, 1),
        slice_correlation=_mode_correlation(codes, 2),
        latent_correlation=_mode_correlation(codes, 3),
        length_correlation=_as_correlation(deviations[:, n_codes:].T @ deviations[:, n_codes:]),
    )


def _mode_correlation(codes: NDArray[np.float64], mode: int) -> Matrix:
    """Correlation along one axis of (subjects, phases, slices, dims) deviations, pooled over the others."""
    rows = np.moveaxis(codes, mode, 0).reshape(codes.shape[mode], -1)
    return _as_correlation(rows @ rows.T)


def _as_correlation(covariance: Matrix) -> Matrix:
    scale = np.sqrt(np.diag(covariance))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def smoothed(correlation: Matrix, modes: int | None) -> Matrix:
    """A correlation matrix made of its ``modes`` leading eigenvectors, with a diagonal of ones; all of them if None."""
    if modes is None or modes >= len(correlation):
        return correlation
    values, vectors = np.linalg.eigh(correlation)
    return _as_correlation((vectors[:, -modes:] * values[-modes:]) @ vectors[:, -modes:].T)


class TargetCorrelation:
    """The shrinkage target T as eigenvectors and eigenvalues of its modes: never formed, always exact.

    Args:
        slice_modes: how many leading eigenvectors of the slice correlation to keep, the rest of it being what tells
            neighbouring slices apart; its diagonal is set back to one. None keeps all.
    """

    def __init__(self, joint: JointStatistics, slice_modes: int | None = None) -> None:
        slices = smoothed(joint.slice_correlation, slice_modes)
        modes = [joint.phase_correlation, slices, joint.latent_correlation]
        (a, self.u), (b, self.v), (c, self.w) = (np.linalg.eigh(mode) for mode in modes)
        d, self.lengths = np.linalg.eigh(joint.length_correlation)
        self.values = np.maximum(np.einsum("i,j,k->ijk", a, b, c), 0.0)
        self.length_values = np.maximum(d, 0.0)

    def colour(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gives standard normal noise, (D,), the correlation T."""
        n = self.values.size
        codes = noise[:n].reshape(self.values.shape) * np.sqrt(self.values)
        rotated = np.einsum("pi,sj,zk,ijk->psz", self.u, self.v, self.w, codes, optimize=True)
        lengths = self.lengths @ (noise[n:] * np.sqrt(self.length_values))
        return np.concatenate([rotated.ravel(), lengths])
