"""The paper's own figures, made from a run: Figs. 2 (transitions), 4 (surfaces), 5 (matrices); how the draws went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, field_validator

from cardiomorph.anatomy import DISEASES, GROUP_NAMES, HEALTHY, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.files import read_record, validated
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.correlation import kendall_matrix
from cardiomorph.latent.options import ALL, VIRTUAL
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.latent.trajectory import decode_labels, morph
from cardiomorph.latent.virtual import parent_named, virtual_number
from cardiomorph.report import figures
from cardiomorph.report.figures import Picture
from cardiomorph.report.page import Section, collapsible, table
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.synthesis.jobs import sources_of
from cardiomorph.synthesis.morph_series import SEVERITIES
from cardiomorph.synthesis.painting import noise_strength, paint
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest
from cardiomorph.volume import Volume

_SHARE = "share_out_of_bounds"


class _Draw(BaseModel):
    """What a provenance.json says of a heart's draw."""

    job: HeartJob
    draw: dict[str, Any]

    @field_validator("draw")
    @classmethod
    def _shares_are_numbers(cls, draw: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(draw.get(_SHARE, 0.0), int | float | None):
            raise ValueError(f"{_SHARE} must be a number")
        return draw


def _percent(shares: Sequence[float]) -> str:
    return f"{100 * np.mean(shares):.1f}" if shares else "–"


def draw_section(synth: Path) -> Section:
    """How the draws went, from each heart's provenance: share of code elements outside the group's range."""
    shares: dict[str, list[float]] = {}
    for path in sorted(synth.glob("*/provenance.json")):
        facts = validated(_Draw, read_record(path), path)
        mine = shares.setdefault(facts.job.target, [])
        if facts.draw.get(_SHARE) is not None:
            mine.append(float(facts.draw[_SHARE]))
    rows = [[group, str(len(found)), _percent(found)] for group, found in shares.items()]
    return Section(
        "Draws",
        "Mean share of a drawn heart's latent elements outside its group's own [min, max].",
        table=table(["group", "draws", "out of bounds, %"], rows),
    )


def first_parent(atlas: Atlas, request: SynthesisRequest) -> str:
    """The heart that figures show: the request's first whom the atlas holds, or else one of the atlas's."""
    known = [s for s in request.sources or () if s in (*atlas.parents, ALL, VIRTUAL) or virtual_number(s) is not None]
    return sources_of(request.model_copy(update={"sources": tuple(known) or None}), atlas)[0]


def _job(atlas: Atlas, request: SynthesisRequest, target: str, **changes: Any) -> HeartJob:
    facts = {
        "source": first_parent(atlas, request),
        "target": target,
        "version": 1,
        "severity": 1.0,
        "sampler": request.sampler,
        "slices": "32",
        "images": False,
        "seed": request.seed,
    }
    return HeartJob.model_validate(facts | changes)


def transition_section(atlas: Atlas, request: SynthesisRequest) -> Section:
    """A parent on its way to every disease (the paper, Fig. 2)."""
    parent = parent_named(atlas, first_parent(atlas, request), request.seed)
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
                style = parent.styles[phase][middle : middle + 1]
                strength = noise_strength(atlas, parent.id, request.seed)
                painted = [
                    paint(atlas.painter, style, label[None], job.noise_rng(phase), strength)[0] for label in labels
                ]
                rows[f"{phase} image"] = [
                    figures.overlay(np.zeros_like(s), p) for s, p in zip(labels, painted, strict=True)
                ]
            rows[f"{phase} label"] = [figures.overlay(label, None) for label in labels]
        title = f"{HEALTHY} to {target}: {GROUP_NAMES[target]}"
        drawn[f"transition_{target}"] = figures.transition_strips(rows, SEVERITIES, title)
    return Section(
        "From healthy to diseased (the paper's Fig. 2)",
        f"One slice of {parent.id}, about two fifths of the way from base to apex, as severity grows.",
        drawn,
    )


def surface_section(atlas: Atlas, request: SynthesisRequest, cohort: Cohort) -> Section:
    """Surfaces of diseased hearts beside real ones (the paper, Fig. 4)."""
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
    return Section(
        "Consistency in 3D (the paper's Fig. 4)",
        "Epicardial and right-ventricular surfaces, base up, smoothed within slices but never across them: "
        "uncorrelated draw, the paper's correlated draw, this run's sampler, and a real heart of the group.",
        drawn,
    )


_MATRIX = ("smallest_eigenvalue", "condition", "repair_frobenius")


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def matrix_sections(atlas: Atlas, request: SynthesisRequest) -> list[Section]:
    """Rank correlations between latent dimensions and between slices (the paper, Fig. 5)."""
    latent = {f"{g} {p}": s.phases[p].kendall for g, s in atlas.groups.items() for p in PHASES}
    parent = parent_named(atlas, first_parent(atlas, request), request.seed)
    slices = {f"{parent.id} {p}": kendall_matrix(parent.trajectory.codes[p].T) for p in PHASES}
    rows = [
        [f"{kind} {name} {form}", str(m.size), str(m.rank), *(_digits(getattr(m, key)) for key in _MATRIX)]
        for kind, matrices in atlas.diagnostics.matrices.items()
        for name, forms in matrices.items()
        for form, m in forms.items()
    ]
    return [
        Section(
            "Correlation matrices (the paper's Fig. 5)",
            "Kendall's tau between the latent dimensions over all slices of a group, and between the slices of one "
            "healthy subject.",
            {
                "correlation_latent": figures.correlation_matrices(latent, "latent dimensions, by group and phase"),
                "correlation_slices": figures.correlation_matrices(slices, "slices, base to apex"),
            },
        ),
        Section(
            "Diagnostics of the matrices",
            "A matrix with an eigenvalue below 1e-4 has no usable Cholesky factor; its eigenvalues are raised to that "
            "floor and the diagonal set back to one. The last column is how far that moved it.",
            table=collapsible(
                f"{len(rows)} matrices",
                table(["matrix", "n", "rank", "smallest eigenvalue", "condition", "repair, Frobenius"], rows),
            ),
        ),
    ]
