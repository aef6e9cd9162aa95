"""What is asked for: which diseases, from whom, how ill, drawn how.

The fields are the options of `cardiomorph synthesize`, too: their names, defaults and words stand here once, and this
file imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from cardiomorph.anatomy import DISEASES, Phase
from cardiomorph.checks import MAX_SEED, is_name
from cardiomorph.latent.options import ALL, VIRTUAL, StyleVariation
from cardiomorph.latent.samplers.choice import AnySampler

if TYPE_CHECKING:
    import numpy as np

Group = Literal["NOR", "DCM", "HCM", "MINF", "RV"]
Target = Literal[Group, "all"]
SliceGrid = Literal["32", "native"]
FieldOfView = Literal["heart", "full"]
_VERSIONS, _VERSIONS_OF_VIRTUAL = 5, 1
_MANY = 10**9


def _named(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"{text[:120]!r} cannot be a name")
    return text


def _named_or_placed(text: str) -> str:
    # A path is looked at when the atlas is there, which may know the name.
    is_path = set(text) & set("/\\") or text in (".", "..")
    return text if is_path and "\0" not in text else _named(text)


Name = Annotated[str, AfterValidator(_named)]
Source = Annotated[str, AfterValidator(_named_or_placed)]
"""A healthy subject's name, or where it lies on disk."""


def _several(option: str) -> Parameter:
    """An option that takes many values, or is given many times."""
    return Parameter(name=option, consume_multiple=True, negative=(), show_default=False)


class _Saved(BaseModel):
    """What is saved as JSON, and is the same JSON as before there were full fields where none is asked for."""

    @model_serializer(mode="wrap")
    def _without_the_usual_field(self, standard: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in standard(self).items() if key != "field" or value == "full"}


class SynthesisRequest(_Saved):
    """A whole synthesis. Its JSON is saved beside the result and recreates it.

    What is asked for twice is made once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: Annotated[tuple[Target, ...], _several("--target")] = Field(
        (ALL,),
        validate_default=True,
        description="Diseases to morph to; all four by default. NOR draws another healthy heart.",
    )
    sources: Annotated[tuple[Source, ...] | None, _several("--source")] = Field(
        None,
        description="Healthy hearts to morph from. A patient of yours: a folder in a known layout (one patient, or a "
        "data set, whose healthy subjects are taken), a prepared cohort, or a label file with its image beside it. Or "
        "names of the atlas's subjects; all (of its training split); virtual, hearts of nobody that are drawn from the "
        "healthy group's statistics. By default all where the atlas has subjects, else virtual.",
    )
    parents: int = Field(8, ge=1, le=_MANY, description="How many virtual parents to draw.")
    versions: int | None = Field(
        None,
        ge=1,
        le=_MANY,
        description="Hearts drawn for each source and target; by default 5, or 1 where all sources are virtual.",
    )
    severity: float = Field(1.0, ge=0, le=1, description="0 is the healthy heart, 1 the drawn diseased one.")
    steps: int = Field(
        1, ge=1, le=_MANY, description="Hearts along the way from healthy to SEVERITY, the last included."
    )
    sampler: AnySampler = Field(
        "population",
        validate_default=True,
        description="How the diseased heart is drawn; population keeps ED, ES and length together.",
    )
    slices: SliceGrid = Field(
        "32", description="32 equal slices over the heart's length, or the subject's native grid."
    )
    field: FieldOfView | None = Field(
        None,
        description="heart: the crop around it. full: the patient's whole image, on its own grid, with the new heart "
        "set into it; the default for patients of yours with an image, unless --slices is given.",
    )
    images: Annotated[bool, Parameter(negative="--labels-only")] = Field(
        True, description="Paint images, where the atlas has an image model; or labels only."
    )
    styles: StyleVariation = Field(
        "slice",
        description="How the parent's appearance changes along the axis: every slice its own, smooth, or one for all "
        "(mean).",
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="With the atlas, decides every heart.")

    @field_validator("targets", mode="after")
    @classmethod
    def _each_target_once(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if not targets:
            raise ValueError("name at least one disease, or all")
        return tuple(dict.fromkeys(name for target in targets for name in (DISEASES if target == ALL else (target,))))

    @field_validator("sources", mode="after")
    @classmethod
    def _each_source_once(cls, sources: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if sources is not None and not sources:
            raise ValueError("name at least one source")
        return None if sources is None else tuple(dict.fromkeys(sources))

    def resolved(self, *, with_subjects: bool) -> SynthesisRequest:
        """The same with nothing left open: what was not said is decided here, for Python and the command line alike.

        Args:
            with_subjects: whether the atlas has subjects of its own to morph from.
        """
        sources = self.sources or ((ALL,) if with_subjects else (VIRTUAL,))
        versions = self.versions or (_VERSIONS_OF_VIRTUAL if set(sources) == {VIRTUAL} else _VERSIONS)
        field = self.field or ("heart" if "slices" in self.model_fields_set or not self.images else None)
        return self.model_copy(update={"sources": sources, "versions": versions, "field": field})


class HeartJob(_Saved):
    """One synthetic heart: everything, besides the atlas, that its bytes depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Name
    target: Group
    version: int = Field(ge=1)
    severity: float = Field(ge=0, le=1)
    sampler: AnySampler
    slices: SliceGrid
    images: bool
    styles: StyleVariation = "slice"
    seed: int = Field(ge=0, le=MAX_SEED)
    field: FieldOfView = "heart"

    @model_validator(mode="after")
    def _fits_the_scan(self) -> HeartJob:
        if self.field == "full" and self.slices != "native":
            raise ValueError("a heart in the full field has the scan's own slices: native")
        return self

    @property
    def name(self) -> str:
        """Folder and file stem; a partial severity is part of it, and no two have the same."""
        suffix = "" if self.severity == 1.0 else f"_s{_digits(self.severity)}"
        return f"{self.source}_{self.target}_v{self.version:02d}{suffix}"

    def noise_rng(self, phase: Phase) -> np.random.Generator:
        """Source of the image noise: a parent's own in each phase and version, whatever its disease."""
        return _generator([self.seed, zlib.crc32(f"{self.source}/grain/{phase}".encode()), self.version])

    def rng(self) -> np.random.Generator:
        """The same for every severity of a version, so that a transition is one disease growing."""
        text = f"{self.source}/{self.target}".encode()
        return _generator([self.seed, zlib.crc32(text), self.version])


def _generator(seeds: list[int]) -> np.random.Generator:
    import numpy

    return numpy.random.default_rng(seeds)


def _digits(severity: float) -> str:
    """Thousandths as four digits, as 0500; what is no whole number of them with all the digits that tell it apart."""
    shortest = repr(abs(severity))
    if "e" in shortest:
        return shortest.replace(".", "_")
    whole, _, decimals = f"{Decimal(shortest):f}".partition(".")
    return whole + decimals.ljust(3, "0")
