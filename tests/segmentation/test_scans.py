"""What is a scan, in the layouts that people have."""

import numpy as np
import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.segmentation.scans import find_scans
from conftest import hearts_of, save_nifti, write_acdc_subject

STACK = np.zeros((4, 4, 3), np.int16)
CINE = np.zeros((4, 4, 3, 5), np.int16)


def test_a_file_is_a_scan(tmp_path):
    save_nifti(tmp_path / "anna_4d.nii.gz", CINE)
    (scan,) = find_scans(tmp_path / "anna_4d.nii.gz")
    assert (scan.id, scan.files, dict(scan.numbers)) == ("anna", (tmp_path / "anna_4d.nii.gz",), {})


def test_a_patient_of_acdc_has_its_cine_or_its_frames(tmp_path):
    folder = write_acdc_subject(tmp_path / "p1", "DCM", hearts_of("DCM"), frames=(1, 9))
    (scan,) = find_scans(folder)
    assert [path.name for path in scan.files] == ["p1_frame01.nii.gz", "p1_frame09.nii.gz"]
    assert (scan.numbers, scan.n_frames, scan.group, scan.height_cm) == ({"ED": 1, "ES": 9}, 30, "DCM", 170.0)
    save_nifti(folder / "p1_4d.nii.gz", CINE)
    (scan,) = find_scans(folder)
    assert [path.name for path in scan.files] == ["p1_4d.nii.gz"]


def test_a_data_set_is_many_in_order_and_labels_are_passed_over(tmp_path):
    for name in ("b", "a"):
        write_acdc_subject(tmp_path / name, "NOR", hearts_of("NOR"))
    save_nifti(tmp_path / "M1" / "M1_sa.nii.gz", CINE)
    save_nifti(tmp_path / "M1" / "M1_sa_gt.nii.gz", CINE)
    assert [scan.id for scan in find_scans(tmp_path)] == ["M1", "a", "b"]


def test_nnunets_images_lose_their_channel(tmp_path):
    for name in ("case1", "case2"):
        save_nifti(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", STACK)
    assert [scan.id for scan in find_scans(tmp_path / "imagesTr")] == ["case1", "case2"]


def test_nothing_and_twins_are_said(tmp_path):
    with pytest.raises(CardiomorphError, match="neither a folder nor a file"):
        find_scans(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CardiomorphError, match="no NIfTI"):
        find_scans(tmp_path / "empty")
    for place in ("a", "b"):
        save_nifti(tmp_path / "both" / place / "x.nii.gz", STACK)
    with pytest.raises(CardiomorphError, match="two scans are called 'x'"):
        find_scans(tmp_path / "both")


def test_info_without_images_is_said(tmp_path):
    folder = write_acdc_subject(tmp_path / "p1", "DCM", hearts_of("DCM"), images=False)
    with pytest.raises(CardiomorphError, match="neither a cine nor the frames"):
        find_scans(folder)
