"""`cardiomorph evaluate`: measure hearts, summarise, and write metrics, tables and the report."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.subject import LabelCodes
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas import AREAS, Area
from cardiomorph.evaluation.areas.function import Function
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.heart_files import HeartFile, cohort_hearts, folder_hearts
from cardiomorph.evaluation.measurement import MeasurementConfig, measure_all
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.record import Record
from cardiomorph.evaluation.summary import Metrics
from cardiomorph.evaluation.table import Row, group_summary
from cardiomorph.evaluation.verdict import Condition, Verdict
from cardiomorph.files import (
    claim,
    digest,
    ensure_folder,
    read_record,
    validated,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.imagenet import imagenet_available
from cardiomorph.report import evidence_sections as evidence
from cardiomorph.report import figures, paper_sections
from cardiomorph.report.evidence_sections import HeartSet
from cardiomorph.report.latent_section import latent_section
from cardiomorph.report.page import Section, page, preformatted, verdict_table
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
    compare: Sequence[Path] = (),
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
        compare: further sets to lay beside the first.
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
    names = _set_names([synth, *map(Path, compare)])
    files = [folder_hearts(folder, cohort.config, codes) for folder in (synth, *map(Path, compare))]
    config = MeasurementConfig(
        slice_spacing_mm=_typical_spacing_mm(cohort), segmenter=segmenter, imagenet=imagenet_available()
    )
    asked = synth / "synthesis.json"
    settings = validated(_Synthesis, read_record(asked), asked).model_dump() if asked.exists() else {}
    found, why = _find_atlas(settings, atlas)
    # The first set alone is asked what it owes to its atlas.
    areas = [*AREAS, Identity(found, why, cohort, _request(settings).sampler), Swap(found, segmenter, cohort)]
    records = ensure_folder(output / RECORDS)
    real, real_left_out = measure_all(
        cohort_hearts(cohort), records / "real", config, workers=workers, title="measuring real hearts"
    )
    split = {row["subject"]: row["split"] for row in cohort.rows}
    measured = [
        _measured(name, hearts, records / f"set{number}", config, workers)
        for number, (name, hearts) in enumerate(zip(names, files, strict=True), 1)
    ]
    sets = [
        _summarised(one, areas if one is measured[0] else AREAS, Populations(one.records, real, split, seed))
        for one in measured
    ]
    metrics = _all_metrics(sets)
    judged = [one for area in areas for one in area.judge(sets[0].summaries[area.name])]
    _write_tables(output, sets, real)
    write_json(output / METRICS, metrics)
    facts = {
        "cardiomorph": importlib.metadata.version("cardiomorph"),
        "seed": seed,
        "examination": config.model_dump(mode="json"),
        "sets": {s.name: {"hearts": len(s.records), "left_out": s.left_out, "missing": s.missing} for s in sets},
        "verdicts": [asdict(v) for v in judged],
        "synthesis": settings,
        "cohort": cohort.settings,
        "files": {METRICS: digest(output / METRICS)},
    }
    path = _write_page(output, areas, sets, real, real_left_out, judged, facts, found, why, synth, cohort)
    write_json(output / EVALUATION, facts, seal=True)
    for one in judged:
        _log.info(f"{one.area}: {one.word}{'; ' + one.reason if one.reason else ''}")
    _log.info(f"report: {path}")
    failed = [f"{c.key} {c.comparison} {c.number:g}" for c in conditions if c.holds(metrics)]
    return Evaluation(metrics, judged, failed, path)


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


def _summarised(one: HeartSet, areas: Sequence[Area], hearts: Populations) -> HeartSet:
    return replace(one, summaries={area.name: area.summarise(hearts).finite() for area in areas})


def _all_metrics(sets: Sequence[HeartSet]) -> Metrics:
    """The first set's entries, and the others' under ``compare.NAME.``."""
    metrics = dict(sets[0].metrics)
    for other in sets[1:]:
        metrics |= {f"compare.{other.name}.{key}": value for key, value in other.metrics.items()}
    return metrics


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


def _request(settings: Mapping[str, Any]) -> SynthesisRequest:
    return SynthesisRequest.model_validate(settings["request"]) if settings else SynthesisRequest()


class _Synthesis(BaseModel):
    """What an evaluation takes from synthesis.json."""

    atlas: str
    atlas_folder: str | None = None
    request: SynthesisRequest


def _write_tables(output: Path, sets: Sequence[HeartSet], real: Sequence[Record]) -> None:
    origins: dict[str, Sequence[Record]] = {"real": real, **{s.name: s.records for s in sets}}
    found = {s.name: [summary.by_heart for summary in s.summaries.values()] for s in sets}
    rows: list[Row] = []
    for origin, records in origins.items():
        for record in records:
            row: Row = {"origin": origin, "subject": record.id, "group": record.group, **_flat(record)}
            for columns in found.get(origin, ()):
                row |= {name: values.get(record.id) for name, values in columns.items()}
            rows.append(row)
    write_csv(output / "measures.csv", rows, ("origin", "subject", "group", *MEASURE_COLUMNS))
    summaries: list[Row] = []
    for origin, records in origins.items():
        for group, summary in group_summary([{"group": r.group, **r.of(Function.name)} for r in records]).items():
            entry: Row = {"group": group, "origin": origin, "n": summary["n"]}
            for column in MEASURE_COLUMNS:
                if column in summary:
                    entry |= {f"{column}_mean": summary[column]["mean"], f"{column}_sd": summary[column]["sd"]}
            summaries.append(entry)
    write_csv(output / "groups.csv", summaries)
    metrics = {s.name: s.metrics for s in sets}
    keys = dict.fromkeys(key for entries in metrics.values() for key in entries)
    lines = [{"metric": key, **{name: entries.get(key) for name, entries in metrics.items()}} for key in keys]
    write_csv(output / "comparison.csv", lines)


def _flat(record: Record) -> Row:
    """A heart's measures of every area, as columns."""
    return {
        f"{area.column_prefix}{name}": int(value) if isinstance(value, bool) else value
        for area in AREAS
        for name, value in record.of(area.name).items()
    }


def _write_page(
    output: Path,
    areas: Sequence[Area],
    sets: Sequence[HeartSet],
    real: Sequence[Record],
    real_left_out: Mapping[str, str],
    judged: Sequence[Verdict],
    facts: Mapping[str, Any],
    atlas: Atlas | None,
    why: str,
    synth: Path,
    cohort: Cohort,
) -> Path:
    sections: list[Section | None] = [
        *(evidence.area_section(area, sets, real) for area in areas),
        evidence.cases_section(sets[0]),
    ]
    if (synth / "synthesis.json").exists():
        sections.append(paper_sections.draw_section(synth))
    if atlas is None:
        sections.append(Section("Figures 2, 4 and 5 of the paper", f"Left out: {why}."))
    else:
        request = _request(facts["synthesis"])
        sections += [
            paper_sections.transition_section(atlas, request),
            paper_sections.surface_section(atlas, request, cohort),
            *paper_sections.matrix_sections(atlas, request),
            latent_section(atlas),
        ]
    sections += [evidence.missing_section(sets, real_left_out), _settings_section(facts, atlas)]
    present = [section for section in sections if section is not None]
    pictures = {name: figures.as_png(figure) for s in present for name, figure in s.figures.items()}
    for name, content in pictures.items():
        write_bytes(output / "figures" / f"{name}.png", content)
    counts = f"{len(sets[0].records)} synthetic hearts ({sets[0].name}) beside {len(real)} real ones ({cohort.name})"
    path = output / "report.html"
    write_text(path, page(counts, verdict_table(judged), present, pictures))
    return path


def _settings_section(facts: Mapping[str, Any], atlas: Atlas | None) -> Section:
    shown = {key: value for key, value in facts.items() if key not in ("verdicts", "sets")}
    if atlas is not None:
        shown["atlas"] = {k: v for k, v in atlas.description.items() if k != "diagnostics"}
        shown["shape_model"] = {k: v for k, v in atlas.diagnostics if k != "matrices"}
    text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
    return Section(
        "Methods and settings",
        "Everything that this page depends on; docs/evidence.md says how each number is made, with its source.",
        table=preformatted(text),
    )
