"""A data set becomes a prepared cohort: subject by subject, split by patient, what is one heart kept on one side."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cardiomorph.anatomy import CLASS_NAMES, PHASES
from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort import FORMAT, MANIFEST, SETTINGS, SUBJECTS, Cohort, save_subject
from cardiomorph.data.entry import Entry
from cardiomorph.data.prepare import PreparationConfig, prepare_subject
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.splits import split_subjects
from cardiomorph.data.subject import LabelCodes
from cardiomorph.data.twins import Fingerprint, find_twins, fingerprint
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import claim, digest, ensure_folder, folder_in_place, write_csv, write_json
from cardiomorph.progress import track
from cardiomorph.workers import worker_pool

_log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class _Outcome:
    """What became of an entry: a row of the manifest, or a problem."""

    entry: str
    row: dict[str, Any] | None = None
    digest: str = ""
    fingerprint: Fingerprint | None = None
    doubts: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class _Found:
    """All that was prepared.

    Attributes:
        rows: of the manifest.
        digests: of the subjects' files, by subject.
        twins: subjects that are one heart.
        left_out: by entry, why it could not be prepared.
        doubts: by doubt, the subjects that have it.
    """

    rows: list[dict[str, Any]]
    digests: Mapping[str, str]
    twins: list[list[str]]
    left_out: Mapping[str, str]
    doubts: Mapping[str, Sequence[str]]

    def settings(self) -> dict[str, Any]:
        """What cohort.json holds of it."""
        return {
            "format": FORMAT,
            "classes": CLASS_NAMES,
            "phases": PHASES,
            "subjects": len(self.rows),
            "same_heart": self.twins,
            "left_out": self.left_out,
            "doubts": self.doubts,
            "digests": self.digests,
        }


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
    claim(output, SETTINGS, (MANIFEST, SUBJECTS))
    with folder_in_place(output) as folder:
        outcomes = _run(entries, ensure_folder(folder / SUBJECTS), config, codes, skip_bad, workers)
        found = _found(outcomes, heldout, seed, source)
        write_csv(folder / MANIFEST, found.rows, _COLUMNS)
        how = {"source_format": name, "preparation": config.model_dump(), "heldout": heldout, "seed": seed}
        write_json(folder / SETTINGS, found.settings() | how, seal=True)
    _announce(output, found)
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


def _found(outcomes: Sequence[_Outcome], heldout: float, seed: int, source: Path) -> _Found:
    """Splits what was prepared. Raises `CardiomorphError` where that is nothing."""
    rows = [outcome.row for outcome in outcomes if outcome.row is not None]
    if not rows:
        raise CardiomorphError("no subject could be prepared", where=source)
    twins = find_twins({o.entry: o.fingerprint for o in outcomes if o.fingerprint is not None})
    split = split_subjects({row["subject"]: row["group"] for row in rows}, twins, heldout, seed)
    for row in rows:
        row["split"] = split[row["subject"]]
        others = [name for members in twins if row["subject"] in members for name in members]
        row["same_heart_as"] = " ".join(name for name in others if name != row["subject"])
    return _Found(
        rows,
        {o.entry: o.digest for o in outcomes if o.row is not None},
        twins,
        {o.entry: o.problem for o in outcomes if o.problem},
        grouped((o.entry, o.doubts) for o in outcomes),
    )


def _announce(output: Path, found: _Found) -> None:
    held = sum(row["split"] == "heldout" for row in found.rows)
    _log.info(f"{len(found.rows)} subjects in {output}: {len(found.rows) - held} to train, {held} held out")
    for members in found.twins:
        _log.warning(f"one heart, kept on one side of the split: {', '.join(members)}")
    for line in (*doubt_lines(found.doubts), *(f"left out: {problem}" for problem in found.left_out.values())):
        _log.warning(line)
