"""A biventricular heart as surfaces around a long axis: formulas, solved so that its volumes are the wanted ones.

Every surface is a radius around the LV's axis, as a function of t in [0, 1] from base to apex and of the angle. The LV
cavity is a truncated prolate with a bluntness of its own; the wall's thickness varies along and around; the RV is the
crescent between the LV's outer surface and a bulge over the sector between its two insertion points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from cardiomorph.anatomy import MYOCARDIAL_DENSITY_G_PER_ML, Label
from cardiomorph.data.phantom.parameters import HeartParameters

Grid = NDArray[np.float64]
_CAVITY_REACH = 0.91
"""Share of the length at which the cavity ends; muscle caps the rest."""


@dataclass(frozen=True)
class Radii:
    """Distances from the axis in mm at some (t, angle); 0 where a structure is absent."""

    endocardium: Grid
    epicardium: Grid
    rv_outer: Grid
    """Equal to the epicardium outside the RV's sector."""


@dataclass(frozen=True)
class PhaseShape:
    """One phase of a heart.

    Attributes:
        base_mm: position of the basal plane along the axis; the apex stays where it is through the cycle.
        contraction: inward motion of the endocardium as a share of its ED radius (0 at ED).
        thickening: of the wall, as a share of its ED thickness (0 at ED).
    """

    parameters: HeartParameters
    base_mm: float
    length_mm: float
    cavity_mm: float
    wall_mm: float
    rv_mm: float
    contraction: float = 0.0
    thickening: float = 0.0

    def radii(self, t: Grid, angle_deg: Grid) -> Radii:
        """Surfaces at ``t`` (0 base, 1 apex) and ``angle_deg``, broadcast together."""
        p = self.parameters
        moving = 1.0 - _infarct(p, t, angle_deg)
        u = t / _CAVITY_REACH
        ellipse = 1.0 + p.ellipticity * np.cos(2 * np.radians(angle_deg - p.ellipse_deg))
        endo = self.cavity_mm * _profile(p, u) * ellipse * (1.0 - self.contraction * moving)
        wall = self.wall_mm * _wall_pattern(p, t, angle_deg) * (1.0 + self.thickening * moving)
        cap = np.sqrt(np.clip(1.0 - ((t - _CAVITY_REACH) / (1.0 - _CAVITY_REACH)) ** 2, 0.0, 1.0))
        epi = np.where(u < 1.0, endo + wall, wall * cap)
        inside = (t >= 0) & (t < 1)
        endo, epi = np.where(inside & (u < 1.0), endo, 0.0), np.where(inside, epi, 0.0)
        return Radii(endo, epi, epi + np.where(inside, self._rv_bulge(t, angle_deg), 0.0))

    def _rv_bulge(self, t: Grid, angle_deg: Grid) -> Grid:
        p = self.parameters
        reach = np.clip(1.0 - (np.maximum(t, 0.0) / p.rv_reach) ** 2.2, 0.0, 1.0)
        half = p.rv_half_angle_deg * (0.55 + 0.45 * reach)
        from_middle = np.abs((angle_deg - p.rv_deg + 180) % 360 - 180)
        arch = np.cos(0.5 * np.pi * np.clip(from_middle / half, 0.0, 1.0)) ** 0.75
        return self.rv_mm * reach**0.8 * arch

    def volumes_ml(self) -> dict[Label, float]:
        """Volumes of the continuous surfaces, by quadrature."""
        t = (np.arange(60)[:, None] + 0.5) / 60
        angle = np.arange(0, 360, 5.0)[None]
        radii = self.radii(t, angle)
        cell = 0.5 * np.radians(5.0) * (self.length_mm / 60) / 1000.0
        lv = float((radii.endocardium**2).sum() * cell)
        outer = float((radii.epicardium**2).sum() * cell)
        both = float((radii.rv_outer**2).sum() * cell)
        return {Label.LV: lv, Label.MYOCARDIUM: outer - lv, Label.RV: both - outer}


def _profile(p: HeartParameters, u: Grid) -> Grid:
    """The cavity's radius along its length, 1 where it is widest."""
    side = np.where(u < p.widest, 0.35, 1.0) * (u - p.widest) / (1.0 - p.widest)
    return np.clip(1.0 - side**2, 0.0, None) ** p.bluntness


def _bump(angle_deg: Grid, centre_deg: float, width_deg: float) -> Grid:
    away = (angle_deg - centre_deg + 180) % 360 - 180
    return np.exp(-((away / width_deg) ** 2))


def _infarct(p: HeartParameters, t: Grid, angle_deg: Grid) -> Grid:
    """1 in the middle of the dead sector, 0 in healthy wall."""
    if p.infarct_strength == 0:
        return np.zeros(np.broadcast_shapes(np.shape(t), np.shape(angle_deg)))
    along = np.exp(-(((t - p.infarct_level) / 0.35) ** 2))
    return _bump(angle_deg, p.infarct_deg, p.infarct_width_deg) * along


def _wall_pattern(p: HeartParameters, t: Grid, angle_deg: Grid) -> Grid:
    """Thickness around and along, about 1: thinner to the apex, a thick septum in HCM, a thin scar after infarction."""
    taper = 1.0 - 0.25 * np.clip(t, 0.0, 1.0) ** 2
    septum = 1.0 + p.septal_gain * _bump(angle_deg, p.rv_deg, 75.0) * np.exp(-(((t - 0.35) / 0.4) ** 2))
    return taper * septum * (1.0 - p.infarct_strength * _infarct(p, t, angle_deg))


def _solved(shape: PhaseShape, field: str, label: Label, wanted_ml: float, low: float, high: float) -> PhaseShape:
    """The shape with one of its numbers set so that a structure has the wanted volume, as near as the range allows."""

    def with_value(value: float) -> PhaseShape:
        changes: dict[str, Any] = {field: value}
        return replace(shape, **changes)

    def miss(value: float) -> float:
        return with_value(value).volumes_ml()[label] - wanted_ml

    ends: tuple[float, float] = (miss(low), miss(high))
    if ends[0] * ends[1] >= 0:
        return with_value(low if abs(ends[0]) < abs(ends[1]) else high)
    solve: Callable[..., float] = brentq
    return with_value(solve(miss, low, high, xtol=1e-4))


def end_diastole(p: HeartParameters) -> PhaseShape:
    """The full heart with the wanted EDVs and mass."""
    shape = PhaseShape(p, base_mm=0.0, length_mm=p.length_mm, cavity_mm=25.0, wall_mm=8.0, rv_mm=30.0)
    shape = _solved(shape, "cavity_mm", Label.LV, p.lv_edv_ml, 5.0, 60.0)
    shape = _solved(shape, "wall_mm", Label.MYOCARDIUM, p.lv_mass_g / MYOCARDIAL_DENSITY_G_PER_ML, 2.0, 30.0)
    return _solved(shape, "rv_mm", Label.RV, p.rv_edv_ml, 2.0, 90.0)


def end_systole(p: HeartParameters, diastole: PhaseShape) -> PhaseShape:
    """The emptied heart: shorter from the base, moved inwards and thickened except where the wall is dead."""
    length = p.length_mm * p.es_length_ratio
    shape = replace(diastole, base_mm=p.length_mm - length, length_mm=length)
    shape = _solved(shape, "contraction", Label.LV, p.lv_edv_ml * (1 - p.lv_ef_pct / 100), -0.2, 0.95)
    muscle = p.myocardium_ratio * diastole.volumes_ml()[Label.MYOCARDIUM]
    shape = _solved(shape, "thickening", Label.MYOCARDIUM, muscle, -0.5, 4.0)
    return _solved(shape, "rv_mm", Label.RV, p.rv_edv_ml * (1 - p.rv_ef_pct / 100), 1.0, 90.0)


def label_slice(shape: PhaseShape, z_mm: float, x_mm: Grid, y_mm: Grid) -> NDArray[np.uint8]:
    """Labels of the plane at ``z_mm``; ``x_mm`` and ``y_mm`` are pixel positions around the axis there."""
    radius, radii = polar(shape, z_mm, x_mm, y_mm)
    label = np.zeros(radius.shape, np.uint8)
    # A crescent thinner than this is what no expert draws.
    label[(radius < radii.rv_outer) & (radii.rv_outer - radii.epicardium > 2.0)] = Label.RV
    label[radius < radii.epicardium] = Label.MYOCARDIUM
    label[radius < radii.endocardium] = Label.LV
    return label


def polar(shape: PhaseShape, z_mm: float, x_mm: Grid, y_mm: Grid) -> tuple[Grid, Radii]:
    """Distance of every pixel from the axis, and the surfaces in its direction."""
    t = np.full((1, 1), (z_mm - shape.base_mm) / shape.length_mm)
    return np.hypot(x_mm, y_mm), shape.radii(t, np.degrees(np.arctan2(y_mm, x_mm)))
