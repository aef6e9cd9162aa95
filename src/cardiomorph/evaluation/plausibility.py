"""Do hearts of a group meet the group's textbook rule, and how often do real patients meet it?

The rules are ACDC's definitions (Bernard et al., IEEE TMI 37(11), 2018) as far as volumes and mass can tell: wall
motion and wall thickness of single segments are not in them. Looking like the patients counts, not the textbook: of
real patients with HCM only a quarter meet the mass rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scipy.stats import binomtest

from cardiomorph.anatomy import Group
from cardiomorph.evaluation.function import Measures

RULES: dict[Group, str] = {
    "NOR": "LVEF > 50 % and RVEF > 40 %",
    "DCM": "LVEF < 40 %",
    "HCM": "LV mass > 110 g/m2",
    "MINF": "LVEF < 40 %",
    "RV": "RVEDV > 110 mL/m2 or RVEF < 40 %",
}


def meets_rule(group: str, measures: Measures) -> bool | None:
    """Whether a heart meets its group's rule; None where a measure it needs is missing, or the group has no rule."""
    left, right = measures.get("lv_ef_pct"), measures.get("rv_ef_pct")
    mass, volume = measures.get("lv_mass_index_g_m2"), measures.get("rv_edv_index_ml_m2")
    if group == "NOR":
        return None if left is None or right is None else left > 50 and right > 40
    if group in ("DCM", "MINF"):
        return None if left is None else left < 40
    if group == "HCM":
        return None if mass is None else mass > 110
    if group == "RV":
        return None if volume is None or right is None else volume > 110 or right < 40
    return None


@dataclass(frozen=True)
class HitRate:
    """How many hearts meet their rule, with the exact 95 % interval of the share (Clopper and Pearson, 1934)."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.hits / self.n


def hit_rate(group: str, hearts: Iterable[Measures]) -> HitRate | None:
    """Hit rate over the hearts for which the rule can be judged; None where there is none."""
    judged = [met for met in (meets_rule(group, heart) for heart in hearts) if met is not None]
    if not judged:
        return None
    interval = binomtest(sum(judged), len(judged)).proportion_ci(0.95, "exact")
    return HitRate(sum(judged), len(judged), float(interval.low), float(interval.high))
