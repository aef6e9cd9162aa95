"""The paper's figures in its arrangement, of any atlas: `cardiomorph report --figures paper`.

Fig. 1 the latent space with ways from healthy to diseased; Fig. 2 three transitions; Fig. 3 ejection fractions of both
ventricles; Fig. 4 uncorrelated, correlated and real hearts with perpendicular views; Fig. 5 a to e, correlations aimed
at and achieved; and real stacks, whose slices do not lie where they should, beside synthetic ones. What needs real
hearts is left out where no cohort is given, and that is said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiomorph.anatomy import DISEASES, GROUP_NAMES, HEALTHY, PHASES, Phase
from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.fidelity import on_own_scale
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.files import ensure_folder, write_bytes, write_text
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.correlation import kendall_matrix
from cardiomorph.latent.latent_map import LatentMap
from cardiomorph.latent.options import ALL, VIRTUAL
from cardiomorph.latent.samplers.choice import Sampler, sampler_named
from cardiomorph.latent.trajectory import Trajectory, decode_labels, morph
from cardiomorph.latent.virtual import parent_named, virtual_name, virtual_number
from cardiomorph.progress import track
from cardiomorph.report import figures
from cardiomorph.report.figures import Picture
from cardiomorph.report.page import Section, page, preformatted
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.synthesis.jobs import sources_of
from cardiomorph.synthesis.morph_series import SEVERITIES
from cardiomorph.synthesis.painting import noise_strength, paint
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest
from cardiomorph.volume import Volume

_log = logging.getLogger(__name__)

SHOWN = ("DCM", "HCM", "RV")
"""The paper's diseases, as its Fig. 2 has them."""
_HEARTS = 12
"""A group, whose ejection fractions Fig. 3 shows."""
_STACKS = 3
_UNCORRELATED, _CORRELATED = "independent", "paper-standardised"


def paper_figures(
    atlas: Atlas,
    output: Path,
    *,
    cohort: Path | None = None,
    source: str | None = None,
    sampler: str = "population",
    seed: int = 0,
) -> Path:
    """Writes the paper's figures of an atlas as ``figures/*.png`` and on one page, ``figures.html``.

    Args:
        output: folder.
        cohort: prepared cohort of real hearts, for those that figures 3, 4 and the last lay beside.
        source: the healthy heart that is morphed; the atlas's first by default.
        sampler: of the hearts in figures 1 to 3; Fig. 4 compares the paper's two.

    Raises:
        CardiomorphError: no such parent; an atlas without a healthy group or a disease; a bad cohort.
    """
    request = SynthesisRequest(sources=(source,) if source else None, sampler=sampler_named(sampler), seed=seed)
    real = Cohort(cohort) if cohort is not None else None
    parent = parent_named(atlas, source or first_parent(atlas, request), seed).id
    shown = [name for name in SHOWN if name in atlas.groups] or diseases_of(atlas, request)
    if not shown:
        raise CardiomorphError("knows no disease to morph to", where=atlas.folder)
    makers: dict[str, tuple[str, Callable[[], Figure | None]]] = {
        "figure1_latent_map": (
            "Latent space: groups (one and two SDs) and the way of one healthy heart into them.",
            lambda: map_figure(atlas, request, shown),
        ),
        "figure2_transitions": (
            "One slice of one healthy heart as severity grows.",
            lambda: transition_figure(atlas, request, shown, ("ED",)),
        ),
        "figure3_ejection_fractions": (
            f"Ejection fractions of {_HEARTS} drawn hearts a group beside the real ones.",
            lambda: ejection_fraction_figure(atlas, request, real),
        ),
        "figure4_surfaces": (
            f"{shown[-1]}: three uncorrelated draws, three correlated ones (paper-standardised), a real heart.",
            lambda: surface_figure(atlas, request, shown[-1], real),
        ),
        "figure5_correlations": (
            "Kendall's tau: a, b between latent dimensions of the healthy and a diseased group; c between a healthy "
            "heart's slices; d, e the same of hearts drawn with the paper's product, standardised.",
            lambda: correlation_figure(atlas, request, shown[0]),
        ),
        "misaligned_stacks": (
            "Long-axis cuts. Above: real stacks, each slice of a breath-hold of its own; below: synthetic ones.",
            lambda: stack_figure(atlas, request, real),
        ),
    }
    output = ensure_folder(Path(output))
    sections, pictures, missing = [], {}, []
    for name, (text, make) in track(list(makers.items()), "drawing"):
        figure = make()
        if figure is None:
            missing.append(name)
            continue
        pictures[name] = figures.as_png(figure, dpi=150)
        write_bytes(ensure_folder(output / "figures") / f"{name}.png", pictures[name])
        sections.append(Section(name.replace("_", " "), text, {name: figure}))
    if missing:
        _log.warning(f"needs a cohort of real hearts and is left out: {', '.join(missing)}")
    facts = f"atlas {atlas.identity}\nsampler {sampler}, seed {seed}, source {parent}"
    path = output / "figures.html"
    write_text(path, page("The paper's figures", preformatted(facts), sections, pictures))
    _log.info(f"{len(sections)} figures: {path}")
    return path


def diseases_of(atlas: Atlas, request: SynthesisRequest) -> list[str]:
    """Diseases that are asked for, or else all, as far as the atlas knows them."""
    return [t for t in ([t for t in request.targets if t != HEALTHY] or DISEASES) if t in atlas.groups]


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


def _parent(atlas: Atlas, request: SynthesisRequest) -> Parent:
    return parent_named(atlas, first_parent(atlas, request), request.seed)


def _way(atlas: Atlas, request: SynthesisRequest, parent: Parent, target: str) -> list[Trajectory]:
    """The parent, and what becomes of it at each severity."""
    job = _job(atlas, request, target)
    drawn = job.sampler.draw(atlas.group(target), parent.trajectory, job.rng()).trajectory
    return [morph(parent.trajectory, drawn, severity) for severity in SEVERITIES]


def _slice_shown(parent: Parent, phase: Phase) -> int:
    """Two fifths of the way from base to apex."""
    return parent.trajectory.codes[phase].shape[0] * 2 // 5


def map_figure(atlas: Atlas, request: SynthesisRequest, targets: Sequence[str]) -> Figure:
    """Fig. 1: the latent space."""
    here, parent = LatentMap(atlas.groups), _parent(atlas, request)
    ways = {target: _way(atlas, request, parent, target) for target in targets}
    at = _slice_shown(parent, "ED")

    def slice_of(heart: Trajectory) -> Picture:
        return figures.overlay(decode_labels(atlas.shape_model, heart.codes["ED"][at][None])[0], None)

    return figures.latent_map(
        {name: (np.array(e.centre), np.array(e.covariance)) for name, e in here.ellipses.items()},
        {target: np.array([here.place(heart) for heart in way]) for target, way in ways.items()},
        {"": slice_of(parent.trajectory), **{target: slice_of(way[-1]) for target, way in ways.items()}},
        f"{parent.id}; {100 * sum(here.explained):.0f} % of the variance is on the map",
    )


def transition_figure(
    atlas: Atlas, request: SynthesisRequest, targets: Sequence[str], phases: Sequence[Phase]
) -> Figure:
    """Fig. 2: a row a disease, and a phase where there are several."""
    parent, rows = _parent(atlas, request), {}
    for target in targets:
        way = _way(atlas, request, parent, target)
        for phase in phases:
            at = _slice_shown(parent, phase)
            labels = decode_labels(atlas.shape_model, np.stack([heart.codes[phase][at] for heart in way]))
            painted: list[NDArray[np.float32] | None] = [None] * len(labels)
            if parent.styles is not None:
                strength = noise_strength(atlas, parent.id, request.seed)
                rng, style = _job(atlas, request, target).noise_rng(phase), parent.styles[phase][at : at + 1]
                painted = [paint(atlas.painter, style, label[None], rng, strength)[0] for label in labels]
            name = f"{HEALTHY} to {target}" + (f", {phase}" if len(phases) > 1 else "")
            rows[name] = [figures.overlay(label, image) for label, image in zip(labels, painted, strict=True)]
    return figures.transition_strips(rows, SEVERITIES, f"from {parent.id}")


def ejection_fraction_figure(atlas: Atlas, request: SynthesisRequest, cohort: Cohort | None) -> Figure:
    """Fig. 3: drawn hearts of every group beside the cohort's; without one, drawn hearts alone."""
    drawn = []
    for target in track(list(atlas.groups), "measuring"):
        for number in range(1, _HEARTS + 1):
            heart = synthesize_heart(atlas, _job(atlas, request, target, source=virtual_name(number)))
            drawn.append({"group": target, **heart.measures})
    real = []
    for subject in cohort.subjects() if cohort is not None else ():
        measures = measure_heart({p: subject.label_volume(p) for p in PHASES}, None, None)
        real.append({"group": subject.group, **measures})
    columns = {"lv_ef_pct": "LV ejection fraction, %", "rv_ef_pct": "RV ejection fraction, %"}
    return figures.measure_distributions(real, drawn, columns, list(atlas.groups))


def surface_figure(
    atlas: Atlas, request: SynthesisRequest, target: str, cohort: Cohort | None, each: int = 3
) -> Figure:
    """Fig. 4: uncorrelated, correlated and, where there is a cohort with such hearts, one real heart."""
    kinds = {"uncorrelated": _UNCORRELATED, "correlated": _CORRELATED}
    if each == 1:
        kinds[request.sampler.name] = request.sampler.name
    hearts: dict[str, Volume] = {}
    for kind, name in kinds.items():
        for version in range(1, each + 1):
            job = _job(atlas, request, target, sampler=sampler_named(name), version=version)
            title = f"{kind} {version}" if each > 1 else kind
            hearts[title] = synthesize_heart(atlas, job).labels["ED"]
    real = cohort.ids(group=target)[:1] if cohort is not None else []  # type: ignore[arg-type]
    for subject in real:
        assert cohort is not None, "whose subjects these are"
        hearts["real"] = cohort.load(subject).label_volume("ED")
    return figures.heart_surfaces(hearts, f"{GROUP_NAMES[target]}, end-diastole")


def correlation_figure(atlas: Atlas, request: SynthesisRequest, target: str) -> Figure:
    """Fig. 5 a to e: what the paper's product aims at, and what it achieves."""
    parent, group = _parent(atlas, request), atlas.group(target)
    sampler: Sampler = sampler_named(_CORRELATED)
    job = _job(atlas, request, target)
    rngs = (np.random.default_rng([*job.rng().integers(0, 2**32, 2), n]) for n in range(_HEARTS))
    hearts = [sampler.draw(group, parent.trajectory, rng).trajectory.codes["ED"] for rng in rngs]
    return figures.correlation_matrices(
        {
            f"a  {HEALTHY}, dimensions": atlas.group(HEALTHY).phases["ED"].kendall,
            f"b  {target}, dimensions": group.phases["ED"].kendall,
            f"c  {parent.id}, slices": kendall_matrix(parent.trajectory.codes["ED"].T),
            f"d  drawn {target}, dimensions": kendall_matrix(np.concatenate(hearts)),
            f"e  drawn {target}, slices": np.mean([kendall_matrix(codes.T) for codes in hearts], axis=0),
        },
        "end-diastole",
    )


def stack_figure(atlas: Atlas, request: SynthesisRequest, cohort: Cohort | None) -> Figure | None:
    """Real stacks, slice by slice where a breath-hold put them, above synthetic ones; None without a cohort."""
    if cohort is None:
        return None
    figure = figures.new_figure(2.4 * 2 * _STACKS, 4.2)
    axes = figure.subplots(2, 2 * _STACKS, squeeze=False)
    for index, name in enumerate(cohort.ids()[:_STACKS]):
        subject = cohort.load(name)
        for direction in (0, 1):
            label = subject.label_volume("ED")
            slices = subject.frames["ED"].image
            image = None if slices is None else label.with_array(np.moveaxis(slices, 0, -1))
            figures.show_cut(axes[0][2 * index + direction], label, image, direction)
    targets = diseases_of(atlas, request)
    for index in range(_STACKS):
        job = _job(atlas, request, targets[index % len(targets)], images=atlas.has_images)
        heart = synthesize_heart(atlas, job)
        for direction in (0, 1):
            axis = axes[1][2 * index + direction]
            figures.show_cut(axis, heart.labels["ED"], _unit(heart.images.get("ED")), direction)
    axes[0][0].set_ylabel("real")
    axes[1][0].set_ylabel("synthetic")
    return figure


def _unit(image: Volume | None) -> Volume | None:
    """Grey values as they are written, between -1 and 1 for the screen."""
    return None if image is None else image.with_array(on_own_scale(image.array.astype(np.float32)))
