"""A second task: the group of a test patient, told from what a cardiologist measures, after training on whom?

Real patients, synthetic hearts, or both: a linear discriminant learns from each and names the groups of the test
patients (train on synthetic, test on real), and the other way round what real patients teach of synthetic hearts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES
from cardiomorph.evaluation.discriminant import discriminant
from cardiomorph.evaluation.function import Measures, measure_heart
from cardiomorph.files import read_record
from cardiomorph.utility.cases import Case
from cardiomorph.volume import Volume

MEASURES = ("lv_edv_ml", "lv_ef_pct", "rv_edv_ml", "rv_ef_pct", "lv_mass_g", "wall_max_mm")
Features = dict[str, NDArray[np.float64]]
"""By group, (hearts, measures)."""


def measured_case(case: Case) -> Measures:
    """A real heart's measures, of its labels."""
    labels = {p: Volume(np.moveaxis(case.stacks[p].label, 0, -1), case.stacks[p].spacing_mm) for p in PHASES}
    return measure_heart(labels, None, None)


def measured_hearts(folder: Path) -> list[tuple[str, Measures]]:
    """Group and measures of every synthetic heart of a folder."""
    found = [read_record(path) for path in sorted(folder.glob("*/measures.json"))]
    return [(str(one["group"]), one) for one in found]


def features_of(hearts: Iterable[tuple[str, Measures]]) -> Features:
    """Hearts by group; one that lacks a measure is left out."""
    rows: dict[str, list[list[float]]] = {}
    for group, measures in hearts:
        values = [measures.get(name) for name in MEASURES]
        known = [float(value) for value in values if value is not None]
        if len(known) == len(MEASURES):
            rows.setdefault(group, []).append(known)
    return {group: np.array(found) for group, found in sorted(rows.items())}


def together(one: Features, other: Features) -> Features:
    """Both sets' hearts."""
    return {
        group: np.concatenate([part[group] for part in (one, other) if group in part])
        for group in sorted(one.keys() | other.keys())
    }


def accuracy(training: Features, test: Features) -> float | None:
    """Share of the test hearts whose group is named, groups weighing the same; None where one group or none teaches.

    Of a group that training has not, none is named.
    """
    if len(training) < 2 or not test:
        return None
    found = discriminant(training)
    right = [np.mean([found.named(row) == group for row in rows]) for group, rows in test.items()]
    return float(np.mean(right))


def diagnosis(real: Features, synthetic: Features, test: Features) -> Mapping[str, float | None]:
    """Accuracy by who taught and who was asked."""
    return {
        "real_on_test": accuracy(real, test),
        "synthetic_on_test": accuracy(synthetic, test),
        "both_on_test": accuracy(together(real, synthetic), test) if synthetic else None,
        "real_on_synthetic": accuracy(real, synthetic),
    }
