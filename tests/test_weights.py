"""The atlases that ship: whole, light, without a subject, and good for hearts in seconds."""

import nibabel as nib
import numpy as np
import pytest

from cardiomorph import SynthesisRequest, synthesize
from cardiomorph.files import read_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import SHIPPED, default_atlas, notice, shipped_atlases
from cardiomorph.report.card import MAX_NEARER, MAX_TOO_CLOSE, summary

NAMES = sorted(shipped_atlases())


def test_together_they_are_light():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 40e6
    assert default_atlas() in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole_and_holds_no_subject(name):
    folder = shipped_atlases()[name]
    atlas = Atlas(folder)
    assert atlas.parents == {}
    assert {path.name for path in folder.iterdir()} >= {"LICENSE", "README.md", "card.json", "metrics.json"}
    assert read_json(folder / "card.json")["atlas"] == atlas.identity
    for path in folder.rglob("*.json"):
        assert "patient0" not in path.read_text()
    assert all(training["config"]["seed"] == 0 for training in settings(folder))


def settings(folder):
    return [read_json(folder / kind / "model.json")["settings"] for kind in ("shape", "image")]


@pytest.mark.parametrize("name", NAMES)
def test_one_trained_on_patients_was_measured_for_memorisation(name):
    folder = shipped_atlases()[name]
    metrics = read_json(folder / "metrics.json")
    assert metrics["fidelity.frechet.own"] > 0
    if not read_json(folder / "card.json")["patients"]:
        pytest.skip("trained on phantoms")
    for kind in ("label", "image"):
        assert metrics[f"memorisation.{kind}_share_too_close"] <= MAX_TOO_CLOSE
        nearer = metrics[f"memorisation.{kind}_to_heldout"] / metrics[f"memorisation.{kind}_to_training"]
        assert nearer <= MAX_NEARER


def test_what_derives_from_acdc_says_so():
    if "acdc-small" not in NAMES:
        pytest.skip("acdc-small does not ship")
    folder = shipped_atlases()["acdc-small"]
    for text in (notice(folder), summary(folder), (folder / "README.md").read_text()):
        assert "CC-BY-NC-SA-4.0" in text
    assert "Bernard" in (folder / "README.md").read_text()
    assert "not for clinical use" in notice(folder)
    assert "Attribution-NonCommercial-ShareAlike 4.0" in (folder / "LICENSE").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_hearts_of_virtual_parents_are_hearts(name, tmp_path):
    request = SynthesisRequest(sources=("virtual",), parents=3, targets=("HCM",), versions=1, seed=1)
    folder = synthesize(shipped_atlases()[name], tmp_path / "out", request)
    measures = [read_json(path) for path in sorted(folder.glob("*/measures.json"))]
    assert all(40 < heart["lv_ef_pct"] < 90 for heart in measures)
    assert all(60 < heart["lv_edv_ml"] < 250 for heart in measures)
    for path in folder.glob("*/*_gt.nii.gz"):
        label = np.asarray(nib.load(path).dataobj)
        image = nib.load(str(path).replace("_gt", "")).get_fdata()
        assert set(np.unique(label)) == {0, 1, 2, 3}
        assert image[label == 3].mean() > image[label == 2].mean() + 30
