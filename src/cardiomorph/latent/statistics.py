"""What the hearts of each group have in common in latent space: the paper's statistics and the joint Gaussian's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from cardiomorph.anatomy import HEALTHY, PHASES, Phase
from cardiomorph.latent.correlation import Matrix, kendall_matrix
from cardiomorph.latent.joint import JointStatistics, joint_statistics, pack, unpack_codes
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
class GroupStatistics:
    """Everything a sampler may know of a group."""

    n_subjects: int
    phases: Mapping[Phase, PhaseStatistics]
    joint: JointStatistics


def group_statistics(hearts: Mapping[str, Sequence[Trajectory]], healthy: str = HEALTHY) -> dict[str, GroupStatistics]:
    """Statistics of groups of two or more hearts each.

    Args:
        healthy: the group that parents come from; without it a group's own mean stands for the parents'.
    """
    vectors = {name: np.stack([pack(heart) for heart in found]) for name, found in hearts.items()}
    shape = next(iter(hearts.values()))[0].codes["ED"].shape
    joint = joint_statistics(vectors, shape, healthy)
    return {
        name: GroupStatistics(
            n_subjects=len(found),
            phases={p: _phase_statistics(np.stack([t.codes[p] for t in found])) for p in PHASES},
            joint=joint[name],
        )
        for name, found in hearts.items()
    }


def without_subjects(group: GroupStatistics) -> GroupStatistics:
    """The paper's statistics as an atlas to give away has them: from the joint Gaussian, no subject's own values.

    Means and SDs are the joint Gaussian's; the bounds, which would be single subjects' values, are where the extremes
    of as many normal numbers are expected.
    """
    joint, shape = group.joint, group.phases["ED"].mean.shape
    reach = expected_extreme(group.n_subjects)
    mean, sd = (unpack_codes(values, shape) for values in (joint.mean, joint.sd))
    phases: dict[Phase, PhaseStatistics] = {
        phase: PhaseStatistics(
            mean=mean[phase],
            sd=sd[phase],
            minimum=mean[phase] - reach * sd[phase],
            maximum=mean[phase] + reach * sd[phase],
            kendall=group.phases[phase].kendall,
        )
        for phase in PHASES
    }
    return replace(group, phases=phases)


def expected_extreme(n: int) -> float:
    """About where the largest of n standard normal numbers is expected (Blom, 1958)."""
    return float(ndtri((n - 0.375) / (n + 0.25)))


def _phase_statistics(codes: NDArray[np.float64]) -> PhaseStatistics:
    """From (subjects, 32, n_z)."""
    return PhaseStatistics(
        mean=codes.mean(axis=0),
        sd=codes.std(axis=0, ddof=1),
        minimum=codes.min(axis=0),
        maximum=codes.max(axis=0),
        kendall=kendall_matrix(codes.reshape(-1, codes.shape[-1])),
    )
