"""What a heart is made of here: label codes, phases, groups, colours, densities.

The only place where a label code stands. Codes and groups are ACDC's (Bernard et al., IEEE TMI 37(11), 2018).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal


class Label(IntEnum):
    """Voxel classes of every label map in the project."""

    BACKGROUND = 0
    RV = 1
    MYOCARDIUM = 2
    LV = 3


N_CLASSES: Final = len(Label)
CLASS_NAMES: Final = tuple(label.name.lower() for label in Label)
"""By code. What a model, a cohort and an atlas were made for stands in each by these names."""
STRUCTURES: Final = (Label.RV, Label.MYOCARDIUM, Label.LV)

Phase = Literal["ED", "ES"]
PHASES: Final[tuple[Phase, ...]] = ("ED", "ES")
"""End-diastole (the fullest frame) and end-systole (the emptiest)."""

Group = Literal["NOR", "DCM", "HCM", "MINF", "RV"]
HEALTHY: Final = "NOR"
DISEASES: Final = ("DCM", "HCM", "MINF", "RV")
GROUPS: Final = (HEALTHY, *DISEASES)
GROUP_NAMES: Final = {
    "NOR": "normal",
    "DCM": "dilated cardiomyopathy",
    "HCM": "hypertrophic cardiomyopathy",
    "MINF": "myocardial infarction with systolic heart failure",
    "RV": "abnormal right ventricle",
}

MYOCARDIAL_DENSITY_G_PER_ML: Final = 1.05

LABEL_COLOURS: Final = {
    Label.RV: "#4c9be8",
    Label.MYOCARDIUM: "#5fbf77",
    Label.LV: "#e8574c",
}
GROUP_COLOURS: Final = {
    "NOR": "#4d4d4d",
    "DCM": "#d95f02",
    "HCM": "#7570b3",
    "MINF": "#e7298a",
    "RV": "#1b9e77",
}
