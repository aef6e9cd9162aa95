"""Exports: complete folders, and splits that cannot leak."""

import json

import nibabel as nib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiomorph import export, synthesize
from cardiomorph.anatomy import GROUPS
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_csv
from cardiomorph.synthesis.export import N_FOLDS, folds
from cardiomorph.synthesis.request import SynthesisRequest


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
@given(st.integers(5, 30), st.integers(0, 4), st.integers(0, 1000))
def test_no_child_trains_against_its_parent_and_no_synthetic_case_validates(n, children, seed):
    real = {f"p{i:02d}": ("NOR", "DCM")[i % 2] for i in range(n)}
    parents = {f"p{i:02d}_DCM_v{k}": f"p{i:02d}" for i in range(0, n, 2) for k in range(children)}
    twins = [["p00", "p02"]]
    splits = folds(real, parents, twins, seed)
    assert len(splits) == N_FOLDS
    validated = [case.rsplit("_", 1)[0] for split in splits for case in split["val"]]
    assert sorted(set(validated)) == sorted(real)
    assert len(validated) == 2 * len(real)
    for split in splits:
        val = {case.rsplit("_", 1)[0] for case in split["val"]}
        train = {case.rsplit("_", 1)[0] for case in split["train"]}
        assert not val & train
        assert not {parents[name] for name in train if name in parents} & val
        assert ("p00" in val) == ("p02" in val)
        assert {name for name in parents if parents[name] not in val} <= train


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
