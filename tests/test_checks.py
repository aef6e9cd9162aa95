"""Doors: what may become a path, a seed, a count."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.checks import checked_count, checked_name, checked_seed, is_name
from cardiomorph.errors import CardiomorphError

CLIMBING = [
    "", ".", "..", "../victim", "a/b", "a\\b", "/etc", ".hidden", "a\0b", "a\nb", "a\x1b[31m", " a", "a ", "x" * 121,
    "\udcff", "a\u202eb", None, 3, ["a"],
]  # fmt: skip


@pytest.mark.parametrize("text", CLIMBING)
def test_names_that_climb_hide_or_break_are_refused(text):
    with pytest.raises(CardiomorphError, match=r"^manifest\.csv: the name .* cannot be a file's"):
        checked_name(text, "manifest.csv")


@pytest.mark.parametrize("name", ["patient001", "A0S9V9", "Müller 3", "x" * 120, "a..b", "heart_[red]"])
def test_names_that_people_give_are_kept(name):
    assert checked_name(name) == name


@given(st.text())
def test_a_name_is_one_part_of_a_path(text):
    if is_name(text):
        assert Path("folder", text).parent == Path("folder")
        assert Path(text).name == text


@pytest.mark.parametrize("seed", [-1, 1.9, "3", None, True, math.nan, 2**63])
def test_a_seed_is_a_whole_number_from_zero(seed):
    with pytest.raises(CardiomorphError, match="seed is"):
        checked_seed(seed)
    assert checked_seed(np.int64(7)) == 7


def test_a_count_begins_with_one():
    with pytest.raises(CardiomorphError, match="versions is 0; expected a whole number of 1 or more"):
        checked_count(0, "versions")
