"""The reference of real hearts: group means and spreads, bounds, limits, and nothing of one subject."""

import numpy as np
import pytest

from cardiomorph.anatomy import PHASES
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.evaluation.reference import Reference, reference_of


@pytest.fixture(scope="module")
def reference(cohort):
    return reference_of(cohort.subjects("train"))


def test_means_and_spreads_are_those_of_the_group(cohort, reference):
    measured = [
        measure_heart({p: s.label_volume(p) for p in PHASES}, s.height_cm, s.weight_kg)["lv_edv_ml"]
        for s in cohort.subjects("train", "DCM")
    ]
    found = reference.measures["DCM"]["lv_edv_ml"]
    assert (found.mean, found.sd) == (
        pytest.approx(np.mean(measured), abs=1e-3),
        pytest.approx(np.std(measured, ddof=1), abs=1e-3),
    )
    assert found.n == len(measured)


def test_real_hearts_are_valid_by_their_own_bounds_and_broken_ones_are_not(cohort, reference):
    label = cohort.load(cohort.ids("train")[0]).label_volume("ED")
    assert reference.invalid_slices(label).mean() < 0.3
    broken = label.array.copy()
    broken[:4, :4] = 3
    assert reference.invalid_slices(label.with_array(broken)).all()


def test_most_real_hearts_lie_within_the_limits(cohort, reference):
    inside = []
    for subject in cohort.subjects("train"):
        found = reference.smoothness({p: subject.label_volume(p) for p in PHASES})
        inside += [low <= found[key] <= high for key, (low, high) in reference.smooth.items()]
    assert np.mean(inside) > 0.7


def test_it_survives_json(reference):
    assert Reference.model_validate_json(reference.model_dump_json()) == reference
