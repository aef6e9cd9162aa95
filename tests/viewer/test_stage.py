"""A patient's whole image on the stage: nothing is mirrored, and the world's directions are right."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cardiomorph.viewer.stage import letters, staged, turn_of
from cardiomorph.volume import Volume

SHAPE = (5, 6, 4)
ARRAY = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def volume(axes, spacing=(1.0, 2.0, 8.0)):
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(axes, float).T * spacing
    return Volume(ARRAY, spacing, affine, 1)


# Slices run down the body, from the base at its head's end: the standing heart of a schoolbook.
DOWN = (0, 0, -1)
IN_PLANE = [
    tuple(sign * np.eye(3)[axis] for axis, sign in zip(order, signs, strict=True))
    for order in permutations((0, 1))
    for signs in product((1, -1), repeat=2)
]


@pytest.mark.parametrize("x_y", IN_PLANE)
def test_however_it_was_stored_the_patients_left_is_on_the_right_and_the_back_below(x_y):
    stored = volume((*x_y, DOWN))
    seen = staged(stored, turn_of(stored))
    assert seen.world == (("R", "L"), ("A", "P"), ("S", "I"))


@given(st.integers(0, 10_000), st.booleans())
def test_every_voxel_keeps_its_place_in_the_world(seed, mirrored):
    axes = Rotation.random(random_state=seed).as_matrix()
    stored = volume(axes * ([[-1], [1], [1]] if mirrored else 1))
    turn = turn_of(stored)
    seen = staged(stored, turn)
    x, y, z = (axis * mm for axis, mm in zip(turn.axes(stored.affine).T, seen.spacing_mm, strict=True))
    # Steps along the turned array's axes are the world's steps between the same voxels.
    first, right = seen.array[0, 0, 0], seen.array[0, 1, 0]
    where = {value: stored.affine @ [*np.argwhere(value == ARRAY)[0], 1] for value in ARRAY.ravel()}
    np.testing.assert_allclose((where[right] - where[first])[:3], x, atol=1e-9)
    np.testing.assert_allclose((where[seen.array[0, 0, 1]] - where[first])[:3], y, atol=1e-9)
    np.testing.assert_allclose((where[seen.array[1, 0, 0]] - where[first])[:3], z, atol=1e-9)


@given(st.integers(0, 10_000))
def test_the_heart_is_never_mirrored(seed):
    axes = Rotation.random(random_state=seed).as_matrix()
    for sign in (1, -1):
        stored = volume(axes * [[sign], [1], [1]])
        assert np.linalg.det(turn_of(stored).axes(stored.affine)) < 0


@pytest.mark.parametrize(
    ("direction", "word"),
    [((1, 0, 0), "R"), ((-1, 0, 0), "L"), ((0, 1, 0), "A"), ((0, 0, -1), "I"), ((0.6, -0.8, 0), "PR"),
     ((0.95, 0.1, 0.1), "R"), ((-0.58, 0.57, 0.58), "LSA")],
)  # fmt: skip
def test_a_direction_in_letters(direction, word):
    found = letters(np.array(direction, float))
    assert sorted(found) == sorted(word)
    assert found[0] in word


def test_without_an_affine_array_axes_are_the_worlds():
    stored = Volume(ARRAY, (1.0, 1.0, 8.0))
    assert staged(stored, turn_of(stored)).array.shape == (4, 5, 6)
