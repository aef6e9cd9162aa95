"""ED and ES of a volume curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.errors import CardiomorphError
from cardiomorph.segmentation.phases import find_phases, smoothed


def beat(n, es, edv=130.0, esv=50.0, start=0):
    t = (np.arange(n) - start) % n
    share = np.where(t <= es, t / es, (n - t) / (n - es))
    return edv - (edv - esv) * np.sin(0.5 * np.pi * share) ** 2


@given(st.integers(12, 40), st.floats(0.25, 0.55), st.integers(0, 39))
def test_the_fullest_and_emptiest_frames_are_found_wherever_the_cycle_begins(n, share, start):
    es = round(share * n)
    ed_found, es_found = find_phases(beat(n, es, start=start % n))
    assert ed_found == start % n
    assert es_found == (start + es) % n


def test_one_frame_that_went_wrong_does_not_decide():
    curve = beat(20, 7)
    curve[3], curve[15] = 10.0, 300.0
    assert find_phases(curve) == (0, 7)


def test_a_median_of_a_cycle_goes_round():
    assert smoothed([1, 5, 2, 3, 9]).tolist() == [5, 2, 3, 3, 3]


@pytest.mark.parametrize("curve", [[100.0] * 10, [0.0] * 10, [100, 100.5, 100, 99.5, 100]])
def test_what_does_not_beat_is_said(curve):
    with pytest.raises(CardiomorphError, match="as large in all"):
        find_phases(curve)


def test_two_frames_are_the_larger_and_the_smaller():
    assert find_phases([50.0, 130.0]) == (1, 0)
