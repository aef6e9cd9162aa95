"""What is asked for: which diseases, from whom, how ill, drawn how. And the hearts that this means, one by one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, overload

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cardiomorph.anatomy import DISEASES, GROUPS, Phase
from cardiomorph.checks import MAX_SEED, is_name
from cardiomorph.errors import CardiomorphError
from cardiomorph.files.reading import first_problem
from cardiomorph.latent.appearance import StyleVariation
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.samplers.choice import AnySampler
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.virtual import VIRTUAL, parent_named, virtual_name, virtual_number

SliceGrid = Literal["32", "native"]
ALL = "all"
_VERSIONS, _VERSIONS_OF_VIRTUAL = 5, 1
_MANY = 10**9
_MAX_HEARTS = 10**15


def _named(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"{text[:120]!r} cannot be a name")
    return text


Name = Annotated[str, AfterValidator(_named)]


class SynthesisRequest(BaseModel):
    """A whole synthesis. Its JSON is saved beside the result and recreates it.

    What is asked for twice is made once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: tuple[str, ...] = Field(DISEASES, description='groups; "all" are the four diseases')
    sources: tuple[Name, ...] = Field(
        (ALL,), description='healthy subjects; "all" are those of the training split, "virtual" are nobody'
    )
    parents: int = Field(8, ge=1, le=_MANY, description='how many healthy hearts "virtual" draws')
    versions: int = Field(
        _VERSIONS, ge=1, le=_MANY, description="hearts a source and target; 1 by default where all are virtual"
    )
    severity: float = Field(1.0, ge=0, le=1, description="0 is the healthy parent, 1 the drawn diseased heart")
    steps: int = Field(
        1, ge=1, le=_MANY, description="hearts along the way from healthy to the severity, the last included"
    )
    sampler: AnySampler = PopulationSampler()
    slices: SliceGrid = "32"
    images: bool = True
    styles: StyleVariation = Field("slice", description="how the appearance changes along the axis")
    seed: int = Field(0, ge=0, le=MAX_SEED)

    @model_validator(mode="before")
    @classmethod
    def _versions_by_source(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("versions") is not None:
            return given
        sources = given.get("sources", (ALL,))
        only_virtual = isinstance(sources, list | tuple) and set(map(str, sources)) == {VIRTUAL}
        return {**given, "versions": _VERSIONS_OF_VIRTUAL if only_virtual else _VERSIONS}

    @field_validator("targets", mode="after")
    @classmethod
    def _each_target_once(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        named = dict.fromkeys(name for target in targets for name in (DISEASES if target == ALL else (target,)))
        if not named or not named.keys() <= set(GROUPS):
            raise ValueError(f"targets must be of {', '.join(GROUPS)}; got {', '.join(targets)[:120] or 'none'}")
        return tuple(named)

    @field_validator("sources", mode="after")
    @classmethod
    def _each_source_once(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        if not sources:
            raise ValueError("name at least one source")
        return tuple(dict.fromkeys(sources))


def checked_request(**facts: Any) -> SynthesisRequest:
    """A request from loose values. Raises `CardiomorphError` that names the value that is wrong."""
    try:
        return SynthesisRequest(**facts)
    except ValidationError as error:
        raise CardiomorphError(first_problem(error)) from error


class HeartJob(BaseModel):
    """One synthetic heart: everything, besides the atlas, that its bytes depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Name
    target: Literal["NOR", "DCM", "HCM", "MINF", "RV"]
    version: int = Field(ge=1)
    severity: float = Field(ge=0, le=1)
    sampler: AnySampler
    slices: SliceGrid
    images: bool
    styles: StyleVariation = "slice"
    seed: int = Field(ge=0, le=MAX_SEED)

    @property
    def name(self) -> str:
        """Folder and file stem; a partial severity is part of it, and no two have the same."""
        suffix = "" if self.severity == 1.0 else f"_s{_digits(self.severity)}"
        return f"{self.source}_{self.target}_v{self.version:02d}{suffix}"

    def noise_rng(self, phase: Phase) -> np.random.Generator:
        """Source of the image noise: a parent's own in each phase and version, whatever its disease."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.source}/grain/{phase}".encode()), self.version])

    def rng(self) -> np.random.Generator:
        """The same for every severity of a version, so that a transition is one disease growing."""
        text = f"{self.source}/{self.target}".encode()
        return np.random.default_rng([self.seed, zlib.crc32(text), self.version])


def _digits(severity: float) -> str:
    """Thousandths as four digits, as 0500; what is no whole number of them with all the digits that tell it apart."""
    shortest = repr(abs(severity))
    if "e" in shortest:
        return shortest.replace(".", "_")
    whole, _, decimals = f"{Decimal(shortest):f}".partition(".")
    return whole + decimals.ljust(3, "0")


def sources_of(request: SynthesisRequest, atlas: Atlas) -> Sequence[str]:
    """The parents asked for, each once. Raises `CardiomorphError` where the atlas has none such."""
    named: dict[str, None] = {}
    for source in request.sources:
        if source == ALL:
            named |= dict.fromkeys(_training_parents(atlas))
        elif source != VIRTUAL or source in atlas.parents:
            named[parent_named(atlas, source, request.seed).id] = None
    if VIRTUAL not in request.sources or VIRTUAL in named:
        return list(named)
    return _WithVirtual(list(named), request.parents)


def _training_parents(atlas: Atlas) -> list[str]:
    chosen = [n for n, parent in atlas.parents.items() if parent.split == "train" and n not in atlas.adopted]
    if not chosen:
        raise CardiomorphError(
            "has no healthy subject in its training split",
            where=atlas.folder,
            fix="--source virtual draws healthy hearts from the group's statistics",
        )
    return chosen


class _WithVirtual(Sequence[str]):
    """Names, and those of virtual parents that are not among them, however many: counted, not listed."""

    def __init__(self, named: list[str], count: int) -> None:
        self.named = [name for name in named if not 1 <= (virtual_number(name) or 0) <= count]
        self.drawn = count

    def __len__(self) -> int:
        return len(self.named) + self.drawn

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return self.named[place] if place < len(self.named) else virtual_name(place - len(self.named) + 1)


class Jobs(Sequence[HeartJob]):
    """Every heart of a request, parent by parent: each is made when it is asked for."""

    def __init__(self, request: SynthesisRequest, atlas: Atlas) -> None:
        self.request, self.sources = request, sources_of(request, atlas)
        self.images = request.images and atlas.has_images
        self.total = len(self.sources) * len(request.targets) * request.versions * request.steps
        if self.total > _MAX_HEARTS:
            raise CardiomorphError(f"the request is for {self.total:.0e} hearts", fix="Ask for fewer")

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> HeartJob: ...
    @overload
    def __getitem__(self, index: slice) -> list[HeartJob]: ...
    def __getitem__(self, index: int | slice) -> HeartJob | list[HeartJob]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self.total))]
        request = self.request
        rest, step = divmod(range(self.total)[index], request.steps)
        rest, version = divmod(rest, request.versions)
        source, target = divmod(rest, len(request.targets))
        return HeartJob(
            source=self.sources[source],
            target=request.targets[target],
            version=version + 1,
            severity=self._severity(step + 1),
            sampler=request.sampler,
            slices=request.slices,
            images=self.images,
            styles=request.styles,
            seed=request.seed,
        )

    def _severity(self, step: int) -> float:
        """That of the decimal numbers that people see: a third of 0.9 is 0.3."""
        return float(Fraction(repr(self.request.severity)) * step / self.request.steps)


def jobs(request: SynthesisRequest, atlas: Atlas) -> Jobs:
    """Every heart of a request. Raises `CardiomorphError` for unknown sources or targets."""
    for target in request.targets:
        atlas.group(target)
    return Jobs(request, atlas)
