from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from cardiomorph.anatomy import GROUPS
from cardiomorph.evaluation.plausibility import RULES, hit_rate, meets_rule

MEASURES = {"lv_ef_pct": 60.0, "rv_ef_pct": 55.0, "lv_mass_index_g_m2": 70.0, "rv_edv_index_ml_m2": 80.0}


def test_every_group_has_a_rule():
    assert set(RULES) == set(GROUPS)


@pytest.mark.parametrize(
    "group, changes, met",
    [
        ("NOR", {"lv_ef_pct": 50.1, "rv_ef_pct": 40.1}, True),
        ("NOR", {"lv_ef_pct": 50.0}, False),
        ("NOR", {"lv_ef_pct": 49.9}, False),
        ("NOR", {"rv_ef_pct": 40.0}, False),
        ("NOR", {"rv_ef_pct": 39.9}, False),
        ("DCM", {"lv_ef_pct": 39.9}, True),
        ("DCM", {"lv_ef_pct": 40.0}, False),
        ("DCM", {"lv_ef_pct": 40.1}, False),
        ("MINF", {"lv_ef_pct": 39.9}, True),
        ("MINF", {"lv_ef_pct": 40.0}, False),
        ("MINF", {"lv_ef_pct": 40.1}, False),
        ("HCM", {"lv_mass_index_g_m2": 110.1}, True),
        ("HCM", {"lv_mass_index_g_m2": 110.0}, False),
        ("HCM", {"lv_mass_index_g_m2": 109.9}, False),
        ("RV", {}, False),
        ("RV", {"rv_edv_index_ml_m2": 110.1}, True),
        ("RV", {"rv_edv_index_ml_m2": 110.0}, False),
        ("RV", {"rv_ef_pct": 39.9}, True),
        ("RV", {"rv_ef_pct": 40.0}, False),
        ("RV", {"rv_edv_index_ml_m2": 120.0, "rv_ef_pct": 30.0}, True),
    ],
)
def test_a_rule_turns_at_its_limit(group, changes, met):
    assert meets_rule(group, MEASURES | changes) is met


@pytest.mark.parametrize(
    "group, needed",
    [
        ("NOR", ("lv_ef_pct", "rv_ef_pct")),
        ("DCM", ("lv_ef_pct",)),
        ("MINF", ("lv_ef_pct",)),
        ("HCM", ("lv_mass_index_g_m2",)),
        ("RV", ("rv_edv_index_ml_m2", "rv_ef_pct")),
    ],
)
def test_a_missing_measure_leaves_only_the_rules_that_need_it_open(group, needed):
    for key in MEASURES:
        without = {k: v for k, v in MEASURES.items() if k != key}
        for measures in (MEASURES | {key: None}, without):
            assert (meets_rule(group, measures) is None) is (key in needed)


def test_a_group_without_a_rule_is_not_judged():
    assert meets_rule("XYZ", MEASURES) is None
    assert hit_rate("XYZ", [MEASURES]) is None


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_the_interval_is_clopper_and_pearsons(hits, misses, unknown):
    hearts = [{"lv_ef_pct": 20.0}] * hits + [{"lv_ef_pct": None}] * unknown + [{"lv_ef_pct": 60.0}] * misses
    rate, n = hit_rate("DCM", hearts), hits + misses
    if not n:
        assert rate is None
        return
    assert (rate.hits, rate.n) == (hits, n)
    assert rate.share == hits / n
    low = beta.ppf(0.025, hits, misses + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, misses) if misses else 1.0
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=1e-9)


def test_hearts_may_come_one_by_one():
    assert hit_rate("DCM", ({"lv_ef_pct": ef} for ef in (20.0, 60.0))).share == 0.5
