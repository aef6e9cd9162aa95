"""Ways to draw a pseudo-pathological heart from a group's statistics: one file each, chosen by name.

Adding one is a new module with a frozen config (``name`` its literal) that has ``draw``, and one line here.
"""

from __future__ import annotations

from typing import Annotated, Protocol

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.samplers.copula import CopulaSampler
from cardiomorph.latent.samplers.draw import Draw
from cardiomorph.latent.samplers.independent import IndependentSampler
from cardiomorph.latent.samplers.paper import PaperSampler
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.latent.trajectory import Trajectory

AnySampler = Annotated[
    IndependentSampler | PaperSampler | CopulaSampler | PopulationSampler, Field(discriminator="name")
]
SAMPLER_NAMES = ("population", "copula", "paper", "independent")


class Sampler(Protocol):
    """One method: a heart of the group, for this healthy parent."""

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw: ...


def sampler_named(name: str) -> AnySampler:
    """The sampler of that name with its default settings. Raises `CardiomorphError` for an unknown name."""
    try:
        return TypeAdapter[AnySampler](AnySampler).validate_python({"name": name})
    except ValidationError as error:
        raise CardiomorphError(
            f"there is no sampler {name!r}", fix=f"Choose one of {', '.join(SAMPLER_NAMES)}"
        ) from error


__all__ = [
    "SAMPLER_NAMES",
    "AnySampler",
    "CopulaSampler",
    "Draw",
    "IndependentSampler",
    "PaperSampler",
    "PopulationSampler",
    "Sampler",
    "sampler_named",
]
