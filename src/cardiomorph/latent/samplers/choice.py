"""A sampler by its name, with its settings: in a request, in a provenance file, on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

from pydantic import BaseModel, PlainSerializer, PlainValidator, ValidationError

from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.samplers import SAMPLERS

if TYPE_CHECKING:
    import numpy as np

    from cardiomorph.latent.samplers.draw import Draw
    from cardiomorph.latent.statistics import GroupStatistics
    from cardiomorph.latent.trajectory import Trajectory


class Sampler(Protocol):
    """A way to draw, with its settings: a frozen pydantic model with a name and one method."""

    @property
    def name(self) -> str:
        """Its key in `SAMPLERS`."""
        ...

    def draw(self, group: GroupStatistics, parent: Trajectory, rng: np.random.Generator) -> Draw:
        """Draws a heart of the group, for this healthy parent; everything random comes from ``rng``."""
        ...


def sampler_named(name: str, **settings: Any) -> Sampler:
    """The sampler of that name. Raises `CardiomorphError` for an unknown name or settings that it has not."""
    try:
        return _sampler({"name": name, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        what = f"sampler {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise CardiomorphError(what) from error
    except ValueError as error:
        raise CardiomorphError(str(error), fix=f"Choose one of {', '.join(SAMPLERS)}") from error


def _sampler(value: Any) -> Sampler:
    """A sampler from itself, its name or its JSON. Raises `ValueError` for anything else."""
    if isinstance(value, BaseModel):
        return cast(Sampler, value)
    value = {"name": value} if isinstance(value, str) else value
    name = value.get("name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or name not in SAMPLERS:
        raise ValueError(f"there is no sampler {name!r}")
    module, _, kind = SAMPLERS[name].partition(":")
    found: Sampler = getattr(importlib.import_module(module), kind).model_validate(value)
    return found


def _settings(sampler: Any) -> dict[str, Any]:
    return sampler.model_dump(mode="json")


if TYPE_CHECKING:
    AnySampler = Sampler
else:
    # To the command line it is one of the names.
    AnySampler = Annotated[Literal[tuple(SAMPLERS)], PlainValidator(_sampler), PlainSerializer(_settings)]
"""A field that holds any sampler of `SAMPLERS`."""
