"""What makes one phantom heart differ from another: targets drawn from real groups' statistics, and its own shape.

Means and SDs are those of ACDC's training patients, 20 a group, expert labels (Bernard et al., IEEE TMI 2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import Group


class _Spread(NamedTuple):
    mean: float
    sd: float


class _GroupTargets(NamedTuple):
    lv_edv_ml: _Spread
    lv_ef_pct: _Spread
    rv_edv_ml: _Spread
    rv_ef_pct: _Spread
    lv_mass_g: _Spread
    length_mm: _Spread
    es_length_ratio: float
    myocardium_ratio: float


_TARGETS: dict[str, _GroupTargets] = {
    "NOR": _GroupTargets(
        _Spread(130, 26), _Spread(60.3, 5.1), _Spread(153, 37), _Spread(55.1, 8.2), _Spread(102, 26),
        _Spread(80, 8), 0.93, 1.17,
    ),
    "DCM": _GroupTargets(
        _Spread(285, 48), _Spread(18.4, 6.7), _Spread(178, 67), _Spread(31.8, 17.8), _Spread(170, 32),
        _Spread(96, 7), 0.99, 1.08,
    ),
    "HCM": _GroupTargets(
        _Spread(129, 35), _Spread(67.4, 8.9), _Spread(118, 34), _Spread(59.8, 11.2), _Spread(177, 55),
        _Spread(88, 9), 0.93, 1.18,
    ),
    "MINF": _GroupTargets(
        _Spread(172, 43), _Spread(31.0, 8.1), _Spread(119, 36), _Spread(55.5, 10.5), _Spread(123, 19),
        _Spread(83, 8), 0.97, 1.14,
    ),
    "RV": _GroupTargets(
        _Spread(107, 38), _Spread(54.7, 6.1), _Spread(196, 49), _Spread(31.4, 15.1), _Spread(77, 26),
        _Spread(72, 8), 0.93, 1.15,
    ),
}  # fmt: skip


class HeartParameters(BaseModel):
    """Everything about one heart's geometry. Angles in degrees in the (x, y) plane, y downwards; lengths in mm."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Group
    lv_edv_ml: float
    lv_ef_pct: float
    rv_edv_ml: float
    rv_ef_pct: float
    lv_mass_g: float
    myocardium_ratio: float
    """Myocardial volume at ES over that at ED, as experts draw it."""
    length_mm: float
    es_length_ratio: float
    widest: float
    """Where the cavity is widest, as a share of its length from the base."""
    bluntness: float
    """Exponent of the profile: below 0.5 blunter than an ellipsoid, above it more conical."""
    ellipticity: float
    ellipse_deg: float
    rv_deg: float
    """Direction from the LV to the RV."""
    rv_half_angle_deg: float
    rv_reach: float
    """Share of the LV's length at which the RV ends."""
    septal_gain: float
    """How much thicker the septum is than the rest of the wall."""
    infarct_deg: float
    infarct_width_deg: float
    infarct_level: float
    infarct_strength: float
    """0 is no infarct; 1 a wall of zero thickness without motion."""
    tilt: tuple[float, float]
    """Sideways drift of the axis per mm along it."""


def _draw(spread: _Spread, rng: np.random.Generator, score: float | None = None) -> float:
    """A normal value cut at two SDs; ``score`` is a standard normal that other values share."""
    own = rng.standard_normal()
    z = own if score is None else 0.8 * score + 0.6 * own
    return float(spread.mean + spread.sd * np.clip(z, -1.8, 1.8))


def draw_parameters(group: Group, rng: np.random.Generator) -> HeartParameters:
    """A heart of a group. Volumes, mass and length share the body's size, so that large hearts are large throughout."""
    targets = _TARGETS[group]
    size = float(rng.standard_normal())
    septal = {"HCM": rng.uniform(0.35, 0.9)}.get(group, rng.uniform(0.0, 0.08))
    infarct = {"MINF": rng.uniform(0.3, 0.5)}.get(group, 0.0)
    return HeartParameters(
        group=group,
        lv_edv_ml=_draw(targets.lv_edv_ml, rng, size),
        lv_ef_pct=_draw(targets.lv_ef_pct, rng),
        rv_edv_ml=_draw(targets.rv_edv_ml, rng, size),
        rv_ef_pct=max(8.0, _draw(targets.rv_ef_pct, rng)),
        lv_mass_g=_draw(targets.lv_mass_g, rng, size),
        myocardium_ratio=float(targets.myocardium_ratio + 0.05 * np.clip(rng.standard_normal(), -2, 2)),
        length_mm=_draw(targets.length_mm, rng, size),
        es_length_ratio=float(np.clip(targets.es_length_ratio + 0.015 * rng.standard_normal(), 0.88, 1.0)),
        widest=rng.uniform(0.12, 0.28),
        bluntness=rng.uniform(0.42, 0.6),
        ellipticity=rng.uniform(0.0, 0.06),
        ellipse_deg=rng.uniform(0, 180),
        rv_deg=float(158 + np.clip(22 * rng.standard_normal(), -40, 40)),
        rv_half_angle_deg=rng.uniform(62, 78) + (6 if group == "RV" else 0),
        rv_reach=rng.uniform(0.78, 0.92),
        septal_gain=float(septal),
        infarct_deg=rng.uniform(0, 360),
        infarct_width_deg=rng.uniform(45, 75),
        infarct_level=rng.uniform(0.45, 0.9),
        infarct_strength=float(infarct),
        tilt=(float(0.08 * rng.standard_normal()), float(0.08 * rng.standard_normal())),
    )
