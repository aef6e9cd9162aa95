"""One heart is examined once: everything that needs its voxels, kept in a small file.

An evaluation is a pass over hearts that can be interrupted and runs in several processes, and then statistics of
records, which fit into memory however many hearts there are: the arrays of a record are read when they are asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open

from cardiomorph.anatomy import PHASES
from cardiomorph.checks import checked_name
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation import fidelity, memorisation
from cardiomorph.evaluation.consistency import image_consistency, label_consistency, thinned
from cardiomorph.evaluation.features import Extractor, imagenet_extractor, segmented
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.evaluation.hearts import Heart, HeartFile
from cardiomorph.evaluation.label_match import label_match
from cardiomorph.evaluation.segments import segment_thickness_mm
from cardiomorph.evaluation.validity import slice_shapes, volume_failures
from cardiomorph.files import read_arrays, sealed_arrays, write_bytes
from cardiomorph.models.checkpoint import load_segmenter, model_digest
from cardiomorph.models.segmenter import Segmenter
from cardiomorph.models.threads import threads
from cardiomorph.progress import track
from cardiomorph.workers import worker_pool

Scalars = dict[str, float | None]
_VERSION = 5
_BATCH = 16


class ExaminationConfig(BaseModel):
    """How hearts are examined; a change makes every record stale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice_spacing_mm: float = Field(gt=0, description="slice spacing at which hearts are compared along the axis")
    segmenter: Path | None = Field(None, description="run folder of `cardiomorph train segmenter`")
    imagenet: bool = Field(False, description="compute ImageNet features too")

    def fingerprint(self) -> str:
        """Changes with the settings, the segmenter's weights and the records' format."""
        judge = model_digest(self.segmenter) if self.segmenter else ""
        return f"{_VERSION}:{self.slice_spacing_mm}:{judge}:{self.imagenet}"


@dataclass(frozen=True)
class Record:
    """What is known of one heart.

    Attributes:
        measures: function and wall thickness (`function`, `segments`).
        shapes: (slices of both phases, criteria), `validity.slice_shapes`.
        volume: `validity.volume_failures`.
        consistency, image, match: mean over the phases that have them; empty without images or segmenter.
        path: file with the arrays.
    """

    id: str
    group: str
    parent: str | None
    problems: tuple[str, ...]
    measures: Scalars
    volume: dict[str, bool]
    consistency: Scalars
    image: Scalars
    match: Scalars
    shapes: NDArray[np.float64]
    arrays: frozenset[str]
    path: Path

    def array(self, name: str) -> NDArray[Any]:
        """``own``, ``imagenet`` (slices, d); ``label_bits`` (packed); ``image_vector``; ``histogram``; ``label``,
        ``picture`` (size, size), the middle slice at ED. `arrays` says which there are."""
        with safe_open(self.path, "numpy") as stored:
            return np.asarray(stored.get_tensor(name))


class Referees:
    """The networks that look at images, loaded once a process."""

    def __init__(self, config: ExaminationConfig) -> None:
        self.segmenter: Segmenter | None = load_segmenter(config.segmenter) if config.segmenter else None
        self.imagenet: Extractor | None = imagenet_extractor() if config.imagenet else None


def examine(
    heart: Heart, config: ExaminationConfig, referees: Referees
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Scalars and arrays of one heart's record."""
    labels, spacing = heart.labels, config.slice_spacing_mm
    image = [image_consistency(heart.images[p], labels[p], spacing) for p in heart.images]
    walls = segment_thickness_mm(labels["ED"]) if "ED" in labels else {}
    scalars: dict[str, Any] = {
        "id": heart.id,
        "group": heart.group,
        "parent": heart.parent,
        "problems": list(heart.problems),
        "measures": {**measure_heart(labels, heart.height_cm, heart.weight_kg), **walls},
        "volume": volume_failures(labels),
        "consistency": _mean([label_consistency(label, spacing) for label in labels.values()]),
        "image": _mean(image),
        "match": {},
    }
    arrays: dict[str, NDArray[Any]] = {"shapes": np.concatenate([slice_shapes(label) for label in labels.values()])}
    if heart.prepared is not None:
        looks, match, seen = _look(heart.prepared, spacing, referees)
        scalars["image"] |= looks
        scalars["match"] = match
        arrays |= seen
    return scalars, arrays


def _look(
    subject: PreparedSubject, spacing_mm: float, referees: Referees
) -> tuple[Scalars, Scalars, dict[str, NDArray[Any]]]:
    """Everything that looks at the cohort-sized slices, thinned along the axis, of both phases together."""
    arrays: dict[str, NDArray[Any]] = {"label_bits": np.packbits(memorisation.label_descriptor(subject))}
    ed = subject.frames["ED"]
    arrays["label"] = ed.label[ed.n_slices // 2].copy()
    vector = memorisation.image_descriptor(subject)
    if vector is None or ed.image is None:
        return {}, {}, arrays
    arrays |= {"image_vector": vector, "picture": ed.image[ed.n_slices // 2].astype(np.float16)}
    geometry = subject.geometry
    kept = {p: thinned(f.n_slices, geometry.slice_spacing_mm(p), spacing_mm) for p, f in subject.frames.items()}
    labels = np.concatenate([subject.frames[p].label[kept[p]] for p in PHASES])
    images = fidelity.on_own_scale(np.concatenate([subject.frames[p].image[kept[p]] for p in PHASES]))  # type: ignore[index]
    arrays["histogram"] = fidelity.histogram(images)
    match: Scalars = {}
    batches = torch.from_numpy(np.ascontiguousarray(images, np.float32))[:, None].split(_BATCH)
    if referees.segmenter is not None:
        read, features = zip(*(segmented(referees.segmenter, batch) for batch in batches), strict=True)
        arrays["own"] = np.concatenate(features)
        pixel = (geometry.spacing_mm, geometry.spacing_mm)
        match = label_match(labels, np.concatenate(read), pixel)
    if referees.imagenet is not None:
        arrays["imagenet"] = np.concatenate([referees.imagenet(batch) for batch in batches])
    return fidelity.intensity_measures(images, labels), match, arrays


def _mean(dictionaries: Sequence[Scalars]) -> Scalars:
    """Mean of every entry over those that have it; None where none has."""
    result: Scalars = {}
    for key in dict.fromkeys(key for entry in dictionaries for key in entry):
        values = [value for entry in dictionaries if (value := entry.get(key)) is not None]
        result[key] = float(np.mean(values)) if values else None
    return result


def examine_all(
    hearts: Sequence[HeartFile], folder: Path, config: ExaminationConfig, *, workers: int = 2, title: str = "examining"
) -> tuple[list[Record], dict[str, str]]:
    """Examines hearts in several processes; finished records of an earlier run are kept.

    Args:
        folder: where the records lie, one file a heart.

    Returns:
        The records, and for every heart that could not be read the reason.
    """
    work = [(heart, folder / f"{checked_name(heart.id, folder)}.safetensors", config) for heart in hearts]
    left_out: dict[str, str] = {}
    records: list[Record] = []
    with worker_pool(workers, len(hearts)) as pool:
        problems = pool.map(_examine_to_disk, work)
        for (heart, path, _), problem in zip(work, track(problems, title, len(work)), strict=True):
            if problem:
                left_out[heart.id] = problem
            else:
                records.append(load_record(path))
    return records, left_out


_referees: dict[str, Referees] = {}


def _examine_to_disk(work: tuple[HeartFile, Path, ExaminationConfig]) -> str | None:
    """Writes one record unless it is there and whole; returns what went wrong."""
    heart, path, config = work
    settings = config.fingerprint()
    try:
        key = hashlib.sha256(f"{settings}:{heart.fingerprint()}".encode()).hexdigest()
        if _key_of(path) == key:
            return None
        if settings not in _referees:
            _referees[settings] = Referees(config)
        with threads(1):
            scalars, arrays = examine(heart.load(), config, _referees[settings])
    except CardiomorphError as error:
        return str(error)
    write_bytes(path, sealed_arrays(arrays, {"key": key, "record": json.dumps(scalars)}))
    return None


def _key_of(path: Path) -> str | None:
    """What a record was made of; None where there is none, or a damaged one."""
    if not path.exists():
        return None
    try:
        return read_arrays(path)[1].get("key")
    except CardiomorphError:
        return None


def load_record(path: Path) -> Record:
    """Reads a record; its larger arrays stay on disk."""
    arrays, metadata = read_arrays(path)
    facts = json.loads(metadata["record"])
    return Record(
        id=facts["id"],
        group=facts["group"],
        parent=facts["parent"],
        problems=tuple(facts["problems"]),
        measures=facts["measures"],
        volume=facts["volume"],
        consistency=facts["consistency"],
        image=facts["image"],
        match=facts["match"],
        shapes=arrays["shapes"],
        arrays=frozenset(arrays),
        path=path,
    )
