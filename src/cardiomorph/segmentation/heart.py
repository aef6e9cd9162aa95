"""One scan becomes a labelled heart: found, phases chosen, labelled, cleaned, doubted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Label, Phase
from cardiomorph.data.heart_check import doubts, refusals
from cardiomorph.data.subject import MIN_LABELLED_SLICES, Frame, Subject
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


def segment_scan(
    model: FieldSegmenter, scan: Scan, numbers: Mapping[Phase, int | None] | None = None
) -> SegmentedHeart:
    """Labels a scan.

    Args:
        numbers: frames of ED and ES in a cine, counted from 1, where they are known.

    Raises:
        CardiomorphError: unreadable files, no picture, no heart in it, or a cine in which nothing beats.
    """
    told: dict[Phase, int] = {phase: number for phase, number in (numbers or {}).items() if number is not None}
    images, chosen, curve, count = _phases(model, scan, told)
    found: dict[Phase, Frame] = {}
    signs: dict[Phase, Signs] = {}
    for phase, (image, where) in images.items():
        found[phase], signs[phase] = segment_volume(model, image, where)
    subject = Subject(scan.id, scan.group, found, scan.height_cm, scan.weight_kg)
    for reason in refusals(subject, partial=True):
        raise CardiomorphError(f"what was found is no heart: {reason}", where=scan.files[0], fix=_NO_HEART)
    return SegmentedHeart(scan, found, chosen, count, signs, curve, tuple(dict.fromkeys(doubts(subject))))


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


def _phases(
    model: FieldSegmenter, scan: Scan, told: dict[Phase, int]
) -> tuple[dict[Phase, tuple[Volume, Path]], dict[Phase, int], Sequence[float], int]:
    """Images by phase with their files, their numbers in the scan from 1, a volume curve, and how many frames."""
    if scan.numbers:
        images = {phase: (read_nifti(file), file) for phase, file in zip(scan.numbers, scan.files, strict=True)}
        return images, dict(scan.numbers), (), scan.n_frames
    (file,) = scan.files
    series = read_series(file)
    for phase, number in told.items():
        if not 1 <= number <= len(series):
            raise CardiomorphError(f"has {len(series)} frames; frame {number} was named as {phase}", where=file)
    if len(set(told.values())) < len(told):
        raise CardiomorphError("ED and ES are one frame", where=file, fix="Name two, with --ed and --es")
    if len(series) == 1:
        return {"ED": (series[0], file)}, {"ED": 1}, (), 1
    curve: Sequence[float] = ()
    chosen = told
    if len(told) < len(PHASES):
        curve = lv_curve_ml(model, series, file)
        try:
            first, last = find_phases(curve)
        except CardiomorphError as error:
            raise CardiomorphError(str(error), where=file, fix="Name ED and ES with --ed and --es") from error
        found: dict[Phase, int] = {"ED": first + 1, "ES": last + 1}
        chosen = found | told
    ordered: dict[Phase, int] = {phase: chosen[phase] for phase in PHASES}
    return {phase: (series[n - 1], file) for phase, n in ordered.items()}, ordered, curve, len(series)


def lv_curve_ml(model: FieldSegmenter, series: Sequence[Volume], where: Path) -> list[float]:
    """Volume of the LV cavity in every frame of a cine, at one look each, in mL.

    Raises:
        CardiomorphError: no picture, or no heart in the first frame.
    """
    stacks = [_stack(volume, where) for volume in series]
    spacing = series[0].spacing_mm[:2]
    window = find_heart(model, stacks[0], spacing)
    if window is None:
        raise CardiomorphError("no heart was found in its first frame", where=where, fix=_NO_HEART)
    curve = []
    for volume, stack in zip(series, stacks, strict=True):
        label = cleaned(label_stack(model, stack, window, ways=_ONCE).label)
        curve.append(float((label == Label.LV).sum()) * volume.voxel_ml)
    return curve


def _stack(image: Volume, where: Path) -> NDArray[np.float32]:
    """(n_slices, nx, ny) intensities. Raises `CardiomorphError` where they are no picture."""
    array = np.ascontiguousarray(np.moveaxis(image.array, -1, 0), dtype=np.float32)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise CardiomorphError(f"{bad} voxels are NaN or infinite", where=where, fix="Export the image again")
    if array.min() == array.max():
        raise CardiomorphError(f"every voxel has the intensity {array.min():g}: there is no picture in it", where=where)
    return array
