"""A phantom data set on disk, in ACDC's own folder layout, with the truth beside every subject."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cardiomorph.anatomy import GROUPS, Group
from cardiomorph.checks import checked_seed
from cardiomorph.data.phantom.subject import Field, make_subject
from cardiomorph.data.sources import acdc
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import claim, ensure_folder, folder_in_place, read_json, write_json
from cardiomorph.progress import track
from cardiomorph.volume import write_series
from cardiomorph.workers import worker_pool

_log = logging.getLogger(__name__)

_MARK = "phantom.json"
_FRAMES = 1, 12
MIN_FRAMES = 5
_HEARTBEAT_S = 0.9


def write_phantom_cohort(
    output: Path,
    subjects_per_group: int = 20,
    seed: int = 0,
    workers: int = 2,
    *,
    field: Field = "heart",
    frames: int = 0,
) -> Path:
    """Writes ``5 * subjects_per_group`` subjects. Finished ones of an interrupted run are kept.

    A subject depends on the seed, its group and its number in the group only, not on how many are made.

    Args:
        field: "heart" is what touches the heart, "chest" the whole field of view of a scanner.
        frames: of a cine ``NAME_4d.nii.gz`` of each subject; 0 writes none.

    Raises:
        CardiomorphError: fewer than two a group, a seed below 0, too few frames, an output that holds other things or
            another phantom.
    """
    if subjects_per_group < 2:
        raise CardiomorphError(f"{subjects_per_group} subjects a group are too few; statistics need two or more")
    if frames and frames < MIN_FRAMES:
        raise CardiomorphError(f"{frames} frames are no heartbeat; expected {MIN_FRAMES} or more, or 0 for no cine")
    checked_seed(seed)
    output = Path(output)
    told = {"field": field, "frames": frames}
    usual = {"field": "heart", "frames": 0}
    mark = {"seed": seed, "subjects_per_group": subjects_per_group}
    _claim(output, mark | {key: value for key, value in told.items() if value != usual[key]})
    plan = [
        (f"patient{index * subjects_per_group + number + 1:03d}", group, number)
        for index, group in enumerate(GROUPS)
        for number in range(subjects_per_group)
    ]
    wanted = [entry for entry in plan if not (output / entry[0]).exists()]
    work = partial(_write_subject, output=output, seed=seed, field=field, frames=frames)
    with worker_pool(workers, len(wanted)) as pool:
        for _ in track(pool.map(work, wanted), "phantom hearts", len(wanted)):
            pass
    _log.info(f"{len(plan)} phantom hearts in {output}")
    return output


def _claim(output: Path, mark: dict[str, Any]) -> None:
    claim(output, _MARK)
    if (output / _MARK).exists() and read_json(output / _MARK) != mark:
        raise CardiomorphError("holds another phantom cohort", where=output, fix="Choose another folder")
    ensure_folder(output)
    write_json(output / _MARK, mark)


def _write_subject(entry: tuple[str, Group, int], output: Path, seed: int, field: Field, frames: int) -> None:
    name, group, number = entry
    rng = np.random.default_rng([seed, GROUPS.index(group), number])
    subject = make_subject(group, rng, field=field, frames=frames)
    numbers, total = ((1, subject.es_frame + 1), frames) if frames else (_FRAMES, 30)
    with folder_in_place(output / name) as place:
        acdc.write(place, name, group, subject.labels, subject.images, frames=numbers, n_frames=total)
        if frames:
            write_series(place / f"{name}_4d.nii.gz", subject.cine, _HEARTBEAT_S / frames)
        write_json(place / "truth.json", dict(subject.truth))
