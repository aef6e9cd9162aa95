"""The latent atlas on disk: group statistics, healthy parents and the models they belong to, in one folder.

``atlas.json`` (what it was made from, diagnostics), ``statistics.safetensors`` (groups only: means, spreads, bounds,
correlations, and the same of the cohort's appearance), ``parents.safetensors`` (the healthy hearts' own codes: personal
data of your cohort; an atlas to share goes without), ``shape/`` and ``image/`` (copies of the models).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.prepare import Geometry
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import check_format, digest, read_json, write_bytes, write_json
from cardiomorph.latent.appearance import AppearanceStatistics
from cardiomorph.latent.statistics import GroupStatistics, JointStatistics, PhaseStatistics
from cardiomorph.latent.trajectory import Trajectory
from cardiomorph.models.checkpoint import load_image_model, load_shape_model, model_digest
from cardiomorph.models.label_vae import LabelVAE, folded
from cardiomorph.models.painter import Painter
from cardiomorph.models.spade import ImageModel

FORMAT = 2
_DESCRIPTION, _STATISTICS, _PARENTS = "atlas.json", "statistics.safetensors", "parents.safetensors"


@dataclass(frozen=True)
class Parent:
    """A healthy heart to morph from.

    Attributes:
        styles: by phase, (32, style_dims) appearance codes along the axis; None in an atlas without image model.
        noise: noise level of its images, which are in [-1, 1]; None likewise.
    """

    id: str
    split: str
    trajectory: Trajectory
    geometry: Geometry
    styles: Mapping[Phase, NDArray[np.float32]] | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    noise: float | None = None


class Surroundings(BaseModel):
    """What a heart that nobody has is set into: medians over a cohort's healthy training subjects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    spacing_mm: float
    slice_spacing_mm: float
    intensity_range: tuple[float, float] | None
    height_cm: float | None
    weight_kg: float | None


class Atlas:
    """An atlas folder that exists.

    Raises:
        CardiomorphError: not an atlas, damaged, or made with other models than those in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.grain_found: dict[tuple[str, int], float] = {}
        if not (self.folder / _DESCRIPTION).is_file():
            raise CardiomorphError(
                "is not an atlas (no atlas.json)",
                where=self.folder,
                fix="Make one with 'cardiomorph atlas COHORT --shape RUN -o ATLAS'",
            )
        self.description: dict[str, Any] = read_json(self.folder / _DESCRIPTION)
        if not isinstance(self.description, dict) or not all(
            isinstance(self.description.get(key), dict) for key in ("models", "groups")
        ):
            raise CardiomorphError(
                "does not describe an atlas", where=self.folder / _DESCRIPTION, fix="Make the atlas again"
            )
        check_format(self.description, FORMAT, self.folder / _DESCRIPTION)
        for kind, wanted in self.description["models"].items():
            found = model_digest(self.folder / kind) if (self.folder / kind).is_dir() else None
            if found != wanted:
                raise CardiomorphError(
                    f"the atlas was made with another {kind} model (sha256 {wanted[:12]}) than the one in "
                    f"{kind}/ ({found[:12] if found else 'missing'}): its codes mean nothing to it",
                    where=self.folder,
                    fix="Make the atlas again with 'cardiomorph atlas'",
                )

    @cached_property
    def identity(self) -> str:
        """SHA-256 over everything a synthesis depends on."""
        names = (_STATISTICS,) if self.description.get("shared") else (_STATISTICS, _PARENTS)
        parts = [digest(self.folder / name) for name in names]
        return hashlib.sha256("".join([*parts, *self.description["models"].values()]).encode()).hexdigest()

    @property
    def has_images(self) -> bool:
        return "image" in self.description["models"]

    @cached_property
    def shape_model(self) -> LabelVAE:
        """The shape model, its batch norms folded into its convolutions."""
        return folded(load_shape_model(self.folder / "shape"))

    @cached_property
    def image_model(self) -> ImageModel:
        return load_image_model(self.folder / "image")

    @cached_property
    def painter(self) -> Painter:
        """The image model, ready to paint; it remembers what it has learnt of label neighbourhoods."""
        return Painter(self.image_model)

    @cached_property
    def groups(self) -> dict[str, GroupStatistics]:
        with _stored(self.folder / _STATISTICS) as (arrays, _):
            counts = self.description["groups"]
            return {group: _unflattened(arrays, group, count) for group, count in counts.items()}

    def group(self, name: str) -> GroupStatistics:
        """Statistics of a group. Raises `CardiomorphError` where the atlas has none."""
        if name not in self.groups:
            raise CardiomorphError(f"has no group {name!r}; it has {', '.join(self.groups)}", where=self.folder)
        return self.groups[name]

    @cached_property
    def appearance(self) -> AppearanceStatistics | None:
        """How the cohort's images look; None in an atlas without image model."""
        with _stored(self.folder / _STATISTICS) as (arrays, _):
            prefix = "appearance/"
            found = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            return AppearanceStatistics(**found) if found else None

    @property
    def surroundings(self) -> Surroundings | None:
        """What virtual parents are set into; None in an atlas older than they are."""
        found = self.description.get("surroundings")
        try:
            return None if found is None else Surroundings.model_validate(found)
        except ValidationError as error:
            raise CardiomorphError(f"surroundings: {error}", where=self.folder / _DESCRIPTION) from error

    @cached_property
    def parents(self) -> dict[str, Parent]:
        """The healthy subjects by name; none in an atlas to share."""
        if self.description.get("shared"):
            return {}
        with _stored(self.folder / _PARENTS) as (arrays, metadata):
            facts = json.loads(metadata["parents"])
            return {name: _parent(name, fact, arrays) for name, fact in facts.items()}

    def adopt(self, parents: Mapping[str, Parent]) -> None:
        """Adds hearts to morph from for as long as this object lives; the folder stays as it is."""
        self.parents.update(parents)

    def parent(self, name: str) -> Parent:
        """A healthy parent by its subject. Raises `CardiomorphError` where the atlas has no such one."""
        if name not in self.parents:
            some = f"it has {', '.join(list(self.parents)[:5])}, ..." if self.parents else "it has none at all"
            raise CardiomorphError(
                f"has no healthy subject {name!r}; {some}",
                where=self.folder,
                fix="--source virtual draws healthy hearts from the group's statistics",
            )
        return self.parents[name]


@contextmanager
def _stored(path: Path) -> Iterator[tuple[dict[str, NDArray[Any]], dict[str, str]]]:
    """Arrays and metadata of a file; what the block misses in them is an error that names the file."""
    try:
        with safe_open(path, "numpy") as stored:
            arrays = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
            metadata = stored.metadata() or {}
        yield arrays, metadata
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CardiomorphError(f"is missing or damaged ({error})", where=path, fix="Make the atlas again") from error


def _parent(name: str, fact: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Parent:
    styles = {p: arrays[f"{name}/{p}/styles"] for p in PHASES if f"{name}/{p}/styles" in arrays}
    return Parent(
        id=name,
        split=fact["split"],
        trajectory=Trajectory({p: arrays[f"{name}/{p}/codes"] for p in PHASES}, fact["length_mm"]),
        geometry=Geometry.model_validate(fact["geometry"]),
        styles=styles or None,
        height_cm=fact["height_cm"],
        weight_kg=fact["weight_kg"],
        noise=fact["noise"],
    )


def write_statistics(
    folder: Path, groups: Mapping[str, GroupStatistics], appearance: AppearanceStatistics | None
) -> None:
    """Writes statistics.safetensors."""
    arrays: dict[str, NDArray[Any]] = _flattened(appearance, "appearance") if appearance else {}
    for name, group in groups.items():
        for phase in PHASES:
            arrays |= _flattened(group.phases[phase], f"{name}/{phase}")
        arrays |= _flattened(group.joint, f"{name}/joint")
    write_bytes(folder / _STATISTICS, save(arrays))


def write_parents(folder: Path, parents: Mapping[str, Parent]) -> None:
    """Writes parents.safetensors."""
    arrays: dict[str, NDArray[Any]] = {}
    facts = {}
    for name, parent in parents.items():
        for phase in PHASES:
            arrays[f"{name}/{phase}/codes"] = np.ascontiguousarray(parent.trajectory.codes[phase])
            if parent.styles is not None:
                arrays[f"{name}/{phase}/styles"] = np.ascontiguousarray(parent.styles[phase])
        facts[name] = {
            "split": parent.split,
            "length_mm": dict(parent.trajectory.length_mm),
            "geometry": parent.geometry.model_dump(mode="json"),
            "height_cm": parent.height_cm,
            "weight_kg": parent.weight_kg,
            "noise": parent.noise,
        }
    write_bytes(folder / _PARENTS, save(arrays, metadata={"parents": json.dumps(facts)}))


def write_description(folder: Path, groups: Mapping[str, GroupStatistics], **facts: Any) -> None:
    """Writes atlas.json, last: it makes the folder an atlas."""
    models = {kind: model_digest(folder / kind) for kind in ("shape", "image") if (folder / kind).is_dir()}
    counts = {name: group.n_subjects for name, group in groups.items()}
    write_json(folder / _DESCRIPTION, {"format": FORMAT, "models": models, "groups": counts, **facts})


def _flattened(
    statistics: PhaseStatistics | JointStatistics | AppearanceStatistics, prefix: str
) -> dict[str, NDArray[Any]]:
    return {
        f"{prefix}/{field.name}": np.ascontiguousarray(getattr(statistics, field.name)) for field in fields(statistics)
    }


def _unflattened(arrays: Mapping[str, NDArray[Any]], group: str, count: int) -> GroupStatistics:
    def read(prefix: str, kind: type) -> Any:
        return kind(**{field.name: arrays[f"{group}/{prefix}/{field.name}"] for field in fields(kind)})

    return GroupStatistics(
        n_subjects=count,
        phases={phase: read(phase, PhaseStatistics) for phase in PHASES},
        joint=read("joint", JointStatistics),
    )
