"""Every fault names the file and says what is wrong with it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from cardiomorph.data.cohort import Cohort
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.prepare import prepare_subject
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from conftest import heart_label, hearts_of, save_nifti, textured, write_acdc_subject

LABEL = heart_label(hearts_of("NOR")["ED"])
IMAGE = textured(LABEL, 0)


def without_info(folder):
    (folder / "Info.cfg").unlink()
    return "Info.cfg", "missing"


def without_key(folder):
    info = folder / "Info.cfg"
    info.write_text(info.read_text().replace("Group: NOR\n", ""))
    return "Info.cfg", "p has no group"


def frame_is_no_number(folder):
    info = folder / "Info.cfg"
    info.write_text(info.read_text().replace("ED: 1\n", "ED: first\n"))
    return "Info.cfg", "ED is 'first'"


def unknown_group(folder):
    info = folder / "Info.cfg"
    info.write_text(info.read_text().replace("Group: NOR", "Group: AVC"))
    return "Info.cfg", "p has the group 'AVC'"


def info_is_binary(folder):
    (folder / "Info.cfg").write_bytes(b"\x00\x01\x02\x81")
    return "Info.cfg", "cannot be read as text"


def frame_without_file(folder):
    (folder / "p_frame12_gt.nii.gz").unlink()
    return "p_frame12_gt.nii.gz", "names frame 12 as ES, but this file is missing"


def other_shape(folder):
    save_nifti(folder / "p_frame01.nii.gz", IMAGE[:-1])
    return "p_frame01.nii.gz", r"shape \(89, 80, 8\), its label \(90, 80, 8\)"


def other_codes(folder):
    save_nifti(folder / "p_frame01_gt.nii.gz", np.where(LABEL == 3, 4, LABEL))
    return "p_frame01_gt.nii.gz", r"label values \[4.0\]"


def fractional_codes(folder):
    save_nifti(folder / "p_frame01_gt.nii.gz", LABEL.astype(np.float32) / 2)
    return "p_frame01_gt.nii.gz", r"label values \[0.5, 1.5\]"


def nothing_labelled(folder):
    save_nifti(folder / "p_frame01_gt.nii.gz", 0 * LABEL)
    return "p_frame01_gt.nii.gz", "no voxel is labelled"


def one_slice(folder):
    save_nifti(folder / "p_frame01_gt.nii.gz", LABEL * (np.arange(8) == 2).astype(np.uint8))
    return "p_frame01_gt.nii.gz", "has 1 labelled slice of 8"


def two_slices(folder):
    save_nifti(folder / "p_frame01_gt.nii.gz", LABEL * (np.arange(8) < 2).astype(np.uint8))
    return "p_frame01_gt.nii.gz", "has 2 labelled slices of 8"


def not_a_number(folder):
    image = IMAGE.astype(np.float32)
    image[3, 4, 5] = np.nan
    save_nifti(folder / "p_frame12.nii.gz", image)
    return "p_frame12.nii.gz", "1 voxels are NaN"


def constant(folder):
    save_nifti(folder / "p_frame12.nii.gz", np.full_like(IMAGE, 7))
    return "p_frame12.nii.gz", "every voxel has the intensity 7"


def truncated(folder):
    path = folder / "p_frame01.nii.gz"
    path.write_bytes(path.read_bytes()[:-3000])
    return "p_frame01.nii.gz", "is not a readable NIfTI file"


def not_nifti(folder):
    (folder / "p_frame01_gt.nii.gz").write_text("hello")
    return "p_frame01_gt.nii.gz", "is not a readable NIfTI file"


def empty_file(folder):
    (folder / "p_frame01_gt.nii.gz").write_bytes(b"")
    return "p_frame01_gt.nii.gz", "is not a readable NIfTI file"


def four_axes(folder):
    save_nifti(folder / "p_frame01_gt.nii.gz", LABEL[..., None].repeat(2, 3))
    return "p_frame01_gt.nii.gz", r"has shape \(90, 80, 8, 2\)"


FAULTS = [
    without_info,
    without_key,
    frame_is_no_number,
    unknown_group,
    info_is_binary,
    frame_without_file,
    other_shape,
    other_codes,
    fractional_codes,
    nothing_labelled,
    one_slice,
    two_slices,
    not_a_number,
    constant,
    truncated,
    not_nifti,
    empty_file,
    four_axes,
]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return write_acdc_subject(tmp_path_factory.mktemp("healthy") / "p", "NOR")


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
def test_a_bad_subject_is_named_with_its_fault(damage, healthy, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(healthy, folder)
    name, reason = damage(folder)
    (entry,) = find_subjects(tmp_path)[1]
    with pytest.raises(CardiomorphError, match=reason) as error:
        entry.load()
    assert str(folder / name) in str(error.value)


def test_phases_on_different_grids_are_an_error(healthy, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(healthy, folder)
    save_nifti(folder / "p_frame12_gt.nii.gz", LABEL[:-2])
    save_nifti(folder / "p_frame12.nii.gz", IMAGE[:-2])
    (entry,) = find_subjects(tmp_path)[1]
    with pytest.raises(CardiomorphError, match=r"p: ED has the grid .* one crop needs one in-plane grid"):
        prepare_subject(entry.load())


def test_an_image_without_contrast_is_an_error(healthy, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(healthy, folder)
    image = np.zeros_like(IMAGE)
    image[0, 0, 0] = 9
    for number in (1, 12):
        save_nifti(folder / f"p_frame{number:02d}.nii.gz", image)
    (entry,) = find_subjects(tmp_path)[1]
    with pytest.raises(CardiomorphError, match="no contrast"):
        prepare_subject(entry.load())


@pytest.fixture
def small_tree(tmp_path):
    root = tmp_path / "tree"
    for number in range(3):
        write_acdc_subject(root / f"p{number}", "NOR", hearts_of("NOR", number), seed=number)
    return root


@pytest.mark.usefixtures("in_process")
class TestPreparation:
    def test_stops_at_a_bad_subject_and_leaves_no_cohort(self, small_tree, tmp_path):
        (small_tree / "p1" / "Info.cfg").unlink()
        with pytest.raises(CardiomorphError, match=r"p1/Info.cfg: this file is missing.*--skip-bad"):
            prepare_cohort(small_tree, tmp_path / "out")
        assert not (tmp_path / "out" / "cohort.json").exists()
        assert not leftovers(tmp_path)
        with pytest.raises(CardiomorphError, match="is not a prepared cohort"):
            Cohort(tmp_path / "out")

    def test_skips_bad_subjects_if_asked_and_lists_them(self, small_tree, tmp_path):
        (small_tree / "p1" / "Info.cfg").unlink()
        cohort = prepare_cohort(small_tree, tmp_path / "out", skip_bad=True)
        assert cohort.ids() == ["p0", "p2"]
        left_out = json.loads((tmp_path / "out" / "cohort.json").read_text())["left_out"]
        assert list(left_out) == ["p1"]
        assert "Info.cfg: this file is missing" in left_out["p1"]

    def test_says_so_when_every_subject_is_bad(self, small_tree, tmp_path):
        for info in small_tree.glob("*/Info.cfg"):
            info.unlink()
        with pytest.raises(CardiomorphError, match="no subject could be prepared") as error:
            prepare_cohort(small_tree, tmp_path / "out", skip_bad=True)
        assert str(small_tree) in str(error.value)

    def test_prepares_a_group_of_one(self, small_tree, tmp_path):
        write_acdc_subject(small_tree / "q", "HCM", seed=9)
        assert prepare_cohort(small_tree, tmp_path / "out").ids(group="HCM") == ["q"]

    @pytest.mark.parametrize("damage", ["bad subject", "seed"])
    def test_a_failure_leaves_the_cohort_that_was_there(self, damage, small_tree, tmp_path):
        prepare_cohort(small_tree, tmp_path / "out")
        before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
        if damage == "bad subject":
            (small_tree / "p1" / "Info.cfg").unlink()
        with pytest.raises(CardiomorphError):
            prepare_cohort(small_tree, tmp_path / "out", seed=-1 if damage == "seed" else 0)
        assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
        assert not leftovers(tmp_path)

    def test_refuses_other_things_beside_a_cohort(self, small_tree, tmp_path):
        prepare_cohort(small_tree, tmp_path / "out")
        (tmp_path / "out" / "notes.txt").write_text("mine")
        with pytest.raises(CardiomorphError, match=r"holds other things \(notes.txt\)"):
            prepare_cohort(small_tree, tmp_path / "out")
        assert (tmp_path / "out" / "notes.txt").read_text() == "mine"

    def test_refuses_an_output_below_a_file(self, small_tree, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(CardiomorphError, match="cannot be written") as error:
            prepare_cohort(small_tree, tmp_path / "file" / "out")
        assert str(tmp_path / "file") in str(error.value)
        assert (tmp_path / "file").read_text() == "mine"

    def test_refuses_an_output_that_is_a_file(self, small_tree, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(CardiomorphError, match="exists and is not a folder"):
            prepare_cohort(small_tree, tmp_path / "file")
        assert (tmp_path / "file").read_text() == "mine"

    def test_refuses_a_folder_with_other_things(self, small_tree, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("mine")
        with pytest.raises(CardiomorphError, match="is not empty"):
            prepare_cohort(small_tree, tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]

    def test_says_when_the_disk_is_full_and_leaves_no_half_file(self, small_tree, tmp_path, no_space):
        no_space()
        with pytest.raises(CardiomorphError, match="No space left on device"):
            prepare_cohort(small_tree, tmp_path / "out")
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("share", [-0.1, 1.0])
    def test_refuses_an_impossible_heldout_share(self, share, small_tree, tmp_path):
        with pytest.raises(CardiomorphError, match="held-out share"):
            prepare_cohort(small_tree, tmp_path / "out", heldout=share)

    def test_drops_subjects_that_have_left_the_source(self, small_tree, tmp_path):
        prepare_cohort(small_tree, tmp_path / "out")
        shutil.rmtree(small_tree / "p1")
        assert prepare_cohort(small_tree, tmp_path / "out").ids() == ["p0", "p2"]
        assert not (tmp_path / "out" / "subjects" / "p1.safetensors").exists()


def test_an_error_in_another_process_arrives_whole(small_tree, tmp_path):
    (small_tree / "p1" / "p1_frame12_gt.nii.gz").write_text("hello")
    with pytest.raises(CardiomorphError, match=r"p1_frame12_gt.nii.gz: is not a readable NIfTI"):
        prepare_cohort(small_tree, tmp_path / "out", workers=1)
