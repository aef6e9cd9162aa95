"""What is on the screen, as arrays and numbers: one heart, drawn, morphed, decoded, painted and measured on request.

One model is loaded once and used by one request at a time; results are kept in bounded caches by what was asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.allocator import keep_freed_memory
from cardiomorph.anatomy import HEALTHY, PHASES, Phase
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.evaluation.reference import Reference
from cardiomorph.evaluation.segments import segment_thickness_mm
from cardiomorph.evaluation.validity import volume_failures
from cardiomorph.files import validated
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.latent_map import LatentMap
from cardiomorph.latent.options import StyleVariation
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.latent.trajectory import Trajectory
from cardiomorph.synthesis.heart_synthesis import DrawnHeart, draw_heart, image_slices, label_slices, placed, volumes_of
from cardiomorph.synthesis.patients import Patient
from cardiomorph.synthesis.request import FieldOfView, HeartJob
from cardiomorph.viewer.stage import Staged, staged, turn_of
from cardiomorph.volume import Volume

T = TypeVar("T")
BEAT_FRAMES = 7
_WINDOW = (0.5, 99.5)
"""Percentiles of a scan that are black and white."""


class Choice(BaseModel):
    """A heart that somebody looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field("virtual001", max_length=200)
    target: str = Field("HCM", max_length=20)
    sampler: str = Field("population", max_length=20)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    version: int = Field(1, ge=1, le=9999)
    severity: float = Field(1.0, ge=0, le=1)
    slices: Literal["32", "native"] = "32"
    styles: StyleVariation = "slice"
    field: FieldOfView = Field("heart", description="of the volumes; pictures show the crop around the heart")
    shift: tuple[Annotated[float, Field(ge=-10, le=10)], ...] = Field(
        (), max_length=64, description="added to every slice's codes, in SDs by dimension"
    )

    def job(self) -> HeartJob:
        """The job that makes this heart, but for the shift. Raises `CardiomorphError` where no atlas can make it."""
        facts = self.model_dump(exclude={"shift"}) | {"sampler": sampler_named(self.sampler), "images": True}
        return validated(HeartJob, facts, "this heart")


@dataclass(frozen=True)
class Shape:
    """A heart's labels: by phase, (32, size, size), base to apex."""

    drawn: DrawnHeart
    labels: Mapping[Phase, NDArray[np.uint8]]

    def spacing_mm(self, phase: Phase) -> tuple[float, float, float]:
        """Spacing of a phase's (x, y, slice) volume."""
        pixel = self.drawn.parent.geometry.spacing_mm
        return pixel, pixel, self.drawn.trajectory.length_mm[phase] / len(self.labels[phase])


@dataclass(frozen=True)
class Scene(Shape):
    """A heart's labels with everything measured on them.

    Attributes:
        invalid: by phase, how many labelled slices break an anatomical criterion, and of how many.
        smooth: through-plane measures; ``aha`` wall thickness by segment, in mm.
    """

    measures: Measures
    invalid: Mapping[Phase, tuple[int, int]]
    failures: Mapping[str, bool]
    smooth: Mapping[str, float | None]
    aha: Mapping[Phase, Mapping[str, float | None]]


@dataclass(frozen=True)
class BeatFrame:
    """A moment of the beat: labels (32, size, size), the image in [-1, 1] where one was asked for, and the spacing."""

    systole: float
    labels: NDArray[np.uint8]
    image: NDArray[np.float32] | None
    spacing_mm: tuple[float, float, float]


class Session:
    """Hearts of one atlas, for several people at once.

    Raises:
        CardiomorphError: not an atlas.
    """

    def __init__(self, atlas: Atlas, *, scenes: int = 48, pictures: int = 16) -> None:
        keep_freed_memory()
        self.atlas = atlas
        self.cohort: Path | None = None
        self.patients: dict[str, Path] = {}
        self.lock = threading.Lock()
        self._shapes: LRUCache[Hashable, Shape] = LRUCache(scenes)
        self._scenes: LRUCache[Hashable, Scene] = LRUCache(scenes)
        self._pictures: LRUCache[Hashable, NDArray[np.float32] | None] = LRUCache(pictures)
        self._beats: LRUCache[Hashable, BeatFrame] = LRUCache(4 * BEAT_FRAMES)
        found = atlas.description.get("reference")
        self.reference = None if found is None else Reference.model_validate(found)
        self.map = LatentMap(atlas.groups)
        self.subjects: dict[str, tuple[str, Parent]] = {n: (HEALTHY, parent) for n, parent in atlas.parents.items()}

    def adopt(self, subjects: Mapping[str, tuple[str, Parent]], cohort: Path | None = None) -> None:
        """Adds hearts of a cohort, with their groups: all of them on the map, the healthy ones to morph from.

        Args:
            cohort: its folder, which a recipe of such a heart must name.
        """
        self.cohort = cohort
        self.subjects |= subjects
        self.atlas.adopt({name: parent for name, (group, parent) in subjects.items() if group == HEALTHY})

    def adopt_patients(self, patients: Sequence[Patient], path: Path) -> None:
        """Adds patients of the user's own to morph from, whatever their group; they are offered first.

        Args:
            path: where they lie, which a recipe of such a heart must name.
        """
        self.adopt({patient.parent.id: (HEALTHY, patient.parent) for patient in patients}, self.cohort)
        self.patients |= {patient.parent.id: path for patient in patients}

    @property
    def sources(self) -> list[str]:
        """Subjects to morph from, the user's own patients first."""
        return [*self.patients, *(name for name in self.atlas.parents if name not in self.patients)]

    def shape(self, choice: Choice) -> Shape:
        """Labels of a heart. Raises `CardiomorphError` for a parent, group or sampler there is not."""
        with self.lock:
            return _kept(self._shapes, choice, lambda: self._decoded(choice))

    def scene(self, choice: Choice) -> Scene:
        """Labels and numbers of a heart. Raises `CardiomorphError` as `shape` does."""
        with self.lock:
            return _kept(self._scenes, choice, lambda: self._measured(choice))

    def _decoded(self, choice: Choice) -> Shape:
        drawn = self._shifted(draw_heart(self.atlas, choice.job()), choice)
        return Shape(drawn, {phase: label_slices(self.atlas, drawn, phase) for phase in PHASES})

    def _measured(self, choice: Choice) -> Scene:
        shape = _kept(self._shapes, choice, lambda: self._decoded(choice))
        drawn, labels = shape.drawn, shape.labels
        volumes = {phase: placed(drawn, phase, labels[phase], "label") for phase in PHASES}
        parent = drawn.parent
        return Scene(
            drawn=drawn,
            labels=labels,
            measures=measure_heart(volumes, parent.height_cm, parent.weight_kg),
            invalid={phase: self._invalid(volumes[phase]) for phase in PHASES},
            failures=volume_failures(volumes),
            smooth=self.reference.smoothness(volumes) if self.reference else {},
            aha={phase: segment_thickness_mm(volumes[phase]) for phase in PHASES},
        )

    def _shifted(self, drawn: DrawnHeart, choice: Choice) -> DrawnHeart:
        """Moved along the latent dimensions by the chosen numbers of standard deviations."""
        if not any(choice.shift):
            return drawn
        spread = np.asarray(self.atlas.diagnostics.latent.sd_of_means)
        shift = np.zeros(len(spread))
        given = np.asarray(choice.shift[: len(spread)])
        shift[: len(given)] = given
        codes = {phase: found + shift * spread for phase, found in drawn.trajectory.codes.items()}
        return replace(drawn, trajectory=Trajectory(codes, drawn.trajectory.length_mm))

    def _invalid(self, volume: Volume) -> tuple[int, int]:
        if self.reference is None:
            return 0, 0
        broken = self.reference.invalid_slices(volume)
        return int(broken.sum()), len(broken)

    def images(self, choice: Choice) -> Iterator[tuple[Phase, NDArray[np.float32]]]:
        """Images of a heart's phases, each as soon as it is painted; nothing where the atlas paints none.

        The lock is taken phase by phase, so that others' labels do not wait for a whole heart.
        """
        shape = self.shape(choice)
        for phase in PHASES:
            with self.lock:
                painted = _kept(
                    self._pictures,
                    (_look(choice), phase),
                    lambda phase=phase: image_slices(self.atlas, shape.drawn, phase, shape.labels[phase]),  # type: ignore[misc]
                )
            if painted is not None:
                yield phase, painted

    def beat(self, choice: Choice, *, images: bool) -> Iterator[BeatFrame]:
        """The heart from ED to ES in equal steps of its codes, lengths and appearance, frame by frame.

        Nothing between the phases was ever seen by a model: it is an interpolation to look at, not data.
        """
        shape = self.shape(choice)
        for systole in np.linspace(0.0, 1.0, BEAT_FRAMES).tolist():
            with self.lock:
                frame = _kept(
                    self._beats,
                    (choice, systole, images),
                    lambda systole=systole: self._frame(shape, systole, images),  # type: ignore[misc]
                )
            yield frame

    def _frame(self, shape: Shape, systole: float, images: bool) -> BeatFrame:
        between = _between(shape.drawn, systole)
        labels = label_slices(self.atlas, between, "ED")
        image = image_slices(self.atlas, between, "ED", labels) if images else None
        pixel = between.parent.geometry.spacing_mm
        return BeatFrame(systole, labels, image, (pixel, pixel, between.trajectory.length_mm["ED"] / len(labels)))

    def on_stage(self, choice: Choice, phase: Phase, kind: str) -> Staged | None:
        """A phase's labels, or its image in 0 to 255, in the patient's whole field of view; None without an image.

        Raises:
            CardiomorphError: as `shape` does; the parent is no patient with a whole image.
        """
        found = self.volume(choice, phase, kind)
        if found is None:
            return None
        parent = self.shape(choice).drawn.parent
        base_first = found.turned() if parent.geometry.apex_first else found
        if kind == "image":
            assert parent.scan is not None, "a full field was asked for"
            scan = parent.scan[phase].image
            low, high = np.percentile(found.array if scan is None else scan.array, _WINDOW)
            grey = np.clip((base_first.array - low) / max(high - low, 1e-6), 0.0, 1.0)
            base_first = base_first.with_array(np.rint(255.0 * grey).astype(np.uint8))
        return staged(base_first, turn_of(base_first))

    def scan_measures(self, source: str) -> Measures | None:
        """What is measured on a patient's own labels; None for other parents."""
        parent = self.atlas.parents.get(source)
        if parent is None or parent.scan is None:
            return None
        labels = {phase: frame.label for phase, frame in parent.scan.items()}
        return measure_heart(labels, parent.height_cm, parent.weight_kg)

    @property
    def scanned(self) -> list[str]:
        """Parents whose whole images are there."""
        return [
            name
            for name in self.patients
            if (scan := self.atlas.parents[name].scan) and all(frame.image is not None for frame in scan.values())
        ]

    def volume(self, choice: Choice, phase: Phase, kind: str) -> Volume | None:
        """A phase's label or image volume as `synthesize` would write it; None where the atlas paints no images."""
        shape = self.shape(choice)
        if kind == "label":
            return volumes_of(shape.drawn, phase, shape.labels[phase], None)[0]
        return volumes_of(shape.drawn, phase, shape.labels[phase], dict(self.images(choice)).get(phase))[1]


def _kept(cache: LRUCache[Hashable, T], key: Hashable, make: Callable[[], T]) -> T:
    """What the cache holds by that key, or what is made now and kept."""
    if key not in cache:
        cache[key] = make()
    return cache[key]


def _look(choice: Choice) -> Choice:
    """What an image depends on: a parent looks the same on its way to any disease."""
    return choice if choice.severity else choice.model_copy(update={"target": HEALTHY, "sampler": "population"})


def _between(drawn: DrawnHeart, systole: float) -> DrawnHeart:
    """A heart whose ED is a moment between the phases of another: 0 is its ED, 1 its ES."""

    def mixed(of: Mapping[Phase, Any]) -> Any:
        return (1.0 - systole) * of["ED"] + systole * of["ES"]

    trajectory, styles = drawn.trajectory, drawn.parent.styles
    parent = drawn.parent if styles is None else replace(drawn.parent, styles={"ED": mixed(styles)})
    moment = Trajectory({"ED": mixed(trajectory.codes)}, {"ED": mixed(trajectory.length_mm)})
    return replace(drawn, parent=parent, trajectory=moment)
