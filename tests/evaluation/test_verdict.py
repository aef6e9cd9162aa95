from __future__ import annotations

import operator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas import AREAS
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Condition
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.synthesis.field_area import FullField
from cardiomorph.synthesis.morph_series import Identity
from cardiomorph.synthesis.swap import Swap

EVERY = [*AREAS, FullField(None, None), Identity(None, "", None, PopulationSampler()), Swap(None, None, None)]
NAMES = [
    "function",
    "joint",
    "plausibility",
    "validity",
    "3D consistency of labels",
    "3D consistency of images",
    "fidelity",
    "label match",
    "memorisation",
    "full field",
    "identity",
]


def verdicts(found):
    """Verdicts of all areas on comparisons by area."""
    return [verdict for area in EVERY for verdict in area.judge(Summary(tuple(found.get(area.name, ()))))]


def word(area, found):
    return {verdict.area: verdict.word for verdict in verdicts(found)}[area]


def reason(area, found):
    return {verdict.area: verdict.reason for verdict in verdicts(found)}[area]


def value(name, number, **others):
    return Comparison((name,), value=number, **others)


def function(share):
    counts = {"inside_floor": share, "inside_floor_count": 25 * share, "compared": 25}
    return {"function": [value(name, number) for name, number in counts.items()]}


def joint(p, power=1.0):
    seen = {"nothing": 0.05, "collapse": power, "half_spread": power, "shift_half_sd": 0.3, "copies": 0.0}
    powers = [Comparison(("power",), ("all", name), share) for name, share in seen.items()]
    return {"joint": [Comparison(("p",), ("all",), p), *powers]}


def full_field(match):
    return {"full_field": [value("label_match", match, real=0.92)]}


def plausibility(share):
    rates = [Comparison(("rule_hits",), ("HCM",), 0.3, real=0.25), value("inside_interval", share)]
    return {"plausibility": rates}


def validity(share):
    return {"validity": [value("invalid_slices", share, real=0.04)]}


def consistency(share, *part):
    return {"consistency": [Comparison((*part, "inside_real_range"), value=share, floor=0.9)]}


def fidelity(distance, space="own"):
    return {"fidelity": [Comparison(("frechet",), (space,), distance, floor=8.0, floor95=10.0)]}


def label_match(dice):
    return {"label_match": [value("dice", dice, real=0.9)]}


def memorisation(share, image=0.0):
    return {"memorisation": [value("label_share_too_close", share), value("image_share_too_close", image)]}


def identity(skill, chance=0.05):
    found = chance + skill * (1 - chance)
    return {"identity": [value("reidentified_shape", found, real=chance), value("overlap", 0.95)]}


CASES = {
    "function": (function, (1.0, 0.88), (0.87, 0.6), (0.59, 0.0)),
    "joint": (joint, (1.0, 0.05), (0.049, 0.01), (0.009, 0.0)),
    "full field": (full_field, (1.0, 0.901), (0.899, 0.821), (0.819, 0.0)),
    "plausibility": (plausibility, (1.0,), (0.99, 0.75), (0.74, 0.0)),
    "validity": (validity, (0.0, 0.04), (0.041, 0.08), (0.081, 1.0)),
    "3D consistency of labels": (consistency, (0.95, 0.851), (0.849, 0.601), (0.599,)),
    "3D consistency of images": (
        lambda share: consistency(share, "image"),
        (0.95, 0.851),
        (0.849, 0.601),
        (0.599,),
    ),
    "fidelity": (fidelity, (0.0, 10.0), (10.1, 16.0), (16.1,)),
    "label match": (label_match, (0.95, 0.851), (0.849, 0.751), (0.749, 0.0)),
    "memorisation": (memorisation, (0.0, 0.05), (0.051, 0.1), (0.101, 1.0)),
    "identity": (identity, (1.0, 0.501), (0.499, 0.251), (0.249, 0.0)),
}


@pytest.mark.parametrize("area", NAMES)
def test_an_area_is_inside_near_or_outside_at_its_limits(area):
    found, *values = CASES[area]
    for expected, of_word in zip(("inside", "near", "outside"), values, strict=True):
        for number in of_word:
            assert word(area, found(number)) == expected


@pytest.mark.parametrize("area", NAMES)
def test_what_one_area_measures_leaves_the_others_unmeasured(area):
    found, inside, *_ = CASES[area]
    judged = verdicts(found(inside[0]))
    assert [verdict.area for verdict in judged] == NAMES
    for verdict in judged:
        assert (verdict.word == "not measured") is (verdict.area != area)
        assert bool(verdict.reason) is (verdict.area == area)


def test_a_test_without_power_says_nothing_by_finding_nothing():
    assert word("joint", joint(1.0, power=0.79)) == "near"
    assert word("joint", joint(0.04, power=0.79)) == "outside"
    assert "collapse 79%" in reason("joint", joint(1.0, power=0.79))


def test_a_full_field_that_is_read_worse_than_its_scans_is_not_inside():
    good_scans = {"full_field": [value("label_match", 0.91, real=0.95)]}
    assert word("full field", good_scans) == "near"


def test_identity_needs_no_overlap_for_a_virtual_parent_has_none():
    shape, overlap = identity(1.0)["identity"]
    assert word("identity", {"identity": [shape]}) == "inside"
    assert "overlap" not in reason("identity", {"identity": [shape]})
    assert word("identity", {"identity": [overlap]}) == "not measured"


def test_a_disease_that_grows_is_no_identity():
    """Every morph grows, whoever's it is."""
    grown = {"identity": [value("monotonicity", 1.0), *identity(0.0)["identity"]]}
    assert word("identity", grown) == "outside"


def test_identity_is_as_good_as_its_worse_half():
    looks = [*identity(1.0)["identity"], value("reidentified_appearance", 0.1, real=0.05)]
    assert word("identity", {"identity": looks}) == "outside"
    assert "by appearance in 10%" in reason("identity", {"identity": looks})


@pytest.mark.parametrize("area", ["validity", "label match", "3D consistency of labels", "fidelity"])
@pytest.mark.parametrize("part", ["value", "real", "floor"])
def test_an_area_that_lacks_one_of_its_numbers_is_not_measured(area, part):
    found, inside, *_ = CASES[area]
    ((name, (comparison,)),) = found(inside[0]).items()
    without = {name: [replace(comparison, **{part: None})]}
    assert word(area, without) == ("inside" if without == {name: [comparison]} else "not measured")


def test_nothing_measured_nothing_said():
    assert {verdict.word for verdict in verdicts({})} == {"not measured"}


def test_fidelity_prefers_its_own_features_and_takes_imagenets():
    both = {"fidelity": [*fidelity(100.0, "imagenet")["fidelity"], *fidelity(5.0)["fidelity"]]}
    assert word("fidelity", both) == "inside"
    assert "own features" in reason("fidelity", both)
    assert word("fidelity", fidelity(100.0, "imagenet")) == "outside"
    assert "imagenet features" in reason("fidelity", fidelity(5.0, "imagenet"))


def test_memorisation_is_as_bad_as_its_worse_half():
    assert word("memorisation", memorisation(0.0, 0.2)) == "outside"
    assert word("memorisation", memorisation(0.07, 0.0)) == "near"
    assert word("memorisation", {"memorisation": memorisation(0.0)["memorisation"][:1]}) == "inside"
    assert word("memorisation", {"memorisation": memorisation(0.0)["memorisation"][1:]}) == "not measured"
    attacked = {"memorisation": [*memorisation(0.0)["memorisation"], value("label_membership_auc", 0.53)]}
    assert "membership attack AUC 0.53" in reason("memorisation", attacked)


def test_the_reason_gives_the_numbers():
    assert "22 of 25" in reason("function", function(0.88))
    negative = {"function": [*function(0.88)["function"], value("negative_ef", 3)]}
    assert "3 hearts with a negative" in reason("function", negative)
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
