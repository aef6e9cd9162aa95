"""The sections of the report that weigh synthetic hearts against real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from cardiomorph.anatomy import PHASES
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas import Area
from cardiomorph.evaluation.areas.label_match import LabelMatch
from cardiomorph.evaluation.areas.validity import INVALID_SLICES, Validity
from cardiomorph.evaluation.heart_files import HeartFile
from cardiomorph.evaluation.presentation import Presentation, Side, Table
from cardiomorph.evaluation.record import Record
from cardiomorph.report import evidence_figures, figures
from cardiomorph.report.figures import Picture
from cardiomorph.report.findings import HeartSet
from cardiomorph.report.page import Section, collapsible, table

_SHOWN_SLICES = 12


def area_section(area: Area, sets: Sequence[HeartSet], real: Sequence[Record]) -> Section | None:
    """What an area shows, rendered; None where it shows nothing."""
    sides = [Side(s.name, s.records, s.summaries[area.name]) for s in sets if area.name in s.summaries]
    shown = area.show(sides, real)
    return None if shown is None else _rendered(shown)


def _rendered(shown: Presentation) -> Section:
    drawn = {name: evidence_figures.drawn(data) for name, data in shown.figures.items()}
    return Section(shown.title, shown.text, drawn, Markup().join(map(_table, shown.tables)))


def _table(data: Table) -> Markup:
    rows = table(data.header, data.rows)
    return collapsible(data.behind, rows) if data.behind else rows


def cases_section(first: HeartSet) -> Section | None:
    """Worst and best hearts by invalid slices, then by label match: all of a heart, not a chosen slice."""
    match = {r.id: r.of(LabelMatch.name).get("dice") for r in first.records}
    invalid = first.summaries[Validity.name].by_heart[INVALID_SLICES]
    if not invalid:
        return None
    order = sorted(invalid, key=lambda name: (invalid[name], -(match.get(name) or 0.0), name))
    chosen = {**{f"worst: {n}": n for n in order[-3:][::-1]}, **{f"best: {n}": n for n in order[:2]}}
    strips = {title: _strip(first.files[name]) for title, name in chosen.items() if name in first.files}
    shown = {title: strip for title, strip in strips.items() if strip}
    if not shown:
        return None
    return Section(
        "Worst and best cases",
        "At end-diastole, base to apex; ordered by the share of slices that break a criterion.",
        {"cases": evidence_figures.stack_strips(shown, "worst and best")},
    )


def _strip(file: HeartFile) -> list[Picture]:
    try:
        heart = file.load()
    except CardiomorphError:
        return []
    phase = next(p for p in PHASES if p in heart.labels)
    label, image = heart.labels[phase].array, heart.images.get(phase)
    chosen = np.unique(np.linspace(0, label.shape[2] - 1, _SHOWN_SLICES).round().astype(int))
    scaled = None
    if image is not None:
        low, high = np.percentile(image.array, [1, 99])
        scaled = np.clip(2.0 * (image.array - low) / max(high - low, 1e-9) - 1.0, -1, 1)
    return [figures.overlay(label[:, :, k], None if scaled is None else scaled[:, :, k]) for k in chosen]


def missing_section(sets: Sequence[HeartSet], real_left_out: Mapping[str, str]) -> Section | None:
    """What could not be read or measured, and why; None where there is nothing to say."""
    rows = [[name, reason] for name, reason in real_left_out.items()]
    for one in sets:
        rows += [[f"{one.name}: {name}", reason] for name, reason in one.left_out.items()]
        rows += [[f"{one.name}: {area}", reason] for area, reason in one.missing.items()]
        rows += [[f"{one.name}: {r.id}", "; ".join(r.problems)] for r in one.records if r.problems]
    if not rows:
        return None
    return Section(
        "Not measured",
        "What could not be read or measured, and why.",
        table=collapsible(f"{len(rows)} entries", table([], rows, cells="reason")),
    )
