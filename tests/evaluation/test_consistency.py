from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import Label
from cardiomorph.evaluation.consistency import (
    IMAGE_MEASURES,
    LABEL_MEASURES,
    adjacent_dice,
    area_bend_mm2,
    centroid_bend_mm,
    endocardial_roughness_mm,
    image_consistency,
    label_consistency,
    thin,
    thinned,
)
from cardiomorph.volume import Volume

PIXEL_MM = 0.5
SLICE_MM = 10.0


def stack(lv_mm, right_mm=(0.0,) * 5, wall_mm=6.0, rv_mm=12.0, pixel_mm=PIXEL_MM):
    """One slice for every LV radius and shift along x: LV disc, ring, RV disc at low x."""
    x = np.arange(-60, 60, pixel_mm) + 0.5 * pixel_mm
    label = np.zeros((x.size, x.size, len(lv_mm)), np.uint8)
    for index, (radius, right) in enumerate(zip(lv_mm, right_mm, strict=True)):
        plane, from_lv = label[:, :, index], np.hypot(x[:, None] - right, x[None])
        plane[np.hypot(x[:, None] - right + 36, x[None]) <= rv_mm] = Label.RV
        plane[from_lv <= radius + wall_mm] = Label.MYOCARDIUM
        plane[from_lv <= radius] = Label.LV
    return Volume(label, (pixel_mm, pixel_mm, SLICE_MM))


def cylinder(n=5):
    return stack([18.0] * n, [0.0] * n)


@given(st.integers(3, 12))
def test_a_cylinder_is_perfectly_smooth(n):
    measures = label_consistency(cylinder(n), SLICE_MM)
    assert set(measures) == set(LABEL_MEASURES)
    assert measures["adjacent_dice"] == 1
    assert measures["area_bend_mm2"] == 0
    assert measures["centroid_bend_mm"] == pytest.approx(0, abs=1e-9)
    assert measures["endocardial_roughness_mm"] == pytest.approx(0, abs=1e-9)


@given(st.floats(-3, 3))
def test_a_leaning_cylinder_bends_and_roughens_by_no_more_than_a_pixel(lean_mm):
    volume = stack([18.0] * 7, [lean_mm * (k - 3) for k in range(7)])
    assert centroid_bend_mm(volume) < 0.3
    assert area_bend_mm2(volume) < 0.02 * math.pi * 18**2
    assert endocardial_roughness_mm(volume) < PIXEL_MM


@given(st.floats(0.2, 2), st.floats(-2, 2))
def test_a_leaning_cone_roughens_by_no_more_than_a_pixel(taper_mm, lean_mm):
    volume = stack([22 - taper_mm * k for k in range(6)], [lean_mm * (k - 3) for k in range(6)])
    assert endocardial_roughness_mm(volume) < PIXEL_MM


def test_finer_pixels_leave_less_roughness():
    radii, right = [22 - 1.3 * k for k in range(6)], [0.7 * k for k in range(6)]
    coarse, fine = (endocardial_roughness_mm(stack(radii, right, pixel_mm=mm)) for mm in (2.0, 0.25))
    assert fine < 0.25 < coarse


@pytest.mark.parametrize("shift_mm", [1.0, 2.0, 4.0])
def test_one_displaced_slice_gives_the_second_differences_of_its_shift(shift_mm):
    """Shifts 0, 0, d, 0, 0 have the second differences d, -2d, d."""
    volume = stack([18.0] * 5, [0, 0, shift_mm, 0, 0])
    assert centroid_bend_mm(volume) == pytest.approx(4 / 3 * shift_mm, abs=0.02)
    assert area_bend_mm2(volume) == 0
    # Seen from the axis a shift by d changes radii by d cos(angle): mean square 1/2, times (1 + 4 + 1) / 3.
    assert endocardial_roughness_mm(volume) == pytest.approx(shift_mm, rel=0.1, abs=0.15)


def test_centroids_are_measured_in_mm():
    volume = stack([18.0] * 5, [0, 0, 4, 0, 0])
    wide = Volume(volume.array[:, ::2], (PIXEL_MM, 2 * PIXEL_MM, SLICE_MM))
    turned = Volume(np.swapaxes(volume.array, 0, 1), volume.spacing_mm)
    assert centroid_bend_mm(wide) == pytest.approx(16 / 3, abs=0.05)
    assert centroid_bend_mm(turned) == pytest.approx(16 / 3, abs=0.05)
    assert endocardial_roughness_mm(wide) == pytest.approx(endocardial_roughness_mm(volume), abs=0.3)


def test_one_wider_slice_gives_the_second_differences_of_area_and_radius():
    volume = stack([18, 18, 20, 18, 18], wall_mm=0, rv_mm=0)
    extra_mm2 = math.pi * (20**2 - 18**2)
    assert area_bend_mm2(volume) == pytest.approx(4 / 3 * extra_mm2, rel=0.02)
    assert endocardial_roughness_mm(volume) == pytest.approx(2 * math.sqrt(2), abs=0.3)


def test_a_step_bends_once_on_either_side():
    volume = stack([18, 18, 18, 20, 20, 20], [0.0] * 6, wall_mm=0, rv_mm=0)
    assert area_bend_mm2(volume) == pytest.approx(math.pi * (20**2 - 18**2) / 2, rel=0.02)
    assert endocardial_roughness_mm(volume) == pytest.approx(math.sqrt(2), abs=0.2)


def test_dice_is_that_of_the_overlap_and_of_structures_both_have():
    label = np.zeros((20, 10, 3), np.uint8)
    label[0:8, :, 0], label[2:10, :, 1] = Label.LV, Label.LV
    label[15:, :, 2] = Label.RV
    assert adjacent_dice(Volume(label, (1.0, 1.0, 8.0))) == pytest.approx(12 / 16)
    assert adjacent_dice(Volume(label[:, :, 1:], (1.0, 1.0, 8.0))) is None


def test_empty_slices_at_the_ends_do_not_count():
    volume = stack([18, 19, 21, 20, 18], [0, 1, 3, 0, 0])
    padded = volume.with_array(np.pad(volume.array, ((0, 0), (0, 0), (2, 3))))
    for measure in (adjacent_dice, area_bend_mm2, centroid_bend_mm, endocardial_roughness_mm):
        assert measure(padded) == pytest.approx(measure(volume))


def test_two_slices_have_no_bend_and_none_nothing():
    assert adjacent_dice(cylinder(2)) == 1
    for measure in (area_bend_mm2, centroid_bend_mm, endocardial_roughness_mm):
        assert measure(cylinder(2)) is None
    assert set(label_consistency(Volume(np.zeros((9, 9, 4), np.uint8), (1.0, 1.0, 8.0)), 8.0).values()) == {None}


@given(st.integers(1, 60), st.floats(1, 15), st.floats(1, 15))
def test_thinning_keeps_slices_in_order_and_all_where_they_are_coarse(n, spacing_mm, to_mm):
    kept = thinned(n, spacing_mm, to_mm)
    assert 1 <= len(kept) <= n
    assert (np.diff(kept) > 0).all()
    assert kept[0] >= 0
    assert kept[-1] < n
    if spacing_mm >= to_mm:
        assert kept.tolist() == list(range(n))
    else:
        assert len(kept) == pytest.approx(n * spacing_mm / to_mm, abs=1)


def test_thinning_takes_slices_from_the_middle_of_equal_slabs():
    assert thinned(9, 10, 30).tolist() == [1, 4, 7]
    assert thinned(32, 3, 12).tolist() == [2, 6, 10, 14, 18, 22, 26, 30]


@given(st.integers(1, 30), st.floats(2, 15))
def test_a_thinned_volume_is_as_long_as_before_and_mixes_nothing(n, to_mm):
    volume = Volume(np.arange(n, dtype=np.float32) * np.ones((2, 2, 1), np.float32), (1.5, 1.5, 4.0))
    thinner = thin(volume, to_mm)
    assert thinner.n_slices * thinner.spacing_mm[2] == pytest.approx(n * 4.0)
    assert thinner.array[0, 0].tolist() == thinned(n, 4.0, to_mm).tolist()


def test_measures_are_taken_at_the_spacing_asked_for():
    """Every second slice of a zigzag is straight."""
    volume = stack([18.0] * 8, [0, 3] * 4)
    assert label_consistency(volume, SLICE_MM)["centroid_bend_mm"] == pytest.approx(6, abs=0.05)
    assert label_consistency(volume, 2 * SLICE_MM)["centroid_bend_mm"] == pytest.approx(0, abs=1e-9)


def texture(n=5, seed=0):
    plane = np.random.default_rng(seed).normal(size=(120, 120))
    return np.repeat(plane[:, :, None], n, axis=2)


def images_of(array, n=5):
    return image_consistency(Volume(array, (1.0, 1.0, SLICE_MM)), stack([18.0] * n, [0.0] * n, pixel_mm=1.0), SLICE_MM)


def test_identical_slices_are_alike_and_do_not_flicker():
    measures = images_of(texture())
    assert set(measures) == set(IMAGE_MEASURES)
    assert measures["adjacent_correlation"] == pytest.approx(1)
    assert measures["adjacent_ssim"] == pytest.approx(1)
    assert measures["heart_flicker"] == pytest.approx(0, abs=1e-12)
    assert measures["slice_flicker"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("step", [0.5, 3.0])
def test_one_brighter_slice_flickers_by_its_step(step):
    """Steps 0, 0, b, 0, 0 have second differences b, -2b, b; the heart's variance grows by 4/25 b^2."""
    array = texture()
    heart = stack([18.0], [0.0], pixel_mm=1.0).array[:, :, 0] > 0
    spread = math.sqrt(array[heart][:, 0].var() + 4 / 25 * step**2)
    array[:, :, 2] += step
    measures = images_of(array)
    assert measures["heart_flicker"] == pytest.approx(4 / 3 * step / spread)
    assert measures["slice_flicker"] == pytest.approx(4 / 3 * step / spread)
    assert measures["adjacent_correlation"] == pytest.approx(1)
    assert measures["adjacent_ssim"] < 1


def test_a_brightness_that_rises_evenly_does_not_flicker():
    measures = images_of(texture() + 0.3 * np.arange(5))
    assert measures["heart_flicker"] == pytest.approx(0, abs=1e-9)
    assert measures["slice_flicker"] == pytest.approx(0, abs=1e-9)


def test_a_heart_that_flickers_alone_leaves_the_slice_calmer():
    array, heart = texture(), stack([18.0], [0.0], pixel_mm=1.0).array[:, :, 0] > 0
    array[:, :, 2] += 2.0 * heart
    measures = images_of(array)
    assert measures["heart_flicker"] > 1.5 * measures["slice_flicker"] > 0


def test_alternating_signs_anticorrelate_and_noise_does_not_correlate():
    array = texture()
    array[:, :, 1::2] *= -1
    assert images_of(array)["adjacent_correlation"] == pytest.approx(-1)
    noise = np.random.default_rng(1).normal(size=(120, 120, 5))
    assert images_of(noise)["adjacent_correlation"] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("measure", list(IMAGE_MEASURES))
@pytest.mark.parametrize("gain, offset", [(100.0, 0.0), (1.0, 3.0), (50.0, 400.0)])
def test_units_of_the_image_do_not_matter(measure, gain, offset):
    array = np.random.default_rng(2).normal(size=(120, 120, 3))
    assert images_of(gain * array + offset, 3)[measure] == pytest.approx(images_of(array, 3)[measure], rel=1e-6)


def test_only_what_lies_around_the_heart_counts():
    array = texture()
    other = array.copy()
    other[:, :6] = np.random.default_rng(3).normal(size=other[:, :6].shape)
    assert images_of(other) == images_of(array)


@pytest.mark.parametrize("value", [0, -1, 0.1, 1 / 3, 1e4 / 7])
def test_a_constant_slice_has_no_correlation(value):
    array = texture()
    array[:, :, 3] = value
    assert images_of(array)["adjacent_correlation"] is None


def test_two_slices_do_not_flicker():
    assert set(images_of(texture(2), 2).values()) == {None}


def test_no_heart_no_image_measures():
    empty = Volume(np.zeros((120, 120, 5), np.uint8), (1.0, 1.0, SLICE_MM))
    assert set(image_consistency(Volume(texture(), empty.spacing_mm), empty, SLICE_MM).values()) == {None}
