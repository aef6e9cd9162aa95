"""What an evaluation shows of the paper's own figures: Figs. 2, 4 and 5 of its run; how the draws went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, field_validator

from cardiomorph.anatomy import PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.files import read_record, validated
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.correlation import kendall_matrix
from cardiomorph.latent.virtual import parent_named
from cardiomorph.report import figures
from cardiomorph.report.page import Section, collapsible, table
from cardiomorph.report.paper_figures import diseases_of, first_parent, surface_figure, transition_figure
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest

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


def transition_section(atlas: Atlas, request: SynthesisRequest) -> Section:
    """A parent on its way to every disease (the paper, Fig. 2)."""
    targets = diseases_of(atlas, request)
    return Section(
        "From healthy to diseased (the paper's Fig. 2)",
        f"One slice of {first_parent(atlas, request)}, two fifths of the way from base to apex, as severity grows.",
        {"transitions": transition_figure(atlas, request, targets, PHASES)} if targets else {},
    )


def surface_section(atlas: Atlas, request: SynthesisRequest, cohort: Cohort) -> Section:
    """Surfaces of diseased hearts beside real ones (the paper, Fig. 4)."""
    targets = [t for t in request.targets if t in atlas.groups and cohort.ids(group=t)]  # type: ignore[arg-type]
    return Section(
        "Consistency in 3D (the paper's Fig. 4)",
        "Epicardial and right-ventricular surfaces, base up, smoothed within slices but never across them, and two "
        "perpendicular cuts through each heart: uncorrelated draws, this run's sampler, and a real heart of the group.",
        {f"surfaces_{target}": surface_figure(atlas, request, target, cohort, each=1) for target in targets},
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
