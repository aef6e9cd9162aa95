"""Cross-fitting: every patient is compared only with hearts from statistics that never saw him.

The cohort is cut into folds, the first of them its held-out subjects, whom the shape model never saw either. For each
fold statistics are made of the other folds' hearts, a sampler draws hearts from them, and these are measured at the
patients' own distance between slices (more slices find thicker walls and raggeder stacks) and laid beside the fold's
patients. Tests re-label within group and fold. The control "rebuilt" are the patients themselves through the shape
model: what is wrong with those, no sampler can mend.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import GROUPS, HEALTHY, PHASES, Phase
from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.splits import fold_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas.joint import MEASURES
from cardiomorph.evaluation.cross_comparison import (
    ALL,
    FIRST,
    MeasuredHeart,
    by_measure,
    compared,
    powers,
    table_lines,
)
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.files import ensure_folder, write_csv, write_json
from cardiomorph.latent.samplers.choice import Sampler
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.statistics import GroupStatistics, group_statistics
from cardiomorph.latent.trajectory import Trajectory, decode_labels, encode_subject, equalise
from cardiomorph.models.checkpoint import load_shape_model
from cardiomorph.models.label_vae import LabelVAE, fold_batch_norms
from cardiomorph.models.threads import threads
from cardiomorph.progress import track
from cardiomorph.volume import Volume

_log = logging.getLogger(__name__)

REBUILT = "rebuilt"


@dataclass(frozen=True)
class _Patient:
    id: str
    fold: int
    group: str
    trajectory: Trajectory
    measures: NDArray[np.float64]
    slice_spacing_mm: float


def cross_fit(
    cohort: Path,
    output: Path,
    *,
    shape: Path,
    samplers: Sequence[Sampler],
    folds: int = 5,
    hearts: int = 20,
    seed: int = 0,
) -> dict[str, Any]:
    """Compares samplers' hearts with patients whom their statistics never saw; writes crossfit.json and hearts.csv.

    Args:
        cohort: folder of the prepared cohort.
        shape: run folder of its shape model, trained on the cohort's training split.
        samplers: each is one row of the tables; the control is another.
        folds: how many; the first is the held-out split.
        hearts: of each group, fold and sampler.

    Returns:
        What crossfit.json holds: by set, ``all``, ``fold 0`` and each group: energy distance, p, SD ratio and shift by
        measure, area under a classifier's curve, recall and coverage, share in the patients' 5 to 95 % range; and the
        ``power`` of the test.

    Raises:
        CardiomorphError: bad cohort or model, or groups too small for so many folds.
    """
    checked_seed(seed)
    source, output = Cohort(cohort), ensure_folder(Path(output))
    with threads(1):
        model = fold_batch_norms(load_shape_model(shape))
        patients = _patients(source, model, folds, seed)
        _check(patients, folds, source)
        real = [MeasuredHeart(one.fold, one.group, one.measures) for one in patients]
        sets = {REBUILT: list(_rebuilt(model, patients, source.config.spacing_mm))}
        for sampler in samplers:
            drawn = _drawn(model, patients, sampler, folds, hearts, seed, source.config.spacing_mm)
            total = folds * len({one.group for one in patients}) * hearts
            sets[_title(sampler)] = list(track(drawn, _title(sampler), total))
    found = {
        "cohort": source.name,
        "folds": {
            str(k): [n for n, p in zip(source.ids(), patients, strict=True) if p.fold == k] for k in range(folds)
        },
        "seed": seed,
        "hearts_per_group_and_fold": hearts,
        "measures": list(MEASURES),
        "sets": {name: compared(made, real, seed) for name, made in sets.items()},
        "power": {part: powers(real, hearts, part, seed) for part in (ALL, FIRST)},
    }
    _write_hearts(output / "hearts.csv", {"patients": real, **sets})
    write_json(output / "crossfit.json", found, seal=True)
    for line in table_lines(found):
        _log.info(line)
    return found


def _title(sampler: Sampler) -> str:
    settings = {k: v for k, v in sampler.model_dump().items() if k != "name"}  # type: ignore[attr-defined]
    return " ".join([sampler.name, *(f"{key}={value}" for key, value in settings.items())])


def _patients(source: Cohort, model: LabelVAE, folds: int, seed: int) -> list[_Patient]:
    groups = {row["subject"]: row["group"] for row in source.rows}
    twins = [(row["subject"], *row["same_heart_as"].split()) for row in source.rows if row.get("same_heart_as")]
    fold = fold_subjects(groups, [tuple(sorted(one)) for one in twins], source.ids("heldout"), folds, seed)
    found = []
    for subject in track(source.subjects(), "encoding", len(source.ids())):
        labels = {phase: subject.label_volume(phase) for phase in PHASES}
        found.append(
            _Patient(
                subject.id,
                fold[subject.id],
                subject.group,
                encode_subject(model, subject),
                _row(measure_heart(labels, None, None)),
                subject.geometry.slice_spacing_mm("ED"),
            )
        )
    return found


def _check(patients: Sequence[_Patient], folds: int, source: Cohort) -> None:
    for group in {one.group for one in patients}:
        count = [sum(one.group == group and one.fold == k for one in patients) for k in range(folds)]
        if min(count) < 1 or sum(count) - max(count) < 2:
            raise CardiomorphError(
                f"the group {group} has {sum(count)} subjects: too few for {folds} folds",
                where=source.folder,
                fix="Ask for fewer --folds",
            )
    if HEALTHY not in {one.group for one in patients}:
        raise CardiomorphError(f"has no healthy ({HEALTHY}) subject to draw parents from", where=source.folder)


def _row(measures: Measures) -> NDArray[np.float64]:
    return np.array([np.nan if measures[name] is None else measures[name] for name in MEASURES], np.float64)


def _measured(model: LabelVAE, heart: Trajectory, slice_mm: float, pixel_mm: float) -> NDArray[np.float64]:
    """Measures of a heart with slices as far apart as a patient's."""
    labels: dict[Phase, Volume] = {}
    for phase in PHASES:
        count = max(1, round(heart.length_mm[phase] / slice_mm))
        slices = np.moveaxis(decode_labels(model, equalise(heart.codes[phase], count)), 0, -1)
        spacing = (pixel_mm, pixel_mm, heart.length_mm[phase] / count)
        labels[phase] = Volume(np.ascontiguousarray(slices), spacing)
    return _row(measure_heart(labels, None, None))


def _rebuilt(model: LabelVAE, patients: Sequence[_Patient], pixel_mm: float) -> Iterator[MeasuredHeart]:
    for one in track(patients, REBUILT, len(patients)):
        yield MeasuredHeart(one.fold, one.group, _measured(model, one.trajectory, one.slice_spacing_mm, pixel_mm))


def _drawn(
    model: LabelVAE,
    patients: Sequence[_Patient],
    sampler: Sampler,
    folds: int,
    hearts: int,
    seed: int,
    pixel_mm: float,
) -> Iterator[MeasuredHeart]:
    """Hearts of every fold's statistics, each of a parent of its own, drawn from the same statistics."""
    for fold in range(folds):
        statistics = _statistics([one for one in patients if one.fold != fold])
        typical = float(np.median([one.slice_spacing_mm for one in patients if one.fold == fold]))
        healthy, some = statistics[HEALTHY], next(one.trajectory for one in patients)
        for number, group in enumerate(statistics):
            for index in range(hearts):
                # Samplers are compared on the same parents.
                parents = np.random.default_rng([seed, fold, number, index])
                parent = PopulationSampler(inherited=0.0).draw(healthy, some, parents).trajectory
                rng = np.random.default_rng([seed, fold, number, index, 1])
                heart = sampler.draw(statistics[group], parent, rng).trajectory
                yield MeasuredHeart(fold, group, _measured(model, heart, typical, pixel_mm))


def _statistics(patients: Sequence[_Patient]) -> dict[str, GroupStatistics]:
    present = [group for group in GROUPS if any(one.group == group for one in patients)]
    return group_statistics({g: [one.trajectory for one in patients if one.group == g] for g in present})


def _write_hearts(path: Path, sets: Mapping[str, Sequence[MeasuredHeart]]) -> None:
    rows = [
        {"set": name, "fold": one.fold, "group": one.group, **by_measure(one.measures)}
        for name, hearts in sets.items()
        for one in hearts
    ]
    write_csv(path, rows)
