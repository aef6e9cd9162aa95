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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cardiomorph.anatomy import CLASS_NAMES, GROUPS, PHASES, Group
from cardiomorph.checks import checked_name, checked_seed
from cardiomorph.data.entry import Entry
from cardiomorph.data.prepare import (
    Geometry,
    PreparationConfig,
    PreparedFrame,
    PreparedSubject,
    prepare_subject,
)
from cardiomorph.data.slices import Slices
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.splits import Split, split_subjects
from cardiomorph.data.subject import LabelCodes
from cardiomorph.data.twins import Fingerprint, find_twins, fingerprint
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    check_format,
    claim,
    digest,
    ensure_folder,
    folder_in_place,
    read_csv,
    read_record,
    write_bytes,
    write_csv,
    write_json,
)
from cardiomorph.progress import track
from cardiomorph.workers import worker_pool

_log = logging.getLogger(__name__)

FORMAT = 2
_MANIFEST, _SETTINGS, _SUBJECTS = "manifest.csv", "cohort.json", "subjects"
_COLUMNS = (
    "subject",
    "group",
    "split",
    "slices_ed",
    "slices_es",
    "slice_spacing_mm",
    "images",
    "height_cm",
    "weight_kg",
    "vendor",
    "same_heart_as",
)
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
        if not (self.folder / _SETTINGS).is_file():
            raise CardiomorphError(
                "is not a prepared cohort (no cohort.json)",
                where=self.folder,
                fix="Make one with 'cardiomorph prepare SOURCE -o COHORT'",
            )
        self.settings = read_record(self.folder / _SETTINGS, "preparation")
        check_format(self.settings, FORMAT, self.folder / _SETTINGS)
        self.digests = self._digests()
        self.rows = self._rows()

    def _digests(self) -> dict[str, str]:
        digests = self.settings.get("digests")
        if not isinstance(digests, dict) or not all(isinstance(value, str) for value in digests.values()):
            raise CardiomorphError("holds no digests", where=self.folder / _SETTINGS, fix=_AGAIN)
        return digests

    def _rows(self) -> list[dict[str, str]]:
        path = self.folder / _MANIFEST
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
        try:
            return PreparationConfig.model_validate(self.settings["preparation"])
        except ValidationError as error:
            first = error.errors()[0]
            what = f"preparation: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise CardiomorphError(what, where=self.folder / _SETTINGS, fix=_AGAIN) from error

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
        path = self.folder / _SUBJECTS / f"{subject}.safetensors"
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


_AGAIN = "Run 'cardiomorph prepare' again"


@dataclass(frozen=True)
class _Outcome:
    """What became of an entry: a row of the manifest, or a problem."""

    entry: str
    row: dict[str, Any] | None = None
    digest: str = ""
    fingerprint: Fingerprint | None = None
    doubts: tuple[str, ...] = ()
    problem: str | None = None


def _prepare_entry(entry: Entry, folder: Path, config: PreparationConfig, codes: LabelCodes | None) -> _Outcome:
    try:
        subject = entry.load(codes)
        prepared = prepare_subject(subject, config)
    except CardiomorphError as error:
        return _Outcome(entry.id, problem=str(error))
    path = folder / f"{subject.id}.safetensors"
    save_subject(path, prepared)
    row = {
        "subject": subject.id,
        "group": subject.group,
        "slices_ed": prepared.frames["ED"].n_slices,
        "slices_es": prepared.frames["ES"].n_slices,
        "slice_spacing_mm": prepared.geometry.slice_spacing_mm("ED"),
        "images": "yes" if all(frame.image is not None for frame in prepared.frames.values()) else "no",
        "height_cm": subject.height_cm,
        "weight_kg": subject.weight_kg,
        "vendor": subject.vendor,
    }
    return _Outcome(entry.id, row, digest(path), fingerprint(subject), subject.doubts)


def prepare_cohort(
    source: Path,
    output: Path,
    *,
    source_format: str = "auto",
    config: PreparationConfig | None = None,
    codes: LabelCodes | None = None,
    heldout: float = 0.2,
    seed: int = 0,
    skip_bad: bool = False,
    workers: int = 2,
) -> Cohort:
    """Prepares every subject of a data set.

    Args:
        source: folder of the data set.
        output: cohort folder; an existing cohort there is replaced when the new one is whole.
        source_format: "auto", or a key of `cardiomorph.data.sources.SOURCES`.
        codes: what the label codes mean, theirs -> ours, instead of what the layout takes them for.
        heldout: share of each group's patients that no model is trained on.
        seed: of the split.
        skip_bad: leave out subjects that cannot be read, and list them in cohort.json, instead of stopping.
        workers: processes.

    Raises:
        CardiomorphError: the first bad subject (unless ``skip_bad``), an unwritable output.
    """
    config = config or PreparationConfig()
    source, output = Path(source), Path(output)
    if not 0 <= heldout < 1:
        raise CardiomorphError(f"the held-out share is {heldout}; expected 0 <= share < 1")
    checked_seed(seed)
    name, entries = find_subjects(source, source_format)
    claim(output, _SETTINGS, (_MANIFEST, _SUBJECTS))
    with folder_in_place(output) as folder:
        outcomes = _run(entries, ensure_folder(folder / _SUBJECTS), config, codes, skip_bad, workers)
        rows = [outcome.row for outcome in outcomes if outcome.row is not None]
        left_out = {outcome.entry: outcome.problem for outcome in outcomes if outcome.problem}
        twins = find_twins({o.entry: o.fingerprint for o in outcomes if o.fingerprint is not None})
        doubts = grouped((o.entry, o.doubts) for o in outcomes)
        _finish_rows(rows, twins, heldout, seed, source)
        write_csv(folder / _MANIFEST, rows, _COLUMNS)
        write_json(
            folder / _SETTINGS,
            {
                "format": FORMAT,
                "source_format": name,
                "classes": CLASS_NAMES,
                "phases": PHASES,
                "preparation": config.model_dump(),
                "heldout": heldout,
                "seed": seed,
                "subjects": len(rows),
                "same_heart": twins,
                "left_out": left_out,
                "doubts": doubts,
                "digests": {o.entry: o.digest for o in outcomes if o.row is not None},
            },
            seal=True,
        )
    _announce(output, rows, twins, left_out, doubts)
    return Cohort(output)


def grouped(doubts: Iterable[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Doubt -> the subjects that have it."""
    found: dict[str, list[str]] = {}
    for subject, said in doubts:
        for doubt in said:
            found.setdefault(doubt, []).append(subject)
    return found


def doubt_lines(doubts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line a doubt, with the first few of the subjects that have it."""
    for doubt, subjects in doubts.items():
        others = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
        yield f"doubted: {doubt} ({', '.join(subjects[:3])}{others})"


def _run(
    entries: Sequence[Entry],
    folder: Path,
    config: PreparationConfig,
    codes: LabelCodes | None,
    skip_bad: bool,
    workers: int,
) -> list[_Outcome]:
    work = partial(_prepare_entry, folder=folder, config=config, codes=codes)
    outcomes: list[_Outcome] = []
    with worker_pool(workers, len(entries)) as pool:
        for outcome in track(pool.map(work, entries), "preparing", len(entries)):
            if outcome.problem and not skip_bad:
                pool.shutdown(cancel_futures=True)
                raise CardiomorphError(outcome.problem, fix="--skip-bad goes on without such subjects")
            outcomes.append(outcome)
    return outcomes


def _finish_rows(rows: list[dict[str, Any]], twins: list[list[str]], heldout: float, seed: int, source: Path) -> None:
    if not rows:
        raise CardiomorphError("no subject could be prepared", where=source)
    split = split_subjects({row["subject"]: row["group"] for row in rows}, twins, heldout, seed)
    for row in rows:
        row["split"] = split[row["subject"]]
        others = [name for members in twins if row["subject"] in members for name in members]
        row["same_heart_as"] = " ".join(name for name in others if name != row["subject"])


def _announce(
    output: Path,
    rows: list[dict[str, Any]],
    twins: list[list[str]],
    left_out: dict[str, str],
    doubts: Mapping[str, Sequence[str]],
) -> None:
    held = sum(row["split"] == "heldout" for row in rows)
    _log.info(f"{len(rows)} subjects in {output}: {len(rows) - held} to train, {held} held out")
    for members in twins:
        _log.warning(f"one heart, kept on one side of the split: {', '.join(members)}")
    for line in (*doubt_lines(doubts), *(f"left out: {problem}" for problem in left_out.values())):
        _log.warning(line)
