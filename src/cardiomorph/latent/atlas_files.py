"""The files of an atlas, in and out, and what they may hold.

``atlas.json`` (what it was made from, diagnostics, digests of the others), ``statistics.safetensors`` (groups only:
means, spreads, bounds, correlations, and the same of the cohort's appearance), ``parents.safetensors`` (the healthy
hearts' own codes: personal data of your cohort; an atlas to share goes without), ``shape/`` and ``image/`` (copies of
the models).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from safetensors.numpy import save

from cardiomorph.anatomy import CLASS_NAMES, PHASES, Phase
from cardiomorph.checks import checked_name
from cardiomorph.data.prepare import Geometry
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    check_format,
    digest,
    read_arrays,
    read_json,
    read_record,
    validated,
    write_bytes,
    write_json,
)
from cardiomorph.latent.appearance import AppearanceStatistics
from cardiomorph.latent.joint import JointStatistics
from cardiomorph.latent.statistics import GroupStatistics, PhaseStatistics
from cardiomorph.latent.trajectory import N_SLICES, Trajectory
from cardiomorph.models.checkpoint import model_digest

FORMAT = 4
ATLAS, STATISTICS, PARENTS = "atlas.json", "statistics.safetensors", "parents.safetensors"
MODELS = ("shape", "image")
NAMES = (ATLAS, STATISTICS, PARENTS, *MODELS)
"""All that an atlas folder holds."""
_AGAIN = "Make the atlas again"
_MAX_MM = 10_000.0
_MAX_VOXELS, _MAX_SLICES = 2**28, 4096

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Millimetres = Annotated[float, Field(gt=0, lt=_MAX_MM, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Statistics = TypeVar("Statistics", PhaseStatistics, JointStatistics, AppearanceStatistics)


@dataclass(frozen=True)
class Parent:
    """A healthy heart to morph from.

    Attributes:
        styles: by phase, (32, style_dims) appearance codes along the axis; None in an atlas without image model.
        noise: noise level of its images, which are in [-1, 1]; None likewise.
        scan: by phase, the whole images and labels that it was read from, base to apex; an atlas keeps none.
    """

    id: str
    split: str
    trajectory: Trajectory
    geometry: Geometry
    styles: Mapping[Phase, NDArray[np.float32]] | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    noise: float | None = None
    scan: Mapping[Phase, Frame] | None = None

    def digest(self) -> str:
        """SHA-256 over everything a heart takes from its parent."""
        content = hashlib.sha256(json.dumps(_facts(self), sort_keys=True).encode())
        for array in _parent_arrays(self.id, self).values():
            content.update(array.tobytes())
        return content.hexdigest()


class TypicalSubject(BaseModel):
    """What a heart that nobody has is set into: medians over a cohort's healthy training subjects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=1, le=4096)
    spacing_mm: Millimetres
    slice_spacing_mm: Millimetres
    intensity_range: tuple[Finite, Finite] | None
    height_cm: Positive | None
    weight_kg: Positive | None


class LatentDiagnostics(BaseModel):
    """How much each latent dimension holds."""

    active: int
    dimensions: int
    kl_nats: list[Finite]
    sd_of_means: list[Finite]


class Interpolation(BaseModel):
    """How straight the way between hearts of different groups is."""

    largest_step: Finite
    detour: Finite


class Separability(BaseModel):
    """How well codes tell groups apart."""

    accuracy: Finite
    chance: Finite
    subjects: int


class Attacks(BaseModel):
    """What attacks on the atlas find out of its training hearts: areas under the curve by attack, 0.5 is guessing."""

    membership: dict[str, Finite] | None = None
    statistics_alone: dict[str, Finite] | None = None
    reconstruction_dice: Finite | None = None
    reconstruction_dice_heldout: Finite | None = None
    reconstruction: Finite | None = None


class MatrixDiagnostics(BaseModel):
    """A correlation matrix, and how far its repair moved it."""

    model_config = ConfigDict(extra="allow")

    size: int
    rank: int
    smallest_eigenvalue: float | None
    condition: float | None
    repair_frobenius: float | None


class Diagnostics(BaseModel):
    """How well an atlas's models do on real hearts; by structure, by group, by matrix."""

    model_config = ConfigDict(extra="allow")

    @field_validator("interpolation", "separability", mode="before")
    @classmethod
    def _not_had(cls, found: Any) -> Any:
        """What could not be measured is an empty object."""
        return None if found == {} else found

    latent: LatentDiagnostics
    interpolation: Interpolation | None = None
    separability: Separability | None = None
    reconstruction_split: Literal["train", "heldout"]
    reconstruction: dict[str, Any]
    matrices: dict[str, dict[str, dict[str, MatrixDiagnostics]]]
    attacks: Attacks | None = None


class _Description(BaseModel):
    """What every atlas.json holds; more may stand there."""

    model_config = ConfigDict(extra="allow")

    models: dict[Literal["shape", "image"], Sha256]
    groups: dict[str, Annotated[int, Field(ge=2)]]
    digests: dict[str, Sha256]
    classes: tuple[str, ...] = CLASS_NAMES
    phases: tuple[Phase, ...] = PHASES
    shared: bool = False
    cohort: str | None = None
    surroundings: TypicalSubject | None = None
    diagnostics: Diagnostics | None = None
    trained_on: list[Sha256] | None = None


class _ParentFacts(BaseModel):
    """What stands of a parent in the header of parents.safetensors."""

    model_config = ConfigDict(extra="forbid")

    split: Literal["train", "heldout"]
    length_mm: dict[Phase, Millimetres]
    geometry: Geometry
    height_cm: Positive | None
    weight_kg: Positive | None
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


@dataclass(frozen=True)
class Sizes:
    """Lengths that arrays must have to be those of an atlas's models; None where there is no such model.

    Attributes:
        latent: dimensions of a slice's shape code.
        style: dimensions of its appearance code.
        pixels: along each side of a slice.
    """

    latent: int | None = None
    style: int | None = None
    pixels: int | None = None

    def check_pixels(self, found: int, where: Path) -> None:
        """Raises `CardiomorphError` where slices of ``found`` pixels are not the shape model's."""
        if self.pixels is not None and found != self.pixels:
            raise CardiomorphError(
                f"its slices have {found} pixels a side, the shape model's {self.pixels}", where=where, fix=_AGAIN
            )


_PHASES = len(PHASES)
_SPREAD = ("mean", "sd", "minimum", "maximum")
# What stands for a length: a number, a size of the models, or a letter that means the same everywhere in one object.
_SHAPES: dict[type, dict[str, tuple[int | str, ...]]] = {
    PhaseStatistics: {**dict.fromkeys(_SPREAD, (N_SLICES, "latent")), "kendall": ("latent", "latent")},
    JointStatistics: {
        **dict.fromkeys(("mean", "sd", "healthy_mean", "healthy_sd"), ("joint",)),
        "along": (N_SLICES, "along"),
        "across": ("codes", "across"),
        "along_fast": (N_SLICES, "along_fast"),
        "across_fast": ("codes", "across_fast"),
        "lengths_on": (_PHASES, "across"),
        "lengths_rest": (_PHASES, _PHASES),
    },
    AppearanceStatistics: {
        "mean": (_PHASES, N_SLICES, "style"),
        "factors": ("rank", _PHASES, N_SLICES, "style"),
        "minimum": ("rank",),
        "maximum": ("rank",),
        "along": (_PHASES * N_SLICES, _PHASES * N_SLICES),
        "across": ("style", "style"),
        "noise": (11,),
    },
}


def _checked_array(
    name: str, array: NDArray[Any], wanted: tuple[int | str, ...], sizes: dict[str, int]
) -> NDArray[Any]:
    """An array of floating-point numbers, all finite, of the wanted shape. Raises `ValueError`; binds new letters."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} holds {array.dtype}, not floating-point numbers")
    lengths = tuple(
        length if isinstance(length, int) else sizes.setdefault(length, array.shape[axis])
        for axis, length in enumerate(wanted[: array.ndim])
    )
    if array.ndim != len(wanted) or array.shape != lengths:
        raise ValueError(
            f"{name} has the shape {array.shape}, not {lengths if len(lengths) == len(wanted) else wanted}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array


def _known(sizes: Sizes) -> dict[str, int]:
    found = {"latent": sizes.latent, "style": sizes.style}
    known = {name: length for name, length in found.items() if length is not None}
    if sizes.latent:
        known |= {"joint": _PHASES * (N_SLICES * sizes.latent + 1), "codes": _PHASES * sizes.latent}
    return known


def _statistics(kind: type[Statistics], arrays: Mapping[str, NDArray[Any]], prefix: str, sizes: Sizes) -> Statistics:
    known = _known(sizes)
    found = {
        name: _checked_array(f"{prefix}/{name}", arrays[f"{prefix}/{name}"], shape, known)
        for name, shape in _SHAPES[kind].items()
    }
    if "sd" in found and (found["sd"] < 0).any():
        raise ValueError(f"{prefix}/sd is negative somewhere")
    if "minimum" in found and (found["minimum"] > found["maximum"]).any():
        raise ValueError(f"{prefix}/minimum is above its maximum somewhere")
    return kind(**found)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What the block misses in a file's content is an error that names the file."""
    try:
        yield
    except (KeyError, ValueError, RecursionError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise CardiomorphError(f"is missing or damaged ({said})", where=path, fix=_AGAIN) from error


def read_description(path: Path) -> dict[str, Any]:
    """atlas.json, with every entry that `_Description` names. Raises `CardiomorphError` where it is no such file."""
    check_format(read_json(path), FORMAT, path)
    return validated(_Description, read_record(path), path, _AGAIN).model_dump()


def read_groups(path: Path, counts: Mapping[str, int], sizes: Sizes) -> dict[str, GroupStatistics]:
    """Statistics of the groups of ``counts``, subjects by group."""
    with _explained(path):
        arrays, _ = read_arrays(path)
        return {
            group: GroupStatistics(
                n_subjects=count,
                phases={p: _statistics(PhaseStatistics, arrays, f"{group}/{p}", sizes) for p in PHASES},
                joint=_statistics(JointStatistics, arrays, f"{group}/joint", sizes),
            )
            for group, count in counts.items()
        }


def read_appearance(path: Path, sizes: Sizes) -> AppearanceStatistics | None:
    """How the cohort's images look; None where that is not in the file."""
    with _explained(path):
        arrays, _ = read_arrays(path)
        if not any(name.startswith("appearance/") for name in arrays):
            return None
        return _statistics(AppearanceStatistics, arrays, "appearance", sizes)


def read_parents(path: Path, sizes: Sizes) -> dict[str, Parent]:
    """The healthy subjects by name."""
    with _explained(path):
        arrays, metadata = read_arrays(path)
        facts = json.loads(metadata["parents"])
        if not isinstance(facts, dict):
            raise ValueError("its parents are no object")
        return {checked_name(name, path): _parent(name, fact, arrays, sizes, path) for name, fact in facts.items()}


def _parent(name: str, given: Any, arrays: Mapping[str, NDArray[Any]], sizes: Sizes, path: Path) -> Parent:
    facts, known = validated(_ParentFacts, given, f"{path}: {name}", _AGAIN), _known(sizes)
    _check_geometry(facts.geometry, sizes, path)
    lengths = {phase: facts.length_mm[phase] for phase in PHASES}

    def read(what: str, letter: str) -> dict[Phase, NDArray[Any]]:
        keys: dict[Phase, str] = {phase: f"{name}/{phase}/{what}" for phase in PHASES}
        return {p: _checked_array(key, arrays[key], (N_SLICES, letter), known) for p, key in keys.items()}

    return Parent(
        id=name,
        split=facts.split,
        trajectory=Trajectory(read("codes", "latent"), lengths),
        geometry=facts.geometry,
        styles=read("styles", "style") if f"{name}/{PHASES[0]}/styles" in arrays else None,
        height_cm=facts.height_cm,
        weight_kg=facts.weight_kg,
        noise=facts.noise,
    )


def _check_geometry(geometry: Geometry, sizes: Sizes, path: Path) -> None:
    sizes.check_pixels(geometry.size, path)
    distances = [*geometry.source_spacing_mm, geometry.spacing_mm, geometry.es_slice_spacing_mm or 1.0]
    numbers = [*distances, *geometry.centre_mm, geometry.rotation_deg, *(geometry.intensity_range or ())]
    slices = [geometry.first_slice[phase] for phase in PHASES]
    good = (
        bool(np.isfinite(numbers).all())
        and all(0 < distance < _MAX_MM for distance in distances)
        and all(n > 0 for n in geometry.source_shape)
        and np.prod([float(n) for n in geometry.source_shape]) <= _MAX_VOXELS
        and all(0 <= first < _MAX_SLICES for first in slices)
    )
    if not good:
        raise ValueError(f"a parent's grid cannot be one: {geometry!r}")


def write_statistics(
    folder: Path, groups: Mapping[str, GroupStatistics], appearance: AppearanceStatistics | None
) -> None:
    """Writes statistics.safetensors."""
    arrays: dict[str, NDArray[Any]] = _flattened(appearance, "appearance") if appearance else {}
    for name, group in groups.items():
        for phase in PHASES:
            arrays |= _flattened(group.phases[phase], f"{name}/{phase}")
        arrays |= _flattened(group.joint, f"{name}/joint")
    write_bytes(folder / STATISTICS, save(arrays))


def _flattened(
    statistics: PhaseStatistics | JointStatistics | AppearanceStatistics, prefix: str
) -> dict[str, NDArray[Any]]:
    return {
        f"{prefix}/{field.name}": np.ascontiguousarray(getattr(statistics, field.name)) for field in fields(statistics)
    }


def write_parents(folder: Path, parents: Mapping[str, Parent]) -> None:
    """Writes parents.safetensors."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, parent in parents.items():
        arrays |= _parent_arrays(checked_name(name), parent)
    facts = {name: _facts(parent) for name, parent in parents.items()}
    write_bytes(folder / PARENTS, save(arrays, metadata={"parents": json.dumps(facts)}))


def _parent_arrays(name: str, parent: Parent) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for phase in PHASES:
        arrays[f"{name}/{phase}/codes"] = np.ascontiguousarray(parent.trajectory.codes[phase])
        if parent.styles is not None:
            arrays[f"{name}/{phase}/styles"] = np.ascontiguousarray(parent.styles[phase])
    return arrays


def _facts(parent: Parent) -> dict[str, Any]:
    return {
        "split": parent.split,
        "length_mm": dict(parent.trajectory.length_mm),
        "geometry": parent.geometry.model_dump(mode="json"),
        "height_cm": parent.height_cm,
        "weight_kg": parent.weight_kg,
        "noise": parent.noise,
    }


def write_description(folder: Path, groups: Mapping[str, GroupStatistics], **facts: Any) -> None:
    """Writes atlas.json, last: it makes the folder an atlas."""
    models = {kind: model_digest(folder / kind) for kind in MODELS if (folder / kind).is_dir()}
    counts = {name: group.n_subjects for name, group in groups.items()}
    digests = {name: digest(folder / name) for name in (STATISTICS, PARENTS) if (folder / name).is_file()}
    description = {"format": FORMAT, "models": models, "groups": counts, "digests": digests, **facts}
    write_json(folder / ATLAS, description, seal=True)
