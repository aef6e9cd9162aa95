from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.verdict import Condition, verdicts

AREAS = [
    "function",
    "plausibility",
    "validity",
    "3D consistency of labels",
    "3D consistency of images",
    "fidelity",
    "label match",
    "memorisation",
    "identity",
]


def word(area, metrics):
    return {verdict.area: verdict.word for verdict in verdicts(metrics)}[area]


def reason(area, metrics):
    return {verdict.area: verdict.reason for verdict in verdicts(metrics)}[area]


def function(share):
    return {"function.inside_floor": share, "function.inside_floor_count": 25 * share, "function.compared": 25}


def plausibility(share):
    return {
        "plausibility.inside_interval": share,
        "plausibility.rule_hits.HCM": 0.3,
        "plausibility.rule_hits_real.HCM": 0.25,
    }


def validity(share):
    return {"validity.invalid_slices": share, "validity.invalid_slices_real": 0.04}


def consistency(share, area="consistency"):
    return {f"{area}.inside_real_range": share, f"{area}.inside_real_range_floor": 0.9}


def fidelity(value, space="own"):
    return {
        f"fidelity.frechet.{space}": value,
        f"fidelity.frechet_floor.{space}": 8.0,
        f"fidelity.frechet_floor95.{space}": 10.0,
    }


def label_match(dice):
    return {"label_match.dice": dice, "label_match.dice_real": 0.9}


def memorisation(share, image=0.0):
    return {"memorisation.label_share_too_close": share, "memorisation.image_share_too_close": image}


def identity(correlation):
    return {"identity.monotonicity": correlation, "identity.overlap": 0.95}


CASES = {
    "function": (function, (1.0, 0.88), (0.87, 0.6), (0.59, 0.0)),
    "plausibility": (plausibility, (1.0,), (0.99, 0.75), (0.74, 0.0)),
    "validity": (validity, (0.0, 0.04), (0.041, 0.08), (0.081, 1.0)),
    "3D consistency of labels": (consistency, (0.95, 0.851), (0.849, 0.601), (0.599,)),
    "3D consistency of images": (
        lambda share: consistency(share, "consistency.image"),
        (0.95, 0.851),
        (0.849, 0.601),
        (0.599,),
    ),
    "fidelity": (fidelity, (0.0, 10.0), (10.1, 16.0), (16.1,)),
    "label match": (label_match, (0.95, 0.851), (0.849, 0.751), (0.749, 0.0)),
    "memorisation": (memorisation, (0.0, 0.05), (0.051, 0.1), (0.101, 1.0)),
    "identity": (identity, (1.0, 0.9), (0.89, 0.7), (0.69, -1.0)),
}


@pytest.mark.parametrize("area", AREAS)
def test_an_area_is_inside_near_or_outside_at_its_limits(area):
    metrics, *values = CASES[area]
    for expected, of_word in zip(("inside", "near", "outside"), values, strict=True):
        for value in of_word:
            assert word(area, metrics(value)) == expected


@pytest.mark.parametrize("area", AREAS)
def test_what_one_area_measures_leaves_the_others_unmeasured(area):
    metrics, inside, *_ = CASES[area]
    found = verdicts(metrics(inside[0]))
    assert [verdict.area for verdict in found] == AREAS
    for verdict in found:
        assert (verdict.word == "not measured") is (verdict.area != area)
        assert bool(verdict.reason) is (verdict.area == area)


def test_identity_needs_no_overlap_for_a_virtual_parent_has_none():
    metrics, inside, *_ = CASES["identity"]
    whole = metrics(inside[0])
    (told,) = (v for v in verdicts({k: v for k, v in whole.items() if k != "identity.overlap"}) if v.area == "identity")
    assert told.word == "inside"
    assert "overlap" not in told.reason
    without = {k: v for k, v in whole.items() if k != "identity.monotonicity"}
    assert word("identity", without) == "not measured"


@pytest.mark.parametrize("area", ["validity", "label match"])
def test_an_area_that_lacks_one_of_its_two_numbers_is_not_measured(area):
    metrics, inside, *_ = CASES[area]
    for key in (whole := metrics(inside[0])):
        assert word(area, {k: v for k, v in whole.items() if k != key}) == "not measured"


def test_nothing_measured_nothing_said():
    assert {verdict.word for verdict in verdicts({})} == {"not measured"}


def test_fidelity_prefers_its_own_features_and_takes_imagenets():
    both = fidelity(5.0) | fidelity(100.0, "imagenet")
    assert word("fidelity", both) == "inside"
    assert "own features" in reason("fidelity", both)
    assert word("fidelity", fidelity(100.0, "imagenet")) == "outside"
    assert "imagenet features" in reason("fidelity", fidelity(5.0, "imagenet"))


def test_memorisation_is_as_bad_as_its_worse_half():
    assert word("memorisation", memorisation(0.0, 0.2)) == "outside"
    assert word("memorisation", memorisation(0.07, 0.0)) == "near"
    assert word("memorisation", {"memorisation.label_share_too_close": 0.0}) == "inside"
    attacked = memorisation(0.0) | {"memorisation.label_membership_auc": 0.53}
    assert "membership attack AUC 0.53" in reason("memorisation", attacked)


def test_the_reason_gives_the_numbers():
    assert "22 of 25" in reason("function", function(0.88))
    assert "3 hearts with a negative" in reason("function", function(0.88) | {"function.negative_ef": 3})
    assert "HCM 30% (real 25%)" in reason("plausibility", plausibility(1.0))
    assert "5.0% of slices" in reason("validity", validity(0.05))
    assert "4.0% of real ones" in reason("validity", validity(0.05))
    assert "0.850; on real images 0.900" in reason("label match", label_match(0.85))
    assert "0.950" in reason("identity", identity(1.0))


@given(
    st.from_regex(r"[A-Za-z0-9_.]+", fullmatch=True),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " ", "  "]),
)
def test_a_condition_reads_back_what_was_written(key, comparison, number, blank):
    condition = Condition.parse(f"{blank}{key}{blank}{comparison}{blank}{number!r}{blank}")
    assert (condition.key, condition.comparison, condition.number) == (key, comparison, number)


@given(st.sampled_from([0.01, 0.02, 0.03]), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_a_condition_holds_as_its_operator_says(value, comparison):
    reference = {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
    condition = Condition.parse(f"validity.invalid_slices {comparison} 2e-2")
    assert condition.holds({"validity.invalid_slices": value, "other": 1}) is reference[comparison](value, 0.02)


@pytest.mark.parametrize(
    "text", ["", "validity", "validity >", "> 3", "a = 3", "a >> 3", "a > b", "a > 3 4", "a > 1e", "a > 1-2", "a b > 3"]
)
def test_what_is_no_condition_is_an_error_that_shows_one(text):
    with pytest.raises(CardiomorphError, match="is no condition") as error:
        Condition.parse(text)
    assert repr(text) in str(error.value)
    assert "validity.invalid_slices > 0.01" in str(error.value)


def test_a_condition_on_what_was_not_measured_is_an_error():
    with pytest.raises(CardiomorphError, match=r"'validity.invalid_slices' was not measured"):
        Condition.parse("validity.invalid_slices > 0.01").holds({"validity.valid": 1.0})
