"""One joint Gaussian over ED codes, ES codes and both lengths: phases agree, the length changes, the parent stays.

A heart of the target group has the group's mean and a deviation from it (`joint.JointStatistics`). A share of that
deviation is the parent's own from the healthy mean: his size, proportions and form, in what the modes hold of them. The
rest is drawn. Where parents are healthy hearts as the group has them, what is drawn has the target group's distribution
whatever the share; what the disease does to all its hearts, the difference of the means, is done to his, too.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.latent.joint import pack, standardised, unpack
from cardiomorph.latent.samplers.draw import Draw, share_out_of_bounds
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory

_FARTHEST = 3.0
"""A parent's coordinate beyond so many SDs is taken for this: no group knows such hearts."""


class PopulationSampler(BaseModel):
    """v = mean + sd B (r e_parent + sqrt(1 - r^2) e), e standard normal, B the group's modes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["population"] = "population"
    inherited: float = Field(
        0.7, ge=0, le=1, description="correlation r of the parent's deviation from the healthy mean and the child's"
    )

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        joint, shape = group.joint, group.phases["ED"].mean.shape
        own = joint.coordinates(standardised(pack(parent) - joint.healthy_mean, joint.healthy_sd))
        at = own.mixed(joint.drawn(rng), self.inherited, _FARTHEST)
        drawn = unpack(joint.mean + joint.sd * joint.deviation(at), shape)
        return Draw(drawn, {"share_out_of_bounds": share_out_of_bounds(drawn, group)})
