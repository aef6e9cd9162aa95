"""Near-identical hearts: one patient filed twice must not stand on both sides of a split.

ACDC's patients 074 and 076 are one heart with two annotations: their images correlate at 1.0000, the next nearest
pair of the hundred at 0.52. Hearts that share an empty field, and nothing else, are not one heart: what is compared is
what lies in the field of either.

A scan that was cropped, padded, resampled, mirrored or lost slices has another field, and the same heart in it. So the
hearts' slices are compared, too, turned and centred as the networks see them: the median slice finds one of the other
heart that it correlates with at 0.9999 (074 and 076), and at 0.81 at the most in any other pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from cardiomorph.anatomy import PHASES
from cardiomorph.data.prepare import PreparationConfig, prepare_subject
from cardiomorph.data.subject import Subject
from cardiomorph.errors import CardiomorphError

SAME_IMAGE_CORRELATION = 0.98
SAME_SLICES_CORRELATION = 0.97
SAME_LABEL_DICE = 0.995
"""Label maps without images are one heart where they are copies, cropped or padded; drawn anew they are not found."""
_CANDIDATE_CORRELATION = 0.9
_COARSE, _FINE = (24, 24, 6), (64, 64, 12)
_SIDE, _AROUND_HEART = 40, slice(24, 104)
"""Of the crop's 128 pixels of 1.5 mm the middle 120 mm, which hold the heart, as 40 pixels of 3 mm."""
# Padding, or air cut to nothing: a value that this share of the voxels has, to the last bit. Air with its noise: what
# lies in the lowest part of the intensities.
_EMPTY_SHARE, _DARK_SHARE = 0.05, 0.05


@dataclass(frozen=True)
class Fingerprint:
    """A small picture of a subject's whole field of view.

    The whole field, not the crop around the heart: the crop follows the annotation, which may differ.

    Attributes:
        coarse: (24 * 24 * 6,) of ED's image, or of its centred label where there is none; zero mean and unit length.
        fine: (64, 64, 12) float32 of ED's image, or (2, 64, 64, 12) uint8 of both phases' labels, turned and centred.
        field: same shape, where `fine` is not empty.
        heart: (n, 40, 40) slices of ED around the heart, NaN where they are empty; none without an image.
    """

    coarse: NDArray[np.float32]
    fine: NDArray[np.generic]
    field: NDArray[np.bool_]
    heart: NDArray[np.float32]

    @property
    def of_image(self) -> bool:
        return self.fine.dtype == np.float32


def fingerprint(subject: Subject) -> Fingerprint:
    """The fingerprint of a subject; its labels stand in where it has no image."""
    frame = subject.frames["ED"]
    if frame.image is None:
        maps = _label_maps(subject)
        labels = np.stack([resize(a, _FINE, order=0, preserve_range=True, anti_aliasing=False) for a in maps])
        return Fingerprint(_coarse(maps[0]), labels.astype(np.uint8), labels > 0, _NO_SLICES)
    image = frame.image.array.astype(np.float32)
    field = resize(_not_empty(image).astype(np.float32), _FINE, anti_aliasing=True) > 0.5
    fine = resize(image, _FINE, anti_aliasing=True).astype(np.float32)
    return Fingerprint(_coarse(image), fine, field, _slices(subject))


def _coarse(array: NDArray[np.generic]) -> NDArray[np.float32]:
    return _unit(resize(array.astype(np.float32), _COARSE, anti_aliasing=True)[None]).ravel()


def _label_maps(subject: Subject) -> list[NDArray[np.uint8]]:
    """(x, y, slice) labels of every phase, turned and centred; as they are where they cannot be prepared."""
    try:
        prepared = prepare_subject(subject, PreparationConfig())
    except CardiomorphError:
        return [subject.frames[phase].label.array for phase in PHASES if phase in subject.frames]
    return [np.moveaxis(prepared.frames[phase].label, 0, -1) for phase in PHASES]


_NO_SLICES = np.empty((0, _SIDE, _SIDE), np.float32)


def _slices(subject: Subject) -> NDArray[np.float32]:
    """The heart's slices at ED; none of a heart that cannot be prepared."""
    try:
        image = prepare_subject(subject, PreparationConfig()).frames["ED"].image
    except CardiomorphError:
        return _NO_SLICES
    assert image is not None, "the subject has an image"
    middle = image[:, _AROUND_HEART, _AROUND_HEART]
    small = (len(middle), _SIDE, _SIDE)
    field = resize(_not_empty(middle).astype(np.float32), small, anti_aliasing=True) > 0.5
    return np.where(field, resize(middle, small, anti_aliasing=True), np.nan).astype(np.float32)


def _unit(pictures: NDArray[np.floating]) -> NDArray[np.float32]:
    """Each of the (n, ...) pictures with zero mean and unit length; one without contrast is nought."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (
        np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0).reshape(pictures.shape).astype(np.float32)
    )


def _not_empty(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    values, counts = np.unique(image, return_counts=True)
    low, high = np.percentile(image, (0.5, 99.5))
    bright = image > low + _DARK_SHARE * (high - low)
    return bright & (image != values[np.argmax(counts)]) if counts.max() > _EMPTY_SHARE * image.size else bright


def same_heart(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two fingerprints are of one heart: by the whole field, or slice by slice."""
    return _same_field(one, other) or _same_slices(one.heart, other.heart)


def _same_field(one: Fingerprint, other: Fingerprint) -> bool:
    """Images that correlate, or labels that agree, where either has any."""
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


def _same_slices(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether the slices of the smaller stack are found among the other's, as they are or mirrored."""
    few, many = sorted((one, other), key=len)
    if not len(few):
        return False
    nearest = (_correlations(few, seen).max(axis=1) for seen in (many, many[:, :, ::-1]))
    return any(float(np.median(found)) > SAME_SLICES_CORRELATION for found in nearest)


def _correlations(few: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, m) Pearson's of n slices and m, over the pixels that neither has empty; 0 where these are less than half."""
    a, b = (slices.reshape(len(slices), -1).astype(np.float64) for slices in (few, many))
    in_a, in_b = np.isfinite(a).astype(float), np.isfinite(b).astype(float)
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    both = in_a @ in_b.T
    count = np.maximum(both, 1.0)
    sum_a, sum_b = a @ in_b.T, in_a @ b.T
    covariance = a @ b.T - sum_a * sum_b / count
    spread = (a**2 @ in_b.T - sum_a**2 / count) * (in_a @ (b**2).T - sum_b**2 / count)
    either = in_a.sum(axis=1)[:, None] + in_b.sum(axis=1)[None] - both
    known = (2.0 * both > either) & (spread > 1e-9)
    return np.divide(covariance, np.sqrt(np.maximum(spread, 0.0)), out=np.zeros_like(both), where=known)


def _projections(hearts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(n, 1600) the hearts seen through all of their slices, which losing one changes little."""
    return _unit(np.stack([np.nan_to_num(heart).sum(axis=0) for heart in hearts]))


def _candidates(fingerprints: Sequence[Fingerprint]) -> NDArray[np.intp]:
    """(pairs, 2) numbers of fingerprints that are worth a closer look."""
    coarse = np.stack([found.coarse for found in fingerprints])
    seen = _projections([found.heart for found in fingerprints])
    rows, mirrored = seen.reshape(len(seen), -1), seen[:, :, ::-1].reshape(len(seen), -1)
    likeness = np.maximum(coarse @ coarse.T, np.maximum(rows @ rows.T, rows @ mirrored.T))
    return np.argwhere(np.triu(likeness > _CANDIDATE_CORRELATION, 1))


def find_twins(fingerprints: Mapping[str, Fingerprint]) -> list[list[str]]:
    """Sets of two or more subjects that are one heart, each sorted; the sets in order of their first name."""
    names = sorted(fingerprints)
    if len(names) < 2:
        return []
    parent = list(range(len(names)))
    for row, column in _candidates([fingerprints[name] for name in names]):
        if parent[row] != parent[column] and same_heart(fingerprints[names[row]], fingerprints[names[column]]):
            old, new = parent[column], parent[row]
            parent = [new if root == old else root for root in parent]
    sets: dict[int, list[str]] = {}
    for index, root in enumerate(parent):
        sets.setdefault(root, []).append(names[index])
    return [members for members in sets.values() if len(members) > 1]
