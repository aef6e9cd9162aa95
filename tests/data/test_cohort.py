from __future__ import annotations

import shutil

import numpy as np
import pytest

from cardiomorph.anatomy import GROUPS, PHASES
from cardiomorph.data.cohort import Cohort, load_subject, save_subject
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.prepare import PreparationConfig, prepare_subject
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_csv, read_record, write_csv, write_json
from conftest import analytic_subject, hearts_of, write_acdc_subject


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_manifest_has_every_subject_with_its_facts(cohort):
    assert cohort.ids() == [f"patient{number:03d}" for number in range(1, 16)]
    for group in GROUPS:
        assert len(cohort.ids(group=group)) == 3
        assert len(cohort.ids("heldout", group)) == 1
    for row, subject in zip(cohort.rows, cohort.subjects(), strict=True):
        assert row["subject"] == subject.id
        assert int(row["slices_ed"]) == subject.frames["ED"].n_slices == 7
        assert int(row["slices_es"]) == subject.frames["ES"].n_slices == 6
        assert float(row["slice_spacing_mm"]) == 10
        assert (float(row["height_cm"]), float(row["weight_kg"])) == (170, 70)
        assert (row["images"], row["same_heart_as"]) == ("yes", "")


def test_the_settings_are_kept(cohort):
    assert cohort.config == PreparationConfig()
    assert cohort.settings["source_format"] == "acdc"
    assert cohort.settings["subjects"] == 15
    assert cohort.settings["left_out"] == {}


def test_what_is_stored_is_what_was_prepared(cohort, acdc_tree):
    entry = find_subjects(acdc_tree)[1][3]
    prepared, stored = prepare_subject(entry.load()), cohort.load(entry.id)
    assert stored.geometry == prepared.geometry
    for phase in PHASES:
        np.testing.assert_array_equal(stored.frames[phase].label, prepared.frames[phase].label)
        np.testing.assert_allclose(stored.frames[phase].image, prepared.frames[phase].image, atol=5e-4)


def test_a_subject_saved_and_loaded_and_saved_is_the_same_bytes(tmp_path):
    prepared = prepare_subject(analytic_subject(hearts_of("DCM"), group="DCM"))
    save_subject(tmp_path / "a.safetensors", prepared)
    loaded = load_subject(tmp_path / "a.safetensors")
    save_subject(tmp_path / "b.safetensors", loaded)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (loaded.id, loaded.group, loaded.height_cm) == ("p", "DCM", None)


@pytest.mark.parametrize("workers", [1, 3])
def test_preparing_again_gives_the_same_bytes_with_any_number_of_workers(workers, cohort, acdc_tree, tmp_path):
    again = prepare_cohort(acdc_tree, tmp_path / "again", workers=workers)
    assert files(again.folder) == files(cohort.folder)


@pytest.mark.usefixtures("in_process")
def test_a_cohort_may_be_replaced(acdc_tree, tmp_path):
    prepare_cohort(acdc_tree, tmp_path / "c", config=PreparationConfig(size=96))
    again = prepare_cohort(acdc_tree, tmp_path / "c", config=PreparationConfig(size=96), heldout=0)
    assert again.ids("heldout") == []
    assert again.load("patient001").frames["ED"].label.shape == (7, 96, 96)


def test_slices_are_those_of_the_split(cohort):
    train, held = cohort.slices("train", images=True), cohort.slices("heldout", images=False)
    assert train.labels().shape == train.images().shape == (10 * 13, 128, 128)
    assert held.labels().shape == (len(held), 128, 128) == (5 * 13, 128, 128)
    assert (train.labels().dtype, train.images().dtype) == (np.uint8, np.float16)


def test_slices_are_read_one_by_one_as_they_stand_in_the_subjects(cohort):
    slices, position = cohort.slices("train", images=True), 0
    for number, subject in enumerate(cohort.subjects("train")):
        for phase_number, frame in enumerate(subject.frames.values()):
            for label, image in zip(frame.label, frame.image, strict=True):
                np.testing.assert_array_equal(slices.labels(np.array([position]))[0], label)
                np.testing.assert_array_equal(slices.images(np.array([position]))[0], image.astype(np.float16))
                assert slices.stack[position] == 2 * number + phase_number
                position += 1
    chosen = np.array([7, 3, 3, 100])
    np.testing.assert_array_equal(slices.labels(chosen), slices.labels()[chosen])
    np.testing.assert_array_equal(slices.images(chosen), slices.images()[chosen])


def test_slices_are_mapped_and_not_loaded(cohort, monkeypatch):
    """A cohort larger than memory trains: no whole array is ever read."""
    monkeypatch.setattr("cardiomorph.data.cohort.load_subject", lambda path: pytest.fail("a subject was loaded"))
    slices = cohort.slices("train", images=True)
    assert slices.images(np.array([1])).shape == (1, 128, 128)


@pytest.mark.usefixtures("in_process")
def test_one_heart_annotated_twice_stays_on_one_side(tmp_path):
    for number in range(5):
        write_acdc_subject(tmp_path / "t" / f"p{number}", "NOR", hearts_of("NOR", number), seed=number)
    write_acdc_subject(tmp_path / "t" / "twin", "NOR", hearts_of("NOR", 1), seed=77)
    for number in ("01", "12"):
        shutil.copy(
            tmp_path / "t" / "p3" / f"p3_frame{number}.nii.gz",
            tmp_path / "t" / "twin" / f"twin_frame{number}.nii.gz",
        )
    for seed in range(4):
        cohort = prepare_cohort(tmp_path / "t", tmp_path / "out", heldout=0.4, seed=seed)
        rows = {row["subject"]: row for row in cohort.rows}
        assert (rows["p3"]["same_heart_as"], rows["twin"]["same_heart_as"]) == ("twin", "p3")
        assert rows["p3"]["split"] == rows["twin"]["split"]
        assert cohort.settings["same_heart"] == [["p3", "twin"]]


@pytest.mark.usefixtures("in_process")
def test_labels_alone_make_a_cohort_but_give_no_images(tmp_path):
    for number in range(2):
        hearts = hearts_of("NOR", 3 * number)
        write_acdc_subject(tmp_path / "t" / f"p{number}", "NOR", hearts, images=False)
    cohort = prepare_cohort(tmp_path / "t", tmp_path / "out", heldout=0)
    assert {row["images"] for row in cohort.rows} == {"no"}
    assert cohort.slices("train", images=False).labels().any()
    with pytest.raises(CardiomorphError, match="subject p0 has labels only"):
        cohort.slices("train", images=True)
    with pytest.raises(CardiomorphError, match="no subject is in the split 'heldout'"):
        cohort.slices("heldout", images=False)


@pytest.mark.usefixtures("in_process")
def test_mnms_makes_the_same_cohort_as_acdc_would(mnms2_tree, tmp_path):
    table = tmp_path / "t" / "dataset_information.csv"
    shutil.copytree(mnms2_tree, tmp_path / "t")
    table.write_text(table.read_text().replace("12,LV", "12,NOR").replace("13,TRI", "13,NOR"))
    cohort = prepare_cohort(tmp_path / "t", tmp_path / "out", heldout=0)
    label = prepare_subject(analytic_subject(hearts_of("DCM"))).frames["ED"].label
    np.testing.assert_array_equal(cohort.load("012").frames["ED"].label, label)


def test_a_folder_that_is_no_cohort_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match=r"is not a prepared cohort.*cardiomorph prepare") as error:
        Cohort(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("damage", [b"", b"hello", None], ids=["empty", "other", "truncated"])
def test_a_damaged_subject_is_named(damage, cohort, tmp_path):
    shutil.copytree(cohort.folder, tmp_path / "c")
    path = tmp_path / "c" / "subjects" / "patient001.safetensors"
    path.write_bytes(path.read_bytes()[:-1000] if damage is None else damage)
    with pytest.raises(CardiomorphError, match=r"patient001.safetensors: is not the file that was prepared"):
        Cohort(tmp_path / "c").load("patient001")


def test_a_missing_subject_is_named(cohort):
    with pytest.raises(CardiomorphError, match=r"has no subject 'nobody'"):
        cohort.load("nobody")


def test_a_cohort_of_another_format_is_not_read(cohort, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.folder, folder)
    settings = read_record(folder / "cohort.json")
    write_json(folder / "cohort.json", settings | {"format": 1}, seal=True)
    with pytest.raises(CardiomorphError, match=r"cohort\.json: is in format 1; this version reads format 2"):
        Cohort(folder)


def copied(cohort, tmp_path):
    shutil.copytree(cohort.folder, tmp_path / "c")
    return tmp_path / "c"


def test_a_subject_exchanged_for_another_is_noticed(cohort, tmp_path):
    folder = copied(cohort, tmp_path)
    shutil.copyfile(folder / "subjects" / "patient002.safetensors", folder / "subjects" / "patient001.safetensors")
    with pytest.raises(CardiomorphError, match="is not the file that was prepared"):
        Cohort(folder).load("patient001")
    with pytest.raises(CardiomorphError, match="is not the file that was prepared"):
        Cohort(folder).slices("train", images=False)


def test_a_manifest_with_rows_cut_off_is_noticed(cohort, tmp_path):
    folder = copied(cohort, tmp_path)
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    (folder / "manifest.csv").write_text("".join(lines[:-2]))
    with pytest.raises(CardiomorphError, match=r"has 13 subjects; cohort.json names 15"):
        Cohort(folder)


@pytest.mark.parametrize("name", ["../../victim/x", "a/b", "..", "", ".hidden", "a\nb"])
def test_a_name_that_climbs_out_of_a_manifest_is_refused(name, cohort, tmp_path):
    folder = copied(cohort, tmp_path)
    rows = read_csv(folder / "manifest.csv")
    write_csv(folder / "manifest.csv", [{**rows[0], "subject": name}, *rows[1:]])
    with pytest.raises(CardiomorphError, match=r"manifest\.csv: .*cannot be a file's"):
        Cohort(folder)


@pytest.mark.parametrize("column, value", [("group", "DCN"), ("split", "tsain"), ("group", "")])
def test_a_group_or_split_that_is_none_is_refused(column, value, cohort, tmp_path):
    folder = copied(cohort, tmp_path)
    rows = read_csv(folder / "manifest.csv")
    write_csv(folder / "manifest.csv", [{**rows[0], column: value}, *rows[1:]])
    with pytest.raises(CardiomorphError, match="expected one of NOR"):
        Cohort(folder)


def test_identity_knows_every_subject_its_group_and_its_split(cohort, tmp_path):
    folder = copied(cohort, tmp_path)
    assert Cohort(folder).identity == cohort.identity
    rows = read_csv(folder / "manifest.csv")
    changed = {**rows[0], "split": "train" if rows[0]["split"] == "heldout" else "heldout"}
    write_csv(folder / "manifest.csv", [changed, *rows[1:]])
    assert Cohort(folder).identity != cohort.identity


def test_doubts_are_kept_with_those_who_have_them(cohort):
    (doubt,) = cohort.settings["doubts"]
    assert "the header's zooms are used" in doubt
    assert cohort.settings["doubts"][doubt] == cohort.ids()
