"""Surroundings that follow a heart's border: the border goes where it should, the rim stays, nothing folds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiomorph.synthesis.surroundings import RIM_MM, drawn_after

SIZE, SPACING = 96, (1.5, 1.2)


def disc(radius_mm, centre=(0.0, 0.0), squeeze=1.0):
    x, y = distances(centre)
    return np.hypot(x / squeeze, y) < radius_mm


def distances(centre=(0.0, 0.0)):
    dx, dy = ((np.arange(SIZE) - (SIZE - 1) / 2) * d - c for d, c in zip(SPACING, centre, strict=True))
    return np.broadcast_arrays(dx[:, None], dy[None, :])


def onion():
    """A picture that says how far from the middle it is, in mm."""
    return np.hypot(*distances()).astype(np.float32)


RADII = st.floats(8, 30)


@settings(max_examples=30, deadline=None)
@given(RADII, RADII)
def test_next_to_the_new_border_lies_what_lay_next_to_the_old_one(old_mm, new_mm):
    around = drawn_after(onion(), disc(old_mm), disc(new_mm), SPACING)
    distance = onion()
    next_to = (distance > new_mm + 1.5) & (distance < new_mm + 4)
    shown = around.picture[next_to]
    assert shown.min() >= old_mm - 1
    stretch = (RIM_MM + 2 * max(0.0, new_mm - old_mm)) / RIM_MM
    assert shown.max() <= old_mm + 4 * max(1.0, stretch) + 2


@settings(max_examples=30, deadline=None)
@given(RADII, RADII, st.floats(0.6, 1.6), st.tuples(st.floats(-4, 4), st.floats(-4, 4)))
def test_beyond_the_rim_nothing_moves_and_before_it_nothing_folds(old_mm, new_mm, squeeze, centre):
    rng = np.random.default_rng(0)
    source = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    old, new = disc(old_mm, squeeze=squeeze), disc(new_mm, centre)
    around = drawn_after(source, old, new, SPACING)
    np.testing.assert_array_equal(around.picture[~around.moved], source[~around.moved])
    moved_mm = max(abs(old_mm * max(1, squeeze) - new_mm), abs(old_mm * min(1, squeeze) - new_mm)) + 10
    far = onion() > max(old_mm * max(1, squeeze), new_mm + np.hypot(*centre)) + RIM_MM + moved_mm
    assert not around.moved[far].any()
    shown = drawn_after(onion(), disc(old_mm), disc(new_mm), SPACING).picture[SIZE // 2]
    outward = shown[SIZE // 2 + int((new_mm + 2) / SPACING[1]) : -8]  # the picture ends there
    assert (np.diff(outward) > 0).all(), "what lies farther out must show what lay farther out"


@pytest.mark.parametrize("new_mm", [10, 25])
def test_a_picture_around_the_same_heart_stays_what_it_is(new_mm):
    around = drawn_after(onion(), disc(new_mm), disc(new_mm), SPACING)
    outside = around.outside_mm > 0
    assert outside[~disc(new_mm + 2)].all()
    np.testing.assert_allclose(around.picture[outside], onion()[outside], atol=0.05)
    assert (around.outside_mm[disc(new_mm)] == 0).all()


def test_where_there_was_no_heart_the_tissue_is_pushed_aside():
    around = drawn_after(onion(), np.zeros((SIZE, SIZE), bool), disc(12), SPACING)
    next_to = (onion() > 14) & (onion() < 16)
    assert around.picture[next_to].mean() < 8
