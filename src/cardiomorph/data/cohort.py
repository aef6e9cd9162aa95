"""A prepared cohort on disk: one safetensors file a subject, a manifest people can read, settings and splits.

``manifest.csv`` has a row a subject; ``cohort.json`` says how the cohort was made, what was left out and what was
doubted, and holds the SHA-256 of every subject's file, which is checked when it is read;
``subjects/ID.safetensors`` holds ``label_ed``, ``image_ed``, ``label_es``, ``image_es`` as (n_slices, size, size),
labels as uint8, images as float16 in [-1, 1], with the geometry as JSON in its header.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cardiomorph.anatomy import GROUPS, PHASES, Group
from cardiomorph.checks import checked_name
from cardiomorph.data.prepare import (
    Geometry,
    PreparationConfig,
    PreparedFrame,
    PreparedSubject,
)
from cardiomorph.data.slices import Slices
from cardiomorph.data.splits import Split
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    check_format,
    digest,
    read_csv,
    read_record,
    write_bytes,
)

_log = logging.getLogger(__name__)

FORMAT = 2
MANIFEST, SETTINGS, SUBJECTS = "manifest.csv", "cohort.json", "subjects"
_AGAIN = "Run 'cardiomorph prepare' again"
_SPLITS: tuple[Split, ...] = ("train", "heldout")


def save_subject(path: Path, subject: PreparedSubject) -> None:
    """Writes one prepared subject atomically."""
    arrays: dict[str, NDArray[Any]] = {}
    for phase, frame in subject.frames.items():
        arrays[f"label_{phase.lower()}"] = np.ascontiguousarray(frame.label)
        if frame.image is not None:
            arrays[f"image_{phase.lower()}"] = np.ascontiguousarray(frame.image.astype(np.float16))
    facts = {
        "id": subject.id,
        "group": subject.group,
        "geometry": subject.geometry.model_dump(mode="json"),
        "height_cm": subject.height_cm,
        "weight_kg": subject.weight_kg,
        "vendor": subject.vendor,
    }
    write_bytes(path, save(arrays, metadata={"subject": json.dumps(facts)}))


def load_subject(path: Path) -> PreparedSubject:
    """Reads one prepared subject. Raises `CardiomorphError` where the file is missing or damaged."""
    try:
        with safe_open(path, "numpy") as stored:
            facts = json.loads(stored.metadata()["subject"])
            arrays = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        frames = {
            phase: PreparedFrame(
                arrays[f"label_{phase.lower()}"],
                arrays[f"image_{phase.lower()}"].astype(np.float32) if f"image_{phase.lower()}" in arrays else None,
            )
            for phase in PHASES
        }
        geometry = Geometry.model_validate(facts.pop("geometry"))
        return PreparedSubject(frames=frames, geometry=geometry, **facts)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CardiomorphError(
            f"is not a prepared subject ({error})", where=path, fix="Run 'cardiomorph prepare' again"
        ) from error


class Cohort:
    """A prepared cohort that exists on disk.

    Raises:
        CardiomorphError: the folder is not a prepared cohort, or its manifest does not go with its settings.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / SETTINGS).is_file():
            raise CardiomorphError(
                "is not a prepared cohort (no cohort.json)",
                where=self.folder,
                fix="Make one with 'cardiomorph prepare SOURCE -o COHORT'",
            )
        self.settings = read_record(self.folder / SETTINGS, "preparation")
        check_format(self.settings, FORMAT, self.folder / SETTINGS)
        self.digests = self._digests()
        self.rows = self._rows()

    def _digests(self) -> dict[str, str]:
        digests = self.settings.get("digests")
        if not isinstance(digests, dict) or not all(isinstance(value, str) for value in digests.values()):
            raise CardiomorphError("holds no digests", where=self.folder / SETTINGS, fix=_AGAIN)
        return digests

    def _rows(self) -> list[dict[str, str]]:
        path = self.folder / MANIFEST
        rows = read_csv(path)
        for row in rows:
            checked_name(row.get("subject") or "", path)
            if row.get("group") not in GROUPS or row.get("split") not in _SPLITS:
                raise CardiomorphError(
                    f"{row['subject']} has the group {row.get('group')!r} and the split {row.get('split')!r}; expected "
                    f"one of {', '.join(GROUPS)}, and train or heldout",
                    where=path,
                    fix=_AGAIN,
                )
        if sorted(row["subject"] for row in rows) != sorted(self.digests):
            raise CardiomorphError(
                f"has {len(rows)} subjects; cohort.json names {len(self.digests)}, and not the same ones",
                where=path,
                fix=_AGAIN,
            )
        return rows

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label codes 0, 1, ... of its slices."""
        return tuple(self.settings.get("classes", ()))

    @cached_property
    def identity(self) -> str:
        """SHA-256 over every subject, its group and its split."""
        facts = sorted((row["subject"], row["group"], row["split"], self.digests[row["subject"]]) for row in self.rows)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @cached_property
    def config(self) -> PreparationConfig:
        """How its subjects became slices. Raises `CardiomorphError` where it does not say."""
        try:
            return PreparationConfig.model_validate(self.settings["preparation"])
        except ValidationError as error:
            first = error.errors()[0]
            what = f"preparation: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise CardiomorphError(what, where=self.folder / SETTINGS, fix=_AGAIN) from error

    def ids(self, split: Split | None = None, group: Group | None = None) -> list[str]:
        """Subjects in order of name, of one split or group if asked for."""
        return [
            row["subject"]
            for row in self.rows
            if (split is None or row["split"] == split) and (group is None or row["group"] == group)
        ]

    def load(self, subject: str) -> PreparedSubject:
        """Reads one subject. Raises `CardiomorphError` where there is none, or its file is missing or damaged."""
        return load_subject(self._checked_file(subject))

    def _checked_file(self, subject: str) -> Path:
        if subject not in self.digests:
            raise CardiomorphError(f"has no subject {subject!r}", where=self.folder)
        path = self.folder / SUBJECTS / f"{subject}.safetensors"
        if digest(path) != self.digests[subject]:
            raise CardiomorphError(
                "is not the file that was prepared (its SHA-256 is not the one in cohort.json)", where=path, fix=_AGAIN
            )
        return path

    def subjects(self, split: Split | None = None, group: Group | None = None) -> Iterator[PreparedSubject]:
        """Loads the chosen subjects one by one."""
        return (self.load(subject) for subject in self.ids(split, group))

    def slices(self, split: Split, *, images: bool) -> Slices:
        """All slices of a split, read when asked for.

        Raises:
            CardiomorphError: the split is empty, a file is damaged, or ``images`` are asked for and a subject has none.
        """
        files = [self._checked_file(subject) for subject in self.ids(split)]
        if not files:
            raise CardiomorphError(f"no subject is in the split {split!r}", where=self.folder)
        return Slices(files, images=images)
