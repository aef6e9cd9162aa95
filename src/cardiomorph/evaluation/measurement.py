"""One heart is measured once: everything that needs its voxels, kept in a small file.

An evaluation is a pass over hearts that can be interrupted and runs in several processes, and then statistics of
records, which fit into memory however many hearts there are: the arrays of a record are read when they are asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.checks import checked_name
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas import AREAS, Area
from cardiomorph.evaluation.features import Extractor, imagenet_extractor
from cardiomorph.evaluation.heart_files import HeartFile, LoadedHeart
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.record import MIDDLE_IMAGE, MIDDLE_LABEL, Record, array_name, load_record
from cardiomorph.files import read_arrays, sealed_arrays, write_bytes
from cardiomorph.models.checkpoint import load_segmenter, model_digest
from cardiomorph.models.segmenter import Segmenter
from cardiomorph.models.threads import threads
from cardiomorph.progress import track
from cardiomorph.workers import worker_pool

_VERSION = 6


class MeasurementConfig(BaseModel):
    """How hearts are measured; a change makes every record stale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice_spacing_mm: float = Field(gt=0, description="slice spacing at which hearts are compared along the axis")
    segmenter: Path | None = Field(None, description="run folder of `cardiomorph train segmenter`")
    imagenet: bool = Field(False, description="compute ImageNet features too")

    def fingerprint(self) -> str:
        """Changes with the settings, the segmenter's weights and the records' format."""
        judge = model_digest(self.segmenter) if self.segmenter else ""
        return f"{_VERSION}:{self.slice_spacing_mm}:{judge}:{self.imagenet}"


class Referees:
    """The networks that look at images, loaded once a process."""

    def __init__(self, config: MeasurementConfig) -> None:
        self.segmenter: Segmenter | None = load_segmenter(config.segmenter) if config.segmenter else None
        self.imagenet: Extractor | None = imagenet_extractor() if config.imagenet else None


def measure_areas(
    heart: LoadedHeart, config: MeasurementConfig, referees: Referees, areas: Sequence[Area] = AREAS
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What is stored of one heart: facts and every area's scalars, which become JSON, and arrays by name."""
    view = HeartView(heart, config.slice_spacing_mm, referees.segmenter, referees.imagenet)
    measured = {area.name: area.measure(view) for area in areas}
    facts: dict[str, Any] = {
        "id": heart.id,
        "group": heart.group,
        "parent": heart.parent,
        "problems": list(heart.problems),
        "scalars": {name: dict(found.scalars) for name, found in measured.items()},
    }
    arrays = {array_name(area, name): a for area, found in measured.items() for name, a in found.arrays.items()}
    return facts, arrays | _middle_slice(heart, view)


def _middle_slice(heart: LoadedHeart, view: HeartView) -> dict[str, NDArray[Any]]:
    """How a heart of both phases looks."""
    if heart.prepared is None:
        return {}
    ed = heart.prepared.frames["ED"]
    looks: dict[str, NDArray[Any]] = {MIDDLE_LABEL: ed.label[ed.n_slices // 2].copy()}
    if view.slices is not None and ed.image is not None:
        looks[MIDDLE_IMAGE] = ed.image[ed.n_slices // 2].astype(np.float16)
    return looks


def measure_all(
    hearts: Sequence[HeartFile],
    folder: Path,
    config: MeasurementConfig,
    *,
    areas: Sequence[Area] = AREAS,
    workers: int = 2,
    title: str = "measuring",
) -> tuple[list[Record], dict[str, str]]:
    """Examines hearts in several processes; finished records of an earlier run are kept.

    Args:
        folder: where the records lie, one file a heart.
        areas: what is measured.

    Returns:
        The records, and for every heart that could not be read the reason.
    """
    work = [(heart, folder / f"{checked_name(heart.id, folder)}.safetensors", config, tuple(areas)) for heart in hearts]
    left_out: dict[str, str] = {}
    records: list[Record] = []
    with worker_pool(workers, len(hearts)) as pool:
        problems = pool.map(_measure_to_disk, work)
        for (heart, path, *_), problem in zip(work, track(problems, title, len(work)), strict=True):
            if problem:
                left_out[heart.id] = problem
            else:
                records.append(load_record(path))
    return records, left_out


_referees: dict[str, Referees] = {}


def _measure_to_disk(work: tuple[HeartFile, Path, MeasurementConfig, tuple[Area, ...]]) -> str | None:
    """Writes one record unless it is there and whole; returns what went wrong."""
    heart, path, config, areas = work
    settings, measured = config.fingerprint(), ",".join(f"{area.name}={area.version}" for area in areas)
    try:
        key = hashlib.sha256(f"{settings}:{measured}:{heart.fingerprint()}".encode()).hexdigest()
        if _key_of(path) == key:
            return None
        if settings not in _referees:
            _referees[settings] = Referees(config)
        with threads(1):
            facts, arrays = measure_areas(heart.load(), config, _referees[settings], areas)
    except CardiomorphError as error:
        return str(error)
    write_bytes(path, sealed_arrays(arrays, {"key": key, "record": json.dumps(facts)}))
    return None


def _key_of(path: Path) -> str | None:
    """What a record was made of; None where there is none, or a damaged one."""
    if not path.exists():
        return None
    try:
        return read_arrays(path)[1].get("key")
    except CardiomorphError:
        return None
