"""A trained segmenter is made ready to use: weights in half precision, and how well it knows its own mistakes.

It labels the patients whom its training set aside, as they are and made worse in ways in which scans are bad; what it
says of itself there is fitted to the true Dice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cardiomorph.data.cohort import Cohort
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.overlap import agreement
from cardiomorph.files import folder_in_place, read_record, validated, write_json
from cardiomorph.models.checkpoint import DESCRIPTION, load_field_segmenter, save_model
from cardiomorph.models.field_segmenter import FieldSegmenter
from cardiomorph.progress import track
from cardiomorph.segmentation.heart import segment_volume
from cardiomorph.segmentation.quality import QUALITY, Signs, fitted
from cardiomorph.training.field_segmenter import FieldSegmenterTrainingConfig, set_aside

_log = logging.getLogger(__name__)

READY = "segmenter"
"""Folder in a run that `segment` takes."""
Image = NDArray[np.float32]
_LEAST = 4
"""Labelled stacks below which nothing is fitted."""


def _as_it_is(image: Image, rng: np.random.Generator) -> Image:
    return image


def _noisy(share: float) -> Callable[[Image, np.random.Generator], Image]:
    def change(image: Image, rng: np.random.Generator) -> Image:
        return image + share * image.std() * rng.standard_normal(image.shape).astype(np.float32)

    return change


def _blurred(pixels: float) -> Callable[[Image, np.random.Generator], Image]:
    def change(image: Image, rng: np.random.Generator) -> Image:
        return gaussian_filter(image, (pixels, pixels, 0))

    return change


def _flattened(power: float) -> Callable[[Image, np.random.Generator], Image]:
    def change(image: Image, rng: np.random.Generator) -> Image:
        low, high = image.min(), image.max()
        return ((image - low) / (high - low)) ** power

    return change


def _striped(image: Image, rng: np.random.Generator) -> Image:
    """Every second slice darker, and the image shifted onto itself: ghosts of motion."""
    ghost = 0.4 * np.roll(image, image.shape[0] // 8, axis=0)
    dimmed = np.where(np.arange(image.shape[2]) % 2, 0.7, 1.0).astype(np.float32)
    return (image + ghost) * dimmed


WORSE: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "as it is": _as_it_is,
    "noise of 0.5 SD": _noisy(0.5),
    "noise of 1 SD": _noisy(1.0),
    "blurred by 2 pixels": _blurred(2.0),
    "blurred by 4 pixels": _blurred(4.0),
    "gamma 0.4": _flattened(0.4),
    "gamma 2.5": _flattened(2.5),
    "ghosts": _striped,
}


def make_ready(run: Path, cohort: Path, scans: Path) -> Path:
    """Writes the run's folder that `segment` takes: weights in half precision with their calibration.

    Args:
        run: of `train_field_segmenter`, finished.
        cohort, scans: of the training.

    Raises:
        CardiomorphError: an unfinished run, other data than it was trained on.
    """
    run = Path(run)
    settings = read_record(run / DESCRIPTION, "settings")["settings"]
    config = validated(FieldSegmenterTrainingConfig, settings.get("config"), run / DESCRIPTION)
    model, source = load_field_segmenter(run), Cohort(cohort)
    aside = set_aside(source, config.calibration, config.seed)
    with folder_in_place(run / READY) as place:
        save_model(place, "field_segmenter", model, half=True, settings=settings)
        used = load_field_segmenter(place)
        tried = list(_tried(used, Path(scans), aside))
        if len(tried) >= _LEAST:
            fit = fitted([signs for signs, _ in tried], [dice for _, dice in tried], len(aside))
            write_json(place / QUALITY, fit.model_dump(), seal=True)
        else:
            _log.warning(
                f"hearts were found in {len(tried)} scans that were set aside, too few to say how sure labels are: "
                "train longer, or set more aside (calibration, with --config)"
            )
    _log.info(f"ready to use: {run / READY}")
    return run / READY


def _tried(model: FieldSegmenter, scans: Path, names: list[str]) -> Iterator[tuple[Signs, dict[str, float]]]:
    """What the segmenter says of itself, and its true Dice, on every phase of some patients, as it is and worse."""
    entries = {entry.id: entry for entry in find_subjects(scans)[1]}
    for name in track(names, "calibrating", len(names)):
        subject = entries[name].load()
        for index, frame in enumerate(subject.frames.values()):
            for number, change in enumerate(WORSE.values()):
                rng = np.random.default_rng([index, number])
                if (found := _one(model, frame, change, rng, entries[name].folder)) is not None:
                    yield found


def _one(
    model: FieldSegmenter,
    frame: Frame,
    change: Callable[[Image, np.random.Generator], Image],
    rng: np.random.Generator,
    where: Path,
) -> tuple[Signs, dict[str, float]] | None:
    """None where no heart was found: then nothing is labelled that could be judged."""
    assert frame.image is not None, "training needed it"
    image = frame.image.with_array(change(frame.image.array.astype(np.float32), rng))
    try:
        made, signs = segment_volume(model, image, where)
    except CardiomorphError:
        return None
    return signs, agreement(made.label.array, frame.label.array)
