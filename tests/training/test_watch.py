"""Early warnings: each speaks when its trouble is there, once, and keeps silent in a healthy training."""

import shutil

import numpy as np
import pytest

from cardiomorph.files import read_csv, write_csv
from cardiomorph.models.label_vae import LabelVAEConfig
from cardiomorph.training.shape import ShapeTrainingConfig, train_shape
from cardiomorph.training.watch import Watch, cohort_warnings
from conftest import resealed


def history(n=60, **curves):
    return [{key: float(curve(k)) for key, curve in curves.items()} for k in range(n)]


HEALTHY = {
    "loss": lambda k: 5000 / (1 + k) + 400 + 50 * np.sin(k),
    "l1": lambda k: 0.3 / (1 + 0.1 * k) + 0.1,
    "kl": lambda k: 200 / (1 + k) + 30,
    "verdict_real": lambda k: 0.4,
    "verdict_fake": lambda k: -0.4,
    "discriminator": lambda k: 1.5,
}
TROUBLES = [
    ("loss", lambda k: 400 if k < 40 else 400 * 1.15 ** (k - 40), "twice its lowest level"),
    ("l1", lambda k: 0.1 if k < 40 else 0.5, "l1 has risen"),
    ("kl", lambda k: 30 / (1 + k), "posterior has collapsed"),
    ("verdict_fake", lambda k: 0.41, "says the same of real and of painted"),
    ("discriminator", lambda k: 0.001, "never wrong"),
]


def told(curves, n=60):
    watch, past, sentences = Watch(), [], []
    for entry in history(n, **curves):
        past.append(entry)
        sentences += watch.news(past)
    return sentences


def test_a_healthy_training_is_left_in_peace():
    assert told(HEALTHY) == []


@pytest.mark.parametrize(("key", "curve", "words"), TROUBLES)
def test_a_trouble_is_told_once_with_what_to_try(key, curve, words):
    sentences = told(HEALTHY | {key: curve})
    assert len(sentences) == 1
    assert words in sentences[0]
    assert "try" in sentences[0]


@pytest.mark.parametrize(("key", "curve", "words"), TROUBLES)
def test_nine_reports_are_no_reason_to_cry(key, curve, words):
    assert told(HEALTHY | {key: curve}, n=9) == []


def without(cohort, folder, keep):
    shutil.copytree(cohort.folder, folder)
    rows = [row for row in read_csv(folder / "manifest.csv") if keep(row)]
    write_csv(folder / "manifest.csv", rows)
    return resealed(folder)


def test_a_cohort_without_a_group_or_without_held_out_ones(cohort, tmp_path):
    assert cohort_warnings(cohort) == []
    poor = without(cohort, tmp_path / "c", lambda row: row["group"] != "HCM" and row["split"] == "train")
    missing, unmeasured = cohort_warnings(poor)
    assert "no training subject is of the group HCM" in missing
    assert "nobody is held out" in unmeasured


def test_the_run_folder_keeps_what_was_said(cohort, tmp_path):
    poor = without(cohort, tmp_path / "c", lambda row: row["group"] != "HCM")
    config = ShapeTrainingConfig(
        model=LabelVAEConfig(width=2, bottleneck=8), epochs=1, batch_size=8, learning_rate=1e-3, precision="float32"
    )
    train_shape(poor.folder, tmp_path / "run", config=config, device="cpu")
    (line,) = (tmp_path / "run" / "warnings.txt").read_text().splitlines()
    assert line.startswith("step 0: no training subject is of the group HCM")
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"- {line}" in card
    assert '"beta": 15.0' in card
