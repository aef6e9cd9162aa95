"""One phantom subject: geometry sampled on a scanner's grid, slice by slice, with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import MYOCARDIAL_DENSITY_G_PER_ML, PHASES, Group, Label, Phase
from cardiomorph.data.heart_frame import standard_affine
from cardiomorph.data.phantom.geometry import PhaseShape, end_diastole, end_systole, label_slice
from cardiomorph.data.phantom.parameters import HeartParameters, draw_parameters
from cardiomorph.data.phantom.signal import (
    Surroundings,
    Textures,
    Tissue,
    acquire,
    draw_surroundings,
    draw_textures,
    render,
    tissue_map,
)
from cardiomorph.volume import Volume

_SUBSLICES = 4
Field = Literal["heart", "chest"]
_PIXELS: dict[Field, int] = {"heart": 176, "chest": 256}


class Acquisition(BaseModel):
    """Where the slices lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_mm: float
    slice_spacing_mm: float
    first_slice_mm: float
    """Position of the first slice; the basal plane at ED is 0."""
    n_slices: int
    shifts_mm: tuple[tuple[float, float], ...]
    """In-plane displacement of each slice: every one is another breath-hold."""
    centre_mm: tuple[float, float]
    """Where the heart lies off the middle of the field of view."""
    field: Field = "heart"
    """What is seen: the heart and what touches it, or the whole chest from skin to skin."""

    @property
    def pixels(self) -> int:
        """Along each side of a slice."""
        return _PIXELS[self.field]


@dataclass(frozen=True)
class PhantomSubject:
    """A phantom heart with everything that made it.

    Attributes:
        labels: by phase, uint8.
        images: by phase, int16; empty where only labels were asked for.
        cine: images of a whole heartbeat, ED first; empty unless asked for.
        es_frame: which of them is ES, from 0.
        truth: all parameters, and volumes, ejection fractions and mass of the continuous surfaces.
    """

    group: Group
    labels: Mapping[Phase, Volume]
    images: Mapping[Phase, Volume]
    truth: Mapping[str, Any]
    cine: tuple[Volume, ...] = ()
    es_frame: int = 1


def _draw_acquisition(heart: HeartParameters, field: Field, rng: np.random.Generator) -> Acquisition:
    spacing = 10.0 if rng.random() < 0.8 else 8.0
    # The first slice lies above the base, so that one end slice carries no label, as in real stacks.
    first = -spacing * rng.uniform(0.02, 0.98)
    n = int(np.ceil((heart.length_mm - first) / spacing)) + 1
    shifts = 0.8 * rng.standard_normal((n, 2))
    return Acquisition(
        pixel_mm=float(rng.uniform(1.3, 1.65)),
        slice_spacing_mm=spacing,
        first_slice_mm=float(first),
        n_slices=n,
        shifts_mm=tuple((float(a), float(b)) for a, b in shifts),
        centre_mm=(float(8 * rng.standard_normal()), float(8 * rng.standard_normal())),
        field=field,
    )


def make_subject(
    group: Group, rng: np.random.Generator, *, images: bool = True, field: Field = "heart", frames: int = 0
) -> PhantomSubject:
    """Draws and renders one subject. The same generator state gives the same subject, whatever is rendered of it.

    Args:
        images: render images, not labels alone.
        field: what is seen.
        frames: of a cine to render, too; 0 for none.
    """
    heart = draw_parameters(group, rng)
    scan = _draw_acquisition(heart, field, rng)
    body = draw_surroundings(rng)
    diastole = end_diastole(heart)
    shapes: dict[Phase, PhaseShape] = {"ED": diastole, "ES": end_systole(heart, diastole)}
    spacing = (scan.pixel_mm, scan.pixel_mm, scan.slice_spacing_mm)
    affine = standard_affine((scan.pixels, scan.pixels, scan.n_slices), spacing)
    labels = {phase: Volume(_labels(shapes[phase], scan), spacing, affine) for phase in PHASES}
    pictures = {}
    if images or frames:
        textures = draw_textures(body.texture_seed, (scan.pixels, scan.pixels))
        pictures = {p: Volume(_image(shapes[p], scan, body, textures, rng), spacing, affine) for p in PHASES}
    truth = _truth(heart, scan, body, shapes)
    if not frames:
        return PhantomSubject(group, labels, pictures, truth)
    es = es_frame(frames)
    known = {0: pictures["ED"].array, es: pictures["ES"].array}
    arrays = (
        known[n] if n in known else _image(_between(shapes, contraction(n / frames)), scan, body, textures, rng)
        for n in range(frames)
    )
    return PhantomSubject(group, labels, pictures, truth, tuple(Volume(a, spacing, affine) for a in arrays), es)


_SYSTOLE, _RAPID, _KICK = 0.35, 0.65, 0.85
"""Shares of the heartbeat at which systole ends, rapid filling ends, and the atria begin to contract."""


def es_frame(frames: int) -> int:
    """The frame of end-systole, from 0, of a cine of so many."""
    return round(_SYSTOLE * frames)


def contraction(time: float) -> float:
    """How far the heart is from ED (0) to ES (1) at a share of the heartbeat: ejection, rapid filling, atrial kick."""
    if time <= _SYSTOLE:
        return float(np.sin(0.5 * np.pi * time / _SYSTOLE) ** 2)
    rapid, kick = ((time - start) / (end - start) for start, end in ((_SYSTOLE, _RAPID), (_KICK, 1.0)))
    return 1.0 - 0.7 * _smooth(rapid) - 0.3 * _smooth(kick)


def _smooth(share: float) -> float:
    kept = min(max(share, 0.0), 1.0)
    return kept * kept * (3.0 - 2.0 * kept)


def _between(shapes: Mapping[Phase, PhaseShape], share: float) -> PhaseShape:
    """A heart on its way from ED to ES."""
    moving = ("base_mm", "length_mm", "contraction", "thickening", "rv_mm")
    ends = {name: (getattr(shapes["ED"], name), getattr(shapes["ES"], name)) for name in moving}
    return replace(shapes["ED"], **{name: (1.0 - share) * a + share * b for name, (a, b) in ends.items()})


def _scene(scan: Acquisition) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel positions around the heart's resting place, (nx, 1) and (1, ny) broadcast to the full grid."""
    along = (np.arange(scan.pixels) - 0.5 * (scan.pixels - 1)) * scan.pixel_mm
    x, y = np.meshgrid(along - scan.centre_mm[0], along - scan.centre_mm[1], indexing="ij")
    return x, y


def _around_axis(
    shape: PhaseShape, scan: Acquisition, index: int, z_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel positions around the LV's axis at ``z_mm``, after tilt and this slice's breath-hold shift."""
    x, y = _scene(scan)
    heart, shift = shape.parameters, scan.shifts_mm[index]
    from_middle = z_mm - 0.5 * heart.length_mm
    return x - shift[0] - heart.tilt[0] * from_middle, y - shift[1] - heart.tilt[1] * from_middle


def _labels(shape: PhaseShape, scan: Acquisition) -> NDArray[np.uint8]:
    """Labels at the slices' centre planes, (nx, ny, n_slices)."""
    planes = []
    for index in range(scan.n_slices):
        z = scan.first_slice_mm + index * scan.slice_spacing_mm
        planes.append(label_slice(shape, z, *_around_axis(shape, scan, index, z)))
    return np.stack(planes, axis=-1)


def _image(
    shape: PhaseShape, scan: Acquisition, body: Surroundings, textures: Textures, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Images with partial volume through the slice thickness, (nx, ny, n_slices)."""
    scene = _scene(scan)
    offsets = (np.arange(_SUBSLICES) + 0.5) / _SUBSLICES - 0.5
    planes = []
    for index in range(scan.n_slices):
        fractions = np.zeros((len(Tissue), scan.pixels, scan.pixels))
        for offset in offsets:
            z = scan.first_slice_mm + index * scan.slice_spacing_mm + offset * body.slice_mm
            x, y = _around_axis(shape, scan, index, z)
            found = tissue_map(shape, body, z, x, y, scene, textures, whole=scan.field == "chest")
            for tissue in Tissue:
                fractions[tissue] += found == tissue
        planes.append(acquire(render(fractions / _SUBSLICES, body, scene, textures), body, rng))
    return np.stack(planes, axis=-1)


def _truth(
    heart: HeartParameters, scan: Acquisition, body: Surroundings, shapes: Mapping[Phase, PhaseShape]
) -> dict[str, Any]:
    ed, es = shapes["ED"].volumes_ml(), shapes["ES"].volumes_ml()
    return {
        "heart": heart.model_dump(),
        "acquisition": scan.model_dump(exclude_defaults=True),
        "surroundings": body.model_dump(),
        "lv_edv_ml": ed[Label.LV],
        "lv_esv_ml": es[Label.LV],
        "lv_ef_pct": 100 * (1 - es[Label.LV] / ed[Label.LV]),
        "rv_edv_ml": ed[Label.RV],
        "rv_esv_ml": es[Label.RV],
        "rv_ef_pct": 100 * (1 - es[Label.RV] / ed[Label.RV]),
        "lv_mass_g": ed[Label.MYOCARDIUM] * MYOCARDIAL_DENSITY_G_PER_ML,
        "lv_mass_es_g": es[Label.MYOCARDIUM] * MYOCARDIAL_DENSITY_G_PER_ML,
    }
