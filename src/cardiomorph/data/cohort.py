"""A prepared cohort on disk: one safetensors file a subject, a manifest people can read, settings and splits.

``manifest.csv`` has a row a subject; ``cohort.json`` says how the cohort was made and what was left out;
``subjects/ID.safetensors`` holds ``label_ed``, ``image_ed``, ``label_es``, ``image_es`` as (n_slices, size, size),
labels as uint8, images as float16 in [-1, 1], with the geometry as JSON in its header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cardiomorph.anatomy import PHASES, Group
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
from cardiomorph.data.subject import Entry
from cardiomorph.data.twins import find_twins, fingerprint
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import check_format, ensure_folder, read_csv, read_record, write_bytes, write_csv, write_json
from cardiomorph.progress import console, track
from cardiomorph.workers import worker_pool

FORMAT = 1
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
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CardiomorphError(
            f"is not a prepared subject ({error})", where=path, fix="Run 'cardiomorph prepare' again"
        ) from error
    return PreparedSubject(frames=frames, geometry=geometry, **facts)


class Cohort:
    """A prepared cohort that exists on disk.

    Raises:
        CardiomorphError: the folder is not a prepared cohort.
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
        self.rows = read_csv(self.folder / _MANIFEST)

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def config(self) -> PreparationConfig:
        return PreparationConfig.model_validate(self.settings["preparation"])

    def ids(self, split: Split | None = None, group: Group | None = None) -> list[str]:
        """Subjects in order of name, of one split or group if asked for."""
        return [
            row["subject"]
            for row in self.rows
            if (split is None or row["split"] == split) and (group is None or row["group"] == group)
        ]

    def load(self, subject: str) -> PreparedSubject:
        return load_subject(self.folder / _SUBJECTS / f"{subject}.safetensors")

    def subjects(self, split: Split | None = None, group: Group | None = None) -> Iterator[PreparedSubject]:
        """Loads the chosen subjects one by one."""
        return (self.load(subject) for subject in self.ids(split, group))

    def slices(self, split: Split, *, images: bool) -> Slices:
        """All slices of a split, read when asked for.

        Raises:
            CardiomorphError: the split is empty, or ``images`` are asked for and a subject has none.
        """
        files = [self.folder / _SUBJECTS / f"{subject}.safetensors" for subject in self.ids(split)]
        if not files:
            raise CardiomorphError(f"no subject is in the split {split!r}", where=self.folder)
        return Slices(files, images=images)


@dataclass(frozen=True)
class _Outcome:
    entry: str
    row: dict[str, Any] | None
    fingerprint: NDArray[np.float32] | None
    problem: str | None


def _prepare_entry(entry: Entry, folder: Path, config: PreparationConfig) -> _Outcome:
    try:
        subject = entry.load()
        prepared = prepare_subject(subject, config)
    except CardiomorphError as error:
        return _Outcome(entry.id, None, None, str(error))
    save_subject(folder / f"{subject.id}.safetensors", prepared)
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
    return _Outcome(entry.id, row, fingerprint(subject), None)


def prepare_cohort(
    source: Path,
    output: Path,
    *,
    source_format: str = "auto",
    config: PreparationConfig | None = None,
    heldout: float = 0.2,
    seed: int = 0,
    skip_bad: bool = False,
    workers: int = 2,
) -> Cohort:
    """Prepares every subject of a data set.

    Args:
        source: folder of the data set.
        output: cohort folder; an existing cohort there is replaced.
        source_format: "auto", "acdc" or "mnms".
        heldout: share of each group's patients that no model is trained on.
        seed: of the split.
        skip_bad: leave out subjects that cannot be read, and list them in cohort.json, instead of stopping.
        workers: processes.

    Raises:
        CardiomorphError: the first bad subject (unless ``skip_bad``), a group of one, an unwritable output.
    """
    config = config or PreparationConfig()
    if not 0 <= heldout < 1:
        raise CardiomorphError(f"the held-out share is {heldout}; expected 0 <= share < 1")
    name, entries = find_subjects(Path(source), source_format)
    _check_replaceable(Path(output))
    # The settings go first and come back last: a cohort without cohort.json is not a cohort.
    subjects = ensure_folder(Path(output) / _SUBJECTS)
    (Path(output) / _SETTINGS).unlink(missing_ok=True)
    outcomes = _run(entries, subjects, config, skip_bad, workers)
    rows = [outcome.row for outcome in outcomes if outcome.row is not None]
    left_out = {outcome.entry: outcome.problem for outcome in outcomes if outcome.problem}
    twins = find_twins({o.entry: o.fingerprint for o in outcomes if o.fingerprint is not None})
    _finish_rows(rows, twins, heldout, seed, Path(source))
    for stale in set(subjects.glob("*.safetensors")) - {subjects / f"{r['subject']}.safetensors" for r in rows}:
        stale.unlink()
    write_csv(Path(output) / _MANIFEST, rows, _COLUMNS)
    write_json(
        Path(output) / _SETTINGS,
        {
            "format": FORMAT,
            "source_format": name,
            "preparation": config.model_dump(),
            "heldout": heldout,
            "seed": seed,
            "subjects": len(rows),
            "same_heart": twins,
            "left_out": left_out,
        },
    )
    _announce(Path(output), rows, twins, left_out)
    return Cohort(output)


def _check_replaceable(output: Path) -> None:
    known = {_MANIFEST, _SETTINGS, _SUBJECTS}
    if output.exists() and not output.is_dir():
        raise CardiomorphError("exists and is not a folder", where=output, fix="Choose another output")
    others = [path.name for path in output.iterdir() if path.name not in known] if output.exists() else []
    if others and not (output / _SETTINGS).exists():
        raise CardiomorphError(
            f"holds other things ({', '.join(sorted(others)[:3])})", where=output, fix="Choose an empty folder"
        )


def _run(
    entries: Sequence[Entry], folder: Path, config: PreparationConfig, skip_bad: bool, workers: int
) -> list[_Outcome]:
    work = partial(_prepare_entry, folder=folder, config=config)
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
    groups = {row["subject"]: row["group"] for row in rows}
    for group in sorted(set(groups.values())):
        if list(groups.values()).count(group) < 2:
            raise CardiomorphError(
                f"the group {group} has only one subject; statistics need two or more",
                where=source,
                fix="Add subjects of that group, or take this one out",
            )
    split = split_subjects(groups, twins, heldout, seed)
    for row in rows:
        row["split"] = split[row["subject"]]
        others = [name for members in twins if row["subject"] in members for name in members]
        row["same_heart_as"] = " ".join(name for name in others if name != row["subject"])


def _announce(output: Path, rows: list[dict[str, Any]], twins: list[list[str]], left_out: dict[str, str]) -> None:
    held = sum(row["split"] == "heldout" for row in rows)
    console.print(f"{len(rows)} subjects in {output}: {len(rows) - held} to train, {held} held out")
    for members in twins:
        console.print(f"one heart, kept on one side of the split: {', '.join(members)}")
    for problem in left_out.values():
        console.print(f"left out: {problem}")
