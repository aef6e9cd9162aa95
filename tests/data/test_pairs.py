"""Image and label are one pair on one grid, or one clear error that names both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardiomorph.data.subject import checked_frame, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.nifti_header import ZOOMS_WIN
from cardiomorph.volume import Volume
from conftest import ED, SPACING_MM, heart_label, textured

WHERE = Path("image.nii.gz")
LABEL = heart_label(ED["NOR"])
AFFINE = np.diag([*SPACING_MM, 1.0])
AFFINE[:3, 3] = (-70.0, 40.0, 10.0)


def pair(**changes):
    """Label and image on one grid, the label with some attributes changed."""
    image = Volume(textured(LABEL, 0), SPACING_MM, AFFINE, 1)
    return replace(Volume(LABEL, SPACING_MM, AFFINE, 1), **changes), image


def affine(change):
    return change(np.eye(4)) @ AFFINE


def moved(by_mm):
    matrix = np.eye(4)
    matrix[:3, 3] = by_mm
    return matrix @ AFFINE


def test_one_grid_is_a_pair():
    frame = checked_frame(*pair(), WHERE)
    np.testing.assert_array_equal(frame.label.array, LABEL)
    assert frame.image.array.dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_another_spacing_is_an_error_that_names_both(axis):
    spacing = list(SPACING_MM)
    spacing[axis] *= 1.2
    with pytest.raises(CardiomorphError, match=r"image has the spacing 1.6 x 1.6 x 10 mm, its label .*1(\.9)?2"):
        checked_frame(*pair(spacing_mm=tuple(spacing), affine=np.diag([*spacing, 1.0])), WHERE)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(moved((5.0, 0.0, 0.0)), id="moved in plane"),
        pytest.param(moved((0.0, 0.0, 10.0)), id="moved by a slice"),
        pytest.param(np.diag([-1.0, 1.0, 1.0, 1.0]) @ AFFINE, id="mirrored"),
        pytest.param(AFFINE @ np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), id="turned"),
    ],
)
def test_another_place_in_the_world_is_an_error(other):
    with pytest.raises(CardiomorphError, match="mm apart in the world by their affines"):
        checked_frame(*pair(affine=other), WHERE)


def test_a_hair_in_the_affine_is_no_difference():
    frame = checked_frame(*pair(affine=moved((0.01, 0.02, 0.0))), WHERE)
    np.testing.assert_array_equal(frame.label.affine, AFFINE)


@pytest.mark.parametrize("changes", [{"code": 0}, {"doubts": (ZOOMS_WIN,)}, {"affine": None, "code": 0}])
def test_a_label_without_a_place_takes_the_images(changes):
    frame = checked_frame(*pair(**{"affine": np.diag([*SPACING_MM, 1.0]), **changes}), WHERE)
    np.testing.assert_array_equal(frame.label.affine, AFFINE)
    assert frame.label.code == 1


def test_an_image_without_a_place_takes_the_labels():
    label, image = pair()
    frame = checked_frame(label, replace(image, affine=np.diag([*SPACING_MM, 1.0]), code=0), WHERE)
    np.testing.assert_array_equal(frame.image.affine, AFFINE)


@pytest.mark.parametrize("noise", [1e-9, 1e-4, -4e-4])
def test_labels_a_hair_off_a_whole_number_are_that_number(noise):
    label = checked_label(Volume(LABEL + noise, SPACING_MM), WHERE)
    np.testing.assert_array_equal(label.array, LABEL)


@pytest.mark.parametrize("value", [0.5, 2.9, np.nan, np.inf, -1.0, 7.0])
def test_any_other_value_is_named(value):
    array = LABEL.astype(np.float64)
    array[0, 0, 0] = value
    with pytest.raises(CardiomorphError, match=rf"holds label values \[{value}\]"):
        checked_label(Volume(array, SPACING_MM), WHERE)


def test_codes_are_translated_all_at_once_and_grey_masks_too():
    grey = np.array([0, 85, 170, 255], np.uint8)[LABEL]
    np.testing.assert_array_equal(checked_label(Volume(grey, SPACING_MM), WHERE, {85: 1, 170: 2, 255: 3}).array, LABEL)
    swapped = np.array([0, 3, 2, 1], np.uint8)[LABEL]
    np.testing.assert_array_equal(checked_label(Volume(swapped, SPACING_MM), WHERE, {1: 3, 3: 1}).array, LABEL)


def test_a_code_of_which_nothing_was_said_is_not_merged_with_one_that_was():
    with pytest.raises(CardiomorphError, match="holds the code 3, of which nothing was said"):
        checked_label(Volume(np.array([0, 3, 2, 1], np.uint8)[LABEL], SPACING_MM), WHERE, {1: 3})
