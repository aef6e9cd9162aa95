"""`cardiomorph evaluate`: measure hearts, summarise, and write metrics, tables and the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.subject import LabelCodes
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas import AREAS, Area
from cardiomorph.evaluation.areas.memorisation import Memorisation
from cardiomorph.evaluation.heart_files import HeartFile, cohort_hearts, folder_hearts
from cardiomorph.evaluation.measurement import MeasurementConfig, measure_all
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.verdict import Condition, Verdict
from cardiomorph.files import (
    claim,
    digest,
    ensure_folder,
    read_record,
    validated,
    write_json,
)
from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.imagenet import imagenet_available
from cardiomorph.report.evaluation_page import write_page
from cardiomorph.report.evaluation_tables import write_tables
from cardiomorph.report.findings import Findings, HeartSet, Origin
from cardiomorph.synthesis.field_area import FullField
from cardiomorph.synthesis.morph_series import Identity
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.synthesis.swap import Swap

_log = logging.getLogger(__name__)

RECORDS, METRICS, EVALUATION = "records", "metrics.json", "evaluation.json"
_NAMES = (METRICS, EVALUATION, "comparison.csv", "measures.csv", "groups.csv", "figures", "report.html")


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found and where it wrote it."""

    metrics: Mapping[str, float]
    verdicts: Sequence[Verdict]
    failed: Sequence[str]
    """Conditions of ``fail_if`` that hold."""
    page: Path


def evaluate(
    synth: Path,
    output: Path,
    *,
    against: Path,
    atlas: Path | None = None,
    segmenter: Path | None = None,
    scans: Path | None = None,
    compare: Sequence[Path] = (),
    held_out_only: bool = False,
    codes: LabelCodes | None = None,
    fail_if: Sequence[str] = (),
    seed: int = 0,
    workers: int = 2,
) -> Evaluation:
    """Weighs synthetic hearts against real ones.

    Writes ``metrics.json`` (flat), ``comparison.csv`` (the same, a column a set), ``evaluation.json`` (verdicts,
    settings, what was not measured), ``measures.csv``, ``groups.csv``, ``report.html`` with its ``figures/``, and
    ``records/``, from which an interrupted run goes on.

    Args:
        synth: folder of hearts: a synthesis, a prepared cohort, or any folder in a known layout.
        output: report folder.
        against: prepared cohort of real hearts.
        atlas: the atlas of the synthesis; by default the one its ``synthesis.json`` names. Without it the paper's
            figures and the identity measures are left out, and the report says so.
        segmenter: run folder of ``cardiomorph train segmenter`` on real hearts: label match and own features.
        scans: the data set of the patients into whose whole images hearts were set: what a full field gives away.
        compare: further sets to lay beside the first.
        held_out_only: compare with the cohort's held-out hearts alone, whom no model saw; memorisation asks all.
        codes: translation of the synthetic labels' codes.
        fail_if: conditions like ``validity.invalid_slices > 0.01``.
        seed: of random halves and draws.
        workers: processes.

    Raises:
        CardiomorphError: nothing to measure, not a cohort, a condition on something that was not measured, an output
            that holds other things than an earlier report.
    """
    checked_seed(seed)
    synth, output, cohort = Path(synth), Path(output), Cohort(against)
    claim(output, RECORDS, _NAMES)
    conditions = [Condition.parse(text) for text in fail_if]
    folders = [synth, *map(Path, compare)]
    names, files = _set_names(folders), [folder_hearts(folder, cohort.config, codes) for folder in folders]
    config = MeasurementConfig(
        slice_spacing_mm=_typical_spacing_mm(cohort), segmenter=segmenter, imagenet=imagenet_available()
    )
    origin = _origin(synth, atlas)
    records = ensure_folder(output / RECORDS)
    real, real_left_out = measure_all(
        cohort_hearts(cohort), records / "real", config, workers=workers, title="measuring real hearts"
    )
    measured = [
        _measured(name, hearts, records / f"set{number}", config, workers)
        for number, (name, hearts) in enumerate(zip(names, files, strict=True), 1)
    ]
    # The first set alone is asked what it owes to its atlas.
    found = origin.atlas, origin.why_no_atlas
    own: list[Area] = [
        FullField(synth, scans),
        Identity(*found, cohort, origin.request.sampler),
        Swap(origin.atlas, segmenter, cohort),
    ]
    areas = [*AREAS, *own]
    split = {row["subject"]: row["split"] for row in cohort.rows}
    if held_out_only and "heldout" not in split.values():
        raise CardiomorphError("holds nobody out", where=cohort.folder, fix="Prepare it with --heldout 0.2")
    beside = [record for record in real if split[record.id] == "heldout"] if held_out_only else real
    sets = []
    for one in measured:
        asked = areas if one is measured[0] else AREAS
        everyone, few = (Populations(one.records, some, split, seed) for some in (real, beside))
        sets.append(_summarised(one, asked, few, everyone))
    found_all = Findings(cohort, origin, config, seed, areas, sets, beside, real_left_out, real)
    return _written(output, found_all, conditions, synth)


def _written(output: Path, found: Findings, conditions: Sequence[Condition], synth: Path) -> Evaluation:
    metrics, verdicts = found.metrics, found.verdicts
    write_tables(output, found)
    write_json(output / METRICS, metrics)
    facts = {**found.facts(), "files": {METRICS: digest(output / METRICS)}}
    path = write_page(output, found, facts, synth)
    write_json(output / EVALUATION, facts, seal=True)
    for one in verdicts:
        _log.info(f"{one.area}: {one.word}{'; ' + one.reason if one.reason else ''}")
    _log.info(f"report: {path}")
    failed = [f"{c.key} {c.comparison} {c.number:g}" for c in conditions if c.holds(metrics)]
    return Evaluation(metrics, verdicts, failed, path)


def _set_names(folders: Sequence[Path]) -> list[str]:
    """The folders' names, numbered where two are the same."""
    names: list[str] = []
    for folder in folders:
        name = folder.resolve().name.replace(".", "_")
        names.append(name if name not in names else f"{name}_{len(names) + 1}")
    return names


def _typical_spacing_mm(cohort: Cohort) -> float:
    return float(np.median([float(row["slice_spacing_mm"]) for row in cohort.rows]))


def _measured(name: str, files: Sequence[HeartFile], folder: Path, config: MeasurementConfig, workers: int) -> HeartSet:
    """A set's records, not yet summarised."""
    records, left_out = measure_all(files, folder, config, workers=workers, title=f"measuring {name}")
    if not records:
        first = next(iter(left_out.values()), "it is empty")
        raise CardiomorphError(f"no heart of {name} could be read: {first}")
    return HeartSet(name, {file.id: file for file in files}, records, left_out, {})


def _summarised(one: HeartSet, areas: Sequence[Area], hearts: Populations, everyone: Populations) -> HeartSet:
    """Memorisation asks the training hearts, too, whomever the others ask."""
    asked = {area.name: everyone if area.name == Memorisation.name else hearts for area in areas}
    return replace(one, summaries={area.name: area.summarise(asked[area.name]).finite() for area in areas})


def _origin(synth: Path, atlas: Path | None) -> Origin:
    asked = synth / "synthesis.json"
    settings = validated(_Synthesis, read_record(asked), asked).model_dump() if asked.exists() else {}
    return Origin(settings, *_find_atlas(settings, atlas))


def _find_atlas(settings: Mapping[str, Any], given: Path | None) -> tuple[Atlas | None, str]:
    if given is None and not settings.get("atlas_folder"):
        return None, "this folder does not say which atlas it came from; --atlas names one"
    try:
        atlas = Atlas(given or Path(settings["atlas_folder"]))
    except CardiomorphError as error:
        if given is not None:
            raise
        return None, str(error)
    if settings and atlas.identity != settings["atlas"]:
        return None, "the atlas has changed since the synthesis"
    return atlas, ""


class _Synthesis(BaseModel):
    """What an evaluation takes from synthesis.json."""

    atlas: str
    atlas_folder: str | None = None
    request: SynthesisRequest
