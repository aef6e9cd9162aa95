"""A subject becomes 128 x 128 slices at 1.5 mm around its heart, and back onto its own grid.

In-plane only, in the stack's own axes: slices are never mixed (short-axis stacks are oblique). One crop serves ED and
ES. The stack's affine is kept, so that what is written lies in the patient's world. Method: the paper, section 2.3;
turning every heart the same way (`heart_frame`) is ours.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.heart_frame import Point, heart_frame, standard_affine
from cardiomorph.data.subject import Frame, Subject, is_placed
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import Volume


class PreparationConfig(BaseModel):
    """How subjects become slices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing_mm: float = Field(1.5, gt=0, description="in-plane pixel size after resampling, in mm")
    size: int = Field(128, ge=32, multiple_of=16, description="pixels along each side of the crop")
    orientation: Literal["heart", "source", "grid"] = Field(
        "heart",
        description="heart: every heart turned so that its RV lies the same way; source: as scanned, the labels' box "
        "in the middle; grid: as scanned, the middle of the field of view",
    )
    lower_percentile: float = Field(0.5, ge=0, lt=50)
    upper_percentile: float = Field(99.5, gt=50, le=100)


@dataclass(frozen=True)
class Grid:
    """Pixels of a plane, all pairs (x, y): how many, how far apart, where the first one's centre lies, how turned."""

    size: tuple[int, int]
    spacing_mm: tuple[float, float]
    origin_mm: Point
    rotation_deg: float


def _rotated(vector: Point, degrees: float) -> Point:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]


Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


class Geometry(BaseModel):
    """Where prepared slices lie in their source, and the source in the world: what the inverse needs.

    The source's slices are counted from base to apex here, however it stores them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_shape: tuple[int, int, int]
    source_spacing_mm: tuple[float, float, float]
    centre_mm: Point = Field(description="the crop's centre in the source's own axes, from voxel (0, 0)")
    rotation_deg: float = Field(0.0, description="angle of the crop's axes in the source's, from x towards y")
    first_slice: dict[Phase, int] = Field(description="source index of each phase's most basal labelled slice")
    intensity_range: tuple[float, float] | None = Field(description="source intensities of -1 and 1")
    es_slice_spacing_mm: float | None = Field(None, description="ES's slice spacing, where it is not ED's")
    affine: dict[Phase, Matrix] | None = Field(
        None, description="source voxel -> world (RAS, mm); None for a heart that has no place of its own"
    )
    code: int = Field(0, ge=0, description="NIfTI's code of the affine")
    apex_first: bool = Field(False, description="whether the source stores its slices from apex to base")
    mirrored: bool = Field(
        False, description="whether the source's slices, base to apex, are mirror images; here its y runs the other way"
    )
    spacing_mm: float
    size: int

    def slice_spacing_mm(self, phase: Phase) -> float:
        """Distance of neighbouring slices. Synthetic hearts shorten in systole at a constant number of slices."""
        return self.es_slice_spacing_mm or self.source_spacing_mm[2] if phase == "ES" else self.source_spacing_mm[2]

    def source_affine(self, phase: Phase) -> NDArray[np.float64]:
        """(4, 4), source voxel -> world (RAS, mm), slices base to apex; the standard place where there is none."""
        if self.affine is not None:
            return np.array(self.affine[phase])
        spacing = (*self.source_spacing_mm[:2], self.slice_spacing_mm(phase))
        return standard_affine(self.source_shape, spacing)

    def crop_affine(self, phase: Phase, n_slices: int, length_mm: float) -> NDArray[np.float64]:
        """(4, 4), voxel of an (x, y, slice) stack of crops -> world (RAS, mm).

        Args:
            n_slices, length_mm: of the stack, whose base lies where the source's lies: n slices of spacing d cover n d.
        """
        crop, (dx, dy) = self.crop, self.source_spacing_mm[:2]
        along, across = (
            _rotated((crop.spacing_mm[0], 0.0), crop.rotation_deg),
            _rotated((0.0, crop.spacing_mm[1]), crop.rotation_deg),
        )
        step = length_mm / n_slices / self.slice_spacing_mm(phase)
        to_source = np.array(
            [
                [along[0] / dx, across[0] / dx, 0.0, crop.origin_mm[0] / dx],
                [along[1] / dy, across[1] / dy, 0.0, crop.origin_mm[1] / dy],
                [0.0, 0.0, step, self.first_slice[phase] + 0.5 * (step - 1.0)],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        return self.source_affine(phase) @ to_source

    @property
    def crop(self) -> Grid:
        """The crop's pixels in the source's own axes."""
        half = 0.5 * (self.size - 1) * self.spacing_mm
        corner = _rotated((-half, -half), self.rotation_deg)
        origin = (self.centre_mm[0] + corner[0], self.centre_mm[1] + corner[1])
        return Grid((self.size, self.size), (self.spacing_mm, self.spacing_mm), origin, self.rotation_deg)

    @property
    def source(self) -> Grid:
        """The source's pixels."""
        return Grid(self.source_shape[:2], self.source_spacing_mm[:2], (0.0, 0.0), 0.0)


@dataclass(frozen=True)
class PreparedFrame:
    """One phase as slices, base to apex.

    Attributes:
        label: (n_slices, size, size) uint8; axes 1 and 2 are the source's x and y.
        image: same shape, float32 in [-1, 1]; None for label-only subjects.
    """

    label: NDArray[np.uint8]
    image: NDArray[np.float32] | None = None

    @property
    def n_slices(self) -> int:
        """How many slices it has."""
        return int(self.label.shape[0])


@dataclass(frozen=True)
class PreparedSubject:
    """A subject ready for the networks, with the way back to its source grid."""

    id: str
    group: str
    frames: Mapping[Phase, PreparedFrame]
    geometry: Geometry
    height_cm: float | None = None
    weight_kg: float | None = None
    vendor: str | None = None

    def length_mm(self, phase: Phase) -> float:
        """Long-axis length: n slices of spacing d cover n d."""
        return self.frames[phase].n_slices * self.geometry.slice_spacing_mm(phase)

    def labels_digest(self) -> str:
        """SHA-256 over the labels of both phases: by it a heart is known again, prepared the same way."""
        content = hashlib.sha256()
        for phase in PHASES:
            label = self.frames[phase].label
            content.update(repr(label.shape).encode() + np.ascontiguousarray(label).tobytes())
        return content.hexdigest()

    def label_volume(self, phase: Phase) -> Volume:
        """The prepared labels as an (x, y, slice) volume in its place."""
        label, geometry = np.moveaxis(self.frames[phase].label, 0, -1), self.geometry
        spacing = (geometry.spacing_mm, geometry.spacing_mm, geometry.slice_spacing_mm(phase))
        affine = geometry.crop_affine(phase, label.shape[2], self.length_mm(phase))
        return Volume(label, spacing, affine, geometry.code)


Kind = Literal["label", "image"]
# Linear on every class's indicator, then the largest: no class is invented between two others.
_INTERPOLATOR = {"label": sitk.sitkLabelLinear, "image": sitk.sitkLinear}


def _on_grid(image: sitk.Image | sitk.ResampleImageFilter, grid: Grid, prefix: str) -> None:
    """Places a SimpleITK image, or a resampler's output. SimpleITK orders axes (y, x, slice)."""
    cos, sin = _rotated((1.0, 0.0), grid.rotation_deg)
    getattr(image, f"Set{prefix}Spacing")((grid.spacing_mm[1], grid.spacing_mm[0], 1.0))
    getattr(image, f"Set{prefix}Origin")((grid.origin_mm[1], grid.origin_mm[0], 0.0))
    getattr(image, f"Set{prefix}Direction")((cos, sin, 0.0, -sin, cos, 0.0, 0.0, 0.0, 1.0))


def _resampled(slices: NDArray[Any], kind: Kind, here: Grid, there: Grid, outside: float) -> NDArray[Any]:
    """Resamples (n, x, y) slices in plane, from one grid to another."""
    moving = sitk.GetImageFromArray(np.ascontiguousarray(slices))
    _on_grid(moving, here, "")
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize((there.size[1], there.size[0], slices.shape[0]))
    _on_grid(resampler, there, "Output")
    resampler.SetInterpolator(_INTERPOLATOR[kind])
    resampler.SetDefaultPixelValue(outside)
    resampler.SetNumberOfThreads(1)
    return sitk.GetArrayFromImage(resampler.Execute(moving))


def _labelled_range(label: NDArray[Any]) -> tuple[int, int]:
    labelled = np.flatnonzero((label > 0).any(axis=(0, 1)))
    return int(labelled[0]), int(labelled[-1]) + 1


def _crop_frame(subject: Subject, config: PreparationConfig) -> tuple[Point, float]:
    """Centre in mm and rotation in degrees of the crop."""
    if config.orientation == "heart":
        return heart_frame(subject)
    if config.orientation == "source":
        return _box_centre_mm(subject), 0.0
    label = subject.frames["ED"].label
    x, y = (0.5 * (n - 1) * d for n, d in zip(label.array.shape[:2], label.spacing_mm, strict=False))
    return (x, y), 0.0


def _box_centre_mm(subject: Subject) -> Point:
    """Centre of the bounding box of both phases' labels, in mm from voxel (0, 0)."""
    occupied = np.any([(frame.label.array > 0).any(axis=2) for frame in subject.frames.values()], axis=0)
    spacing = subject.frames["ED"].label.spacing_mm
    ranges = [np.flatnonzero(occupied.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    return float(ranges[0].mean() * spacing[0]), float(ranges[1].mean() * spacing[1])


def _on_voxels(centre_mm: Point, spacing_mm: tuple[float, ...], config: PreparationConfig) -> Point:
    """The nearest crop centre that puts the first pixel of an unturned crop on a voxel, but for a thousandth.

    Half-way between two voxels linear labels tie, and ties go to the background: at 1.5 mm a cavity would lose up to
    7 %. The thousandth decides the ties of 1 mm grids.
    """
    half = 0.5 * (config.size - 1) * config.spacing_mm
    x, y = ((round((c - half) / d) + 1e-3) * d + half for c, d in zip(centre_mm, spacing_mm, strict=False))
    return x, y


def _intensity_range(subject: Subject, config: PreparationConfig) -> tuple[float, float] | None:
    """Percentiles over both phases together, so that a tissue keeps its brightness through the cycle."""
    images = [frame.image.array.ravel() for frame in subject.frames.values() if frame.image is not None]
    if not images:
        return None
    low, high = np.percentile(np.concatenate(images), [config.lower_percentile, config.upper_percentile]).tolist()
    if high <= low:
        raise CardiomorphError(
            f"{subject.id}: percentiles {config.lower_percentile} and {config.upper_percentile} of the image are "
            f"both {low:g}; there is no contrast to normalise"
        )
    return low, high


def _check_grids(subject: Subject) -> None:
    ed, es = (subject.frames[phase].label for phase in PHASES)
    if ed.array.shape[:2] != es.array.shape[:2] or not np.allclose(ed.spacing_mm[:2], es.spacing_mm[:2], rtol=1e-3):
        raise CardiomorphError(
            f"{subject.id}: ED has the grid {ed.array.shape} at {ed.spacing_mm} mm, ES {es.array.shape} at "
            f"{es.spacing_mm} mm; one crop needs one in-plane grid"
        )


def prepare_subject(subject: Subject, config: PreparationConfig | None = None) -> PreparedSubject:
    """Resamples, crops and normalises one subject.

    Labels are resampled linearly class by class; slices without any label at either end are dropped, per phase.

    Raises:
        CardiomorphError: ED and ES on different grids, no contrast, or a heart larger than the crop.
    """
    config = config or PreparationConfig()
    _check_grids(subject)
    mirrored = config.orientation == "heart" and _is_mirrored(subject)
    if mirrored:
        subject = replace(subject, frames={phase: frame.mirrored() for phase, frame in subject.frames.items()})
    label, es_spacing_mm = subject.frames["ED"].label, subject.frames["ES"].label.spacing_mm[2]
    centre_mm, rotation_deg = _crop_frame(subject, config)
    geometry = Geometry(
        source_shape=(*label.array.shape[:2], label.n_slices),
        source_spacing_mm=label.spacing_mm,
        centre_mm=centre_mm if rotation_deg else _on_voxels(centre_mm, label.spacing_mm, config),
        rotation_deg=rotation_deg,
        first_slice={p: _labelled_range(subject.frames[p].label.array)[0] for p in PHASES},
        intensity_range=_intensity_range(subject, config),
        es_slice_spacing_mm=None if math.isclose(es_spacing_mm, label.spacing_mm[2], rel_tol=1e-3) else es_spacing_mm,
        affine=_affines(subject),
        code=label.code,
        apex_first=subject.apex_first,
        mirrored=mirrored,
        spacing_mm=config.spacing_mm,
        size=config.size,
    )
    return PreparedSubject(
        id=subject.id,
        group=subject.group,
        frames={phase: _prepared_frame(subject, subject.frames[phase], geometry) for phase in PHASES},
        geometry=geometry,
        height_cm=subject.height_cm,
        weight_kg=subject.weight_kg,
        vendor=subject.vendor,
    )


def _is_mirrored(subject: Subject) -> bool:
    """Whether slices as stored show hearts that nobody has, as scanners' rows from front to back do in one of two ways.

    By the affines, where both phases state one: slices from base to apex that are no mirror images are a left-handed
    frame (`heart_frame.standard_affine`).
    """
    labels = [frame.label for frame in subject.frames.values()]
    return all(
        is_placed(label) and label.affine is not None and np.linalg.det(label.affine[:3, :3]) > 0 for label in labels
    )


def _affines(subject: Subject) -> dict[Phase, Matrix] | None:
    found = {phase: frame.label.affine for phase, frame in subject.frames.items()}
    if any(affine is None for affine in found.values()):
        return None
    return {phase: _matrix(affine) for phase, affine in found.items() if affine is not None}


def _matrix(affine: NDArray[np.float64]) -> Matrix:
    a, b, c, d = (tuple(row) for row in affine.tolist())
    return a, b, c, d


def _prepared_frame(subject: Subject, frame: Frame, geometry: Geometry) -> PreparedFrame:
    start, stop = _labelled_range(frame.label.array)
    label = _to_crop(frame.label.array[:, :, start:stop], "label", geometry, 0)
    lost = _share_outside_crop(frame.label, geometry)
    if lost > 0.05:
        side = geometry.size * geometry.spacing_mm
        raise CardiomorphError(
            f"{subject.id}: the crop of {side:g} mm loses {lost:.0%} of the heart; is the spacing "
            f"{geometry.source_spacing_mm} mm right?"
        )
    if frame.image is None or geometry.intensity_range is None:
        return PreparedFrame(label.astype(np.uint8))
    low, high = geometry.intensity_range
    image = _to_crop(frame.image.array[:, :, start:stop], "image", geometry, low)
    scaled = (np.clip(image, low, high) - low) * (2.0 / (high - low)) - 1.0
    return PreparedFrame(label.astype(np.uint8), scaled.astype(np.float32))


def _share_outside_crop(label: Volume, geometry: Geometry) -> float:
    """Share of the labelled voxels whose centres the crop does not hold."""
    where = np.argwhere((label.array > 0).any(axis=2))
    weight = (label.array > 0).sum(axis=2)[tuple(where.T)]
    x, y = (where * label.spacing_mm[:2] - geometry.centre_mm).T
    along, across = _rotated((x, y), -geometry.rotation_deg)
    half = 0.5 * geometry.size * geometry.spacing_mm
    held = (np.abs(along) <= half) & (np.abs(across) <= half)
    return 1.0 - float(weight[held].sum() / weight.sum())


def _to_crop(volume: NDArray[Any], kind: Kind, geometry: Geometry, outside: float) -> NDArray[Any]:
    return _resampled(np.moveaxis(volume, -1, 0), kind, geometry.source, geometry.crop, outside)


def to_source_grid(slices: NDArray[Any], kind: Kind, geometry: Geometry, phase: Phase = "ED") -> Volume:
    """The inverse of preparation: slices of the crop on the source's own grid, order and place, in its intensities.

    Args:
        slices: (n, size, size), labels or images in [-1, 1], base to apex; the first lies where the phase's most basal
            labelled slice lay. The grid grows beyond the source's last slice when the heart is longer, so that no part
            of it is lost.

    Returns:
        (nx, ny, nz) labels as uint8 or images as float32. Outside the crop: background, or the darkest intensity.
    """
    first = geometry.first_slice[phase]
    low, high = geometry.intensity_range or (-1.0, 1.0)
    values = slices if kind == "label" else (slices + 1.0) * (0.5 * (high - low)) + low
    outside = 0.0 if kind == "label" else low
    stored = values.astype(np.uint8 if kind == "label" else np.float32)
    resampled = _resampled(stored, kind, geometry.crop, geometry.source, outside)
    n_slices = max(geometry.source_shape[2], first + len(slices))
    array = np.full((*geometry.source_shape[:2], n_slices), outside, resampled.dtype)
    array[:, :, first : first + len(slices)] = np.moveaxis(resampled, 0, -1)
    spacing = (*geometry.source_spacing_mm[:2], geometry.slice_spacing_mm(phase))
    volume = Volume(array, spacing, geometry.source_affine(phase), geometry.code)
    volume = volume.mirrored() if geometry.mirrored else volume
    return volume.turned() if geometry.apex_first else volume
