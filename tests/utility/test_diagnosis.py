"""Groups named from measures: who taught, who was asked."""

import numpy as np
import pytest

from cardiomorph.evaluation.discriminant import discriminant
from cardiomorph.utility.diagnosis import MEASURES, accuracy, diagnosis, features_of, together

RNG = np.random.default_rng(0)
MEANS = {"NOR": 0.0, "DCM": 4.0, "HCM": -4.0}


def features(n, scale=1.0):
    return {g: m + RNG.normal(0, scale, (n, len(MEASURES))) for g, m in MEANS.items()}


def test_well_separated_groups_are_named_and_mixed_ones_guessed():
    assert accuracy(features(20), features(50)) > 0.99
    mixed = {group: rows[:, ::-1] * 0 + RNG.normal(size=rows.shape) for group, rows in features(200).items()}
    assert accuracy(features(20), mixed) == pytest.approx(1 / 3, abs=0.08)


def test_it_is_the_rule_of_equal_covariances():
    """Of two groups with the identity for covariance, the nearer mean (up to the shrinkage, which keeps a diagonal)."""
    one, two = RNG.normal(0, 1, (4000, 3)), RNG.normal((3, 0, 0), 1, (4000, 3))
    found = discriminant({"a": one, "b": two})
    for point in RNG.normal((1.5, 0, 0), 2, (200, 3)):
        nearer = "a" if abs(point[0]) < abs(point[0] - 3) else "b"
        assert found.named(point) == nearer or abs(point[0] - 1.5) < 0.1


def test_a_group_that_was_not_taught_is_never_named():
    taught = {group: rows for group, rows in features(20).items() if group != "HCM"}
    assert accuracy(taught, features(50)) == pytest.approx(2 / 3, abs=0.02)


def test_one_group_teaches_nothing():
    found = diagnosis({"NOR": RNG.normal(size=(8, 6))}, features(10), features(10))
    assert found["real_on_test"] is None
    assert found["synthetic_on_test"] > 0.99
    assert found["both_on_test"] > 0.99
    without = diagnosis({"NOR": RNG.normal(size=(8, 6))}, {}, features(10))
    assert without["both_on_test"] is None


def test_hearts_that_lack_a_measure_are_left_out():
    whole = dict.fromkeys(MEASURES, 1.0)
    found = features_of([("NOR", whole), ("NOR", {**whole, "wall_max_mm": None}), ("DCM", whole)])
    assert {group: len(rows) for group, rows in found.items()} == {"NOR": 1, "DCM": 1}
    assert {g: len(r) for g, r in together(found, found).items()} == {"NOR": 2, "DCM": 2}
