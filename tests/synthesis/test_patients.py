"""One's own patients as sources: any layout, one alone, files, and what cannot be one."""

import logging
import shutil

import nibabel as nib
import numpy as np
import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import recreate, synthesize
from cardiomorph.synthesis.parents import parents_of
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.patients import adopt_patients, patients_at
from cardiomorph.synthesis.request import SynthesisRequest
from conftest import (
    SPACING_MM,
    heart_label,
    hearts_of,
    save_nifti,
    textured,
    write_acdc_subject,
)

LABELS = {"slices": "32", "images": False}


@pytest.fixture(scope="module")
def shared(cohort, model_folders, tmp_path_factory):
    """An atlas of models alone: it holds no subject."""
    models = {"shape": model_folders / "shape", "image": model_folders / "image"}
    return build_atlas(cohort.folder, tmp_path_factory.mktemp("shared") / "a", share=True, **models).folder


@pytest.fixture
def opened(shared):
    return Atlas(shared)


@pytest.fixture
def one(tmp_path):
    """One patient and nobody else, in a folder whose name has a blank and an accent."""
    return write_acdc_subject(tmp_path / "my scans é" / "anna", "NOR", hearts_of("NOR", 1), seed=9)


def series(tmp_path, *groups, images=True, **named):
    """A label file with a frame for each heart, and its image beside it."""
    labels = np.stack([heart_label(heart) for heart in groups], axis=3)
    save_nifti(tmp_path / "cine_gt.nii.gz", labels, SPACING_MM)
    if images:
        pictures = np.stack([textured(labels[..., t], 3) for t in range(labels.shape[3])], axis=3)
        save_nifti(tmp_path / "cine.nii.gz", pictures, SPACING_MM)
    return tmp_path / "cine_gt.nii.gz"


def test_one_patient_is_enough_and_needs_no_atlas_of_his_own(one, opened, tmp_path):
    request = SynthesisRequest(sources=(str(one),), targets=("HCM",), versions=1)
    folder = synthesize(opened, tmp_path / "hearts", request)
    heart = folder / "anna_HCM_v01"
    assert len(list(heart.glob("*.nii.gz"))) == 4
    facts = read_json(heart / "provenance.json")
    assert (facts["parent"], facts["parent_split"]) == ("anna", "own")
    assert read_json(folder / "synthesis.json")["request"]["sources"] == ["anna"]
    again = recreate(heart / "provenance.json", Atlas(opened.folder), tmp_path / "again", source=str(one))
    for path in heart.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_the_patient_is_the_subject_that_a_cohort_would_hold(acdc_tree, cohort, opened):
    (patient,) = patients_at(acdc_tree / "patient002", opened)
    _, parent = parents_of(cohort, opened, ["patient002"])["patient002"]
    for phase in ("ED", "ES"):
        np.testing.assert_allclose(patient.parent.trajectory.codes[phase], parent.trajectory.codes[phase], atol=1e-5)
        np.testing.assert_allclose(patient.parent.styles[phase], parent.styles[phase], atol=1e-2)
    assert patient.parent.geometry == parent.geometry


def test_another_patient_of_that_name_is_refused(one, opened, tmp_path):
    request = SynthesisRequest(sources=(str(one),), targets=("HCM",), versions=1, images=False)
    heart = synthesize(opened, tmp_path / "hearts", request) / "anna_HCM_v01"
    shutil.rmtree(one)
    write_acdc_subject(one, "NOR", hearts_of("NOR", 2), seed=9)
    with pytest.raises(CardiomorphError, match="'anna' is not the one that the heart was made from"):
        recreate(heart / "provenance.json", Atlas(opened.folder), tmp_path / "again", source=str(one))
    before = (heart / "provenance.json").read_bytes()
    synthesize(Atlas(opened.folder), tmp_path / "hearts", request)
    assert (heart / "provenance.json").read_bytes() != before, "a heart of another parent was kept"
    with pytest.raises(CardiomorphError, match="Name the patient's folder or file with --source"):
        recreate(heart / "provenance.json", Atlas(opened.folder), tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_a_second_run_make_the_same_hearts(workers, one, opened, tmp_path):
    request = SynthesisRequest(sources=(str(one),), targets=("HCM", "RV"), versions=2, images=False)
    folder = synthesize(opened, tmp_path / "hearts", request, workers=workers)
    alone = synthesize(Atlas(opened.folder), tmp_path / "alone", request)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*_gt.nii.gz")}
    assert len(kept) == 8
    for path in kept:
        assert path.read_bytes() == (alone / path.relative_to(folder)).read_bytes()
    synthesize(Atlas(opened.folder), folder, request, workers=workers)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*_gt.nii.gz")} == kept


def test_of_a_data_set_the_healthy_ones_are_taken_or_all(acdc_tree, cohort, opened, mnms_tree):
    def names(path, **options):
        return [patient.parent.id for patient in patients_at(path, opened, PatientOptions(**options))]

    assert names(acdc_tree) == ["patient001", "patient002", "patient003"] == names(cohort.folder)
    assert len(names(acdc_tree, any_group=True)) == 15 == len(names(cohort.folder, any_group=True))
    assert names(mnms_tree) == ["A0S9V9"]


def test_a_diseased_patient_alone_is_taken_and_that_is_said(acdc_tree, opened, caplog):
    (patient,) = patients_at(acdc_tree / "patient005", opened)
    assert patient.parent.id == "patient005"
    assert "patient005 is of the group DCM; morphed as if it were healthy" in caplog.text


def test_a_label_file_with_a_time_axis_has_its_phases_by_the_size_of_the_lv(opened, tmp_path, caplog):
    ed, es = hearts_of("NOR")["ED"], hearts_of("NOR")["ES"]
    (patient,) = patients_at(series(tmp_path, es, ed, es), opened)
    assert patient.parent.id == "cine_gt"
    assert "ED and ES are its frames 2 and 1" in caplog.text
    assert patient.parent.styles is not None
    (told,) = patients_at(tmp_path / "cine_gt.nii.gz", opened, PatientOptions(ed=2, es=3))
    np.testing.assert_array_equal(told.parent.trajectory.codes["ED"], patient.parent.trajectory.codes["ED"])


def test_without_an_image_there_are_labels_only(opened, tmp_path, caplog):
    hearts = hearts_of("NOR")
    path = series(tmp_path, hearts["ED"], hearts["ES"], images=False)
    request = SynthesisRequest(sources=(str(path),), targets=("RV",), versions=1)
    folder = synthesize(opened, tmp_path / "hearts", request)
    assert len(list(folder.rglob("*.nii.gz"))) == 2
    assert "has no image to take an appearance from: labels only" in caplog.text


def test_labels_of_another_code_table_are_said_to_be_so(opened, tmp_path):
    hearts = hearts_of("NOR")
    labels = np.stack([np.array([0, 85, 170, 255], np.uint8)[heart_label(h)] for h in hearts.values()], axis=3)
    save_nifti(tmp_path / "mask.nii.gz", labels, SPACING_MM)
    with pytest.raises(CardiomorphError, match="--labels"):
        patients_at(tmp_path / "mask.nii.gz", opened)
    assert patients_at(tmp_path / "mask.nii.gz", opened, PatientOptions(labels="85:1,170:2,255:3"))


def test_a_patient_whom_the_models_do_not_know_is_told_and_can_be_refused(one, opened, caplog):
    caplog.set_level(logging.INFO)
    (patient,) = patients_at(one, opened)
    assert 0 <= patient.dice < 0.9, "the networks of this test are untrained"
    assert f"Dice of {patient.dice:.3f}" in caplog.text
    with pytest.raises(CardiomorphError, match=r"anna: the shape model rebuilds .* at least 0.9 was asked for"):
        patients_at(one, opened, PatientOptions(min_overlap=0.9))


def broken(tmp_path, kind):
    """A patient with something wrong; the path to give."""
    hearts = hearts_of("NOR")
    folder = write_acdc_subject(tmp_path / "p", "NOR", hearts)
    label = folder / "p_frame01_gt.nii.gz"
    image = folder / "p_frame01.nii.gz"
    stored = nib.load(label)
    array = np.asarray(stored.dataobj)
    match kind:
        case "no heart":
            save_nifti(label, np.zeros_like(array), wrong_affine=True)
        case "one slice":
            save_nifti(label, np.where(np.arange(array.shape[2]) == 2, array, 0).astype(np.uint8), wrong_affine=True)
        case "other codes":
            save_nifti(label, (array * 50).astype(np.uint8), wrong_affine=True)
        case "NaN":
            picture = np.asarray(nib.load(image).dataobj).astype(np.float32)
            picture[3, 3, 3] = np.nan
            save_nifti(image, picture, wrong_affine=True)
        case "mixed grids":
            save_nifti(image, np.asarray(nib.load(image).dataobj)[:-3], wrong_affine=True)
        case "swapped chambers":
            save_nifti(label, np.array([0, 3, 2, 1], np.uint8)[array], wrong_affine=True)
        case "no ES":
            (folder / "p_frame12_gt.nii.gz").unlink()
        case "one phase in a file":
            return label
        case "not there":
            return tmp_path / "absent"
        case "not an image":
            (tmp_path / "text.nii.gz").write_text("hello")
            return tmp_path / "text.nii.gz"
    return folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no heart", "no voxel is labelled"),
        ("one slice", "labelled slice"),
        ("other codes", "label values"),
        ("NaN", "NaN or infinite"),
        ("mixed grids", "grid|shape"),
        ("swapped chambers", "border of the cavity"),
        ("no ES", "missing|has no ES"),
        ("one phase in a file", "has no ES: a heart is morphed in both phases"),
        ("not there", "is neither a folder nor a file"),
        ("not an image", "is not a readable NIfTI file"),
    ],
)
def test_what_is_no_patient_is_one_clear_line_and_leaves_nothing(kind, words, opened, tmp_path):
    path = broken(tmp_path, kind)
    request = SynthesisRequest(sources=(str(path),), targets=("RV",), versions=1)
    with pytest.raises(CardiomorphError, match=words) as raised:
        synthesize(opened, tmp_path / "hearts", request)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "hearts").exists()


def test_two_patients_of_one_name_are_not_mixed_up(one, tmp_path):
    trained = find_atlas("phantom-small")
    other = write_acdc_subject(tmp_path / "others" / "anna", "NOR", hearts_of("NOR", 2), seed=4)
    request = SynthesisRequest(sources=(str(one), str(other)), targets=("RV",), versions=1, images=False)
    with pytest.raises(CardiomorphError, match="another heart with the name 'anna'"):
        synthesize(Atlas(trained), tmp_path / "hearts", request)
    assert not (tmp_path / "hearts").exists()
    assert adopt_patients((str(one), f"{one}/."), Atlas(trained)) == ("anna",)


def test_a_name_that_the_atlas_knows_is_no_path(atlas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (next(iter(atlas.parents)), "all", "virtual", "virtual001"):
        (tmp_path / name).mkdir()
        assert adopt_patients((name,), Atlas(atlas.folder)) == (name,)
    write_acdc_subject(tmp_path / "here", "NOR", hearts_of("NOR"))
    assert adopt_patients(("here",), Atlas(atlas.folder)) == ("here",)
    monkeypatch.chdir(tmp_path / "here")
    for name in (".", "../here", "..//here/"):
        assert SynthesisRequest(sources=(name,)).sources == (name,)
        assert adopt_patients((name,), Atlas(atlas.folder)) == ("here",)


class TestWithoutLabels:
    """A scan that nobody has labelled is no patient yet; what to do about it is said."""

    def test_an_image_file(self, opened, tmp_path):
        save_nifti(tmp_path / "anna.nii.gz", textured(heart_label(hearts_of("NOR")["ED"]), 1))
        with pytest.raises(CardiomorphError, match="cardiomorph segment"):
            patients_at(tmp_path / "anna.nii.gz", opened)

    def test_a_folder_of_images(self, opened, tmp_path):
        folder = write_acdc_subject(tmp_path / "anna", "NOR", hearts_of("NOR"))
        for path in folder.glob("*_gt.nii.gz"):
            path.unlink()
        with pytest.raises(CardiomorphError, match="cardiomorph segment"):
            patients_at(folder, opened)

    def test_labels_that_are_wrong_are_not_told_to_be_lacking(self, opened, one):
        for path in one.glob("*_gt.nii.gz"):
            path.write_bytes(b"damaged")
        with pytest.raises(CardiomorphError) as raised:
            patients_at(one, opened)
        assert "cardiomorph segment" not in str(raised.value)
