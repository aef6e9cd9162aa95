"""Deformed labels of one's own patients, painted by the same image model: what was done before disease could be drawn.

No statistics of any disease are used: hearts grow and shrink, bend, and their walls thicken and thin, by chance. (The
elastic and morphological deformation of labels that Amirrajab et al., MICCAI 2020 and MELBA 2022, painted from.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, map_coordinates

from cardiomorph.anatomy import GROUPS, HEALTHY, PHASES, Label, Phase
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.files import ensure_folder
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.progress import track
from cardiomorph.synthesis.batch_synthesis import write_heart
from cardiomorph.synthesis.heart_synthesis import DrawnHeart, SyntheticHeart, image_slices, label_slices, volumes_of
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.synthesis.request import HeartJob
from cardiomorph.volume import Volume

_BEND_PX, _SMOOTH_PX = 4.0, 14.0
_GROWTH = 0.25
_WALL_PX = 3


def make_deformed(atlas: Atlas, patients: Mapping[str, Path], hearts: int, folder: Path, seed: int) -> Path:
    """Writes about so many hearts, in ACDC's layout, patient after patient; those that are there stay.

    Args:
        patients: folders of the training patients, by name.

    Raises:
        CardiomorphError: a patient who cannot be read, or has no image.
    """
    ensure_folder(folder)
    plan = [(name, version) for version in range(1, -(-hearts // len(patients)) + 1) for name in patients][:hearts]
    known: dict[str, tuple[Parent, str]] = {}
    for name, version in track(plan, "deforming", len(plan)):
        if not list(folder.glob(f"{name}_*_v{version:02d}_s*/provenance.json")):
            if name not in known:
                (found,) = patients_at(patients[name], atlas, PatientOptions(any_group=True))
                atlas.adopt({found.parent.id: found.parent})
                known[name] = found.parent, found.group
            write_heart(_deformed(atlas, *known[name], version, seed), atlas, folder)
    return folder


def _deformed(atlas: Atlas, parent: Parent, group: str, version: int, seed: int) -> SyntheticHeart:
    facts = {
        "source": parent.id, "target": group if group in GROUPS else HEALTHY, "version": version, "severity": 0.0,
        "sampler": "population", "slices": "native", "images": True, "seed": seed,
    }  # fmt: skip
    job = HeartJob.model_validate(facts)
    drawn = DrawnHeart(job, parent, parent.trajectory, {"deformed": True})
    # One change for the whole heart: slices and phases stay one.
    change = Deformation(job.rng(), atlas.shape_model.config.size)
    labels: dict[Phase, Volume] = {}
    images: dict[Phase, Volume] = {}
    for phase in PHASES:
        slices = np.stack([change(one) for one in label_slices(atlas, drawn, phase)])
        labels[phase], image = volumes_of(drawn, phase, slices, image_slices(atlas, drawn, phase, slices))
        if image is not None:
            images[phase] = image
    measures = measure_heart(labels, parent.height_cm, parent.weight_kg)
    return SyntheticHeart(job, parent, labels, images, measures, drawn.diagnostics)


class Deformation:
    """A random change of hearts: a smooth displacement, a growth about the middle, and thicker or thinner walls."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        noise = rng.standard_normal((2, size, size))
        bend = np.stack([gaussian_filter(part, _SMOOTH_PX) for part in noise])
        bend *= _BEND_PX / max(float(bend.std()), 1e-9)
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij")).astype(float)
        middle = (size - 1) / 2
        growth = np.exp(rng.uniform(-_GROWTH, _GROWTH))
        self.wall_px = int(rng.integers(-_WALL_PX, _WALL_PX + 1))
        self.positions = middle + (grid - middle) / growth + bend

    def __call__(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(size, size) labels."""
        moved = map_coordinates(label, self.positions, order=0, mode="constant", cval=0).astype(np.uint8)
        return with_wall(moved, self.wall_px)


def with_wall(label: NDArray[np.uint8], change_px: int) -> NDArray[np.uint8]:
    """The myocardium thicker (inwards) or thinner (outwards) by so many pixels; the epicardium stays."""
    cavity = label == Label.LV
    if not change_px or not cavity.any():
        return label
    result = label.copy()
    if change_px > 0:
        result[cavity & ~binary_erosion(cavity, iterations=change_px)] = Label.MYOCARDIUM
        return result
    heart = cavity | (label == Label.MYOCARDIUM)
    inside = binary_erosion(heart) | cavity
    result[binary_dilation(cavity, iterations=-change_px) & inside & heart] = Label.LV
    return result
