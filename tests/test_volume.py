from __future__ import annotations

import time

import numpy as np
import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import Volume, read_frames, read_nifti, write_nifti
from conftest import save_nifti

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_nifti_round_trips(dtype, tmp_path):
    volume = Volume((100 * RNG.random((5, 6, 7))).astype(dtype), (1.5, 1.25, 8.0))
    write_nifti(tmp_path / "a.nii.gz", volume)
    again = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(again.array, volume.array)
    assert again.array.dtype == dtype
    assert again.spacing_mm == volume.spacing_mm


def test_the_same_volume_gives_the_same_bytes(tmp_path, monkeypatch):
    volume = Volume(np.arange(60, dtype=np.uint8).reshape(3, 4, 5), (1.5, 1.5, 10.0))
    write_nifti(tmp_path / "a.nii.gz", volume)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write_nifti(tmp_path / "b.nii.gz", volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_frame_of_four_axes_is_read_by_its_number_from_zero(tmp_path):
    array = RNG.integers(0, 100, (4, 5, 6, 3)).astype(np.int16)
    save_nifti(tmp_path / "a.nii.gz", array, (1.5, 1.5, 9.0))
    for frame in range(3):
        (volume,) = read_frames(tmp_path / "a.nii.gz", [frame])
        np.testing.assert_array_equal(volume.array, array[..., frame])
        assert volume.spacing_mm == (1.5, 1.5, 9.0)


@pytest.mark.parametrize("frame", [-1, 3])
def test_a_frame_that_is_not_there_is_an_error(frame, tmp_path):
    save_nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 6, 3), np.int16))
    with pytest.raises(CardiomorphError, match=rf"a.nii.gz: has 3 frames, but frame {frame}"):
        read_frames(tmp_path / "a.nii.gz", [frame])


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 3)])
def test_a_volume_has_three_axes(shape, tmp_path):
    save_nifti(tmp_path / "a.nii.gz", np.zeros(shape, np.int16))
    with pytest.raises(CardiomorphError, match="a volume of three axes"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match=r"a.nii.gz: this file is missing"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_voxel_of_a_cubic_centimetre_is_a_millilitre():
    assert Volume(np.zeros((2, 3, 4)), (10.0, 10.0, 10.0)).voxel_ml == pytest.approx(1.0)
    assert Volume(np.zeros((2, 3, 4)), (10.0, 10.0, 10.0)).n_slices == 4
