"""The classes of a label map are data of a model, a cohort and an atlas, and are checked where these meet."""

from __future__ import annotations

import shutil

import pytest
import torch

from cardiomorph.anatomy import CLASS_NAMES, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_record, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.checkpoint import load_shape_model, save_model
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, one_hot
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.training.shape import ShapeTrainingConfig, pooled_dice, train_shape

FIVE = ("background", "left", "right", "septum", "scar")


def test_a_cohort_and_an_atlas_say_what_their_codes_mean(cohort, atlas):
    assert cohort.classes == CLASS_NAMES
    assert cohort.settings["phases"] == list(PHASES)
    assert tuple(atlas.description["classes"]) == CLASS_NAMES
    assert tuple(atlas.description["phases"]) == PHASES
    assert load_shape_model(atlas.folder / "shape").config.classes == CLASS_NAMES


def test_models_have_as_many_classes_as_their_description_names(tmp_path):
    model = LabelVAE(LabelVAEConfig(width=2, latent_dims=3, bottleneck=4, size=32, classes=FIVE)).eval()
    labels = torch.randint(0, 5, (2, 32, 32))
    assert model.decode(model.encode(one_hot(labels, 5)).mean).shape == (2, 5, 32, 32)
    save_model(tmp_path / "m", "shape", model)
    assert load_shape_model(tmp_path / "m").config.classes == FIVE
    assert Segmenter(SegmenterConfig(width=2, size=32, classes=FIVE))(torch.rand(1, 1, 32, 32)).shape[1] == 5
    scores = pooled_dice(labels, labels, FIVE)
    assert scores == {"dice": 1.0, "dice_left": 1.0, "dice_right": 1.0, "dice_septum": 1.0, "dice_scar": 1.0}


def test_a_training_on_other_classes_is_refused(cohort, tmp_path):
    config = ShapeTrainingConfig(model=LabelVAEConfig(width=2, bottleneck=8, classes=FIVE), epochs=1)
    with pytest.raises(CardiomorphError, match="the cohort has the classes background, rv, myocardium, lv"):
        train_shape(cohort.folder, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_an_atlas_of_other_classes_is_refused(cohort, atlas, tmp_path):
    save_model(tmp_path / "m", "shape", LabelVAE(LabelVAEConfig(width=2, latent_dims=3, bottleneck=4, classes=FIVE)))
    with pytest.raises(CardiomorphError, match="the shape model has the classes background, left"):
        build_atlas(cohort.folder, tmp_path / "atlas", shape=tmp_path / "m")
    shutil.copytree(atlas.folder, tmp_path / "other")
    facts = read_record(tmp_path / "other" / "atlas.json")
    write_json(tmp_path / "other" / "atlas.json", facts | {"classes": FIVE}, seal=True)
    with pytest.raises(CardiomorphError, match="its shape model background, rv"):
        _ = Atlas(tmp_path / "other").groups


def test_a_cohort_of_other_classes_is_refused(cohort, model_folders, tmp_path):
    shutil.copytree(cohort.folder, tmp_path / "c")
    facts = read_record(tmp_path / "c" / "cohort.json")
    write_json(tmp_path / "c" / "cohort.json", facts | {"classes": FIVE}, seal=True)
    with pytest.raises(CardiomorphError, match="the cohort background, left"):
        build_atlas(Cohort(tmp_path / "c").folder, tmp_path / "atlas", shape=model_folders / "shape")
