"""A sampler from outside the package: every heart of a group is its mean, at a stretch of its length."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.latent.joint import unpack
from cardiomorph.latent.samplers.draw import Draw
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory


class MeanSampler(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["mean"] = "mean"
    stretch: float = Field(1.0, gt=0)

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        mean = unpack(group.joint.mean, group.phases["ED"].mean.shape)
        lengths = {phase: self.stretch * length for phase, length in mean.length_mm.items()}
        return Draw(Trajectory(mean.codes, lengths), {"stretch": self.stretch})
