"""A comparison's numbers have one name each, and none that is no number."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.comparison import Comparison, distances
from cardiomorph.evaluation.summary import Summary, metrics_of, missing_of

NAMES = st.lists(st.sampled_from(["a", "b", "slice", "NOR"]), max_size=2).map(tuple)
PARTS = [part.name for part in fields(Comparison) if part.name not in ("path", "of")]
NUMBERS = st.dictionaries(st.sampled_from(PARTS), st.floats(), min_size=1)


def test_keys_are_those_of_the_docs():
    numbers = dict.fromkeys(PARTS, 1.0)
    found = metrics_of({"fidelity": Summary((Comparison(("frechet",), ("own",), **numbers),))})
    assert set(found) == {
        f"fidelity.frechet{end}.own"
        for end in ("", "_low", "_high", "_real", "_real_low", "_real_high", "_floor", "_floor95")
    }
    nested = Comparison(("slice", "lv_hole"), value=0.1, real=0.2)
    assert metrics_of({"validity": Summary((nested,))}) == {
        "validity.slice.lv_hole": 0.1,
        "validity.slice.lv_hole_real": 0.2,
    }


@given(NAMES, NAMES, NUMBERS)
def test_what_is_finite_is_a_metric_and_the_rest_is_missing(path, of, numbers):
    comparison = Comparison((*path, "quantity"), of, **numbers)
    summary = Summary((comparison,)).finite()
    metrics, missing = metrics_of({"area": summary}), missing_of({"area": summary})
    assert len(comparison.numbers()) == len(numbers)
    assert sorted(metrics.values()) == sorted(n for n in numbers.values() if math.isfinite(n))
    assert len(missing) == sum(not math.isfinite(n) for n in numbers.values())
    assert metrics.keys().isdisjoint(missing)
    assert set(missing.values()) <= {"the value is not finite"}


@given(NAMES, NAMES, st.floats(allow_nan=False))
def test_a_comparison_is_found_by_its_name(path, of, value):
    path = (*path, "quantity")
    summary = Summary((Comparison(("other",), of, 1.0), Comparison(path, of, value)))
    assert summary.get(*path, of=of).value == value
    assert summary.get(*path, of=(*of, "more")) == Comparison(path, (*of, "more"))
    assert [c.value for c in summary.every(*path)] == [value]


def test_two_comparisons_of_one_name_are_refused():
    with pytest.raises(CardiomorphError, match=r"two comparisons are both named 'area.a_real'"):
        metrics_of({"area": Summary((Comparison(("a",), real=1.0), Comparison(("a_real",), value=1.0)))})


def test_a_value_stands_beside_its_floor_where_it_has_one():
    assert Comparison(("a",), value=1.0, real=2.0).reference == 2.0
    assert Comparison(("a",), value=1.0, real=2.0, floor=3.0, floor95=4.0).reference == 4.0
    assert Comparison(("a",), value=1.0).reference is None


def test_distances_of_few_real_hearts_have_no_floor():
    for n, known in ((3, False), (4, True)):
        found = distances(("NOR", "m"), [1.0, 2.0], [float(k) for k in range(n)], np.random.default_rng(0))
        assert [c.path for c in found] == [("wasserstein",), ("energy",)]
        for comparison in found:
            assert comparison.of == ("NOR", "m")
            assert (comparison.floor is not None) is (comparison.floor95 is not None) is known
