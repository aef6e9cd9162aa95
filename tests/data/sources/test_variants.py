"""Every layout as it comes in the world: codes by name, hidden files, stacks the other way round, one frame for two."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from conftest import (
    MNMS_HEADER,
    Heart,
    heart_label,
    hearts_of,
    save_nifti,
    textured,
    to_mnms_codes,
    write_acdc_subject,
    write_mnms_subject,
    write_table,
)

HEARTS = hearts_of("NOR")
MAC_JUNK = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(60)


def entries(folder):
    return {entry.id: entry for entry in find_subjects(folder)[1]}


def nnunet_tree(root, *, recode=lambda label: label, suffix=".nii.gz"):
    for phase, heart in HEARTS.items():
        label = heart_label(heart)
        save_nifti(root / "labelsTr" / f"p_{phase}{suffix}", recode(label))
        save_nifti(root / "imagesTr" / f"p_{phase}_0000{suffix}", textured(label, 0))
    write_table(root / "subjects.csv", "subject,group", "p,NOR")
    return root


def assert_is_the_heart(subject):
    for phase, heart in HEARTS.items():
        np.testing.assert_array_equal(subject.frames[phase].label.array, heart_label(heart))


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "LVBP": 1, "LVM": 2, "RV": 3},
        {"background": 0, "LV": 1, "MYO": 2, "RV": 3},
        {"background": 0, "left ventricle": 1, "LV myocardium": 2, "right_ventricle": 3},
        {"0": "background", "1": "LV cavity", "2": "myocardium", "3": "RV cavity"},
    ],
)
def test_nnunet_codes_mean_what_dataset_json_says(labels, tmp_path):
    root = nnunet_tree(tmp_path, recode=to_mnms_codes)
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert_is_the_heart(entries(root)["p"].load())


@pytest.mark.parametrize(
    "content",
    [
        {"labels": {"background": 0, "one": 1, "two": 2, "three": 3}},
        {"labels": {"background": 0, "LV": 1, "LA": 2, "RV": 3}},
        {"labels": {"background": 0, "LV": 1, "left ventricle": 2, "RV": 3}},
        {"labels": {"whole": [1, 2, 3]}},
        {"labels": 3},
        {},
        [],
        None,
    ],
)
def test_names_that_could_mean_anything_need_a_word(content, tmp_path):
    root = nnunet_tree(tmp_path, recode=to_mnms_codes)
    (root / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(CardiomorphError, match=r"dataset\.json: .*--labels"):
        entries(root)["p"].load()
    assert_is_the_heart(entries(root)["p"].load({1: 3, 2: 2, 3: 1}))


def test_nnunet_without_dataset_json_and_with_exchanged_codes_is_refused(tmp_path):
    root = nnunet_tree(tmp_path, recode=to_mnms_codes)
    with pytest.raises(CardiomorphError, match="border of the cavity of code 3"):
        entries(root)["p"].load()


@pytest.mark.parametrize("layout", ["nnunet", "acdc"])
def test_uncompressed_files_are_read(layout, tmp_path):
    if layout == "nnunet":
        nnunet_tree(tmp_path, suffix=".nii")
    else:
        for path in write_acdc_subject(tmp_path / "p", "NOR").glob("*.nii.gz"):
            nib.save(nib.load(path), path.with_suffix(""))
            path.unlink()
    assert_is_the_heart(entries(tmp_path)["p"].load())


def test_a_file_that_is_there_twice_is_an_error(tmp_path):
    folder = write_acdc_subject(tmp_path / "p", "NOR")
    path = folder / "p_frame01_gt.nii.gz"
    nib.save(nib.load(path), path.with_suffix(""))
    with pytest.raises(CardiomorphError, match="is there twice"):
        entries(tmp_path)["p"].load()


@pytest.mark.parametrize("tree, name", [("acdc_tree", "patient001"), ("mnms_tree", "A0S9V9"), ("mnms2_tree", "001")])
def test_hidden_files_are_passed_over_in_every_layout(tree, name, request, tmp_path):
    root = tmp_path / "t"
    shutil.copytree(request.getfixturevalue(tree), root)
    for path in [path for path in root.rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(MAC_JUNK)
        junk = root / "__MACOSX" / path.relative_to(root).parent
        junk.mkdir(parents=True, exist_ok=True)
        (junk / f"._{path.name}").write_bytes(MAC_JUNK)
    before = {entry.id for entry in find_subjects(request.getfixturevalue(tree))[1]}
    assert set(entries(root)) == before
    entries(root)[name].load()


@pytest.mark.parametrize("layout", ["acdc", "nnunet"])
def test_stacks_from_apex_to_base_are_turned_in_every_layout(layout, tmp_path):
    root = tmp_path / "t"
    if layout == "acdc":
        write_acdc_subject(root / "p", "NOR")
    else:
        nnunet_tree(root)
    for path in root.rglob("*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj)[:, :, ::-1], image.affine, image.header), path)
    subject = entries(root)["p"].load()
    assert subject.apex_first
    assert_is_the_heart(subject)
    assert any("apex to base" in doubt for doubt in subject.doubts)


def mnms_with(tmp_path, row, hearts=HEARTS):
    write_table(tmp_path / "t.csv", MNMS_HEADER, row)
    write_mnms_subject(tmp_path / "A", hearts, frames=(0, 1))
    return entries(tmp_path)["A"]


@pytest.mark.parametrize(
    "ed, es, reason",
    [
        ("1", "1", "ED and ES are both frame 1"),
        ("0.9", "1", "a frame number was expected"),
        ("0", "inf", "a frame number was expected"),
        ("-1", "1", "a frame number was expected"),
        ("NaN", "1", "no frame number in the column 'ED'"),
    ],
)
def test_mnms_frames_must_be_two_frames(ed, es, reason, tmp_path):
    with pytest.raises(CardiomorphError, match=reason):
        mnms_with(tmp_path, f"A,Siemens,A,1,{ed},{es},58,NOR,M,180,81").load()


def test_acdc_frames_must_be_two_frames(tmp_path):
    folder = write_acdc_subject(tmp_path / "p", "NOR")
    info = folder / "Info.cfg"
    info.write_text(info.read_text().replace("ES: 12", "ES: 1"))
    with pytest.raises(CardiomorphError, match="ED and ES are both frame 1"):
        entries(tmp_path)["p"].load()


def test_mnms_labels_without_a_time_axis_are_an_error(tmp_path):
    entry = mnms_with(tmp_path, "A,Siemens,A,1,0,1,58,NOR,M,180,81")
    save_nifti(tmp_path / "A" / "A_sa_gt.nii.gz", to_mnms_codes(heart_label(HEARTS["ED"])))
    with pytest.raises(CardiomorphError, match=r"A_sa_gt.nii.gz: .* one frame without a time axis"):
        entry.load()


def test_a_code_with_two_rows_that_differ_is_an_error_for_that_subject_only(mnms_tree, tmp_path):
    root = tmp_path / "t"
    shutil.copytree(mnms_tree, root)
    table = next(root.glob("*.csv"))
    rows = table.read_text().splitlines()
    (row,) = [line for line in rows if line.startswith("A0S9V9")]
    table.write_text("\n".join([*rows, row]) + "\n")
    entries(root)["A0S9V9"].load()
    table.write_text("\n".join([*rows, row.replace("NOR", "HCM")]) + "\n")
    with pytest.raises(CardiomorphError, match="A0S9V9 has two rows that differ"):
        entries(root)["A0S9V9"].load()
    entries(root)["B1K2L3"].load()


def test_labels_without_a_row_are_named_and_not_passed_over(mnms_tree, mnms2_tree, tmp_path):
    for tree, name, start in ((mnms_tree, "A0S9V9", "A0S9V9,"), (mnms2_tree, "012", "12,")):
        root = tmp_path / tree.name
        shutil.copytree(tree, root)
        table = next(root.glob("*.csv"))
        table.write_text("".join(row for row in table.read_text().splitlines(True) if not row.startswith(start)))
        assert set(entries(root)) == set(entries(tree))
        with pytest.raises(CardiomorphError, match=f"has no row for {name}, whose labels are there") as error:
            entries(root)[name].load()
        assert table.name in str(error.value)


@pytest.mark.parametrize("tree", ["mnms_tree", "mnms2_tree"])
def test_two_tables_that_differ_are_refused_and_copies_are_not(tree, request, tmp_path):
    root = tmp_path / "t"
    shutil.copytree(request.getfixturevalue(tree), root)
    table = next(root.glob("*.csv"))
    shutil.copy(table, root / "copy.csv")
    (root / "other.csv").write_text("of,something\nelse,1\n")
    assert entries(root)
    (root / "copy.csv").write_text(table.read_text().replace("NOR", "HCM"))
    with pytest.raises(CardiomorphError, match=r"and .* beside it are both tables by .*, and differ"):
        find_subjects(root)


def test_an_image_of_more_frames_than_its_label_is_refused(tmp_path):
    entry = mnms_with(tmp_path, "A,Siemens,A,1,0,1,58,NOR,M,180,81")
    entry.load()
    path = tmp_path / "A" / "A_sa.nii.gz"
    image = np.asanyarray(nib.load(path).dataobj)
    save_nifti(path, np.concatenate([image, image], axis=3))
    with pytest.raises(CardiomorphError, match=r"A_sa.nii.gz: has 6 frames, its label 3; they must agree"):
        entry.load()


def test_a_subject_in_two_folders_is_an_error(mnms_tree, tmp_path):
    root = tmp_path / "t"
    shutil.copytree(mnms_tree, root)
    place = next(root.rglob("A0S9V9"))
    shutil.copytree(place, root / "Again" / "A0S9V9")
    with pytest.raises(CardiomorphError, match="is in two folders"):
        entries(root)["A0S9V9"].load()


def test_a_heart_of_no_known_group_can_be_read(tmp_path):
    write_acdc_subject(tmp_path / "p", "AMYLOID", HEARTS)
    subject = entries(tmp_path)["p"].load_present()
    assert subject.group == "AMYLOID"
    with pytest.raises(CardiomorphError, match="p has the group 'AMYLOID'"):
        entries(tmp_path)["p"].load()


def test_what_a_generator_made_is_read_even_where_it_is_no_heart(tmp_path):
    write_acdc_subject(tmp_path / "p", "NOR", {"ED": Heart(24, 8, 20), "ES": Heart(24, 8, 20)})
    with pytest.raises(CardiomorphError, match="one and the same label map"):
        entries(tmp_path)["p"].load_present()
    assert set(entries(tmp_path)["p"].load_readable().frames) == {"ED", "ES"}


@pytest.mark.parametrize("names", [("p_ED", "p_ES"), ("p-ED", "p-ES"), ("p_ed", "p_es"), ("p-ed", "p-Es")])
def test_nnunet_phases_are_named_in_any_case(names, tmp_path):
    for name, heart in zip(names, HEARTS.values(), strict=True):
        save_nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", heart_label(heart))
    assert set(entries(tmp_path)) == {"p"}
    assert_is_the_heart(entries(tmp_path)["p"].load_present())


@pytest.mark.parametrize("name", ["LV epi", "LV papillary", "Left auricle", "left atrium", "myocardium_RV"])
def test_names_of_other_structures_are_not_taken_for_ours(name, tmp_path):
    root = nnunet_tree(tmp_path)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "RV": 1, "MYO": 2, name: 3}}))
    with pytest.raises(CardiomorphError, match=r"dataset\.json"):
        entries(root)["p"].load()


@pytest.mark.parametrize("code", [1.9, True, None, "x"])
def test_codes_that_are_no_whole_numbers_are_refused(code, tmp_path):
    root = nnunet_tree(tmp_path)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "RV": code, "MYO": 2, "LV": 3}}))
    with pytest.raises(CardiomorphError, match="does not say what its labels mean"):
        entries(root)["p"].load()


def test_nnunet_subjects_with_two_rows_that_differ_are_refused(tmp_path):
    root = nnunet_tree(tmp_path)
    write_table(root / "subjects.csv", "subject,group,height_cm", "p,NOR,178", "p,HCM,150")
    with pytest.raises(CardiomorphError, match="p has two rows that differ"):
        entries(root)["p"].load()


def test_a_decimal_comma_that_shifts_the_columns_is_refused(tmp_path):
    root = nnunet_tree(tmp_path)
    write_table(root / "subjects.csv", "subject,group,height_cm,weight_kg", "p,NOR,178,5,80")
    with pytest.raises(CardiomorphError, match="p has more cells than the table has headings"):
        entries(root)["p"].load()


def test_two_subjects_of_one_name_are_refused(mnms2_tree, tmp_path):
    root = tmp_path / "t"
    shutil.copytree(mnms2_tree, root)
    shutil.copytree(next(root.rglob("001")), root / "Again" / "001")
    with pytest.raises(CardiomorphError, match="two subjects are called '001'"):
        find_subjects(root)


def test_a_name_that_no_file_may_have_leaves_its_subject_out_only(tmp_path):
    write_acdc_subject(tmp_path / "good", "NOR")
    write_acdc_subject(tmp_path / ("b" * 125), "NOR")
    found = entries(tmp_path)
    found["good"].load()
    with pytest.raises(CardiomorphError, match="cannot be a file's"):
        found["b" * 125].load()


def test_a_subjects_folder_may_be_the_one_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(write_acdc_subject(tmp_path / "p", "NOR"))
    assert_is_the_heart(entries(Path())["p"].load())


def test_masks_of_the_lv_alone_can_be_measured_but_not_trained_on(tmp_path):
    root = nnunet_tree(tmp_path, recode=lambda label: (label == 3).astype(np.uint8))
    entry = entries(root)["p"]
    assert set(np.unique(entry.load_present({1: 3}).frames["ED"].label.array)) == {0, 3}
    with pytest.raises(CardiomorphError, match="no voxel is RV cavity"):
        entry.load({1: 3})
