"""Subjects become parents: their labels and their look as codes of an atlas's models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.anatomy import HEALTHY, PHASES, Phase
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.fidelity import noise_level
from cardiomorph.latent.appearance import Styles
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.trajectory import Trajectory, encode_subject, equalise
from cardiomorph.models.image_generator import ImageGenerator
from cardiomorph.models.threads import threads
from cardiomorph.progress import track

Looks = tuple[Styles, float]
"""Appearance codes by phase, and how noisy the images are."""


def parents_of(cohort: Cohort, atlas: Atlas, names: Sequence[str] | None = None) -> dict[str, tuple[str, Parent]]:
    """Group and codes of a cohort's subjects, as hearts that the atlas could morph from, healthy ones first.

    Args:
        names: which subjects; all by default.

    Raises:
        CardiomorphError: no such subject, a cohort of another crop, a subject without the image that the atlas needs.
    """
    size = atlas.shape_model.config.size
    if cohort.config.size != size:
        raise CardiomorphError(
            f"has crops of {cohort.config.size} pixels, the atlas was made with {size}", where=cohort.folder
        )
    image_model = atlas.image_model if atlas.has_images else None
    training, found = set(cohort.ids("train")), {}
    chosen = cohort.ids() if names is None else names
    with threads(1):
        for subject in track((cohort.load(name) for name in chosen), "encoding", len(chosen)):
            split = "train" if subject.id in training else "heldout"
            look = appearance_of(subject, image_model) if image_model else None
            found[subject.id] = (
                subject.group,
                as_parent(subject, encode_subject(atlas.shape_model, subject), split, look),
            )
    return dict(sorted(found.items(), key=lambda item: item[1][0] != HEALTHY))


def as_parent(subject: PreparedSubject, trajectory: Trajectory, split: str, look: Looks | None) -> Parent:
    """A subject in latent space, as a heart to morph from.

    Args:
        split: "train", "heldout", or where else it comes from.
        look: its appearance; None in an atlas without image model.
    """
    styles, noise = look or (None, None)
    return Parent(
        id=subject.id,
        split=split,
        trajectory=trajectory,
        geometry=subject.geometry,
        styles=styles,
        height_cm=subject.height_cm,
        weight_kg=subject.weight_kg,
        noise=noise,
    )


@torch.inference_mode()
def appearance_of(subject: PreparedSubject, model: ImageGenerator) -> Looks:
    """Appearance codes of every slice, resampled to 32 like the shape codes, and the mean noise level of the slices."""
    styles: dict[Phase, NDArray[np.float32]] = {}
    noise: list[float] = []
    for phase in PHASES:
        image = subject.frames[phase].image
        if image is None:
            raise CardiomorphError(
                f"subject {subject.id} has no image to take its appearance from",
                fix="Build the atlas without --image for labels only",
            )
        codes = model.encode_style(torch.from_numpy(image)[:, None]).numpy()
        styles[phase] = equalise(codes).astype(np.float32)
        noise += [noise_level(picture) for picture in image]
    return styles, float(np.mean(noise))
