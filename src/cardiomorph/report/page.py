"""The report of a synthesis: Figs. 2 to 5 of the paper, the group table and the settings, in one HTML file."""

from __future__ import annotations

import html
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cardiomorph.anatomy import DISEASES, GROUP_NAMES, GROUPS, HEALTHY, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.table import TABLE_COLUMNS, Row, cohort_rows, group_summary, measure_folder
from cardiomorph.files import ensure_folder, read_json, write_bytes, write_csv, write_text
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.correlation import kendall_matrix
from cardiomorph.latent.samplers import sampler_named
from cardiomorph.latent.trajectory import decode_labels, morph
from cardiomorph.progress import console, track
from cardiomorph.report import figures
from cardiomorph.report.figures import Picture, as_data_uri
from cardiomorph.synthesis.engine import paint, synthesize_heart
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest
from cardiomorph.volume import Volume

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHARES = ("share_out_of_bounds", "share_clipped")
_DISTRIBUTIONS = {"lv_ef_pct": "LV ejection fraction, %", "rv_ef_pct": "RV ejection fraction, %"}


@dataclass(frozen=True)
class _Section:
    title: str
    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    table: str = ""


def evaluate(synth: Path, output: Path, *, against: Path, atlas: Path | None = None) -> Path:
    """Measures a synthesis beside a real cohort: ``measures.csv``, ``groups.csv`` (means and SDs),
    ``report.html`` and its ``figures/`` as PNG.

    Args:
        synth: folder of `cardiomorph.synthesize`, or any labelled folder in a known layout.
        output: report folder.
        against: prepared cohort of real hearts.
        atlas: the atlas of the synthesis; by default the one its ``synthesis.json`` names. Without it the
            figures that need the models are left out, and the page says so.

    Raises:
        CardiomorphError: nothing to measure, not a cohort, an unwritable output.
    """
    synth, output = Path(synth), Path(output)
    cohort = Cohort(against)
    synthetic = measure_folder(synth)
    real = cohort_rows(track(cohort.subjects(), "measuring real hearts", len(cohort.ids())))
    ensure_folder(output)
    rows = [{"origin": "synthetic", **row} for row in synthetic] + [{"origin": "real", **row} for row in real]
    write_csv(output / "measures.csv", rows, ("origin", *TABLE_COLUMNS))
    write_csv(output / "groups.csv", _group_rows({"real": real, "synthetic": synthetic}))
    settings = read_json(synth / "synthesis.json") if (synth / "synthesis.json").exists() else {}
    sections = [_table_section(real, synthetic), _distribution_section(real, synthetic)]
    if settings:
        sections.append(_draw_section(synth))
    found, missing = _find_atlas(settings, atlas)
    if found is None:
        sections.append(_Section("Figures 2, 4 and 5", f"Left out: {missing}"))
    else:
        request = SynthesisRequest.model_validate(settings["request"]) if settings else SynthesisRequest()
        sections += [
            _transition_section(found, request),
            _surface_section(found, request, cohort),
            *_matrix_sections(found),
        ]
    sections.append(_settings_section(settings, cohort, found))
    page = output / "report.html"
    pictures = {name: figures.as_png(figure) for section in sections for name, figure in section.figures.items()}
    for name, content in pictures.items():
        write_bytes(output / "figures" / f"{name}.png", content)
    write_text(page, _html(sections, pictures, synth.name, cohort.name, len(synthetic), len(real)))
    console.print(f"report: {page}")
    return page


def _find_atlas(settings: Mapping[str, Any], given: Path | None) -> tuple[Atlas | None, str]:
    if given is None and "atlas_folder" not in settings:
        return None, "this folder does not say which atlas it came from; --atlas names one."
    try:
        atlas = Atlas(given or Path(settings["atlas_folder"]))
    except CardiomorphError as error:
        if given is not None:
            raise
        return None, str(error)
    if settings and atlas.identity != settings["atlas"]:
        return None, "the atlas has changed since the synthesis."
    return atlas, ""


def _group_rows(hearts: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Mean and SD of every measure, a row a group and origin."""
    rows = []
    for origin, measured in hearts.items():
        for group, summary in group_summary(measured).items():
            row: Row = {"group": group, "origin": origin, "n": summary["n"]}
            for column in MEASURE_COLUMNS:
                if column in summary:
                    row |= {f"{column}_mean": summary[column]["mean"], f"{column}_sd": summary[column]["sd"]}
            rows.append(row)
    return rows


def _table_section(real: Sequence[Row], synthetic: Sequence[Row]) -> _Section:
    summaries = {"real": group_summary(real), "synthetic": group_summary(synthetic)}
    lines = ["<tr><th>group</th><th></th><th>n</th>" + "".join(f"<th>{c}</th>" for c in MEASURE_COLUMNS) + "</tr>"]
    for group in GROUPS:
        for origin, summary in summaries.items():
            if group in summary:
                cells = "".join(f"<td>{_cell(summary[group].get(c))}</td>" for c in MEASURE_COLUMNS)
                lines.append(f"<tr><th>{group}</th><td>{origin}</td><td>{summary[group]['n']}</td>{cells}</tr>")
    text = (
        "Mean ± SD over hearts. Real hearts are measured on the same 1.5 mm grid as the synthetic ones. Slab volumes; "
        "papillary muscles count to the cavity; mass at ED with 1.05 g/mL; wall_max_mm is the mean thickness of the "
        "thickest slice. Full definitions are in the documentation of cardiomorph.evaluation.function."
    )
    return _Section("Measures by group", text, table=f"<table>{''.join(lines)}</table>")


def _cell(entry: Mapping[str, float] | None) -> str:
    return f"{entry['mean']:.1f} ± {entry['sd']:.1f}" if entry else "–"


def _draw_section(synth: Path) -> _Section:
    """How the draws went, from each heart's provenance: share of code elements outside the group's range."""
    shares: dict[str, dict[str, list[float]]] = {}
    for path in sorted(synth.glob("*/provenance.json")):
        facts = read_json(path)
        mine = shares.setdefault(facts["job"]["target"], {})
        for key in _SHARES:
            if key in facts["draw"]:
                mine.setdefault(key, []).append(facts["draw"][key])
    lines = ["<tr><th>group</th><th>draws</th><th>out of bounds, %</th><th>clipped to the bounds, %</th></tr>"]
    for group, found in shares.items():
        cells = [f"{100 * np.mean(found[key]):.1f}" if key in found else "–" for key in _SHARES]
        lines.append(
            f"<tr><th>{group}</th><td>{len(found['share_out_of_bounds'])}</td><td>{cells[0]}</td><td>{cells[1]}</td></tr>"
        )
    return _Section(
        "Draws",
        "Mean share of a drawn heart's latent elements outside its group's own [min, max] as the draw left them, and "
        "the share that a sampler clipped to keep them inside.",
        table=f"<table>{''.join(lines)}</table>",
    )


def _distribution_section(real: Sequence[Row], synthetic: Sequence[Row]) -> _Section:
    shown = [g for g in GROUPS if any(row["group"] == g for row in [*real, *synthetic])]
    figure = figures.measure_distributions(real, synthetic, _DISTRIBUTIONS, shown)
    return _Section(
        "Ejection fractions, real and synthetic (the paper's Fig. 3)",
        "Every point is a heart; boxes are quartiles.",
        {"ejection_fractions": figure},
    )


def _first_parent(atlas: Atlas, request: SynthesisRequest) -> str:
    return next(iter(atlas.parents)) if request.sources == ("all",) else request.sources[0]


def _job(atlas: Atlas, request: SynthesisRequest, target: str, **changes: Any) -> HeartJob:
    facts = {
        "source": _first_parent(atlas, request),
        "target": target,
        "version": 1,
        "severity": 1.0,
        "sampler": request.sampler,
        "slices": "32",
        "images": False,
        "seed": request.seed,
    }
    return HeartJob.model_validate(facts | changes)


def _transition_section(atlas: Atlas, request: SynthesisRequest) -> _Section:
    parent = atlas.parent(_first_parent(atlas, request))
    drawn = {}
    for target in [t for t in request.targets if t != HEALTHY] or list(DISEASES):
        if target not in atlas.groups:
            continue
        job = _job(atlas, request, target)
        draw = job.sampler.draw(atlas.group(target), parent.trajectory, job.rng())
        rows: dict[str, list[Picture]] = {}
        for phase in PHASES:
            middle = parent.trajectory.codes[phase].shape[0] * 2 // 5
            codes = np.stack([morph(parent.trajectory, draw.trajectory, a).codes[phase][middle] for a in SEVERITIES])
            labels = decode_labels(atlas.shape_model, codes)
            painted = None
            if parent.styles is not None:
                style = np.repeat(parent.styles[phase][middle : middle + 1], len(SEVERITIES), axis=0)
                painted = paint(atlas.image_model, style, labels)
                rows[f"{phase} image"] = [
                    figures.overlay(np.zeros_like(s), p) for s, p in zip(labels, painted, strict=True)
                ]
            rows[f"{phase} label"] = [figures.overlay(label, None) for label in labels]
        title = f"{HEALTHY} to {target}: {GROUP_NAMES[target]}"
        drawn[f"transition_{target}"] = figures.transition_strips(rows, SEVERITIES, title)
    return _Section(
        "From healthy to diseased (the paper's Fig. 2)",
        f"One slice of {parent.id}, about two fifths of the way from base to apex, as severity grows.",
        drawn,
    )


def _surface_section(atlas: Atlas, request: SynthesisRequest, cohort: Cohort) -> _Section:
    drawn = {}
    for target in request.targets:
        real = next((cohort.load(name) for name in cohort.ids(group=target)), None)  # type: ignore[arg-type]
        if target not in atlas.groups or real is None:
            continue
        names: dict[str, None] = dict.fromkeys(("independent", "paper", request.sampler.name))
        hearts: dict[str, Volume] = {
            name: synthesize_heart(atlas, _job(atlas, request, target, sampler=sampler_named(name))).labels["ED"]
            for name in names
        }
        hearts[f"real ({target})"] = real.label_volume("ED")
        drawn[f"surfaces_{target}"] = figures.heart_surfaces(hearts, f"{target}, end-diastole")
    return _Section(
        "Consistency in 3D (the paper's Fig. 4)",
        "Epicardial and right-ventricular surfaces, base up, smoothed within slices but never across them: "
        "uncorrelated draw, the paper's correlated draw, this run's sampler, and a real heart of the group.",
        drawn,
    )


def _matrix_sections(atlas: Atlas) -> list[_Section]:
    latent = {f"{g} {p}": s.phases[p].kendall for g, s in atlas.groups.items() for p in PHASES}
    parent = next(iter(atlas.parents.values()))
    slices = {f"{parent.id} {p}": kendall_matrix(parent.trajectory.codes[p].T) for p in PHASES}
    report = atlas.description["diagnostics"]["matrices"]
    lines = [
        "<tr><th>matrix</th><th>n</th><th>rank</th><th>smallest eigenvalue</th><th>condition</th>"
        "<th>repair, Frobenius</th></tr>"
    ]
    for kind, matrices in report.items():
        for name, forms in matrices.items():
            for form, facts in forms.items():
                condition = f"{facts['condition']:.3g}" if facts["condition"] else "–"
                lines.append(
                    f"<tr><th>{kind} {html.escape(name)} {form}</th><td>{facts['size']}</td><td>{facts['rank']}</td>"
                    f"<td>{facts['smallest_eigenvalue']:.3g}</td><td>{condition}</td>"
                    f"<td>{facts['repair_frobenius']:.3g}</td></tr>"
                )
    return [
        _Section(
            "Correlation matrices (the paper's Fig. 5)",
            "Kendall's tau between the latent dimensions over all slices of a group, and between the slices of one "
            "healthy subject.",
            {
                "correlation_latent": figures.correlation_matrices(latent, "latent dimensions, by group and phase"),
                "correlation_slices": figures.correlation_matrices(slices, "slices, base to apex"),
            },
        ),
        _Section(
            "Diagnostics of the matrices",
            "A matrix with an eigenvalue below 1e-4 has no usable Cholesky factor; its eigenvalues are raised to that "
            "floor and the diagonal set back to one. The last column is how far that moved it.",
            table=f"<details><summary>{len(lines) - 1} matrices</summary><table>{''.join(lines)}</table></details>",
        ),
    ]


def _settings_section(settings: Mapping[str, Any], cohort: Cohort, atlas: Atlas | None) -> _Section:
    facts: dict[str, Any] = {
        "cardiomorph": importlib.metadata.version("cardiomorph"),
        "synthesis": settings,
        "cohort": cohort.settings,
    }
    if atlas is not None:
        diagnostics = atlas.description["diagnostics"]
        facts["atlas"] = {k: v for k, v in atlas.description.items() if k != "diagnostics"}
        facts["shape_model"] = {k: v for k, v in diagnostics.items() if k != "matrices"}
    text = html.escape(json.dumps(facts, indent=2, ensure_ascii=False))
    return _Section("Settings", "Everything that this page depends on.", table=f"<pre>{text}</pre>")


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;font-size:12px;display:block;overflow-x:auto}
td,th{border-bottom:1px solid #ddd;padding:.25rem .5rem;text-align:right;white-space:nowrap}
th{text-align:left}img{max-width:100%;display:block;margin:1rem 0}
pre{font-size:11px;overflow-x:auto;background:#f6f6f6;padding:1rem}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}
pre{background:#222}img{background:#fff}}
"""


def _html(
    sections: Sequence[_Section], pictures: Mapping[str, bytes], synth: str, cohort: str, n_synthetic: int, n_real: int
) -> str:
    parts = []
    for section in sections:
        shown = "".join(
            f'<img alt="{html.escape(section.title)}: {name}" src="{as_data_uri(pictures[name])}">'
            for name in section.figures
        )
        parts.append(
            f"<section><h2>{html.escape(section.title)}</h2><p>{html.escape(section.text)}</p>"
            f"{section.table}{shown}</section>"
        )
    title = f"{n_synthetic} synthetic hearts ({html.escape(synth)}) beside {n_real} real ones ({html.escape(cohort)})"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Cardiomorph: {title}</title><style>{_STYLE}</style></head><body><h1>Cardiomorph</h1><p>{title}. "
        "Synthetic hearts are for research; not for clinical use.</p>" + "".join(parts) + "</body></html>\n"
    )
