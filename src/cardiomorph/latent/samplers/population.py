"""One joint Gaussian over ED codes, ES codes and both lengths: phases agree and the length changes with the disease.

The group's empirical covariance, shrunk towards a Kronecker target (`statistics.JointStatistics`) that is smooth along
the axis: variation beyond that of the few training patients, without raggedness. Along each factor of the empirical
covariance the draw stays within the range of the group's own subjects (a truncated normal): tails that no patient
reaches are where hearts stop being hearts. What is still out of an element's bounds is clipped and counted.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtr, ndtri

from cardiomorph.latent.samplers.draw import Draw, share_out_of_bounds
from cardiomorph.latent.statistics import GroupStatistics, JointStatistics, TargetCorrelation, unpack
from cardiomorph.latent.trajectory import Trajectory


class PopulationSampler(BaseModel):
    """v = mean + sd (sqrt(1 - s) F^T e + sqrt(s) t), e truncated normal, t ~ N(0, T); clipped to the group's bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["population"] = "population"
    shrinkage: float = Field(0.3, ge=0, le=1, description="weight s of the Kronecker target T")
    slice_modes: int | None = Field(4, ge=1, description="leading modes along the axis that T keeps; None keeps all")
    truncated: bool = Field(True, description="keep every factor within the range of the group's subjects")

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        joint = group.joint
        shape = group.phases["ED"].mean.shape
        empirical = joint.factors.T @ self._coordinates(joint, rng)
        target = TargetCorrelation(joint, self.slice_modes).colour(rng.standard_normal(len(joint.mean)))
        weight = self.shrinkage
        vector = joint.mean + joint.sd * (np.sqrt(1.0 - weight) * empirical + np.sqrt(weight) * target)
        drawn = unpack(vector, shape)
        kept = unpack(np.clip(vector, joint.minimum, joint.maximum), shape)
        return Draw(
            kept,
            {
                "share_out_of_bounds": share_out_of_bounds(kept, group),
                "share_clipped": share_out_of_bounds(drawn, group),
            },
        )

    def _coordinates(self, joint: JointStatistics, rng: np.random.Generator) -> NDArray[np.float64]:
        """Standard normal coordinates along the factors, each cut off where the group's subjects end."""
        if not self.truncated:
            return rng.standard_normal(len(joint.factors))
        low, high = ndtr(joint.factor_minimum), ndtr(joint.factor_maximum)
        return np.asarray(ndtri(low + rng.uniform(size=len(low)) * (high - low)))
