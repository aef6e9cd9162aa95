"""What goes over the wire: typed answers, arrays as gzipped bytes in base64."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cardiomorph.anatomy import DISEASES, GROUP_COLOURS, GROUP_NAMES, PHASES, Phase
from cardiomorph.evaluation.function import Measures
from cardiomorph.evaluation.reference import Spread
from cardiomorph.files import read_record
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import CARD, notice
from cardiomorph.latent.samplers import SAMPLERS
from cardiomorph.latent.virtual import virtual_name
from cardiomorph.viewer.latent_map import Ellipse, Point, correlations
from cardiomorph.viewer.session import BeatFrame, Choice, Scene, Session, Shape

VIRTUAL_PARENTS = 8


class GroupFacts(BaseModel):
    """A group of the atlas: in words, in colour, how many hearts it was made from."""

    name: str
    colour: str
    n: int


class AtlasFacts(BaseModel):
    """What there is to choose from.

    Attributes:
        kind: whose hearts the reference's are: patients', a phantom's, or of nobody knows whom.
        hearts: hearts of the synthesis that was opened, by name.
        reference: the reference hearts' measures by group; ``smooth`` their range of each through-plane measure.
    """

    name: str
    kind: Literal["patients", "phantom", "unknown"]
    notice: str | None
    groups: dict[str, GroupFacts]
    targets: list[str]
    sources: list[str]
    samplers: list[str]
    hearts: dict[str, Choice]
    latent_sd: list[float]
    size: int
    images: bool
    report: bool
    reference: dict[str, dict[str, Spread]]
    smooth: dict[str, tuple[float, float]]


class PhaseLabels(BaseModel):
    """One phase's labels, uint8 in (slice, x, y) order."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    labels: str


class ShapeFacts(BaseModel):
    """A heart's labels, which are there before anything is measured on them."""

    choice: Choice
    phases: dict[str, PhaseLabels]


class PhaseScene(PhaseLabels):
    """One phase's labels and what was measured on them."""

    invalid_slices: int
    slices: int
    aha_mm: dict[str, float | None]


class SceneFacts(BaseModel):
    """A heart on the screen.

    Attributes:
        place: where it lies on the latent map.
    """

    choice: Choice
    phases: dict[str, PhaseScene]
    measures: dict[str, float | None]
    smooth: dict[str, float | None]
    failures: dict[str, bool]
    place: Point


class PaintedPhase(BaseModel):
    """One line of the image stream: uint8 in (slice, x, y) order; 0 and 255 are -1 and 1."""

    phase: str
    shape: tuple[int, int, int]
    image: str


class BeatLine(BaseModel):
    """One moment of the beat: 0 is ED, 1 is ES; arrays as in a scene."""

    systole: float
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    labels: str
    image: str | None


class MapSubject(BaseModel):
    """A heart of the cohort on the map."""

    id: str
    group: str
    place: Point


class LatentFacts(BaseModel):
    """The latent room: the map and the matrices.

    Attributes:
        explained: share of the variance along each axis.
        subjects: those of the cohort that was given at start; an atlas to share has none.
        kendall: by group and phase, rank correlations between latent dimensions.
    """

    explained: list[float]
    ellipses: dict[str, Ellipse]
    subjects: list[MapSubject]
    kendall: dict[str, dict[str, list[list[float]]]]


def packed(array: NDArray[np.uint8]) -> str:
    """Bytes of an array, gzipped, as text."""
    return base64.b64encode(gzip.compress(np.ascontiguousarray(array).tobytes(), 6, mtime=0)).decode()


def grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[-1, 1] as 0 to 255."""
    return np.rint(127.5 * (np.clip(image, -1.0, 1.0) + 1.0)).astype(np.uint8)


def atlas_facts(session: Session, hearts: Mapping[str, Choice], *, report: bool) -> AtlasFacts:
    """What there is to choose from."""
    atlas, reference = session.atlas, session.reference
    counts = atlas.description["groups"]
    return AtlasFacts(
        name=atlas.folder.name,
        kind=_kind(atlas),
        notice=notice(atlas.folder),
        groups={g: GroupFacts(name=GROUP_NAMES[g], colour=GROUP_COLOURS[g], n=n) for g, n in counts.items()},
        targets=[group for group in DISEASES if group in atlas.groups],
        sources=[*atlas.parents, *(virtual_name(number + 1) for number in range(VIRTUAL_PARENTS))],
        samplers=list(SAMPLERS),
        hearts=dict(hearts),
        latent_sd=atlas.diagnostics.latent.sd_of_means,
        size=atlas.shape_model.config.size,
        images=atlas.has_images,
        report=report,
        reference=reference.measures if reference else {},
        smooth=reference.smooth if reference else {},
    )


def _kind(atlas: Atlas) -> Literal["patients", "phantom", "unknown"]:
    """By the card of an atlas that was packed; one's own atlas has none, and its cohort may be anything."""
    path = atlas.folder / CARD
    facts = read_record(path).get("patients") if path.is_file() else None
    return "unknown" if facts is None else "patients" if facts else "phantom"


def shape_facts(choice: Choice, shape: Shape) -> ShapeFacts:
    """Labels as they go over the wire."""
    return ShapeFacts(choice=choice, phases={phase: PhaseLabels(**_phase(shape, phase)) for phase in PHASES})


def _phase(shape: Shape, phase: Phase) -> dict[str, Any]:
    labels = shape.labels[phase]
    return {"shape": labels.shape, "spacing_mm": shape.spacing_mm(phase), "labels": packed(labels)}


def scene_facts(session: Session, choice: Choice, scene: Scene) -> SceneFacts:
    """A scene as it goes over the wire."""
    return SceneFacts(
        choice=choice,
        phases={
            phase: PhaseScene(
                **_phase(scene, phase),
                invalid_slices=scene.invalid[phase][0],
                slices=scene.invalid[phase][1],
                aha_mm=dict(scene.aha[phase]),
            )
            for phase in PHASES
        },
        measures={**scene.measures, "rv_lv_sv_ratio": _stroke_volume_balance(scene.measures)},
        smooth=dict(scene.smooth),
        failures=dict(scene.failures),
        place=session.map.place(scene.drawn.trajectory),
    )


def _stroke_volume_balance(measures: Measures) -> float | None:
    """RV by LV stroke volume: 1 where no blood goes back or across, but for how both are drawn at the base."""
    left, right = measures.get("lv_sv_ml"), measures.get("rv_sv_ml")
    return right / left if left and right is not None else None


def painted_phase(phase: str, image: NDArray[np.float32]) -> PaintedPhase:
    """A painted phase as it goes over the wire."""
    return PaintedPhase(phase=phase, shape=image.shape, image=packed(grey(image)))


def beat_line(frame: BeatFrame) -> BeatLine:
    """A moment of the beat as it goes over the wire."""
    return BeatLine(
        systole=frame.systole,
        shape=frame.labels.shape,
        spacing_mm=frame.spacing_mm,
        labels=packed(frame.labels),
        image=None if frame.image is None else packed(grey(frame.image)),
    )


def latent_facts(session: Session) -> LatentFacts:
    """The latent room as it goes over the wire."""
    return LatentFacts(
        explained=session.map.explained,
        ellipses=session.map.ellipses,
        subjects=[
            MapSubject(id=name, group=group, place=session.map.place(parent.trajectory))
            for name, (group, parent) in session.subjects.items()
        ],
        kendall=correlations(session.atlas),
    )
