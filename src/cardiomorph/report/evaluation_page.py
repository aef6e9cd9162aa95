"""The page of an evaluation: verdicts, every area, the paper's figures, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardiomorph.files import write_bytes, write_text
from cardiomorph.latent.atlas import Atlas
from cardiomorph.report import evidence_sections as evidence
from cardiomorph.report import figures, paper_sections
from cardiomorph.report.findings import Findings
from cardiomorph.report.latent_section import latent_section
from cardiomorph.report.page import Section, page, preformatted, verdict_table


def write_page(output: Path, found: Findings, facts: Mapping[str, Any], synth: Path) -> Path:
    """``report.html``, and its figures in ``figures/``.

    Args:
        facts: what evaluation.json holds.
        synth: folder of the first set.
    """
    sections: list[Section | None] = [
        *(evidence.area_section(area, found.sets, found.real_for(area)) for area in found.areas),
        evidence.cases_section(found.sets[0]),
        *_paper_sections(found, synth),
        evidence.missing_section(found.sets, found.real_left_out),
        _settings_section(facts, found.origin.atlas),
    ]
    present = [section for section in sections if section is not None]
    pictures = {name: figures.as_png(figure) for s in present for name, figure in s.figures.items()}
    for name, content in pictures.items():
        write_bytes(output / "figures" / f"{name}.png", content)
    first, cohort = found.sets[0], found.cohort.name
    counts = f"{len(first.records)} synthetic hearts ({first.name}) beside {len(found.real)} real ones ({cohort})"
    path = output / "report.html"
    write_text(path, page(counts, verdict_table(found.verdicts), present, pictures))
    return path


def _paper_sections(found: Findings, synth: Path) -> list[Section | None]:
    drawn = [paper_sections.draw_section(synth)] if (synth / "synthesis.json").exists() else []
    atlas, request = found.origin.atlas, found.origin.request
    if atlas is None:
        return [*drawn, Section("Figures 2, 4 and 5 of the paper", f"Left out: {found.origin.why_no_atlas}.")]
    return [
        *drawn,
        paper_sections.transition_section(atlas, request),
        paper_sections.surface_section(atlas, request, found.cohort),
        *paper_sections.matrix_sections(atlas, request),
        latent_section(atlas),
    ]


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
