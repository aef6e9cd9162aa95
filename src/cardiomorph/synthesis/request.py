"""What is asked for: which diseases, from whom, how ill, drawn how. And the hearts that this means, one by one."""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cardiomorph.anatomy import DISEASES, GROUPS, Phase
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.appearance import Along
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.samplers import AnySampler, PopulationSampler
from cardiomorph.latent.virtual import VIRTUAL, parent_named, virtual_name

SliceGrid = Literal["32", "native"]


class SynthesisRequest(BaseModel):
    """A whole synthesis. Its JSON is saved beside the result and recreates it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: tuple[str, ...] = DISEASES
    sources: tuple[str, ...] = Field(
        ("all",), description='healthy subjects; "all" are those of the training split, "virtual" are nobody'
    )
    parents: int = Field(8, ge=1, description='how many healthy hearts "virtual" draws')
    versions: int = Field(5, ge=1, description="hearts a source and target")
    severity: float = Field(1.0, ge=0, le=1, description="0 is the healthy parent, 1 the drawn diseased heart")
    steps: int = Field(1, ge=1, description="hearts along the way from healthy to the severity, the last included")
    sampler: AnySampler = PopulationSampler()
    slices: SliceGrid = "32"
    images: bool = True
    styles: Along = Field("slice", description="how the appearance changes along the axis")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _known_targets(self) -> SynthesisRequest:
        unknown = set(self.targets) - set(GROUPS)
        if unknown or not self.targets:
            raise ValueError(f"targets must be of {', '.join(GROUPS)}; got {', '.join(self.targets) or 'none'}")
        return self


def checked_request(**facts: Any) -> SynthesisRequest:
    """A request from loose values. Raises `CardiomorphError` that names the value that is wrong."""
    try:
        return SynthesisRequest(**facts)
    except ValidationError as error:
        first = error.errors()[0]
        raise CardiomorphError(f"{'.'.join(map(str, first['loc'])) or 'request'}: {first['msg']}") from error


class HeartJob(BaseModel):
    """One synthetic heart: everything, besides the atlas, that its bytes depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    target: str
    version: int = Field(ge=1)
    severity: float = Field(ge=0, le=1)
    sampler: AnySampler
    slices: SliceGrid
    images: bool
    styles: Along = "slice"
    seed: int = Field(ge=0)

    @property
    def name(self) -> str:
        """Folder and file stem; a partial severity is part of it."""
        suffix = "" if self.severity == 1.0 else f"_s{round(1000 * self.severity):04d}"
        return f"{self.source}_{self.target}_v{self.version:02d}{suffix}"

    def grain(self, phase: Phase) -> np.random.Generator:
        """Source of the image noise: a parent's own in each phase and version, whatever its disease."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.source}/grain/{phase}".encode()), self.version])

    def rng(self) -> np.random.Generator:
        """The same for every severity of a version, so that a transition is one disease growing."""
        text = f"{self.source}/{self.target}".encode()
        return np.random.default_rng([self.seed, zlib.crc32(text), self.version])


def sources_of(request: SynthesisRequest, atlas: Atlas) -> list[str]:
    """The parents asked for. Raises `CardiomorphError` where the atlas has none such."""
    if request.sources == (VIRTUAL,):
        return [virtual_name(number) for number in range(1, request.parents + 1)]
    if request.sources == ("all",):
        chosen = [name for name, parent in atlas.parents.items() if parent.split == "train"]
        if not chosen:
            raise CardiomorphError(
                "has no healthy subject in its training split",
                where=atlas.folder,
                fix="--source virtual draws healthy hearts from the group's statistics",
            )
        return chosen
    return [parent_named(atlas, name, request.seed).id for name in request.sources]


def jobs(request: SynthesisRequest, atlas: Atlas) -> list[HeartJob]:
    """Every heart of a request, parent by parent. Raises `CardiomorphError` for unknown sources or targets."""
    for target in request.targets:
        atlas.group(target)
    severities = [request.severity * (k + 1) / request.steps for k in range(request.steps)]
    return [
        HeartJob(
            source=source,
            target=target,
            version=version,
            severity=severity,
            sampler=request.sampler,
            slices=request.slices,
            images=request.images and atlas.has_images,
            styles=request.styles,
            seed=request.seed,
        )
        for source in sources_of(request, atlas)
        for target in request.targets
        for version in range(1, request.versions + 1)
        for severity in severities
    ]
