"""What a cardiologist reads off labelled ED and ES stacks: volumes, ejection fractions, mass, wall, length.

Conventions: slab volumes (every labelled voxel counts whole, no interpolation between slices); papillary muscles
belong to the cavity, as ACDC's experts drew them; mass at ED with 1.05 g/mL; wall thickness is the mean over a
slice's endocardial contour of the distance to the epicardial contour, and ``wall_max_mm`` the thickest slice's;
the long axis counts slices with myocardium or LV cavity; sphericity is the widest slice's equivalent LV diameter over
the long axis. Wall thickness by AHA segment is in `segments`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from cardiomorph.anatomy import MYOCARDIAL_DENSITY_G_PER_ML, Label, Phase
from cardiomorph.volume import Volume

MEASURE_COLUMNS = (
    "lv_edv_ml",
    "lv_esv_ml",
    "lv_ef_pct",
    "rv_edv_ml",
    "rv_esv_ml",
    "rv_ef_pct",
    "lv_mass_g",
    "wall_max_mm",
    "long_axis_mm",
)
Measures = dict[str, float | None]


def structure_volume_ml(label: Volume, structure: Label) -> float:
    """Slab volume of a structure in mL."""
    return float((label.array == structure).sum()) * label.voxel_ml


def ejection_fraction_pct(end_diastolic_ml: float, end_systolic_ml: float) -> float | None:
    """100 (EDV - ESV) / EDV; None where there is no EDV."""
    return 100.0 * (end_diastolic_ml - end_systolic_ml) / end_diastolic_ml if end_diastolic_ml > 0 else None


def body_surface_m2(height_cm: float | None, weight_kg: float | None) -> float | None:
    """Mosteller's formula (N Engl J Med 317:1098, 1987), sqrt(height weight / 3600); None where either is unknown."""
    if not height_cm or not weight_kg:
        return None
    return math.sqrt(height_cm * weight_kg / 3600.0)


def _contour_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Points of the outlines of a mask, (n, 2) in mm, half-way between in and out."""
    outlines = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    points = np.concatenate(outlines) if outlines else np.empty((0, 2))
    return (points - 1.0) * np.asarray(spacing_mm)


def endocardial_thickness(
    label: NDArray[np.integer], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Points of one (x, y) slice's endocardial contour, (n, 2) in mm, and the wall's thickness at each, (n,) in mm.

    None where the wall does not enclose a cavity.
    """
    box = find_objects(np.isin(label, (Label.LV, Label.MYOCARDIUM)).astype(np.uint8))
    if not box:
        return None
    # With a margin: what lies beyond the box is background, not nothing.
    corner = np.array([part.start - 1 for part in box[0]]) * np.asarray(spacing_mm)
    label = np.pad(label[box[0]], 1)
    cavity = label == Label.LV
    wall = label == Label.MYOCARDIUM
    # An open horseshoe at the base has no epicardium behind its gap: only closed walls are measured.
    if cavity.sum() < 10 or wall.sum() < 10 or _is_open(cavity, wall):
        return None
    endocardium = _contour_mm(cavity, spacing_mm)
    epicardium = _contour_mm(cavity | wall, spacing_mm)
    distances, _ = cKDTree(epicardium).query(endocardium)
    return endocardium + corner, np.asarray(distances)


def slice_wall_thickness_mm(label: NDArray[np.integer], spacing_mm: tuple[float, float]) -> float | None:
    """Mean wall thickness of one (x, y) slice in mm; None where the wall does not enclose a cavity."""
    measured = endocardial_thickness(label, spacing_mm)
    return None if measured is None else float(measured[1].mean())


def _is_open(cavity: NDArray[np.bool_], wall: NDArray[np.bool_]) -> bool:
    """Whether more than a tenth of the cavity's outer rim is not wall."""
    padded = np.pad(cavity, 1)
    rim = np.zeros_like(padded)
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        rim |= np.roll(padded, step, axis)
    rim &= ~padded
    inside = rim[1:-1, 1:-1]
    return bool((inside & ~wall).sum() > 0.1 * rim.sum())


def wall_thickness_mm(label: Volume) -> list[float | None]:
    """`slice_wall_thickness_mm` of every slice, base to apex."""
    spacing = label.spacing_mm[:2]
    return [slice_wall_thickness_mm(label.array[:, :, index], spacing) for index in range(label.n_slices)]


def long_axis_mm(label: Volume) -> float:
    """Number of slices with myocardium or LV cavity, times the slice spacing."""
    left = np.isin(label.array, (Label.MYOCARDIUM, Label.LV)).any(axis=(0, 1))
    return float(left.sum()) * label.spacing_mm[2]


def widest_diameter_mm(label: Volume) -> float:
    """Diameter of the circle that has the LV cavity's area in its widest slice, in mm."""
    area = float((label.array == Label.LV).sum(axis=(0, 1)).max()) * label.spacing_mm[0] * label.spacing_mm[1]
    return 2.0 * math.sqrt(area / math.pi)


def _phase_measures(label: Volume) -> dict[str, float | None]:
    walls = [value for value in wall_thickness_mm(label) if value is not None]
    return {
        "lv_ml": structure_volume_ml(label, Label.LV),
        "rv_ml": structure_volume_ml(label, Label.RV),
        "mass_g": structure_volume_ml(label, Label.MYOCARDIUM) * MYOCARDIAL_DENSITY_G_PER_ML,
        "wall_mm": max(walls) if walls else None,
        "length_mm": long_axis_mm(label),
        "sphericity": _ratio(widest_diameter_mm(label), long_axis_mm(label)),
    }


def measure_heart(
    labels: Mapping[Phase, Volume],
    height_cm: float | None = None,
    weight_kg: float | None = None,
    *,
    partial: bool = False,
) -> Measures:
    """Every measure of one heart; None where it cannot be had (one phase only, unknown height, open walls).

    Args:
        labels: (x, y, slice) label volumes by phase; either phase may be absent.
        partial: a structure that no phase has was not drawn, and its measures are None; otherwise they are 0.
    """
    names = ("lv_ml", "rv_ml", "mass_g", "wall_mm", "length_mm", "sphericity")
    nothing: dict[str, float | None] = dict.fromkeys(names)
    absent = dict.fromkeys(_unlabelled(labels) if partial else ())
    ed = _phase_measures(labels["ED"]) | absent if "ED" in labels else nothing
    es = _phase_measures(labels["ES"]) | absent if "ES" in labels else nothing
    body = body_surface_m2(height_cm, weight_kg)
    return {
        "lv_edv_ml": ed["lv_ml"],
        "lv_esv_ml": es["lv_ml"],
        "lv_ef_pct": _maybe(ejection_fraction_pct, ed["lv_ml"], es["lv_ml"]),
        "rv_edv_ml": ed["rv_ml"],
        "rv_esv_ml": es["rv_ml"],
        "rv_ef_pct": _maybe(ejection_fraction_pct, ed["rv_ml"], es["rv_ml"]),
        "lv_mass_g": ed["mass_g"],
        "wall_max_mm": ed["wall_mm"],
        "long_axis_mm": ed["length_mm"],
        "lv_sv_ml": _maybe(operator.sub, ed["lv_ml"], es["lv_ml"]),
        "rv_sv_ml": _maybe(operator.sub, ed["rv_ml"], es["rv_ml"]),
        "lv_mass_es_g": es["mass_g"],
        "wall_max_es_mm": es["wall_mm"],
        "long_axis_es_mm": es["length_mm"],
        "myocardium_es_ed_ratio": _ratio(es["mass_g"], ed["mass_g"]),
        "sphericity": ed["sphericity"],
        "sphericity_es": es["sphericity"],
        "rv_lv_edv_ratio": _ratio(ed["rv_ml"], ed["lv_ml"]),
        "body_surface_m2": body,
        "lv_edv_index_ml_m2": _ratio(ed["lv_ml"], body),
        "rv_edv_index_ml_m2": _ratio(ed["rv_ml"], body),
        "lv_mass_index_g_m2": _ratio(ed["mass_g"], body),
    }


def _unlabelled(labels: Mapping[Phase, Volume]) -> list[str]:
    """Measures of structures that no phase has."""
    of = {Label.LV: ("lv_ml", "sphericity"), Label.RV: ("rv_ml",), Label.MYOCARDIUM: ("mass_g",)}
    missing = (s for s in of if not any((label.array == s).any() for label in labels.values()))
    return [name for structure in missing for name in of[structure]]


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _maybe(function: object, *values: float | None) -> float | None:
    return None if any(value is None for value in values) else function(*values)  # type: ignore[operator]
