"""One scan becomes a labelled heart: found, phases chosen, labelled, cleaned, doubted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Label, Phase
from cardiomorph.data.heart_check import doubts, refusals
from cardiomorph.data.heart_file import check_frames
from cardiomorph.data.subject import MIN_LABELLED_SLICES, Frame, Subject, checked_intensities
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.models.field_segmenter import FieldSegmenter
from cardiomorph.segmentation.clean_up import cleaned
from cardiomorph.segmentation.phases import find_phases
from cardiomorph.segmentation.quality import Calibration, Signs, signs_of, verdict
from cardiomorph.segmentation.scans import Scan
from cardiomorph.segmentation.stack import TURNS, find_heart, label_stack
from cardiomorph.volume import Volume, read_nifti, read_series

_ONCE = TURNS[:1]
_NO_HEART = "Expected is a cine MR short-axis stack; if it is one, label it by hand"


@dataclass(frozen=True)
class SegmentedHeart:
    """A labelled scan.

    Attributes:
        scan: where it came from.
        frames: image and label by phase; ED alone where the scan is one stack.
        numbers: of these frames in the scan, from 1.
        n_frames: how many the scan has.
        signs: by phase, what a calibration turns into a predicted Dice.
        lv_ml: of a cine, the LV cavity's volume in every frame as the first look gave it.
        doubts: what looks odd, in words.
    """

    scan: Scan
    frames: Mapping[Phase, Frame]
    numbers: Mapping[Phase, int]
    n_frames: int
    signs: Mapping[Phase, Signs]
    lv_ml: Sequence[float]
    doubts: tuple[str, ...]

    @property
    def labels(self) -> dict[Phase, Volume]:
        return {phase: frame.label for phase, frame in self.frames.items()}

    def measures(self) -> Measures:
        """As `measure` gives them."""
        return measure_heart(self.labels, self.scan.height_cm, self.scan.weight_kg)

    def quality(self, calibration: Calibration) -> dict[str, Any]:
        """Predicted Dice, where nine in ten of such lay, and the verdict, of each phase."""
        found: dict[str, Any] = {}
        for phase, signs in self.signs.items():
            predicted = calibration.predicted(signs)
            found[phase] = {
                "dice": {name: round(value, 4) for name, value in predicted.items()},
                "range90": {name: [round(v, 4) for v in ends] for name, ends in calibration.range90(signs).items()},
                "verdict": verdict(predicted),
            }
        return found


@dataclass(frozen=True)
class Step:
    """What is being done now, and how much is done of all."""

    words: str
    done: int
    of: int


def segment_scan(
    model: FieldSegmenter, scan: Scan, numbers: Mapping[Phase, int | None] | None = None
) -> SegmentedHeart:
    """Labels a scan. Arguments and errors as of `segmenting`."""
    for found in segmenting(model, scan, numbers):
        if isinstance(found, SegmentedHeart):
            return found
    raise AssertionError("the last that is found is the heart")


def segmenting(
    model: FieldSegmenter, scan: Scan, numbers: Mapping[Phase, int | None] | None = None
) -> Iterator[Step | SegmentedHeart]:
    """Labels a scan step by step; the heart comes last.

    Args:
        numbers: frames of ED and ES in a cine, counted from 1, where they are known.

    Raises:
        CardiomorphError: unreadable files, no picture, no heart in it, or a cine in which nothing beats.
    """
    told: dict[Phase, int] = {phase: number for phase, number in (numbers or {}).items() if number is not None}
    curve: list[float] = []
    yield Step("reading", 0, 1)
    if scan.numbers:
        images = {phase: (read_nifti(file), file) for phase, file in zip(scan.numbers, scan.files, strict=True)}
        chosen, count = dict(scan.numbers), scan.n_frames
    else:
        (file,) = scan.files
        series = read_series(file)
        check_frames(told, len(series), file)
        chosen, count = {"ED": 1}, len(series)
        if count > 1:
            if len(told) < len(PHASES):
                for volume_ml in lv_curve_ml(model, series, file):
                    curve.append(volume_ml)
                    yield Step("looking for ED and ES", len(curve), count + 2)
            chosen = _chosen(curve, told, file)
        images = {phase: (series[n - 1], file) for phase, n in chosen.items()}
    found: dict[Phase, Frame] = {}
    signs: dict[Phase, Signs] = {}
    for phase, (image, where) in images.items():
        yield Step(f"labelling {phase}", len(curve) + len(found), len(curve) + len(images))
        found[phase], signs[phase] = segment_volume(model, image, where)
    subject = Subject(scan.id, scan.group, found, scan.height_cm, scan.weight_kg)
    for reason in refusals(subject, partial=True):
        raise CardiomorphError(f"what was found is no heart: {reason}", where=scan.files[0], fix=_NO_HEART)
    yield SegmentedHeart(scan, found, chosen, count, signs, curve, tuple(dict.fromkeys(doubts(subject))))


def _chosen(curve: Sequence[float], told: Mapping[Phase, int], file: Path) -> dict[Phase, int]:
    """Frames of ED and ES, from 1: as told, or of the largest and smallest LV."""
    found = dict(told)
    if len(told) < len(PHASES):
        try:
            first, last = find_phases(curve)
        except CardiomorphError as error:
            raise CardiomorphError(str(error), where=file, fix="Name ED and ES with --ed and --es") from error
        found = {"ED": first + 1, "ES": last + 1, **told}
    return {phase: found[phase] for phase in PHASES}


def segment_volume(model: FieldSegmenter, image: Volume, where: Path) -> tuple[Frame, Signs]:
    """Labels one stack. Raises `CardiomorphError` where there is no picture or no heart in it."""
    stack = _stack(image, where)
    window = find_heart(model, stack, image.spacing_mm[:2])
    if window is None:
        raise CardiomorphError("no heart was found in it", where=where, fix=_NO_HEART)
    labelling = label_stack(model, stack, window)
    kept = cleaned(labelling.label)
    labelled = int((kept > 0).any(axis=(1, 2)).sum())
    if labelled < MIN_LABELLED_SLICES or not (kept == Label.LV).any():
        raise CardiomorphError(
            f"no heart was found in it (something like one in {labelled} of {len(kept)} slices)",
            where=where,
            fix=_NO_HEART,
        )
    label = image.with_array(np.ascontiguousarray(np.moveaxis(kept, 0, -1)))
    return Frame(label, image), signs_of(labelling, kept, label)


def lv_curve_ml(model: FieldSegmenter, series: Sequence[Volume], where: Path) -> Iterator[float]:
    """Volume of the LV cavity in frame after frame of a cine, at one look each, in mL.

    Raises:
        CardiomorphError: no picture, or no heart in the first frame.
    """
    stacks = [_stack(volume, where) for volume in series]
    spacing = series[0].spacing_mm[:2]
    window = find_heart(model, stacks[0], spacing)
    if window is None:
        raise CardiomorphError("no heart was found in its first frame", where=where, fix=_NO_HEART)
    for volume, stack in zip(series, stacks, strict=True):
        label = cleaned(label_stack(model, stack, window, ways=_ONCE).label)
        yield float((label == Label.LV).sum()) * volume.voxel_ml


def _stack(image: Volume, where: Path) -> NDArray[np.float32]:
    """(n_slices, nx, ny) intensities. Raises `CardiomorphError` where they are no picture."""
    return np.ascontiguousarray(np.moveaxis(checked_intensities(image, where), -1, 0))
