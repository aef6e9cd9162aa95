"""How a training is started: what the three of them ask in the same words, light enough for ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field

_Switch = Parameter(negative=())


class TrainingOptions(BaseModel):
    """The keyword arguments of `train_shape`, `train_image` and `train_segmenter` that the command line offers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["tiny", "small", "base", "paper"] = Field(
        "small", description="tiny (tests), small (two cores), base (a GPU), paper (its settings)."
    )
    changes: Annotated[Path | None, Parameter(name="--config")] = Field(
        None,
        description="JSON file whose keys are laid over the preset's; for the shape model, for instance "
        '{"epochs": 40, "model": {"width": 24}}.',
    )
    resume: Annotated[bool, _Switch] = Field(
        False,
        description="Go on from the run's last checkpoint; the result has the bytes of an uninterrupted run.",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")

    def arguments(self) -> dict[str, Any]:
        """As keyword arguments of a training."""
        return dict(self)


class SegmenterOptions(TrainingOptions):
    """The same of `train_segmenter`, of which nothing was published."""

    preset: Literal["tiny", "small", "base"] = Field(
        "small", description="tiny (tests), small (two cores), base (a GPU)."
    )
