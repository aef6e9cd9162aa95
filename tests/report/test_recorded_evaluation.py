"""An evaluation of analytic hearts says what it said when it was recorded: keys, values, verdicts, what is missing.

``recorded_evaluation.json`` changes only where a metric is meant to change; ``python test_recorded_evaluation.py`` from
the repository's root, with ``tests`` on the path, writes it anew.
"""

import json
import shutil
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.models.checkpoint import save_model
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.report.evaluation import evaluate
from cardiomorph.synthesis.atlas_building import build_atlas
from conftest import hearts_of, write_acdc_subject

RECORDED = Path(__file__).with_name("recorded_evaluation.json")
# Untrained networks: the last bits of their answers are the machine's.
OF_NETWORKS = ("own", "label_match", "swap", "identity")


def real_hearts(root):
    """Enough healthy hearts for floors and correlations, enough hypertrophic ones for floors alone, two dilated."""
    groups = ["NOR"] * 8 + ["HCM"] * 4 + ["DCM"] * 2
    for number, group in enumerate(groups):
        hearts = hearts_of(group, number % 5)
        write_acdc_subject(
            root / f"p{number:02d}", group, hearts, seed=number, height_cm=160 + 3 * number, weight_kg=60 + 2 * number
        )


def synthetic_hearts(root):
    """Every group's, one of a group without real hearts, one of no group, one with holes, one with one phase only."""
    for number, group in enumerate(["NOR"] * 4 + ["HCM"] * 3 + ["DCM", "RV", "NOR", "NOR"]):
        write_acdc_subject(root / f"s{number:02d}", group, hearts_of(group, 0.7 * number), seed=50 + number)
    (root / "s09" / "Info.cfg").write_text("ED: 1\nES: 12\nNbFrame: 30\n")
    (root / "s10" / "s10_frame12_gt.nii.gz").unlink()
    pierced = root / "s01" / "s01_frame01_gt.nii.gz"
    image = nib.load(pierced)
    array = np.asarray(image.dataobj).copy()
    x, y, _ = np.argwhere(array == 3).mean(axis=0).astype(int)
    array[x, y, :4] = 0
    nib.save(nib.Nifti1Image(array, image.affine, image.header), pierced)


def labels_only(root):
    for number, group in enumerate(["NOR", "HCM"]):
        write_acdc_subject(root / f"l{number}", group, hearts_of(group, number), images=False)


def evaluated(root):
    """What an evaluation says of these hearts, with a segmenter, an atlas and a second set; all networks untrained."""
    real_hearts(root / "real")
    synthetic_hearts(root / "made")
    labels_only(root / "bare")
    cohort = prepare_cohort(root / "real", root / "cohort", workers=1)
    torch.manual_seed(0)
    save_model(root / "shape", "shape", LabelVAE(LabelVAEConfig(width=2, latent_dims=4, bottleneck=8)))
    save_model(root / "image", "image", ImageModel(ImageModelConfig(width=2, hidden=4, style_dims=4)))
    save_model(root / "segmenter", "segmenter", Segmenter(SegmenterConfig(width=2)))
    atlas = build_atlas(cohort.folder, root / "atlas", shape=root / "shape", image=root / "image")
    found = evaluate(
        root / "made",
        root / "report",
        against=cohort.folder,
        atlas=atlas.folder,
        segmenter=root / "segmenter",
        compare=[root / "bare"],
        workers=1,
    )
    facts = json.loads((root / "report" / "evaluation.json").read_text())
    return {
        "metrics": dict(found.metrics),
        "verdicts": facts["verdicts"],
        "missing": {name: one["missing"] for name, one in facts["sets"].items()},
    }


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        without_imagenet(patch)
        return evaluated(tmp_path_factory.mktemp("recorded"))


def without_imagenet(patch):
    patch.setattr("cardiomorph.report.evaluation.imagenet_available", lambda: False)
    patch.setattr("cardiomorph.synthesis.morph_series.PARENTS", 2)


def test_the_keys_are_the_recorded_ones(now):
    assert set(now["metrics"]) == set(json.loads(RECORDED.read_text())["metrics"])


def test_the_values_are_the_recorded_ones(now):
    recorded = json.loads(RECORDED.read_text())["metrics"]
    for key, value in recorded.items():
        loose = any(part in OF_NETWORKS for part in key.split("."))
        tolerance = {"rel": 1e-3, "abs": 1e-4} if loose else {"rel": 1e-9, "abs": 1e-9}
        assert now["metrics"][key] == pytest.approx(value, **tolerance), key


def test_the_verdicts_and_what_is_missing_are_the_recorded_ones(now):
    recorded = json.loads(RECORDED.read_text())
    assert now["verdicts"] == recorded["verdicts"]
    assert now["missing"] == recorded["missing"]


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    with pytest.MonkeyPatch.context() as patched:
        without_imagenet(patched)
        RECORDED.write_text(json.dumps(evaluated(folder), indent=1, sort_keys=True) + "\n")
    shutil.rmtree(folder)
