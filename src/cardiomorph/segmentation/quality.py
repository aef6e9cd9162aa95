"""How sure a labelling is: a predicted Dice for each structure, calibrated on patients whose truth was known.

The network's eight looks at a heart agree less where it is wrong, its probabilities are less decided, more had to be
cleaned away, and the result breaks anatomical rules. On patients set aside from training, as they are and made worse
(noise, blur, contrast), the logarithm of the error, 1 - Dice, is fitted as a linear function of these (ridge).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.anatomy import STRUCTURES, Label, Phase
from cardiomorph.evaluation.validity import volume_failures
from cardiomorph.files import read_record, validated
from cardiomorph.segmentation.stack import Labelling
from cardiomorph.volume import Volume

QUALITY = "quality.json"
GOOD, DOUBTFUL = 0.85, 0.70
_FLOOR = 1e-3
_RIDGE = 1.0
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Signs:
    """What one labelled phase gives away about itself."""

    by_structure: Mapping[str, tuple[float, ...]]


def signs_of(labelling: Labelling, cleaned: NDArray[np.uint8], volume: Volume) -> Signs:
    """The predictors of a phase's error.

    Args:
        labelling: as the network gave it.
        cleaned: (n_slices, nx, ny), what was kept.
        volume: the same as a volume.
    """
    raw, confidence = labelling.label, labelling.probability.max(axis=0)
    phase: Phase = "ED"
    broken = sum(volume_failures({phase: volume}).values())
    removed = float((raw != cleaned).sum()) / max(1, int((raw > 0).sum()))
    found = {}
    for structure in STRUCTURES:
        inside = raw == structure
        sure = float(confidence[inside].mean()) if inside.any() else 0.5
        doubt = math.log(1.0 - labelling.overlap[_name(structure)] + _FLOOR)
        found[_name(structure)] = (1.0, doubt, math.log(1.0 - sure + _FLOOR), min(removed, 1.0), float(broken))
    return Signs(found)


def _name(structure: Label) -> str:
    return structure.name.lower()


class Calibration(BaseModel):
    """The fit: by structure, weights of the signs, and the 90 % range of log(true error / predicted error)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    weights: dict[str, list[Finite]]
    spread: dict[str, tuple[Finite, Finite]]
    subjects: int
    stacks: int

    def predicted(self, signs: Signs) -> dict[str, float]:
        """Predicted Dice by structure."""
        return {name: 1.0 - math.exp(min(0.0, self._log_error(name, signs))) for name in self.weights}

    def range90(self, signs: Signs) -> dict[str, tuple[float, float]]:
        """Where nine in ten of the true Dice lay in the calibration, for such signs."""
        found = {}
        for name, (low, high) in self.spread.items():
            centre = self._log_error(name, signs)
            found[name] = (1.0 - math.exp(min(0.0, centre + high)), 1.0 - math.exp(min(0.0, centre + low)))
        return found

    def _log_error(self, name: str, signs: Signs) -> float:
        return float(np.dot(self.weights[name], signs.by_structure[name]))


def fitted(signs: Sequence[Signs], dice: Sequence[Mapping[str, float]], subjects: int) -> Calibration:
    """Fits the error of labelled stacks whose truth is known.

    Args:
        dice: by stack and structure.
        subjects: how many people they come from.
    """
    weights, spread = {}, {}
    for structure in STRUCTURES:
        name = _name(structure)
        x = np.array([s.by_structure[name] for s in signs])
        y = np.log(np.clip(1.0 - np.array([d[name] for d in dice]), _FLOOR, 1.0))
        penalty = _RIDGE * np.eye(x.shape[1])
        penalty[0, 0] = 0.0
        solved = np.linalg.solve(x.T @ x + penalty, x.T @ y)
        low, high = np.percentile(y - x @ solved, (5, 95))
        weights[name], spread[name] = solved.tolist(), (float(low), float(high))
    return Calibration(weights=weights, spread=spread, subjects=subjects, stacks=len(signs))


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration that lies beside a segmenter; None where it was never calibrated."""
    path = folder / QUALITY
    return validated(Calibration, read_record(path), path) if path.is_file() else None


def verdict(predicted: Mapping[str, float]) -> str:
    """In a word: good, doubtful (look at it) or poor, by the mean predicted Dice."""
    mean = float(np.mean(list(predicted.values())))
    return "good" if mean >= GOOD else "doubtful" if mean >= DOUBTFUL else "poor"
