"""One heart in two files or one: a label map, alone or with a time axis, and the image that it was drawn on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from cardiomorph.anatomy import Label, Phase
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources.images import stem_of, stored
from cardiomorph.data.subject import Frame, LabelCodes, Subject, checked_frame, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import Volume, read_series

_LABEL_ENDINGS = ("_gt", "_label", "_labels", "_seg", "_mask")


def heart_file(
    label: Path, image: Path | None = None, *, numbers: Mapping[Phase, int | None] | None = None, alone: bool = False
) -> Entry:
    """A heart of no known group.

    A label map without a time axis is the heart at ED. Of one with a time axis, ED and ES are the labelled frames with
    the largest and the smallest LV cavity, unless ``numbers`` says which they are.

    Args:
        label: NIfTI file of the labels.
        image: NIfTI file on the same grid, with the same frames; by default the file beside the label whose name is the
            label's without ``_gt``, ``_label``, ``_seg`` or ``_mask``, if there is one.
        numbers: frames of ED and ES, counted from 1.
        alone: leave out the image that lies beside the label.
    """
    given = None if alone else image or _beside(label)
    files = (label,) if given is None else (label, given)
    return Entry(stem_of(label), label, files, partial(_read, label, given, dict(numbers or {})), label)


def label_ending(path: Path) -> str:
    """By what a file is named like labels; "" where it is not."""
    return next((ending for ending in _LABEL_ENDINGS if stem_of(path).endswith(ending)), "")


def _beside(label: Path) -> Path | None:
    ending = label_ending(label)
    return stored(label.parent, stem_of(label).removesuffix(ending)) if ending else None


def _read(label: Path, image: Path | None, numbers: Mapping[Phase, int | None], codes: LabelCodes | None) -> Subject:
    try:
        frames, doubts = _frames(label, image, numbers, codes)
    except CardiomorphError as error:
        return Subject(stem_of(label), "", {}, problems=(str(error),))
    return Subject(stem_of(label), "", frames, doubts=doubts)


def _frames(
    label: Path, image: Path | None, numbers: Mapping[Phase, int | None], codes: LabelCodes | None
) -> tuple[dict[Phase, Frame], tuple[str, ...]]:
    series = read_series(label)
    chosen, doubts = _phases(series, label, numbers, codes)
    labels = {phase: checked_label(series[number - 1], label, codes) for phase, number in chosen.items()}
    if image is None:
        return {phase: Frame(found) for phase, found in labels.items()}, doubts
    pictures = read_series(image)
    if len(pictures) != len(series):
        raise CardiomorphError(f"has {len(pictures)} frames, its label {len(series)}; they must agree", where=image)
    return {p: checked_frame(found, pictures[chosen[p] - 1], image) for p, found in labels.items()}, doubts


def check_frames(told: Mapping[Phase, int], count: int, where: Path) -> None:
    """Raises `CardiomorphError` where frames, counted from 1, are not among ``count``, or are one and the same."""
    for phase, number in told.items():
        if not 1 <= number <= count:
            raise CardiomorphError(f"has {count} frames; frame {number} was named as {phase}", where=where)
    if len(set(told.values())) < len(told):
        raise CardiomorphError("ED and ES are one frame", where=where, fix="Name two, with --ed and --es")


def _phases(
    series: Sequence[Volume], path: Path, numbers: Mapping[Phase, int | None], codes: LabelCodes | None
) -> tuple[dict[Phase, int], tuple[str, ...]]:
    """Frames, counted from 1, by phase; and what was decided without being told."""
    told: dict[Phase, int] = {phase: number for phase, number in numbers.items() if number is not None}
    check_frames(told, len(series), path)
    if len(series) == 1 or len(told) == 2:
        return told or {"ED": 1}, ()
    sizes = {n: _lv_ml(volume, path, codes) for n, volume in enumerate(series, 1) if (volume.array != 0).any()}
    if not sizes:
        raise CardiomorphError("no voxel is labelled", where=path)
    found: dict[Phase, int] = {"ED": max(sizes, key=sizes.__getitem__), "ES": min(sizes, key=sizes.__getitem__)}
    found |= told
    if found["ED"] == found["ES"]:
        return {"ED": found["ED"]}, ()
    return found, (f"ED and ES are its frames {found['ED']} and {found['ES']}, of the largest and the smallest LV",)


def _lv_ml(volume: Volume, path: Path, codes: LabelCodes | None) -> float:
    label = checked_label(volume, path, codes)
    return float((label.array == Label.LV).sum()) * label.voxel_ml
