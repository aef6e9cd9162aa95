"""Areas of evaluation: one file each, with what `Area` says.

Adding one is a file with a class of `Area`'s verbs, and one line in `AREAS`: records, metrics.json, the verdicts,
measures.csv and the report read it. The formulas themselves stand a floor above, as functions of arrays.
"""

from __future__ import annotations

from typing import Final

from cardiomorph.evaluation.areas.area import Area
from cardiomorph.evaluation.areas.consistency import Consistency
from cardiomorph.evaluation.areas.fidelity import Fidelity
from cardiomorph.evaluation.areas.function import Function
from cardiomorph.evaluation.areas.joint import Joint
from cardiomorph.evaluation.areas.label_match import LabelMatch
from cardiomorph.evaluation.areas.memorisation import Memorisation
from cardiomorph.evaluation.areas.plausibility import Plausibility
from cardiomorph.evaluation.areas.validity import Validity

__all__ = ["AREAS", "Area"]

AREAS: Final[list[Area]] = [
    Function(),
    Joint(),
    Plausibility(),
    Validity(),
    Consistency(),
    Fidelity(),
    LabelMatch(),
    Memorisation(),
]
"""In the order of the report. Those that need a generator of hearts stand with it, in `synthesis`."""
