"""Tables of measures: group statistics, and folders with a subject that cannot be read."""

import csv
import math
import shutil

import nibabel as nib
import numpy as np
import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.table import (
    TABLE_COLUMNS,
    group_summary,
    measure_folder,
    subject_row,
    write_measures,
)
from conftest import SPACING_MM, analytic_subject, heart_label, hearts_of, save_nifti, write_acdc_subject


def test_a_summary_is_numpy_s_mean_and_sample_sd_without_the_missing():
    lv = [1.0, None, 4.0, 10.0]
    rows = [{"group": "DCM", "lv": value, "rv": None, "mass": 3 * i} for i, value in enumerate(lv)]
    summary = group_summary([*rows, {"group": "NOR", "lv": 7.0}], ("lv", "rv", "mass"))
    known = [value for value in lv if value is not None]
    assert list(summary) == ["DCM", "NOR"]
    assert summary["DCM"]["n"] == 4
    assert summary["DCM"]["lv"] == pytest.approx({"mean": np.mean(known), "sd": np.std(known, ddof=1), "n": 3})
    assert summary["DCM"]["mass"] == pytest.approx({"mean": 4.5, "sd": np.std([0, 3, 6, 9], ddof=1), "n": 4})
    assert "rv" not in summary["DCM"]
    assert summary["NOR"] == {"n": 1, "lv": {"mean": 7.0, "sd": 0.0, "n": 1}}


def test_no_rows_have_no_summary():
    assert group_summary([]) == {}


def test_a_zero_is_a_value():
    assert group_summary([{"group": "", "lv": 0.0}], ("lv",))[""]["lv"]["mean"] == 0


def test_a_row_has_the_subject_s_measures():
    row = subject_row(analytic_subject(hearts_of("DCM"), name="x", group="DCM"))
    assert (row["subject"], row["group"]) == ("x", "DCM")
    area = np.pi * 3.0 * 3.0 * sum((1 - 0.5 * (k / 7) ** 2) ** 2 for k in range(7))
    assert row["lv_edv_ml"] == pytest.approx(10 * area / 10, rel=0.02)
    assert row["lv_ef_pct"] > 0
    assert row["body_surface_m2"] is None


@pytest.fixture
def with_a_bad_one(tmp_path):
    for number, group in enumerate(("NOR", "DCM"), start=1):
        write_acdc_subject(tmp_path / f"patient{number:03d}", group, images=False)
    bad = write_acdc_subject(tmp_path / "patient003", "HCM", images=False)
    next(bad.glob("*_gt.nii.gz")).write_bytes(b"not an image")
    return tmp_path


def test_a_bad_subject_is_named_and_left_out(with_a_bad_one, caplog):
    assert [row["subject"] for row in measure_folder(with_a_bad_one)] == ["patient001", "patient002"]
    assert "left out" in caplog.text
    assert "patient003" in caplog.text


def test_a_folder_of_bad_subjects_is_an_error(with_a_bad_one):
    for number in (1, 2):
        shutil.rmtree(with_a_bad_one / f"patient{number:03d}")
    with pytest.raises(CardiomorphError, match="no subject could be measured"):
        measure_folder(with_a_bad_one)


def test_an_empty_or_absent_folder_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CardiomorphError):
            measure_folder(folder)


def test_a_cohort_is_measured_as_its_subjects(cohort):
    assert measure_folder(cohort.folder) == [subject_row(subject) for subject in cohort.subjects()]


def test_a_bad_subject_of_a_cohort_is_left_out(cohort, tmp_path, caplog):
    shutil.copytree(cohort.folder, tmp_path / "c")
    bad = cohort.ids()[2]
    (tmp_path / "c" / "subjects" / f"{bad}.safetensors").write_bytes(b"hello")
    assert [row["subject"] for row in measure_folder(tmp_path / "c")] == [i for i in cohort.ids() if i != bad]
    assert "left out" in caplog.text


def test_one_label_file_is_an_ed_heart(tmp_path):
    save_nifti(tmp_path / "heart.nii.gz", heart_label(hearts_of("NOR")["ED"]), SPACING_MM)
    (row,) = measure_folder(tmp_path / "heart.nii.gz")
    whole = subject_row(analytic_subject(hearts_of("NOR")))
    assert (row["subject"], row["group"], row["lv_esv_ml"], row["lv_ef_pct"]) == ("heart", "", None, None)
    assert row["lv_edv_ml"] == pytest.approx(whole["lv_edv_ml"])


def test_a_csv_has_the_columns_first_and_nothing_for_none(tmp_path):
    save_nifti(tmp_path / "heart.nii.gz", heart_label(hearts_of("NOR")["ED"]), SPACING_MM)
    write_measures(tmp_path / "heart.nii.gz", tmp_path / "m.csv")
    with (tmp_path / "m.csv").open(newline="") as stream:
        header, row = csv.reader(stream)
    assert tuple(header[: len(TABLE_COLUMNS)]) == TABLE_COLUMNS
    assert row[header.index("lv_ef_pct")] == ""


def lone_cavity(root):
    """Masks of the LV cavity alone, with code 1, as in cine data sets of the LV."""
    for path in write_acdc_subject(root / "p", "NOR").glob("*_gt.nii.gz"):
        label = np.asanyarray(nib.load(path).dataobj)
        save_nifti(path, (label == 3).astype(np.uint8))
    return root


def test_masks_of_the_lv_alone_are_measured_where_it_is_said(tmp_path, caplog):
    root = lone_cavity(tmp_path)
    with pytest.raises(CardiomorphError, match="no subject could be measured"):
        measure_folder(root)
    assert "--labels" in caplog.text
    (row,) = measure_folder(root, {1: 3})
    truth = (heart_label(hearts_of("NOR")["ED"]) == 3).sum() * np.prod(SPACING_MM) / 1000
    assert row["lv_edv_ml"] == pytest.approx(truth)
    assert [row[key] for key in ("rv_edv_ml", "rv_esv_ml", "rv_ef_pct", "lv_mass_g")] == [None] * 4
    assert row["wall_max_mm"] is None


def test_one_file_of_other_codes_is_measured_where_it_is_said(tmp_path):
    label = heart_label(hearts_of("NOR")["ED"])
    save_nifti(tmp_path / "mask.nii.gz", np.array([0, 85, 170, 255], np.uint8)[label])
    (row,) = measure_folder(tmp_path / "mask.nii.gz", {85: 1, 170: 2, 255: 3})
    assert row["lv_edv_ml"] == pytest.approx((label == 3).sum() * np.prod(SPACING_MM) / 1000)
    save_nifti(tmp_path / "swapped.nii.gz", np.array([0, 3, 2, 1], np.uint8)[label])
    with pytest.raises(CardiomorphError, match="border of the cavity of code 3"):
        measure_folder(tmp_path / "swapped.nii.gz")


def test_a_heart_of_one_phase_and_one_of_no_known_group_are_measured(tmp_path):
    write_acdc_subject(tmp_path / "a", "AMYLOID", hearts_of("NOR"))
    for phase in ("ED",):
        label = heart_label(hearts_of("NOR")[phase])
        save_nifti(tmp_path / "one" / "labelsTr" / f"b_{phase}.nii.gz", label)
    (row,) = measure_folder(tmp_path / "a")
    assert (row["group"], row["lv_ef_pct"] > 40) == ("AMYLOID", True)
    (row,) = measure_folder(tmp_path / "one")
    assert (row["lv_edv_ml"] > 0, row["lv_esv_ml"], row["lv_ef_pct"]) == (True, None, None)


def test_what_is_doubted_is_said_once_and_measured(tmp_path, caplog):
    for name in ("a", "b", "c", "d"):
        folder = write_acdc_subject(tmp_path / name, "NOR")
        info = folder / "Info.cfg"
        info.write_text(info.read_text().replace("Height: 170.0", "Height: 1.7"))
    rows = measure_folder(tmp_path)
    assert [row["body_surface_m2"] for row in rows] == pytest.approx([math.sqrt(170 * 70 / 3600)] * 4)
    assert "doubted: its height is in metres: converted to cm (a, b, c and 1 more)" in caplog.text


def test_an_output_that_is_no_table_is_not_overwritten(tmp_path):
    save_nifti(tmp_path / "mine.nii.gz", heart_label(hearts_of("NOR")["ED"]))
    before = (tmp_path / "mine.nii.gz").read_bytes()
    with pytest.raises(CardiomorphError, match="exists and is no CSV file"):
        write_measures(tmp_path / "mine.nii.gz", tmp_path / "mine.nii.gz")
    assert (tmp_path / "mine.nii.gz").read_bytes() == before
