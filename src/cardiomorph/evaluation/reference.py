"""What real hearts measure, in a few numbers a group: enough to judge one heart by, and nothing of any subject.

Means and standard deviations of the measures by group, bounds of the anatomical criteria over all slices, and the 5th
and 95th percentile of through-plane smoothness over all hearts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.evaluation.consistency import LABEL_MEASURES, label_consistency
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.evaluation.validity import Bounds, bounds_of, slice_shapes
from cardiomorph.volume import Volume


class Spread(BaseModel):
    """A measure over the hearts of a group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    sd: float
    n: int


class Reference(BaseModel):
    """Real hearts in numbers.

    Attributes:
        slice_spacing_mm: at which smoothness was measured, the hearts' median.
        measures: by group and measure.
        bounds: largest value of each bounded anatomical criterion (99th percentile of the slices).
        smooth: by through-plane measure, the 5th and 95th percentile over hearts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice_spacing_mm: float
    measures: dict[str, dict[str, Spread]]
    bounds: dict[str, float]
    smooth: dict[str, tuple[float, float]]

    def invalid_slices(self, label: Volume) -> NDArray[np.bool_]:
        """(labelled slices,) which break an anatomical criterion."""
        return np.asarray(Bounds(self.bounds).failures(slice_shapes(label)).any(axis=1))

    def smoothness(self, labels: Mapping[Phase, Volume]) -> dict[str, float | None]:
        """Through-plane measures of a heart, means over its phases, at the real hearts' slice spacing."""
        return smoothness(labels, self.slice_spacing_mm)


def smoothness(labels: Mapping[Phase, Volume], spacing_mm: float) -> dict[str, float | None]:
    """`label_consistency` of a heart, means over its phases; None where a phase has none."""
    found = [label_consistency(label, spacing_mm) for label in labels.values()]
    means: dict[str, float | None] = {}
    for key in LABEL_MEASURES:
        values = [value for one in found if (value := one[key]) is not None]
        means[key] = float(np.mean(values)) if values else None
    return means


def reference_of(subjects: Iterable[PreparedSubject]) -> Reference:
    """The reference of some real hearts; groups with fewer than two have no spread and are left out."""
    by_group: dict[str, list[Measures]] = {}
    shapes, volumes, spacings = [], [], []
    for subject in subjects:
        labels = {phase: subject.label_volume(phase) for phase in PHASES}
        by_group.setdefault(subject.group, []).append(measure_heart(labels, subject.height_cm, subject.weight_kg))
        shapes += [slice_shapes(label) for label in labels.values()]
        volumes.append(labels)
        spacings.append(subject.geometry.slice_spacing_mm("ED"))
    spacing_mm = float(np.median(spacings))
    smooth = [smoothness(labels, spacing_mm) for labels in volumes]
    bounds = {name: value for name, value in bounds_of(shapes).largest.items() if np.isfinite(value)}
    return Reference(
        slice_spacing_mm=spacing_mm,
        measures={group: _spreads(rows) for group, rows in by_group.items() if len(rows) > 1},
        bounds={name: round(value, 5) for name, value in bounds.items()},
        smooth={key: limits for key in LABEL_MEASURES if (limits := _limits([s[key] for s in smooth])) is not None},
    )


def _spreads(rows: list[Measures]) -> dict[str, Spread]:
    spreads = {}
    for key in rows[0]:
        values = [value for row in rows if isinstance(value := row[key], int | float)]
        if len(values) > 1:
            mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
            spreads[key] = Spread(mean=round(mean, 3), sd=round(sd, 3), n=len(values))
    return spreads


def _limits(values: list[Any]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = np.percentile(known, [5, 95]).round(4).tolist()
    return low, high
