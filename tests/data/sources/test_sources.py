from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest

from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from conftest import (
    MNMS_HEADER,
    SPACING_MM,
    Heart,
    heart_label,
    hearts_of,
    save_nifti,
    textured,
    write_acdc_subject,
    write_mnms_subject,
    write_table,
)


def load_all(folder, source="auto"):
    return {entry.id: entry.load() for entry in find_subjects(folder, source)[1]}


@pytest.mark.parametrize("tree, name", [("acdc_tree", "acdc"), ("mnms_tree", "mnms"), ("mnms2_tree", "mnms2")])
def test_a_layout_is_recognised_by_its_names(tree, name, request):
    assert find_subjects(request.getfixturevalue(tree))[0] == name


def test_mnms_covers_both_challenges(mnms_tree, mnms2_tree):
    assert find_subjects(mnms_tree, "mnms")[0] == "mnms"
    assert find_subjects(mnms2_tree, "mnms")[0] == "mnms2"


def test_a_folder_with_nothing_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(CardiomorphError, match="no data set of a known layout") as error:
        find_subjects(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match="is not a folder"):
        find_subjects(tmp_path / "absent")


def test_an_unknown_source_format_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match="no source format 'dicom'"):
        find_subjects(tmp_path, "dicom")


def test_a_table_without_subjects_is_an_error(mnms_tree, tmp_path):
    table = next(mnms_tree.glob("*.csv"))
    shutil.copy(table, tmp_path / table.name)
    with pytest.raises(CardiomorphError, match="no subject was found"):
        find_subjects(tmp_path)


def test_acdc_spacing_is_the_zooms_whatever_the_affine(acdc_tree):
    path = next(acdc_tree.glob("*/*_gt.nii.gz"))
    np.testing.assert_allclose(np.abs(np.diag(nib.load(path).affine)), 1)
    for frame in load_all(acdc_tree)["patient001"].frames.values():
        np.testing.assert_allclose(frame.label.spacing_mm, SPACING_MM, rtol=1e-6)
        np.testing.assert_allclose(frame.image.spacing_mm, SPACING_MM, rtol=1e-6)


def test_acdc_phases_are_the_frames_that_info_names(tmp_path):
    folder = write_acdc_subject(tmp_path / "patient099", "MINF", frames=(4, 11), height_cm=184, weight_kg=95.5)
    for number in (1, 12):
        save_nifti(folder / f"patient099_frame{number:02d}_gt.nii.gz", np.zeros((9, 9, 4), np.uint8))
    subject = load_all(tmp_path)["patient099"]
    for phase, heart in hearts_of("MINF").items():
        np.testing.assert_array_equal(subject.frames[phase].label.array, heart_label(heart))
    assert (subject.group, subject.height_cm, subject.weight_kg) == ("MINF", 184, 95.5)


def test_acdc_groups_come_from_info(acdc_tree):
    groups = [subject.group for subject in load_all(acdc_tree).values()]
    assert groups == [g for g in ("NOR", "DCM", "HCM", "MINF", "RV") for _ in range(3)]


def test_acdc_reads_one_subject_by_its_own_folder(acdc_tree):
    assert list(load_all(acdc_tree / "patient002")) == ["patient002"]


def test_acdc_images_may_be_absent(tmp_path):
    write_acdc_subject(tmp_path / "p", "NOR", images=False)
    assert load_all(tmp_path)["p"].frames["ES"].image is None


def test_types_are_uint8_labels_and_float32_images(acdc_tree, mnms_tree):
    for subject in (*load_all(acdc_tree / "patient001").values(), *load_all(mnms_tree).values()):
        for frame in subject.frames.values():
            assert frame.label.array.dtype == np.uint8
            assert frame.image.array.dtype == np.float32


def test_mnms_labels_are_remapped_and_frames_counted_from_zero(mnms_tree):
    subject = load_all(mnms_tree)["A0S9V9"]
    for phase, heart in hearts_of("NOR").items():
        np.testing.assert_array_equal(subject.frames[phase].label.array, heart_label(heart))
        np.testing.assert_array_equal(subject.frames[phase].image.array, textured(heart_label(heart), 1))
    assert (subject.group, subject.height_cm, subject.weight_kg, subject.vendor) == ("NOR", 180, 81, "Siemens")


def test_mnms_stacks_are_turned_base_first_with_their_images(mnms_tree):
    subject = load_all(mnms_tree)["B1K2L3"]
    for phase, heart in hearts_of("RV").items():
        np.testing.assert_array_equal(subject.frames[phase].label.array, heart_label(heart))
        np.testing.assert_array_equal(subject.frames[phase].image.array, textured(heart_label(heart), 2))
    assert (subject.group, subject.height_cm, subject.weight_kg) == ("RV", 165, None)


@pytest.mark.parametrize("apex_first", [False, True])
def test_empty_basal_slices_and_a_doubtful_phase_do_not_turn_a_stack(apex_first, tmp_path):
    hearts = {"ED": Heart(20, 8, 18, n_labelled=3, first=5), "ES": Heart(15, 9, 14, n_labelled=3, taper=-0.1)}
    write_table(tmp_path / "t.csv", MNMS_HEADER, "A,Siemens,A,1,0,1,58,NOR,M,180,81")
    write_mnms_subject(tmp_path / "A", hearts, frames=(0, 1), apex_first=apex_first)
    for phase, frame in load_all(tmp_path)["A"].frames.items():
        np.testing.assert_array_equal(frame.label.array, heart_label(hearts[phase]))


def test_mnms_rows_without_labels_on_disk_are_not_subjects(mnms_tree):
    assert "C3D4E5" not in load_all(mnms_tree)


def test_mnms_frame_beyond_the_file_is_an_error(mnms_tree, tmp_path):
    shutil.copytree(mnms_tree, tmp_path / "t")
    table = next((tmp_path / "t").glob("*.csv"))
    table.write_text(table.read_text().replace("A,1,0,3", "A,1,0,99"))
    with pytest.raises(CardiomorphError, match=r"A0S9V9_sa_gt.nii.gz: has 5 frames, but frame 99"):
        load_all(tmp_path / "t")


def test_mnms_row_without_frame_number_is_an_error(mnms_tree, tmp_path):
    shutil.copytree(mnms_tree, tmp_path / "t")
    table = next((tmp_path / "t").glob("*.csv"))
    table.write_text(table.read_text().replace("A,1,0,3", "A,1,,3"))
    with pytest.raises(CardiomorphError, match=r"A0S9V9 has no frame number in the column 'ED'") as error:
        load_all(tmp_path / "t")
    assert str(table) in str(error.value)


def test_mnms2_is_remapped_turned_and_grouped(mnms2_tree):
    entries = {entry.id: entry for entry in find_subjects(mnms2_tree)[1]}
    for code, group in (("001", "NOR"), ("012", "DCM")):
        subject = entries[code].load()
        assert subject.group == group
        for phase, heart in hearts_of(group).items():
            np.testing.assert_array_equal(subject.frames[phase].label.array, heart_label(heart))
    assert entries["001"].load().vendor == "SIEMENS"


def test_a_pathology_outside_the_five_groups_can_be_read_but_not_loaded(mnms2_tree):
    entry = {entry.id: entry for entry in find_subjects(mnms2_tree)[1]}["013"]
    with pytest.raises(CardiomorphError, match=r"dataset_information.csv: 013 has the group 'TRI'; expected"):
        entry.load()
    assert entry.load_present().group == "TRI"


def test_mnms_table_may_stand_beside_the_folder(mnms_tree):
    assert set(load_all(mnms_tree / "Training")) == {"A0S9V9", "B1K2L3"}


def test_spreadsheets_with_a_byte_order_mark_are_read(mnms_tree, tmp_path):
    shutil.copytree(mnms_tree, tmp_path / "t")
    table = next((tmp_path / "t").glob("*.csv"))
    table.write_text("\ufeff" + table.read_text(), encoding="utf-8")
    assert set(load_all(tmp_path / "t")) == {"A0S9V9", "B1K2L3"}


def test_tables_of_other_data_are_passed_over(mnms2_tree, tmp_path):
    shutil.copytree(mnms2_tree, tmp_path / "t")
    write_table(tmp_path / "t" / "a_first.csv", "name,value", "x,1")
    assert find_subjects(tmp_path / "t")[0] == "mnms2"
