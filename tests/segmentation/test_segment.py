"""`segment`: the segmenter that ships, on phantom chests that it was not trained on, and what is no scan."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from cardiomorph.anatomy import PHASES
from cardiomorph.cli import app
from cardiomorph.data.phantom import make_subject
from cardiomorph.data.sources import acdc
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.overlap import agreement
from cardiomorph.files import read_csv, read_json
from cardiomorph.segmentation.batch import Segmenter, segment
from cardiomorph.segmentation.heart import segment_volume
from cardiomorph.volume import Volume, read_nifti, write_nifti, write_series
from conftest import save_nifti

OBLIQUE = np.array([[-1.1, 0.5, -5.0, 40.0], [0.6, 1.2, 3.0, -20.0], [0.3, -0.4, 7.5, 90.0], [0, 0, 0, 1.0]])


def orthogonal(affine, spacing):
    q, _ = np.linalg.qr(affine[:3, :3])
    placed = affine.copy()
    placed[:3, :3] = q * np.asarray(spacing)
    return placed


@pytest.fixture(scope="module")
def phantom():
    """Its seed is none of the training's."""
    return make_subject("NOR", np.random.default_rng([991, 0, 0]), field="chest", frames=6)


@pytest.fixture(scope="module")
def cine(phantom, tmp_path_factory):
    path = tmp_path_factory.mktemp("scans of é") / "anna_4d.nii.gz"
    write_series(path, phantom.cine, 0.1)
    return path


@pytest.fixture(scope="module")
def labelled(cine, tmp_path_factory):
    return segment(cine, tmp_path_factory.mktemp("out") / "labelled")


def mean_dice(label, truth):
    return np.mean(list(agreement(label.array, truth.array).values()))


def test_a_cine_becomes_a_labelled_patient_of_acdcs_layout(labelled, phantom):
    subject = acdc.read(labelled / "anna")
    assert not subject.problems
    info = dict(line.split(": ") for line in (labelled / "anna" / "Info.cfg").read_text().splitlines())
    assert (int(info["ED"]), int(info["ES"]), int(info["NbFrame"])) == (1, phantom.es_frame + 1, 6)
    for phase in PHASES:
        assert mean_dice(subject.frames[phase].label, phantom.labels[phase]) > 0.85
        np.testing.assert_array_equal(subject.frames[phase].image.array, phantom.images[phase].array)


def test_it_lies_where_the_scan_lies(labelled, cine):
    theirs = nib.load(cine)
    for path in (labelled / "anna").glob("anna_frame*.nii.gz"):
        mine = nib.load(path)
        np.testing.assert_allclose(mine.affine, theirs.affine, atol=1e-4)
        assert mine.header["sform_code"] == theirs.header["sform_code"]


def test_it_says_how_sure_it_is(labelled):
    facts = read_json(labelled / "anna" / "segmentation.json")
    (row,) = read_csv(labelled / "quality.csv")
    assert row["verdict"] in ("good", "doubtful", "poor")
    for phase in PHASES:
        found = facts["quality"][phase]
        for name, value in found["dice"].items():
            low, high = found["range90"][name]
            assert 0 <= low <= value <= high <= 1
    assert len(facts["lv_ml"]) == 6
    assert (labelled / "anna" / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_scan_is_kept_and_a_damaged_one_made_again(labelled, cine, capsys):
    folder = labelled / "anna"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    segment(cine, labelled)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    whole = (folder / "anna_frame01_gt.nii.gz").read_bytes()
    (folder / "anna_frame01_gt.nii.gz").write_bytes(whole[:-9])
    segment(cine, labelled)
    assert (folder / "anna_frame01_gt.nii.gz").read_bytes() == whole


def test_named_phases_are_taken(cine, tmp_path):
    out = segment(cine, tmp_path / "out", numbers={"ED": 6, "ES": 2})
    assert read_json(out / "anna" / "segmentation.json")["frames"] == {"ED": 6, "ES": 2}


def test_one_stack_becomes_image_and_label(phantom, tmp_path):
    write_nifti(tmp_path / "bert.nii.gz", phantom.images["ED"])
    app(["segment", str(tmp_path / "bert.nii.gz"), "-o", str(tmp_path / "out")], result_action="return_value")
    label = read_nifti(tmp_path / "out" / "bert" / "bert_gt.nii.gz")
    assert mean_dice(label, phantom.labels["ED"]) > 0.85


@pytest.fixture(scope="module")
def shipped():
    return Segmenter.load()


FLIPS = {"left to right": np.s_[::-1], "top to bottom": np.s_[:, ::-1], "apex first": np.s_[:, :, ::-1]}


@pytest.mark.parametrize("flip", [*FLIPS, "turned"])
def test_the_way_of_storage_does_not_matter(flip, phantom, shipped):
    """Mirrored, turned and apex-first stacks are read as well."""

    def change(array):
        return np.ascontiguousarray(np.swapaxes(array, 0, 1) if flip == "turned" else array[FLIPS[flip]])

    image, truth = (phantom.images["ED"].with_array(change(v["ED"].array)) for v in (phantom.images, phantom.labels))
    frame, _ = segment_volume(shipped.model, image, Path("x"))
    assert mean_dice(frame.label, truth) > 0.85


@pytest.mark.parametrize("scale", [0.001, 1.0, 30.0])
def test_the_scale_of_intensities_does_not_matter(scale, phantom, shipped):
    image = phantom.images["ED"].with_array(scale * phantom.images["ED"].array.astype(np.float32) - 7 * scale)
    frame, _ = segment_volume(shipped.model, image, Path("x"))
    assert mean_dice(frame.label, phantom.labels["ED"]) > 0.85


def test_an_oblique_affine_is_kept_and_read_alike_by_others(phantom, tmp_path):
    spacing = phantom.images["ED"].spacing_mm
    write_nifti(tmp_path / "o.nii.gz", Volume(phantom.images["ED"].array, spacing, orthogonal(OBLIQUE, spacing), 1))
    segment(tmp_path / "o.nii.gz", tmp_path / "out")
    image, label = (sitk.ReadImage(str(p)) for p in (tmp_path / "o.nii.gz", tmp_path / "out" / "o" / "o_gt.nii.gz"))
    for what in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(image, what)(), getattr(label, what)(), atol=1e-4)


def nan(image):
    image[5, 5, 2] = np.nan
    return image


BAD = {
    "voxels are NaN": nan,
    "no picture": lambda image: 0 * image + 7,
    "no heart": lambda image: np.random.default_rng(0).normal(100, 10, image.shape),
}


@pytest.mark.parametrize("words", BAD)
def test_what_is_no_scan_of_a_heart_is_one_line_and_leaves_nothing(words, phantom, tmp_path):
    array = BAD[words](phantom.images["ED"].array.astype(np.float32))
    save_nifti(tmp_path / "x.nii.gz", array.astype(np.float32), phantom.images["ED"].spacing_mm)
    with pytest.raises(CardiomorphError, match=words) as raised:
        segment(tmp_path / "x.nii.gz", tmp_path / "out")
    assert "x.nii.gz" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out" / "x").exists()


def test_a_cine_that_does_not_beat_is_said(phantom, tmp_path):
    write_series(tmp_path / "still_4d.nii.gz", [phantom.images["ED"]] * 5, 0.1)
    with pytest.raises(CardiomorphError, match=r"as large in all of its 5 frames.*--ed"):
        segment(tmp_path / "still_4d.nii.gz", tmp_path / "out")


def test_a_bad_scan_among_good_ones_is_left_out_if_told(phantom, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    write_nifti(scans / "good.nii.gz", phantom.images["ED"])
    (scans / "bad.nii.gz").write_bytes(b"no image")
    with pytest.raises(CardiomorphError, match=r"bad\.nii\.gz"):
        segment(scans, tmp_path / "out")
    segment(scans, tmp_path / "out", skip_bad=True)
    assert [row["subject"] for row in read_csv(tmp_path / "out" / "quality.csv")] == ["good"]
    assert [row["subject"] for row in read_csv(tmp_path / "out" / "failed.csv")] == ["bad"]


@pytest.mark.parametrize(("ed", "es", "words"), [(9, 2, "has 6 frames"), (3, 3, "are one frame")])
def test_frames_that_are_none_are_said(ed, es, words, cine, tmp_path):
    with pytest.raises(CardiomorphError, match=words):
        segment(cine, tmp_path / "out", numbers={"ED": ed, "ES": es})


def test_an_output_that_holds_other_things_is_refused(cine, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(CardiomorphError, match="not empty"):
        segment(cine, tmp_path)


def test_a_folder_of_another_model_is_no_segmenter(cine, model_folders, tmp_path):
    for folder in (model_folders / "shape", tmp_path, tmp_path / "none"):
        with pytest.raises(CardiomorphError):
            segment(cine, tmp_path / "out", segmenter=folder)
