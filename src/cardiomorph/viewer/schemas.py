"""What goes over the wire: typed answers, arrays as gzipped bytes in base64."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cardiomorph.anatomy import DISEASES, GROUP_COLOURS, GROUP_NAMES, HEALTHY, LABEL_COLOURS, Label, Phase
from cardiomorph.evaluation.function import Measures
from cardiomorph.evaluation.reference import Spread
from cardiomorph.files import read_record
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.latent_map import Ellipse, Point, correlations
from cardiomorph.latent.library import CARD, notice
from cardiomorph.latent.samplers import SAMPLERS
from cardiomorph.latent.virtual import virtual_name
from cardiomorph.viewer import wording
from cardiomorph.viewer.session import BeatFrame, Choice, Scene, Session, Shape

T = TypeVar("T")
VIRTUAL_PARENTS = 8
DIFFERENCE_COLOUR = "#ff00dc"
"""Of voxels whose labels differ between two hearts."""


class GroupFacts(BaseModel):
    """A group of the atlas: in words, in colour, how many hearts it was made from."""

    name: str
    colour: str
    n: int


class StructureFacts(BaseModel):
    """A structure of the labels: its code, how it is called and drawn.

    Attributes:
        opacity: of its surface in 3D.
    """

    code: int
    name: str
    colour: str
    opacity: float


class MeasureFacts(BaseModel):
    """A measure of a heart, in words."""

    key: str
    name: str
    unit: str


class CheckFacts(BaseModel):
    """A check of a heart, in words."""

    name: str
    help: str


class SmoothnessFacts(CheckFacts):
    """A through-plane measure, in words, and the range of the reference hearts."""

    unit: str
    range: tuple[float, float]


class AtlasFacts(BaseModel):
    """What there is to choose from, and what everything is called.

    Attributes:
        healthy: the group of the parents.
        samplers: what each draws from, the default one first.
        hearts: hearts of the synthesis that was opened, by name.
        scanned: sources whose whole images are there, which hearts can be set into.
        structures: of the labels, in the order of their codes; ``centre`` is the code of the one that views begin at.
        reference: the reference hearts' measures by group; ``reference_hearts`` what these hearts are.
        checks: by the failure that each looks for.
    """

    name: str
    notice: str | None
    healthy: str
    groups: dict[str, GroupFacts]
    targets: list[str]
    sources: list[str]
    scanned: list[str]
    samplers: dict[str, str]
    hearts: dict[str, Choice]
    latent_sd: list[float]
    size: int
    images: bool
    report: bool
    structures: list[StructureFacts]
    centre: int
    difference_colour: str
    measures: list[MeasureFacts]
    reference: dict[str, dict[str, Spread]]
    reference_hearts: str
    checks: dict[str, CheckFacts]
    invalid_slices: CheckFacts
    smooth: dict[str, SmoothnessFacts]


class Phases(BaseModel, Generic[T]):
    """Something of each phase."""

    ED: T
    ES: T


Ends = tuple[str, str]
"""World directions at the first voxel's side and at the last one's, in letters of R, L, A, P, S and I."""


class PhaseLabels(BaseModel):
    """One phase's labels, uint8 in (slice, x, y) order.

    Attributes:
        world: along x, y and slices, of a patient's whole field of view; None of a crop in the heart's axes.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    labels: str
    world: tuple[Ends, Ends, Ends] | None


class ShapeFacts(BaseModel):
    """A heart's labels, which are there before anything is measured on them."""

    choice: Choice
    phases: Phases[PhaseLabels]


class PhaseFacts(BaseModel):
    """What was measured on one phase's labels."""

    invalid_slices: int
    slices: int
    aha_mm: dict[str, float | None]


class SceneFacts(BaseModel):
    """What was measured on a heart's labels.

    Attributes:
        place: where it lies on the latent map.
        scan: the measures of the patient's own labels, where the parent is a patient.
    """

    choice: Choice
    phases: Phases[PhaseFacts]
    measures: dict[str, float | None]
    smooth: dict[str, float | None]
    failures: dict[str, bool]
    place: Point
    scan: dict[str, float | None] | None


class PaintedPhase(BaseModel):
    """One line of the image stream: uint8 in (slice, x, y) order; 0 and 255 are -1 and 1."""

    phase: Phase
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
    """The latent space: the map and the matrices.

    Attributes:
        explained: share of the variance along each axis.
        subjects: those of the cohort that was given at start; an atlas to share has none.
        kendall: by group and phase, rank correlations between latent dimensions.
    """

    explained: list[float]
    ellipses: dict[str, Ellipse]
    subjects: list[MapSubject]
    kendall: dict[str, Phases[list[list[float]]]]


def packed(array: NDArray[np.uint8]) -> str:
    """Bytes of an array, gzipped, as text."""
    return base64.b64encode(gzip.compress(np.ascontiguousarray(array).tobytes(), 6, mtime=0)).decode()


def grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[-1, 1] as 0 to 255."""
    return np.rint(127.5 * (np.clip(image, -1.0, 1.0) + 1.0)).astype(np.uint8)


def atlas_facts(session: Session, hearts: Mapping[str, Choice], *, report: bool) -> AtlasFacts:
    """What there is to choose from, and what everything is called."""
    atlas, reference = session.atlas, session.reference
    counts = atlas.description["groups"]
    return AtlasFacts(
        name=atlas.folder.name,
        notice=notice(atlas.folder),
        healthy=HEALTHY,
        groups={g: GroupFacts(name=GROUP_NAMES[g], colour=GROUP_COLOURS[g], n=n) for g, n in counts.items()},
        targets=[group for group in DISEASES if group in atlas.groups],
        sources=[*session.sources, *(virtual_name(number + 1) for number in range(VIRTUAL_PARENTS))],
        scanned=session.scanned,
        samplers={name: wording.SAMPLERS.get(name, "") for name in SAMPLERS},
        hearts=dict(hearts),
        latent_sd=atlas.diagnostics.latent.sd_of_means,
        size=atlas.shape_model.config.size,
        images=atlas.has_images,
        report=report,
        structures=_structures(),
        centre=Label.LV,
        difference_colour=DIFFERENCE_COLOUR,
        measures=[MeasureFacts(key=key, name=words.name, unit=words.unit) for key, words in wording.MEASURES.items()],
        reference=reference.measures if reference else {},
        reference_hearts=wording.REFERENCE_HEARTS[_of_patients(atlas)],
        checks={key: _check(words) for key, words in wording.CHECKS.items()},
        invalid_slices=_check(wording.INVALID_SLICES),
        smooth=_smoothness(reference.smooth if reference else {}),
    )


def _structures() -> list[StructureFacts]:
    return [
        StructureFacts(
            code=code, name=words.name, colour=LABEL_COLOURS[code], opacity=0.35 if code == Label.MYOCARDIUM else 1.0
        )
        for code, words in wording.STRUCTURES.items()
    ]


def _check(words: wording.Words) -> CheckFacts:
    return CheckFacts(name=words.name, help=words.help)


def _smoothness(ranges: Mapping[str, tuple[float, float]]) -> dict[str, SmoothnessFacts]:
    named = {key: wording.SMOOTHNESS.get(key, wording.Words(key)) for key in ranges}
    return {
        key: SmoothnessFacts(name=words.name, unit=words.unit, help=words.help, range=ranges[key])
        for key, words in named.items()
    }


def _of_patients(atlas: Atlas) -> bool | None:
    """By the card of an atlas that was packed; one's own atlas has none, and its cohort may be anything."""
    path = atlas.folder / CARD
    return read_record(path).get("patients") if path.is_file() else None


def shape_facts(session: Session, choice: Choice) -> ShapeFacts:
    """Labels as they go over the wire. Raises `CardiomorphError` where there is no such heart."""
    if choice.field == "full":
        return ShapeFacts(
            choice=choice, phases=Phases(ED=_whole(session, choice, "ED"), ES=_whole(session, choice, "ES"))
        )
    shape = session.shape(choice)
    return ShapeFacts(choice=choice, phases=Phases(ED=_labels(shape, "ED"), ES=_labels(shape, "ES")))


def _labels(shape: Shape, phase: Phase) -> PhaseLabels:
    labels = shape.labels[phase]
    return PhaseLabels(shape=_size(labels), spacing_mm=shape.spacing_mm(phase), labels=packed(labels), world=None)


def _whole(session: Session, choice: Choice, phase: Phase) -> PhaseLabels:
    found = session.on_stage(choice, phase, "label")
    assert found is not None, "there are always labels"
    array = found.array
    return PhaseLabels(shape=_size(array), spacing_mm=found.spacing_mm, labels=packed(array), world=found.world)


def _size(array: NDArray[np.generic]) -> tuple[int, int, int]:
    slices, columns, rows = array.shape
    return slices, columns, rows


def scene_facts(session: Session, choice: Choice, scene: Scene) -> SceneFacts:
    """What was measured on a heart, as it goes over the wire; its labels have gone before."""
    segments = [value for value in scene.aha["ED"].values() if value is not None]
    return SceneFacts(
        choice=choice,
        phases=Phases(ED=_phase_facts(scene, "ED"), ES=_phase_facts(scene, "ES")),
        measures={
            **scene.measures,
            wording.THICKEST_SEGMENT: max(segments, default=None),
            wording.STROKE_VOLUME_RATIO: _stroke_volume_balance(scene.measures),
        },
        smooth=dict(scene.smooth),
        failures=dict(scene.failures),
        place=session.map.place(scene.drawn.trajectory),
        scan=session.scan_measures(choice.source),
    )


def _phase_facts(scene: Scene, phase: Phase) -> PhaseFacts:
    invalid, slices = scene.invalid[phase]
    return PhaseFacts(invalid_slices=invalid, slices=slices, aha_mm=dict(scene.aha[phase]))


def _stroke_volume_balance(measures: Measures) -> float | None:
    """RV by LV stroke volume: 1 where no blood goes back or across, but for how both are drawn at the base."""
    left, right = measures.get("lv_sv_ml"), measures.get("rv_sv_ml")
    return right / left if left and right is not None else None


def painted_phase(phase: Phase, image: NDArray[np.float32]) -> PaintedPhase:
    """A painted phase as it goes over the wire."""
    return PaintedPhase(phase=phase, shape=_size(image), image=packed(grey(image)))


def painted_whole(phase: Phase, image: NDArray[np.uint8]) -> PaintedPhase:
    """A phase in a patient's whole image as it goes over the wire."""
    return PaintedPhase(phase=phase, shape=_size(image), image=packed(image))


def beat_line(frame: BeatFrame) -> BeatLine:
    """A moment of the beat as it goes over the wire."""
    return BeatLine(
        systole=frame.systole,
        shape=_size(frame.labels),
        spacing_mm=frame.spacing_mm,
        labels=packed(frame.labels),
        image=None if frame.image is None else packed(grey(frame.image)),
    )


def latent_facts(session: Session) -> LatentFacts:
    """The latent space as it goes over the wire."""
    return LatentFacts(
        explained=session.map.explained,
        ellipses=session.map.ellipses,
        subjects=[
            MapSubject(id=name, group=group, place=session.map.place(parent.trajectory))
            for name, (group, parent) in session.subjects.items()
        ],
        kendall={name: Phases(ED=found["ED"], ES=found["ES"]) for name, found in correlations(session.atlas).items()},
    )
