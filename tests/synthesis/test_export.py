"""Exports: complete folders, and splits that cannot leak."""

import json
import subprocess

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiomorph import export, synthesize
from cardiomorph.anatomy import GROUPS, PHASES
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_csv
from cardiomorph.synthesis.nnunet_export import N_FOLDS, folds, with_slices
from cardiomorph.synthesis.nnunet_planning import Fingerprint
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.volume import Volume, read_nifti
from conftest import MNMS_HEADER, heart_label, hearts_of, write_acdc_subject, write_mnms_subject, write_table


@pytest.fixture(scope="module")
def synth(atlas, tmp_path_factory):
    request = SynthesisRequest(targets=("DCM",), versions=1, sources=tuple(atlas.parents))
    return synthesize(atlas, tmp_path_factory.mktemp("synth") / "synth", request)


def test_nnunet_has_a_label_for_every_image_and_counts_them(synth, acdc_tree, tmp_path):
    folder = export(synth, tmp_path / "Dataset501_Hearts", real=acdc_tree)
    images = {p.name.removesuffix("_0000.nii.gz") for p in (folder / "imagesTr").iterdir()}
    labels = {p.name.removesuffix(".nii.gz") for p in (folder / "labelsTr").iterdir()}
    assert images == labels
    described = json.loads((folder / "dataset.json").read_text())
    assert described["numTraining"] == len(images)
    assert described["labels"] == {"background": 0, "rv": 1, "myocardium": 2, "lv": 3}
    case = sorted(images)[0]
    image = nib.load(folder / "imagesTr" / f"{case}_0000.nii.gz")
    label = nib.load(folder / "labelsTr" / f"{case}.nii.gz")
    assert image.shape == label.shape
    assert image.header.get_zooms() == label.header.get_zooms()
    splits = json.loads((folder / "splits_final.json").read_text())
    assert {case for split in splits for case in split["val"]} <= images
    assert not any("_v01_" in case for split in splits for case in split["val"])
    listed = {row["subject"]: row for row in read_csv(folder / "subjects.csv")}
    assert {case.rsplit("_", 1)[0] for case in labels} == listed.keys()
    assert {row["group"] for row in listed.values() if row["synthetic"] == "yes"} == {"DCM"}
    layout, entries = find_subjects(folder)
    assert layout == "nnunet"
    assert {entry.load().group for entry in entries} == set(GROUPS)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 4), st.integers(0, 1000))
def test_no_child_trains_against_its_parent_and_no_synthetic_case_validates(n, children, seed):
    real = {f"p{i:02d}": ("NOR", "DCM")[i % 2] for i in range(n)}
    parents = {f"p{i:02d}_DCM_v{k}": f"p{i:02d}" for i in range(0, n, 2) for k in range(children)}
    twins = [["p00", "p02"]] if n > 2 else []
    splits = folds(real, parents, twins, seed)
    units = n - (n > 2)
    assert len(splits) == min(N_FOLDS, units)
    # In sets of twins no fold has two more than another, so none is without a patient.
    held = [len({case.rsplit("_", 1)[0] for case in split["val"]} - {"p02"}) for split in splits]
    assert max(held) - min(held) <= 1
    assert min(held) > 0
    validated = [case.rsplit("_", 1)[0] for split in splits for case in split["val"]]
    assert sorted(set(validated)) == sorted(real)
    assert len(validated) == 2 * len(real)
    for split in splits:
        val = {case.rsplit("_", 1)[0] for case in split["val"]}
        train = {case.rsplit("_", 1)[0] for case in split["train"]}
        assert not val & train
        assert not {parents[name] for name in train if name in parents} & val
        assert not twins or ("p00" in val) == ("p02" in val)
        assert {name for name in parents if parents[name] not in val} <= train


def test_one_patient_makes_no_fold():
    assert folds({"p": "NOR"}, {"p_DCM_v01": "p"}, [], 0) == []


@pytest.mark.parametrize("apex_first", [False, True])
@pytest.mark.parametrize("tree", ["mnms", "acdc"])
def test_an_export_keeps_nnunets_rules_whatever_the_layout_of_the_patients(tree, apex_first, synth, tmp_path):
    real = tmp_path / "real"
    for number in range(2):
        hearts = hearts_of("NOR", number)
        if tree == "mnms":
            write_mnms_subject(real / f"R{number}", hearts, seed=number, frames=(0, 1), apex_first=apex_first)
        else:
            write_acdc_subject(real / f"R{number}", "NOR", hearts, seed=number)
    if tree == "mnms":
        rows = [f"R{number},Siemens,A,1,0,1,58,NOR,M,180,81" for number in range(2)]
        write_table(real / "t.csv", MNMS_HEADER, *rows)
    folder = export(synth, tmp_path / "Dataset501_Hearts", real=real)
    facts = json.loads((folder / "dataset.json").read_text())
    cases = sorted(path.name.removesuffix("_0000.nii.gz") for path in (folder / "imagesTr").iterdir())
    assert facts["numTraining"] == len(cases)
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == [f"{case}.nii.gz" for case in cases]
    for case in cases:
        image, label = (
            sitk.ReadImage(str(folder / part)) for part in (f"imagesTr/{case}_0000.nii.gz", f"labelsTr/{case}.nii.gz")
        )
        for what in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(image, what)(), getattr(label, what)(), rtol=1e-5, atol=1e-5)
        assert set(np.unique(sitk.GetArrayFromImage(label))) <= set(facts["labels"].values())
    splits = json.loads((folder / "splits_final.json").read_text())
    assert all(split["val"] for split in splits)
    assert {case for split in splits for part in split.values() for case in part} <= set(cases)
    # A stack that is stored apex first stays so.
    ed = read_nifti(folder / "labelsTr" / "R0_ED.nii.gz").array
    np.testing.assert_array_equal(
        ed, heart_label(hearts_of("NOR")["ED"])[:, :, :: -1 if apex_first and tree == "mnms" else 1]
    )


def test_patients_of_another_layout_are_written_in_acdcs_layout_and_codes(synth, mnms_tree, tmp_path):
    folder = export(synth, tmp_path / "d", layout="acdc", real=mnms_tree)
    exported = {entry.id: entry.load_present() for entry in find_subjects(folder, "acdc")[1]}
    for entry in find_subjects(mnms_tree)[1]:
        before, after = entry.load(), exported[entry.id]
        assert (after.group, after.height_cm, after.apex_first) == (before.group, before.height_cm, before.apex_first)
        for phase in PHASES:
            for mine, theirs in (
                (after.frames[phase].label, before.frames[phase].label),
                (after.frames[phase].image, before.frames[phase].image),
            ):
                np.testing.assert_array_equal(mine.array, theirs.array)
                np.testing.assert_allclose(mine.affine, theirs.affine, atol=1e-4)


def test_without_real_patients_no_split_is_written(synth, tmp_path):
    folder = export(synth, tmp_path / "d")
    assert not (folder / "splits_final.json").exists()


def test_acdc_export_is_a_source_with_both(synth, acdc_tree, tmp_path):
    folder = export(synth, tmp_path / "d", layout="acdc", real=acdc_tree)
    n = len(find_subjects(synth)[1]) + len(find_subjects(acdc_tree)[1])
    assert len(find_subjects(folder)[1]) == n


def test_a_used_output_is_refused(synth, tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(CardiomorphError, match="not empty"):
        export(synth, tmp_path)


def what_breaks_nnunet(folder):
    """What `verify_dataset_integrity` of nnU-Net asks of a data set, stated again; reads with SimpleITK, as it does."""
    described = json.loads((folder / "dataset.json").read_text())
    assert {"labels", "channel_names", "numTraining", "file_ending"} <= described.keys()
    ending, codes = described["file_ending"], list(described["labels"].values())
    assert codes == list(range(len(codes)))
    images = sorted((folder / "imagesTr").iterdir())
    cases = {path.name[: -len(ending)].rsplit("_", 1)[0] for path in images}
    assert len(images) == len(cases) * len(described["channel_names"])
    assert len(cases) == described["numTraining"]
    for case in sorted(cases):
        image = sitk.ReadImage(str(folder / "imagesTr" / f"{case}_0000{ending}"))
        label = sitk.ReadImage(str(folder / "labelsTr" / f"{case}{ending}"))
        picture, mask = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(label)
        if np.isnan(picture).any() or np.isnan(mask).any():
            yield f"{case} has NaN"
        if picture.shape != mask.shape:
            yield f"{case} differs in shape"
        if not set(np.unique(mask)) <= set(codes):
            yield f"{case} has other labels"
        for what in ("GetSpacing", "GetOrigin", "GetDirection"):
            if not np.allclose(getattr(image, what)(), getattr(label, what)()):
                yield f"{case} differs in {what}"


class TestPlanning:
    def test_nnunets_own_check_finds_nothing(self, synth, acdc_tree, tmp_path):
        assert list(what_breaks_nnunet(export(synth, tmp_path / "Dataset501_Hearts", real=acdc_tree))) == []

    def test_the_check_finds_what_is_wrong(self, synth, acdc_tree, tmp_path):
        folder = export(synth, tmp_path / "Dataset501_Hearts", real=acdc_tree)
        victim = sorted((folder / "labelsTr").iterdir())[0]
        image = sitk.ReadImage(str(victim))
        image.SetSpacing((1.0, 1.0, 1.0))
        sitk.WriteImage(image + 5, str(victim))
        assert len(list(what_breaks_nnunet(folder))) == 2

    def test_thin_slices_become_the_real_sets(self, synth, acdc_tree, tmp_path, caplog):
        caplog.set_level("WARNING")
        folder = export(synth, tmp_path / "Dataset501_Hearts", real=acdc_tree)
        assert "resampled to the real ones' slice distance" in caplog.text
        for path in (folder / "imagesTr").glob("*DCM_v01*"):
            assert abs(nib.load(path).header.get_zooms()[2] - 10.0) < 1.0

    def test_thin_slices_that_change_the_plan_are_refused_unless_told(self, synth, acdc_tree, tmp_path):
        output = tmp_path / "Dataset501_Hearts"
        with pytest.raises(CardiomorphError, match="from 10 to") as refused:
            export(synth, output, real=acdc_tree, keep_slices=True)
        assert "--any-spacing" in str(refused.value)
        assert not output.exists()
        folder = export(synth, output, real=acdc_tree, keep_slices=True, any_spacing=True)
        facts = json.loads((folder / "planning.json").read_text())
        assert facts["together"]["target_spacing_mm"][2] < facts["real"]["target_spacing_mm"][2] == 10.0

    def test_real_voxels_keep_their_type_and_place(self, synth, acdc_tree, tmp_path):
        folder = export(None, tmp_path / "Dataset500_Real", real=acdc_tree)
        entry = find_subjects(acdc_tree)[1][0]
        theirs = nib.load(next(iter(entry.folder.glob("*_frame01.nii.gz"))))
        mine = nib.load(folder / "imagesTr" / f"{entry.id}_ED_0000.nii.gz")
        assert mine.get_data_dtype() == theirs.get_data_dtype() == np.int16
        np.testing.assert_array_equal(mine.get_fdata(), theirs.get_fdata())

    def test_the_advice_names_the_data_set_and_the_script_copies_the_splits(self, synth, acdc_tree, tmp_path):
        folder = export(synth, tmp_path / "Dataset501_Hearts", real=acdc_tree)
        advice = (folder / "PLANNING.md").read_text()
        assert "nnUNetv2_move_plans_between_datasets -s REAL -t 501" in advice
        place = tmp_path / "preprocessed" / "Dataset501_Hearts"
        place.mkdir(parents=True)
        environment = {"nnUNet_preprocessed": str(place.parent), "PATH": "/usr/bin:/bin"}
        subprocess.run(["sh", str(folder / "copy_splits.sh")], env=environment, check=True)
        assert (place / "splits_final.json").read_bytes() == (folder / "splits_final.json").read_bytes()

    def test_splits_go_where_nnunet_reads_them_and_replace_none(self, synth, acdc_tree, tmp_path, monkeypatch):
        monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
        folder = export(synth, tmp_path / "raw" / "Dataset501_Hearts", real=acdc_tree)
        installed = tmp_path / "Dataset501_Hearts" / "splits_final.json"
        assert installed.read_bytes() == (folder / "splits_final.json").read_bytes()
        installed.write_text("mine")
        export(synth, tmp_path / "raw2" / "Dataset501_Hearts", real=acdc_tree)
        assert installed.read_text() == "mine"

    def test_nothing_to_export_is_said(self, tmp_path):
        with pytest.raises(CardiomorphError, match="nothing to export"):
            export(None, tmp_path / "d")


class TestTargetSpacing:
    """nnU-Net's rule, on cases whose answer is known from its paper and code."""

    @staticmethod
    def of(*cases):
        found = Fingerprint()
        for count, spacing, shape in cases:
            for _ in range(count):
                found.add(spacing, shape)
        return found.target_spacing_mm()

    def test_nearly_even_axes_take_the_median(self):
        assert self.of((3, (1.0, 1.0, 2.0), (200, 200, 100)), (2, (1.0, 1.0, 1.0), (200, 200, 200))).tolist() == [
            1,
            1,
            2,
        ]

    def test_a_coarse_axis_takes_the_tenth_percentile(self):
        target = self.of((80, (1.5, 1.5, 10.0), (220, 220, 10)), (20, (1.5, 1.5, 5.0), (220, 220, 20)))
        assert target.tolist() == [1.5, 1.5, 5.0]

    def test_fewer_than_a_tenth_change_nothing(self):
        target = self.of((95, (1.5, 1.5, 10.0), (220, 220, 10)), (5, (1.5, 1.5, 5.0), (220, 220, 20)))
        assert target.tolist() == [1.5, 1.5, 10.0]


@given(st.integers(4, 60), st.floats(1.0, 4.0), st.floats(4.0, 14.0))
def test_a_stack_of_thin_slices_keeps_length_middle_and_order(n, thin, wanted):
    array = np.arange(n, dtype=np.int16)[None, None].repeat(3, 0).repeat(3, 1)
    affine = np.diag([1.5, 1.5, thin, 1.0])
    affine[:3, 3] = 5.0, -7.0, 11.0
    frame = Frame(Volume(array.astype(np.uint8), (1.5, 1.5, thin), affine), Volume(array, (1.5, 1.5, thin), affine))
    thick = with_slices(frame, wanted).image
    assert thick.n_slices == max(1, round(n * thin / wanted))
    assert thick.n_slices * thick.spacing_mm[2] == pytest.approx(n * thin)
    middles = [(affine @ [0, 0, (n - 1) / 2, 1])[2], (thick.affine @ [0, 0, (thick.n_slices - 1) / 2, 1])[2]]
    assert middles[0] == pytest.approx(middles[1])
    assert (np.diff(thick.array[0, 0]) > 0).all() or thick.n_slices > n
    # Each slice lies where it lay, to half of an old slice.
    for k in range(thick.n_slices):
        was, now = affine @ [0, 0, int(thick.array[0, 0, k]), 1], thick.affine @ [0, 0, k, 1]
        assert abs(was[2] - now[2]) <= 0.5 * thin + 1e-6
