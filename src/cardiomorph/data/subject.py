"""A patient as a data set gives it: ED and ES frames with labels, each pair checked before anything uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import GROUPS, N_CLASSES, Group, Phase
from cardiomorph.errors import CardiomorphError
from cardiomorph.nifti_header import ZOOMS_WIN
from cardiomorph.volume import Volume

MIN_LABELLED_SLICES = 3
# A label that went through a scaled or floating-point file is a hair off its whole number.
_HAIR = 1e-3
_SAME_SPACING = 0.01
_SAME_PLACE_MM = 1.0


@dataclass(frozen=True)
class Frame:
    """One phase of a subject: image and label on the same grid. ``image`` is None for label-only folders."""

    label: Volume
    image: Volume | None = None

    def turned(self) -> Frame:
        """The same frame with its slices stored the other way round."""
        return Frame(self.label.turned(), self.image.turned() if self.image else None)

    def mirrored(self) -> Frame:
        """The same frame with its y axis stored the other way round."""
        return Frame(self.label.mirrored(), self.image.mirrored() if self.image else None)


@dataclass(frozen=True)
class Subject:
    """ED and ES frames of one heart, slices base to apex, with what is known of its owner.

    Attributes:
        group: one of the five; or what a data set says instead; or "".
        synthetic: whether its source says that it was made, not scanned.
        apex_first: whether the source stores the slices from apex to base.
        doubts: what the source left open or what looks odd, in words; the heart is used all the same.
        problems: what is there and could not be read, in words.
    """

    id: str
    group: str
    frames: Mapping[Phase, Frame]
    height_cm: float | None = None
    weight_kg: float | None = None
    vendor: str | None = None
    synthetic: bool = False
    apex_first: bool = False
    doubts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def stored(self, phase: Phase) -> Frame:
        """A phase with its slices in the order of the source."""
        return self.frames[phase].turned() if self.apex_first else self.frames[phase]


def checked_group(subject: Subject, where: Path) -> Group:
    """A subject's group as one of the five. Raises `CardiomorphError` for any other."""
    if subject.group not in GROUPS:
        told = f"the group {subject.group!r}" if subject.group else "no group"
        raise CardiomorphError(
            f"{subject.id} has {told}; expected one of {', '.join(GROUPS)}",
            where=where,
            fix="A heart of no known group can be measured ('cardiomorph measure'), but joins no group's statistics",
        )
    return subject.group  # type: ignore[return-value]


LabelCodes = Mapping[int, int]
"""Another labelling's codes -> ours (0 background, 1 RV cavity, 2 LV myocardium, 3 LV cavity)."""


def recoded(array: NDArray[np.integer], codes: LabelCodes) -> NDArray[np.integer]:
    """Labels with their codes translated; codes that are not listed stay as they are."""
    result = array.astype(np.int64)
    for theirs, ours in codes.items():
        result[array == theirs] = ours
    return result


def checked_label(label: Volume, where: Path, codes: LabelCodes | None = None) -> Volume:
    """``label`` as uint8, if it is a label map of a heart.

    Args:
        codes: translation of another labelling's codes, applied first.

    Raises:
        CardiomorphError: codes outside 0..3, nothing labelled, fewer than three labelled slices.
    """
    whole, is_whole = _whole(label.array)
    # A code that is not listed stays what it is; not where another one becomes the same.
    merged = [code for code in set((codes or {}).values()) - set(codes or {}) - {0} if (whole == code).any()]
    if merged:
        raise CardiomorphError(
            f"holds the code {merged[0]}, of which nothing was said, and another one is said to mean it",
            where=where,
            fix=f"Say what every code means; {merged[0]}:0 makes it background",
        )
    array = recoded(whole, codes) if codes else whole
    allowed = is_whole & (array >= 0) & (array < N_CLASSES)
    if not allowed.all():
        raise CardiomorphError(
            f"holds label values {[float(value) for value in np.unique(label.array[~allowed])[:5]]}; expected only 0 "
            "background, 1 RV cavity, 2 LV myocardium, 3 LV cavity",
            where=where,
            fix="Say what they mean with --labels theirs:ours, for instance --labels 85:1,170:2,255:3",
        )
    labelled = int((array > 0).any(axis=(0, 1)).sum())
    if labelled == 0:
        raise CardiomorphError("no voxel is labelled", where=where, fix="Leave this subject out")
    if labelled < MIN_LABELLED_SLICES:
        raise CardiomorphError(
            f"has {labelled} labelled slice{'s' if labelled > 1 else ''} of {label.n_slices}; "
            f"at least {MIN_LABELLED_SLICES} are needed to follow a heart from base to apex",
            where=where,
            fix="Leave this subject out",
        )
    return label.with_array(array.astype(np.uint8))


def _whole(array: NDArray[Any]) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """Whole numbers of an array, and where it holds any."""
    if np.issubdtype(array.dtype, np.integer):
        return array, np.ones(array.shape, bool)
    whole = np.rint(np.nan_to_num(array.astype(np.float64), nan=0.5, posinf=1e9, neginf=-1e9))
    return whole.astype(np.int64), np.abs(whole - array) <= _HAIR


def checked_frame(label: Volume, image: Volume, where: Path) -> Frame:
    """Image and label as a pair, the image as float32, if they lie on one grid.

    Where only one of the two states its place in the world, the other takes it.

    Args:
        where: the image's file.

    Raises:
        CardiomorphError: another shape, spacing or place than the label's; NaN, infinite or constant intensities.
    """
    _check_grids(label, image, where)
    array = checked_intensities(image, where)
    place = image if is_placed(image) or not is_placed(label) else label
    return Frame(
        replace(label, affine=place.affine, code=place.code),
        replace(image, array=array, affine=place.affine, code=place.code),
    )


def checked_intensities(image: Volume, where: Path) -> NDArray[np.float32]:
    """An image's voxels as float32. Raises `CardiomorphError` for NaN, infinite or constant ones."""
    array = image.array.astype(np.float32)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise CardiomorphError(
            f"{bad} voxels are NaN or infinite", where=where, fix="Export the image again, or leave it out"
        )
    if array.min() == array.max():
        raise CardiomorphError(f"every voxel has the intensity {array.min():g}: there is no picture in it", where=where)
    return array


def _check_grids(label: Volume, image: Volume, where: Path) -> None:
    if image.array.shape != label.array.shape:
        raise CardiomorphError(
            f"the image has shape {image.array.shape}, its label {label.array.shape}; they must agree", where=where
        )
    if not np.allclose(image.spacing_mm, label.spacing_mm, rtol=_SAME_SPACING, atol=0):
        raise CardiomorphError(
            f"the image has the spacing {_shown(image.spacing_mm)} mm, its label {_shown(label.spacing_mm)} mm; they "
            "must agree",
            where=where,
            fix="Only one can be right: copy the right header to the other file",
        )
    if is_placed(image) and is_placed(label):
        apart = _apart_mm(image, label)
        if apart > _SAME_PLACE_MM:
            raise CardiomorphError(
                f"image and label lie up to {apart:.0f} mm apart in the world by their affines, though their grids are "
                "alike: one of them was turned, mirrored or moved, or lost its affine",
                where=where,
                fix="Resample the label onto the image; where the voxels agree, copy the image's header to the label",
            )


def is_placed(volume: Volume) -> bool:
    """Whether a volume's file says where it lies: it states an orientation, and one that knows the spacing."""
    return volume.affine is not None and volume.code > 0 and ZOOMS_WIN not in volume.doubts


def _apart_mm(one: Volume, other: Volume) -> float:
    """Largest distance in the world between the same corners of two grids, in mm."""
    corners = np.array([[*corner, 1.0] for corner in product(*((0, n - 1) for n in one.array.shape))]).T
    assert one.affine is not None
    assert other.affine is not None
    return float(np.linalg.norm(((one.affine - other.affine) @ corners)[:3], axis=0).max())


def _shown(spacing_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{value:.4g}" for value in spacing_mm)
