"""Slices as slabs along the axis: laws of equalising and morphing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiomorph.latent.trajectory import Trajectory, equalise, morph, slab_centres


def test_slabs_fill_the_unit_interval():
    assert np.allclose(slab_centres(4), [0.125, 0.375, 0.625, 0.875])


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 40))
def test_a_constant_stays_constant(m, n):
    assert np.allclose(equalise(np.full((m, 3), 2.5), n), 2.5)


def test_the_same_number_of_slices_changes_nothing():
    values = np.random.default_rng(0).normal(size=(9, 4))
    assert np.array_equal(equalise(values, 9), values)


@given(st.integers(2, 16))
@settings(deadline=None)
def test_a_line_is_followed_inside_and_held_beyond_the_last_centres(m):
    result = equalise(slab_centres(m)[:, None], 32)[:, 0]
    expected = np.clip(slab_centres(32), slab_centres(m)[0], slab_centres(m)[-1])
    assert np.allclose(result, expected)


def test_a_smooth_area_curve_keeps_its_integral():
    area = np.sin(np.pi * slab_centres(10))[:, None]
    assert equalise(area).mean() == pytest.approx(area.mean(), rel=0.01)


def _heart(value):
    return Trajectory(
        {"ED": np.full((4, 2), value), "ES": np.full((4, 2), value)}, {"ED": 80 + value, "ES": 70 + value}
    )


def test_morph_begins_at_the_parent_ends_at_the_target_and_is_linear():
    parent, target = _heart(0.0), _heart(10.0)
    assert np.array_equal(morph(parent, target, 0).codes["ED"], parent.codes["ED"])
    assert np.array_equal(morph(parent, target, 1).codes["ES"], target.codes["ES"])
    half = morph(parent, target, 0.5)
    assert np.allclose(half.codes["ED"], 5.0)
    assert half.length_mm == {"ED": 85.0, "ES": 75.0}
