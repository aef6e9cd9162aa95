"""Near-identical hearts: one patient filed twice must not stand on both sides of a split.

ACDC's patients 074 and 076 are one heart with two annotations: their images correlate at 1.0000, the next nearest
pair of the hundred at 0.52. Hearts that share an empty field, and nothing else, are not one heart: what is compared is
what lies in the field of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from cardiomorph.anatomy import PHASES
from cardiomorph.data.subject import Subject

SAME_IMAGE_CORRELATION = 0.98
SAME_LABEL_DICE = 0.995
"""Label maps without images are one heart where they are copies; drawn anew or on another grid they are not found."""
_CANDIDATE_CORRELATION = 0.9
_COARSE, _FINE = (24, 24, 6), (64, 64, 12)
# Padding, or air cut to nothing: a value that this share of the voxels has, to the last bit. Air with its noise: what
# lies in the lowest part of the intensities.
_EMPTY_SHARE, _DARK_SHARE = 0.05, 0.05


@dataclass(frozen=True)
class Fingerprint:
    """A small picture of a subject's whole field of view.

    The whole field, not the crop around the heart: the crop follows the annotation, which may differ.

    Attributes:
        coarse: (24 * 24 * 6,) of ED's image, zero mean and unit length, or of its label where there is no image.
        fine: (64, 64, 12) float32 of ED's image, or (2, 64, 64, 12) uint8 of both phases' labels.
        field: same shape, where `fine` is not empty.
    """

    coarse: NDArray[np.float32]
    fine: NDArray[np.generic]
    field: NDArray[np.bool_]

    @property
    def of_image(self) -> bool:
        return self.fine.dtype == np.float32


def fingerprint(subject: Subject) -> Fingerprint:
    """The fingerprint of a subject; its labels stand in where it has no image."""
    frame = subject.frames["ED"]
    if frame.image is None:
        maps = [subject.frames[phase].label.array for phase in PHASES if phase in subject.frames]
        labels = np.stack([resize(a, _FINE, order=0, preserve_range=True, anti_aliasing=False) for a in maps])
        return Fingerprint(_coarse(frame.label.array), labels.astype(np.uint8), labels > 0)
    image = frame.image.array.astype(np.float32)
    field = resize(_not_empty(image).astype(np.float32), _FINE, anti_aliasing=True) > 0.5
    return Fingerprint(_coarse(image), resize(image, _FINE, anti_aliasing=True).astype(np.float32), field)


def _coarse(array: NDArray[np.generic]) -> NDArray[np.float32]:
    coarse = resize(array.astype(np.float32), _COARSE, anti_aliasing=True).ravel()
    coarse -= coarse.mean()
    return (coarse / (np.linalg.norm(coarse) or 1.0)).astype(np.float32)


def _not_empty(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    values, counts = np.unique(image, return_counts=True)
    low, high = np.percentile(image, (0.5, 99.5))
    bright = image > low + _DARK_SHARE * (high - low)
    return bright & (image != values[np.argmax(counts)]) if counts.max() > _EMPTY_SHARE * image.size else bright


def same_heart(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two fingerprints are of one heart: images that correlate, or labels that agree, where either has any."""
    if one.of_image != other.of_image or one.fine.shape != other.fine.shape:
        return False
    field = one.field | other.field
    if one.of_image:
        a, b = one.fine[field].astype(np.float64), other.fine[field].astype(np.float64)
        a, b = a - a.mean(), b - b.mean()
        length = np.linalg.norm(a) * np.linalg.norm(b)
        return bool(length > 0 and a @ b > SAME_IMAGE_CORRELATION * length)
    agree = (one.fine == other.fine) & one.field & other.field
    return bool(2.0 * agree.sum() > SAME_LABEL_DICE * (one.field.sum() + other.field.sum()))


def find_twins(fingerprints: Mapping[str, Fingerprint]) -> list[list[str]]:
    """Sets of two or more subjects that are one heart, each sorted; the sets in order of their first name."""
    names = sorted(fingerprints)
    if len(names) < 2:
        return []
    table = np.stack([fingerprints[name].coarse for name in names])
    parent = list(range(len(names)))
    for row, column in np.argwhere(np.triu(table @ table.T > _CANDIDATE_CORRELATION, 1)):
        if parent[row] != parent[column] and same_heart(fingerprints[names[row]], fingerprints[names[column]]):
            old, new = parent[column], parent[row]
            parent = [new if root == old else root for root in parent]
    sets: dict[int, list[str]] = {}
    for index, root in enumerate(parent):
        sets.setdefault(root, []).append(names[index])
    return [members for members in sets.values() if len(members) > 1]
