"""One job becomes one heart in memory: draw, morph, decode, paint."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.prepare import Kind, to_source_grid
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.latent.appearance import vary_styles
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.trajectory import Trajectory, decode_labels, equalise, morph
from cardiomorph.latent.virtual import parent_named
from cardiomorph.synthesis.full_field import set_into
from cardiomorph.synthesis.painting import noise_strength, paint
from cardiomorph.synthesis.request import HeartJob
from cardiomorph.volume import Volume

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyntheticHeart:
    """A synthetic heart: labels and images by phase, its measures, and how its draw went."""

    job: HeartJob
    parent: Parent
    labels: Mapping[Phase, Volume]
    images: Mapping[Phase, Volume]
    measures: Measures
    diagnostics: Mapping[str, Any]


@dataclass(frozen=True)
class DrawnHeart:
    """A heart as codes: who it comes from, where it lies in latent space, and how it was drawn."""

    job: HeartJob
    parent: Parent
    trajectory: Trajectory
    diagnostics: Mapping[str, Any]


def draw_heart(atlas: Atlas, job: HeartJob) -> DrawnHeart:
    """The first step: draws the diseased heart and morphs the parent towards it.

    Raises:
        CardiomorphError: the atlas has no such parent or group.
    """
    parent = parent_named(atlas, job.source, job.seed)
    draw = job.sampler.draw(atlas.group(job.target), parent.trajectory, job.rng())
    return DrawnHeart(job, parent, morph(parent.trajectory, draw.trajectory, job.severity), draw.diagnostics)


def label_slices(atlas: Atlas, drawn: DrawnHeart, phase: Phase) -> NDArray[np.uint8]:
    """The second step: (n, size, size) labels of a phase, base to apex."""
    return decode_labels(atlas.shape_model, _codes_on_grid(drawn, phase))


def image_slices(
    atlas: Atlas, drawn: DrawnHeart, phase: Phase, labels: NDArray[np.uint8]
) -> NDArray[np.float32] | None:
    """The third step: images in [-1, 1] of those labels; None where the parent has no appearance."""
    if drawn.parent.styles is None:
        return None
    styles = equalise(vary_styles(drawn.parent.styles[phase], drawn.job.styles), len(labels)).astype(np.float32)
    strength = noise_strength(atlas, drawn.job.source, drawn.job.seed)
    return paint(atlas.painter, styles, labels, drawn.job.noise_rng(phase), strength)


def synthesize_heart(atlas: Atlas, job: HeartJob) -> SyntheticHeart:
    """Runs one job. Deterministic in the atlas and the job.

    Raises:
        CardiomorphError: the atlas has no such parent or group.
    """
    drawn = draw_heart(atlas, job)
    labels: dict[Phase, Volume] = {}
    images: dict[Phase, Volume] = {}
    for phase in PHASES:
        slices = label_slices(atlas, drawn, phase)
        painted = image_slices(atlas, drawn, phase, slices) if job.images else None
        labels[phase], image = volumes_of(drawn, phase, slices, painted)
        if image is not None:
            images[phase] = image
    measures = measure_heart(labels, drawn.parent.height_cm, drawn.parent.weight_kg)
    return SyntheticHeart(job, drawn.parent, labels, images, measures, drawn.diagnostics)


def volumes_of(
    drawn: DrawnHeart, phase: Phase, labels: NDArray[np.uint8], painted: NDArray[np.float32] | None
) -> tuple[Volume, Volume | None]:
    """The last step: label and image of a phase in the parent's world, as they are written.

    Args:
        labels: (n, size, size) of `label_slices`.
        painted: of `image_slices`.

    Raises:
        CardiomorphError: a full field is asked for, and the parent's whole image is not there.
    """
    label = placed(drawn, phase, labels, "label")
    image = None if painted is None else placed(drawn, phase, painted, "image")
    return _in_full_field(drawn, phase, label, image) if drawn.job.field == "full" else (label, image)


def _in_full_field(
    drawn: DrawnHeart, phase: Phase, label: Volume, painted: Volume | None
) -> tuple[Volume, Volume | None]:
    """Label and image on the source's grid, set into the source's image; what reaches beyond its slices is cut off.

    Raises:
        CardiomorphError: the parent's whole image is not there.
    """
    if drawn.parent.scan is None:
        raise CardiomorphError(
            f"{drawn.parent.id} has no whole image to set a heart into",
            fix="Give the patient's folder or file as source",
        )
    scan, turned = drawn.parent.scan[phase], drawn.parent.geometry.apex_first
    # Base first: the grid has grown at the apex, whichever end of the file that is.
    label = label.turned() if turned else label
    count = scan.label.n_slices
    if (lost := int((label.array[..., count:] > 0).any(axis=(0, 1)).sum())) > 0:
        _log.warning(
            f"{drawn.job.name}: {phase} is {lost} slice{'s' if lost > 1 else ''} longer than the scan, and cut there"
        )
    kept = label.with_array(np.ascontiguousarray(label.array[..., :count]))
    if painted is None:
        return kept.turned() if turned else kept, None
    picture = (painted.turned() if turned else painted).array[..., :count].astype(np.float32)
    image = kept.with_array(set_into(scan, kept.array, picture, drawn.job.noise_rng(phase)))
    return (kept.turned(), image.turned()) if turned else (kept, image)


def _codes_on_grid(drawn: DrawnHeart, phase: Phase) -> NDArray[np.float64]:
    """The codes of the slices to decode: the 32, or as many as the parent's own spacing fits into the length."""
    codes = drawn.trajectory.codes[phase]
    if drawn.job.slices == "32":
        return codes
    n = max(1, round(drawn.trajectory.length_mm[phase] / drawn.parent.geometry.slice_spacing_mm(phase)))
    return equalise(codes, n)


def placed(drawn: DrawnHeart, phase: Phase, slices: NDArray[Any], kind: Kind) -> Volume:
    """Slices as a volume in the parent's world: 32 of them in the crop, or on its own grid, base where its was."""
    geometry = drawn.parent.geometry
    if drawn.job.slices == "native":
        volume = to_source_grid(slices, kind, geometry, phase)
    else:
        if kind == "image" and geometry.intensity_range is not None:
            low, high = geometry.intensity_range
            slices = (slices + 1.0) * (0.5 * (high - low)) + low
        length_mm = drawn.trajectory.length_mm[phase]
        spacing = (geometry.spacing_mm, geometry.spacing_mm, length_mm / len(slices))
        affine = geometry.crop_affine(phase, len(slices), length_mm)
        volume = Volume(np.ascontiguousarray(np.moveaxis(slices, 0, -1)), spacing, affine, geometry.code)
    return _as_stored(volume) if kind == "image" else volume


def _as_stored(image: Volume) -> Volume:
    """Whole numbers where the parent's intensities are fine enough for them, as scanners store; else float32."""
    array = image.array.astype(np.float32)
    if np.ptp(array) >= 200 and array.max() < 32767 and array.min() > -32768:
        return image.with_array(np.rint(array).astype(np.int16))
    return image.with_array(array)
