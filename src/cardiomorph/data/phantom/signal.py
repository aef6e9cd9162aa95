"""The phantom as a short-axis cine frame: balanced steady-state signal, partial volume, coil, blur and Rician noise.

Relaxation times at 1.5 T after Bottomley et al. (Med Phys 11, 1984) and Stanisz et al. (MRM 54, 2005), rounded.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.ndimage import gaussian_filter

from cardiomorph.data.phantom.geometry import PhaseShape, Radii, polar

Grid = NDArray[np.float64]


class Tissue(IntEnum):
    """What a voxel may hold."""

    AIR = 0
    LUNG = 1
    FAT = 2
    CHEST_WALL = 3
    LIVER = 4
    STOMACH = 5
    BLOOD = 6
    MYOCARDIUM = 7


class Relaxation(NamedTuple):
    """Proton density (blood is 1) and relaxation times in ms."""

    density: float
    t1_ms: float
    t2_ms: float


RELAXATION = {
    Tissue.AIR: Relaxation(0.0, 1000, 50),
    Tissue.LUNG: Relaxation(0.12, 1200, 40),
    Tissue.FAT: Relaxation(0.6, 280, 70),
    Tissue.CHEST_WALL: Relaxation(0.8, 950, 38),
    Tissue.LIVER: Relaxation(0.75, 570, 45),
    Tissue.STOMACH: Relaxation(0.8, 1100, 90),
    Tissue.BLOOD: Relaxation(1.0, 1400, 240),
    Tissue.MYOCARDIUM: Relaxation(0.8, 1000, 50),
}


def steady_state(tissue: Relaxation, flip_deg: float, tr_ms: float) -> float:
    """Balanced SSFP signal on resonance, echo at TR / 2.

    M0 sin a (1 - E1) exp(-TE / T2) / (1 - (E1 - E2) cos a - E1 E2); Scheffler and Lehnhardt, Eur Radiol 13 (2003).
    """
    angle = np.radians(flip_deg)
    e1, e2 = np.exp(-tr_ms / tissue.t1_ms), np.exp(-tr_ms / tissue.t2_ms)
    echo = np.exp(-0.5 * tr_ms / tissue.t2_ms)
    below = 1.0 - (e1 - e2) * np.cos(angle) - e1 * e2
    return float(tissue.density * np.sin(angle) * (1.0 - e1) * echo / below)


class Surroundings(BaseModel):
    """One subject's body and scanner: positions in mm from the heart's axis, y downwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip_deg: float
    tr_ms: float
    slice_mm: float
    chest_mm: float
    fat_mm: float
    diaphragm_mm: float
    stomach_mm: tuple[float, float]
    aorta_mm: tuple[float, float]
    epicardial_fat_mm: float
    papillary_mm: float
    noise: float
    blur_px: float
    coil_mm: float
    gain: float
    texture_seed: int


def draw_surroundings(rng: np.random.Generator) -> Surroundings:
    """A body and a scanner."""
    return Surroundings(
        flip_deg=rng.uniform(45, 60),
        tr_ms=rng.uniform(2.7, 3.4),
        slice_mm=rng.uniform(6, 8),
        chest_mm=rng.uniform(12, 24),
        fat_mm=rng.uniform(8, 26),
        diaphragm_mm=rng.uniform(4, 12),
        stomach_mm=(rng.uniform(48, 66), rng.uniform(48, 66)),
        aorta_mm=(rng.uniform(42, 54), rng.uniform(34, 48)),
        epicardial_fat_mm=rng.uniform(2.5, 6.0),
        papillary_mm=rng.uniform(3.2, 4.6),
        noise=rng.uniform(0.015, 0.035),
        blur_px=rng.uniform(0.5, 0.75),
        coil_mm=rng.uniform(130, 220),
        gain=rng.uniform(300, 1500),
        texture_seed=int(rng.integers(2**31)),
    )


class Textures(NamedTuple):
    """Smooth random fields in the image plane, one set a subject, so that both phases and all slices share them."""

    fine: Grid
    coarse: Grid


def draw_textures(seed: int, shape: tuple[int, int]) -> Textures:
    """Two unit-variance Gaussian fields of 2 and 9 pixels' width."""
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.standard_normal(shape), width, mode="wrap") for width in (2.0, 9.0)]
    return Textures(*(field / field.std() for field in fields))


def tissue_map(
    shape: PhaseShape,
    body: Surroundings,
    z_mm: float,
    x_mm: Grid,
    y_mm: Grid,
    scene_mm: tuple[Grid, Grid],
    textures: Textures,
    *,
    whole: bool = False,
) -> NDArray[np.uint8]:
    """What lies at every pixel of one thin plane.

    Args:
        whole: give the body a back and a far side, too: nothing of that comes near the heart.
        x_mm, y_mm: pixel positions around the LV's axis at this level.
        scene_mm: the same around the middle of the field of view, for what does not move with the heart.
    """
    tissue = _body(shape, body, z_mm, *scene_mm, textures)
    if whole:
        _paint_trunk(tissue, body, *scene_mm, textures)
    radius, radii = polar(shape, z_mm, x_mm, y_mm)
    _paint_heart(tissue, radius, radii, shape, body, textures)
    _paint_papillaries(tissue, radii, shape, body, z_mm, x_mm, y_mm)
    return tissue


def _body(
    shape: PhaseShape, body: Surroundings, z_mm: float, x: Grid, y: Grid, textures: Textures
) -> NDArray[np.uint8]:
    """Lungs, chest wall along the left, liver and stomach below, a descending aorta."""
    level = np.clip(z_mm / shape.parameters.length_mm, -0.2, 1.3)
    tissue = np.full(x.shape, Tissue.LUNG, np.uint8)
    tissue[textures.fine > 2.3] = Tissue.BLOOD
    floor = 36 + body.diaphragm_mm - 14 * level + 0.0025 * (x + 10) ** 2 + 3 * textures.coarse
    below = y > floor
    tissue[below] = Tissue.LIVER
    tissue[below & (x > 18 + 8 * textures.coarse)] = Tissue.FAT
    stomach = np.hypot((x - body.stomach_mm[0]) / 1.5, y - body.stomach_mm[1]) + 3 * textures.coarse
    tissue[stomach < 17 + 6 * level] = Tissue.STOMACH
    aorta = np.hypot(x - body.aorta_mm[0], y - body.aorta_mm[1])
    tissue[aorta < 13] = Tissue.CHEST_WALL
    tissue[aorta < 11] = Tissue.BLOOD
    reach = shape.rv_mm + shape.cavity_mm + shape.wall_mm
    depth = x + 0.35 * y + reach + body.chest_mm - 22 * level - 0.004 * y**2 + 1.5 * textures.coarse
    tissue[depth < 0] = Tissue.CHEST_WALL
    tissue[depth < -9] = Tissue.FAT
    tissue[depth < -9 - body.fat_mm - 8 * max(level, 0.0)] = Tissue.AIR
    return tissue


def _paint_trunk(tissue: NDArray[np.uint8], body: Surroundings, x: Grid, y: Grid, textures: Textures) -> None:
    """A spine with its canal, ribs in a wall of muscle, fat under the skin, air around: an oblique cut of a trunk."""
    spine = np.hypot(x - body.aorta_mm[0] - 38, y - body.aorta_mm[1] + 22)
    tissue[spine < 26] = Tissue.CHEST_WALL
    tissue[spine < 19] = Tissue.LIVER
    canal = np.hypot(x - body.aorta_mm[0] - 62, (y - body.aorta_mm[1] + 22) / 1.3)
    tissue[canal < 11] = Tissue.CHEST_WALL
    tissue[canal < 8] = Tissue.STOMACH
    across, along = x - 22, y - 12
    inside = 1.0 - np.hypot(across / (132 + body.chest_mm), along / 158)
    depth = 140 * inside + 2 * textures.coarse - body.fat_mm
    rib = np.cos(9 * np.arctan2(along, across)) > 0.45
    tissue[depth < 16] = np.where(rib & (depth > 5), Tissue.FAT, Tissue.CHEST_WALL)[depth < 16]
    tissue[depth < 0] = Tissue.FAT
    tissue[depth < -body.fat_mm] = Tissue.AIR


def _paint_heart(
    tissue: NDArray[np.uint8],
    radius: Grid,
    radii: Radii,
    shape: PhaseShape,
    body: Surroundings,
    textures: Textures,
) -> None:
    """Epicardial fat, RV with its thin wall, LV muscle and blood, and the trabeculae that no label holds."""
    present = radii.epicardium > 0
    bulge = radii.rv_outer - radii.epicardium
    fat = body.epicardial_fat_mm * np.clip(0.8 + 0.8 * textures.coarse, 0.0, 1.8)
    rv_wall = np.where(bulge > 2.0, 2.6, 0.0)
    tissue[present & (radius < radii.rv_outer + rv_wall + fat)] = Tissue.FAT
    tissue[present & (radius < radii.rv_outer + rv_wall)] = Tissue.MYOCARDIUM
    in_rv = (radius < radii.rv_outer) & (bulge > 2.0)
    tissue[in_rv] = Tissue.BLOOD
    near_free_wall = radii.rv_outer - radius < 0.35 * bulge
    tissue[in_rv & near_free_wall & (textures.fine > 1.0)] = Tissue.MYOCARDIUM
    tissue[radius < radii.epicardium] = Tissue.MYOCARDIUM
    tissue[radius < radii.endocardium] = Tissue.BLOOD
    rim = np.clip(0.1 * radii.endocardium, 1.0, 3.0) * np.clip(1.0 + textures.fine, 0.0, 2.0)
    tissue[(radius < radii.endocardium) & (radius > radii.endocardium - rim)] = Tissue.MYOCARDIUM


def _paint_papillaries(
    tissue: NDArray[np.uint8],
    radii: Radii,
    shape: PhaseShape,
    body: Surroundings,
    z_mm: float,
    x: Grid,
    y: Grid,
) -> None:
    """Two muscles opposite the septum, in the middle of the cavity; they join the wall towards the apex."""
    t = (z_mm - shape.base_mm) / shape.length_mm
    if not 0.25 < t < 0.72:
        return
    cavity = float(radii.endocardium.mean())
    for side in (-52.0, 48.0):
        angle = np.radians(shape.parameters.rv_deg + 180 + side)
        distance = cavity * (0.62 + 0.25 * (t - 0.25))
        away = np.hypot(x - distance * np.cos(angle), y - distance * np.sin(angle))
        size = min(body.papillary_mm, 0.22 * cavity)
        tissue[(away < size) & (np.hypot(x, y) < radii.endocardium)] = Tissue.MYOCARDIUM


def render(fractions: NDArray[np.float64], body: Surroundings, scene_mm: tuple[Grid, Grid], textures: Textures) -> Grid:
    """Noise-free signal of tissue fractions (n_tissues, nx, ny): steady state, texture, coil."""
    signals = np.array([steady_state(RELAXATION[tissue], body.flip_deg, body.tr_ms) for tissue in Tissue])
    varied = 1.0 + 0.05 * textures.coarse + 0.04 * textures.fine
    image = np.tensordot(signals, fractions, axes=1) * varied
    x, y = scene_mm
    return image * np.exp(-np.hypot(x + 80, y + 20) / body.coil_mm)


def acquire(image: Grid, body: Surroundings, rng: np.random.Generator) -> NDArray[np.int16]:
    """Blur, Rician noise and the scanner's arbitrary scale; whole numbers, as scanners store."""
    blood = steady_state(RELAXATION[Tissue.BLOOD], body.flip_deg, body.tr_ms)
    blurred = gaussian_filter(image, body.blur_px) / blood
    real, imaginary = body.noise * rng.standard_normal((2, *image.shape))
    return np.rint(body.gain * np.hypot(blurred + real, imaginary)).astype(np.int16)
