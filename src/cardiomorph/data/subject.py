"""A patient as a data set gives it: ED and ES frames with labels, checked before anything uses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import GROUPS, N_CLASSES, Group, Phase
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import Volume

MIN_LABELLED_SLICES = 3


@dataclass(frozen=True)
class Frame:
    """One phase of a subject: image and label on the same grid. ``image`` is None for label-only folders."""

    label: Volume
    image: Volume | None = None


@dataclass(frozen=True)
class Subject:
    """ED and ES frames of one heart with what is known of its owner."""

    id: str
    group: Group
    frames: Mapping[Phase, Frame]
    height_cm: float | None = None
    weight_kg: float | None = None
    vendor: str | None = None


@dataclass(frozen=True)
class Entry:
    """A subject that was found but not yet read. ``load`` raises `CardiomorphError` where it cannot be."""

    id: str
    folder: Path
    load: Callable[[], Subject]


def checked_group(text: str, where: Path) -> Group:
    """``text`` as one of the five groups. Raises `CardiomorphError` for any other."""
    if text not in GROUPS:
        raise CardiomorphError(f"the group is {text!r}; expected one of {', '.join(GROUPS)}", where=where)
    return text  # type: ignore[return-value]


Codes = Mapping[int, int]
"""Another labelling's codes -> ours (0 background, 1 RV cavity, 2 LV myocardium, 3 LV cavity)."""


def recoded(label: Volume, codes: Codes) -> Volume:
    """``label`` with its codes translated; codes that are not listed stay as they are."""
    array = label.array.copy()
    for theirs, ours in codes.items():
        array[label.array == theirs] = ours
    return label.with_array(array)


def checked_label(label: Volume, where: Path, codes: Codes | None = None) -> Volume:
    """``label`` as uint8, if it is a label map of a heart.

    Args:
        codes: translation of another labelling's codes, applied first.

    Raises:
        CardiomorphError: codes outside 0..3, nothing labelled, fewer than three labelled slices.
    """
    label = recoded(label, codes) if codes else label
    values = np.unique(label.array)
    allowed = np.isin(values, np.arange(N_CLASSES))
    if not allowed.all():
        raise CardiomorphError(
            f"holds label values {[float(value) for value in values[~allowed][:5]]}; expected only 0 background, "
            "1 RV cavity, 2 LV myocardium, 3 LV cavity",
            where=where,
            fix="Remap the labels to these codes first (evaluate: --labels 1:3,2:2,3:1)",
        )
    labelled = int((label.array > 0).any(axis=(0, 1)).sum())
    if labelled == 0:
        raise CardiomorphError("no voxel is labelled", where=where, fix="Leave this subject out")
    if labelled < MIN_LABELLED_SLICES:
        raise CardiomorphError(
            f"has {labelled} labelled slice{'s' if labelled > 1 else ''} of {label.n_slices}; "
            f"at least {MIN_LABELLED_SLICES} are needed to follow a heart from base to apex",
            where=where,
            fix="Leave this subject out",
        )
    return label.with_array(label.array.astype(np.uint8))


def checked_image(image: Volume, label: Volume, where: Path) -> Volume:
    """``image`` as float32, if it is finite, not constant and on the label's grid.

    Raises:
        CardiomorphError: another shape than the label's, NaN or infinite or constant intensities.
    """
    if image.array.shape != label.array.shape:
        raise CardiomorphError(
            f"the image has shape {image.array.shape}, its label {label.array.shape}; they must agree",
            where=where,
        )
    array = image.array.astype(np.float32)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise CardiomorphError(
            f"{bad} voxels are NaN or infinite", where=where, fix="Export the image again, or leave it out"
        )
    if array.min() == array.max():
        raise CardiomorphError(f"every voxel has the intensity {array.min():g}: there is no picture in it", where=where)
    return image.with_array(array)
