"""`cardiomorph evaluate`: examine hearts, summarise, and write metrics, tables and the report."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.subject import Codes
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.examination import ExaminationConfig, Record, examine_all
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.hearts import HeartFile, cohort_hearts, folder_hearts
from cardiomorph.evaluation.summary import Metrics, finite, summarise
from cardiomorph.evaluation.table import Row, group_summary
from cardiomorph.evaluation.verdict import Condition, Verdict, verdicts
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
from cardiomorph.latent.virtual import VIRTUAL, virtual_name
from cardiomorph.models.checkpoint import load_segmenter
from cardiomorph.models.imagenet import IMAGENET_MISSING, imagenet_available
from cardiomorph.progress import say
from cardiomorph.report import evidence_sections as evidence
from cardiomorph.report import figures, paper_sections
from cardiomorph.report.evidence_sections import HeartSet
from cardiomorph.report.latent_section import latent_section
from cardiomorph.report.page import Section, page, preformatted, verdict_table
from cardiomorph.synthesis.morph_series import identity_metrics
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.synthesis.swap import swap_metrics

IDENTITY_PARENTS = 6
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
    codes: Codes | None = None,
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
    config = ExaminationConfig(
        slice_spacing_mm=_typical_spacing_mm(cohort), segmenter=segmenter, imagenet=imagenet_available()
    )
    records = ensure_folder(output / RECORDS)
    real, real_left_out = examine_all(
        cohort_hearts(cohort), records / "real", config, workers=workers, title="examining real hearts"
    )
    split = {row["subject"]: row["split"] for row in cohort.rows}
    sets = [
        _examined(name, hearts, records / f"set{number}", config, real, split, seed, workers)
        for number, (name, hearts) in enumerate(zip(names, files, strict=True), 1)
    ]
    asked = synth / "synthesis.json"
    settings = validated(_Synthesis, read_record(asked), asked).model_dump() if asked.exists() else {}
    found, why = _find_atlas(settings, atlas)
    _identity(sets[0], found, why, cohort, settings, seed)
    _swap(sets[0], found, segmenter, cohort, seed)
    metrics = _all_metrics(sets)
    judged = verdicts(metrics)
    _write_tables(output, sets, real)
    write_json(output / METRICS, metrics)
    facts = {
        "cardiomorph": importlib.metadata.version("cardiomorph"),
        "seed": seed,
        "examination": config.model_dump(mode="json"),
        "sets": {
            s.name: {"hearts": len(s.records), "left_out": s.left_out, "missing": s.summary.missing} for s in sets
        },
        "verdicts": [asdict(v) for v in judged],
        "synthesis": settings,
        "cohort": cohort.settings,
        "files": {METRICS: digest(output / METRICS)},
    }
    path = _write_page(output, sets, real, real_left_out, judged, facts, found, why, synth, cohort)
    write_json(output / EVALUATION, facts, seal=True)
    for one in judged:
        say(f"{one.area}: {one.word}{'; ' + one.reason if one.reason else ''}")
    say(f"report: {path}")
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


def _examined(
    name: str,
    files: Sequence[HeartFile],
    folder: Path,
    config: ExaminationConfig,
    real: Sequence[Record],
    split: Mapping[str, str],
    seed: int,
    workers: int,
) -> HeartSet:
    records, left_out = examine_all(files, folder, config, workers=workers, title=f"examining {name}")
    if not records:
        first = next(iter(left_out.values()), "it is empty")
        raise CardiomorphError(f"no heart of {name} could be read: {first}")
    summary = summarise(records, real, split, seed)
    summary.metrics, broken = finite(summary.metrics)
    summary.missing |= dict.fromkeys(broken, "the value is not finite")
    if not config.imagenet and any("picture" in record.arrays for record in records):
        summary.missing["fidelity.imagenet"] = IMAGENET_MISSING
    return HeartSet(name, {file.id: file for file in files}, records, left_out, summary)


def _all_metrics(sets: Sequence[HeartSet]) -> Metrics:
    """The first set's entries, and the others' under ``compare.NAME.``."""
    metrics = dict(sets[0].summary.metrics)
    for other in sets[1:]:
        metrics |= {f"compare.{other.name}.{key}": value for key, value in other.summary.metrics.items()}
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


def _identity(
    first: HeartSet, atlas: Atlas | None, why: str, cohort: Cohort, settings: Mapping[str, Any], seed: int
) -> None:
    if atlas is None:
        first.summary.missing["identity"] = why
        return
    parents = list(atlas.parents) or [virtual_name(number) for number in range(1, IDENTITY_PARENTS + 1)]
    evenly = np.unique(np.linspace(0, len(parents) - 1, IDENTITY_PARENTS).round().astype(int))
    chosen = [parents[index] for index in evenly]
    found = identity_metrics(atlas, cohort, chosen, _request(settings).sampler, seed)
    first.summary.metrics |= found
    if "identity.overlap" not in found:
        first.summary.missing["identity.overlap"] = "the atlas's parents are not in this cohort"


def _swap(first: HeartSet, atlas: Atlas | None, segmenter: Path | None, cohort: Cohort, seed: int) -> None:
    if atlas is None or segmenter is None or not atlas.has_images:
        first.summary.missing["swap"] = "needs an atlas with an image model, and a segmenter"
        return
    found = swap_metrics(atlas.image_model, atlas.painter, load_segmenter(segmenter), cohort, seed)
    first.summary.metrics |= found
    if not found:
        first.summary.missing["swap"] = "needs two real hearts with images"


def _write_tables(output: Path, sets: Sequence[HeartSet], real: Sequence[Record]) -> None:
    origins: dict[str, Sequence[Record]] = {"real": real, **{s.name: s.records for s in sets}}
    invalid = {s.name: s.summary.invalid for s in sets}
    rows: list[Row] = []
    for origin, records in origins.items():
        for record in records:
            row: Row = {"origin": origin, "subject": record.id, "group": record.group, **_flat(record)}
            rows.append(row | {"invalid_slices": invalid.get(origin, {}).get(record.id)})
    write_csv(output / "measures.csv", rows, ("origin", "subject", "group", *MEASURE_COLUMNS))
    summaries: list[Row] = []
    for origin, records in origins.items():
        for group, summary in group_summary([{"group": r.group, **r.measures} for r in records]).items():
            entry: Row = {"group": group, "origin": origin, "n": summary["n"]}
            for column in MEASURE_COLUMNS:
                if column in summary:
                    entry |= {f"{column}_mean": summary[column]["mean"], f"{column}_sd": summary[column]["sd"]}
            summaries.append(entry)
    write_csv(output / "groups.csv", summaries)
    keys = dict.fromkeys(key for s in sets for key in s.summary.metrics)
    columns = [{"metric": key, **{s.name: s.summary.metrics.get(key) for s in sets}} for key in keys]
    write_csv(output / "comparison.csv", columns)


def _flat(record: Record) -> Row:
    parts = {**record.measures, **record.consistency, **record.image}
    match = {f"label_match_{key}": value for key, value in record.match.items()}
    volume = {f"fails_{key}": int(value) for key, value in record.volume.items()}
    return {**parts, **match, **volume}


def _write_page(
    output: Path,
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
        evidence.function_section(sets, real),
        evidence.plausibility_section(sets),
        evidence.validity_section(sets),
        evidence.consistency_section(sets, real),
        evidence.fidelity_section(sets, real),
        evidence.memorisation_section(sets[0], real),
        evidence.cases_section(sets[0]),
    ]
    if (synth / "synthesis.json").exists():
        sections.append(paper_sections.draw_section(synth))
    if atlas is None:
        sections.append(Section("Figures 2, 4 and 5 of the paper", f"Left out: {why}."))
    else:
        request = _request(facts["synthesis"])
        if not facts["synthesis"] and not atlas.parents:
            request = request.model_copy(update={"sources": (VIRTUAL,)})
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
