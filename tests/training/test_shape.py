from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save

from cardiomorph.data.cohort import Cohort
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.prepare import PreparationConfig
from cardiomorph.errors import CardiomorphError
from cardiomorph.models.checkpoint import load_shape_model
from cardiomorph.models.label_vae import LabelVAEConfig, one_hot
from cardiomorph.training.augmentation import AugmentationConfig
from cardiomorph.training.shape import ShapeTask, ShapeTrainingConfig, pooled_dice, train_shape
from conftest import resealed

CONFIG = ShapeTrainingConfig(
    model=LabelVAEConfig(width=2, latent_dims=4, bottleneck=16, size=64),
    epochs=4,
    batch_size=16,
    learning_rate=5e-3,
    beta=1.0,
    beta_warmup_epochs=1,
    augmentation=AugmentationConfig(rotation_deg=10, scale=0.05, shift_px=2),
)


@pytest.fixture(scope="module")
def small(acdc_tree, tmp_path_factory):
    """The tree at 64 x 64 pixels of 3 mm, for speed."""
    return prepare_cohort(
        acdc_tree, tmp_path_factory.mktemp("small") / "c", config=PreparationConfig(spacing_mm=3, size=64)
    )


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shape") / "run"
    return folder, train_shape(small.folder, folder, config=CONFIG, device="cpu")


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_loss_falls_and_hearts_are_learnt(finished):
    folder, metrics = finished
    losses = [line["loss"] for line in log(folder) if "loss" in line]
    assert losses[-1] < 0.6 * losses[0]
    assert metrics["steps"] == 4 * (130 // 16)
    assert metrics["slices"] == 130


def test_a_finished_run_holds_what_a_person_and_other_commands_open(finished):
    folder, metrics = finished
    assert json.loads((folder / "metrics.json").read_text()) == pytest.approx(metrics, nan_ok=True)
    assert json.loads((folder / "run.json").read_text())["settings"]["config"]["epochs"] == 4
    for name in ("samples.png", "curves.png"):
        assert Image.open(folder / name).size[0] > 100
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


@torch.inference_mode()
def test_the_metrics_are_those_of_the_saved_model(finished, small):
    folder, metrics = finished
    model = load_shape_model(folder)
    labels = torch.from_numpy(small.slices("heldout", images=False).labels())
    drawn = model.decode(model.encode(one_hot(labels)).mean).argmax(1)
    for code, name in ((1, "rv"), (2, "myocardium"), (3, "lv")):
        both = ((drawn == code) & (labels == code)).sum()
        expected = 2 * both / ((drawn == code).sum() + (labels == code).sum())
        assert metrics[f"dice_{name}"] == pytest.approx(float(expected), abs=1e-3)


@pytest.mark.parametrize("killed_at", [3, 21])
def test_a_killed_run_resumed_is_the_run_that_was_not(killed_at, finished, small, tmp_path, monkeypatch):
    step = ShapeTask.step

    def killed(self, number, batch):
        if number == killed_at:
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(ShapeTask, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train_shape(small.folder, tmp_path / "r", config=CONFIG, device="cpu")
    monkeypatch.undo()
    assert not (tmp_path / "r" / "model.safetensors").exists()
    assert (tmp_path / "r" / "checkpoint.safetensors").exists() == (killed_at > 8)
    train_shape(small.folder, tmp_path / "r", config=CONFIG, device="cpu", resume=True)
    for name in ("model.safetensors", "model.json", "log.jsonl"):
        assert (tmp_path / "r" / name).read_bytes() == (finished[0] / name).read_bytes()


def test_a_process_killed_outright_resumes_to_the_same_bytes(finished, small, tmp_path):
    run = tmp_path / "r"
    (tmp_path / "config.json").write_text(CONFIG.model_dump_json())
    command = [sys.executable, "-m", "cardiomorph.cli", "train", "shape", str(small.folder), "-o", str(run)]
    command += ["--config", str(tmp_path / "config.json"), "--device", "cpu", "--resume"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for checkpoints in (1, 2):
        training = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        seen = set()
        while training.poll() is None and len(seen) < checkpoints:
            if (run / "checkpoint.safetensors").exists():
                seen.add((run / "checkpoint.safetensors").stat().st_mtime_ns)
        training.kill()
        training.wait()
    assert not (run / "model.safetensors").exists(), "killed too late to say anything"
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    for name in ("model.safetensors", "model.json", "log.jsonl"):
        assert (run / name).read_bytes() == (finished[0] / name).read_bytes()


def test_the_terminal_shows_loss_dice_speed_and_time(small, tmp_path, monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=120)
    monkeypatch.setattr("cardiomorph.progress.console", terminal)
    train_shape(small.folder, tmp_path / "r", config=CONFIG, device="cpu")
    shown = terminal.file.getvalue()
    assert re.search(r"shape model .* \d+/\d+ \d:\d\d:\d\d \d:\d\d:\d\d loss \d\S*  dice 0\.\d+  \d+ slices/s", shown)


def test_a_run_is_not_overwritten(finished, small):
    before = (finished[0] / "model.safetensors").read_bytes()
    with pytest.raises(CardiomorphError, match=r"holds a run already.*--resume"):
        train_shape(small.folder, finished[0], config=CONFIG, device="cpu")
    assert (finished[0] / "model.safetensors").read_bytes() == before


def test_other_settings_cannot_resume(finished, small):
    other = CONFIG.model_copy(update={"beta": 2.0})
    with pytest.raises(CardiomorphError, match=r"started with other settings \(config\)") as error:
        train_shape(small.folder, finished[0], config=other, device="cpu", resume=True)
    assert "run.json" in str(error.value)


def test_another_cohort_cannot_resume(finished, small, tmp_path):
    shutil.copytree(small.folder, tmp_path / "c")
    manifest = tmp_path / "c" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("heldout", "train"))
    with pytest.raises(CardiomorphError, match=r"started with other settings \(cohort\)"):
        train_shape(tmp_path / "c", finished[0], config=CONFIG, device="cpu", resume=True)


def test_a_cohort_whose_subjects_were_swapped_cannot_resume(finished, small, tmp_path):
    """The same names, groups and splits over other hearts: only their bytes tell."""
    shutil.copytree(small.folder, tmp_path / "c")
    one, other = (tmp_path / "c" / "subjects" / f"{name}.safetensors" for name in small.ids("train")[:2])
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    resealed(tmp_path / "c")
    before = (finished[0] / "model.safetensors").read_bytes()
    with pytest.raises(CardiomorphError, match=r"started with other settings \(cohort\)"):
        train_shape(tmp_path / "c", finished[0], config=CONFIG, device="cpu", resume=True)
    assert (finished[0] / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("run.json", b"{}", "settings: Field required"),
        ("run.json", b"[]", "does not hold an object"),
        ("checkpoint.safetensors", save({"a": torch.zeros(1)}), "is not a checkpoint of this run"),
        ("checkpoint.safetensors", save({"a": torch.zeros(1)}, {"step": "1", "seconds": "1"}), "is not a checkpoint"),
        ("checkpoint.safetensors", b"cut", "is not a readable safetensors file"),
    ],
)
def test_a_damaged_run_is_named(name, content, said, finished, small, tmp_path):
    shutil.copytree(finished[0], tmp_path / "r")
    (tmp_path / "r" / name).write_bytes(content)
    with pytest.raises(CardiomorphError, match=rf"{name}: {said}"):
        train_shape(small.folder, tmp_path / "r", config=CONFIG, device="cpu", resume=True)


def test_a_diverging_training_is_an_error(small, tmp_path):
    config = CONFIG.model_copy(update={"learning_rate": 1e25})
    with pytest.raises(CardiomorphError, match="the training diverged"):
        train_shape(small.folder, tmp_path / "r", config=config, device="cpu")
    assert not (tmp_path / "r" / "model.safetensors").exists()


def test_an_unknown_device_is_an_error(small, tmp_path):
    with pytest.raises(CardiomorphError, match="the device 'abacus' cannot be used"):
        train_shape(small.folder, tmp_path / "r", config=CONFIG, device="abacus")


def test_an_output_below_a_file_is_an_error(small, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CardiomorphError, match="cannot be written"):
        train_shape(small.folder, tmp_path / "file" / "r", config=CONFIG, device="cpu")


def test_no_cohort_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(CardiomorphError, match="is not a prepared cohort"):
        train_shape(tmp_path / "absent", tmp_path / "r", config=CONFIG, device="cpu")
    assert not (tmp_path / "r").exists()


def test_a_model_of_another_size_than_the_cohort_is_a_clear_error(cohort, tmp_path):
    with pytest.raises(CardiomorphError, match="its slices have 128 pixels a side, the model 64"):
        train_shape(cohort.folder, tmp_path / "r", config=CONFIG, device="cpu")
    assert not (tmp_path / "r").exists()


def test_too_few_slices_for_a_batch_are_refused_before_anything_is_written(small, tmp_path):
    config = CONFIG.model_copy(update={"batch_size": 1000})
    with pytest.raises(CardiomorphError, match="130 training slices do not fill one batch of 1000"):
        train_shape(small.folder, tmp_path / "r", config=config, device="cpu")
    assert not (tmp_path / "r").exists()


def test_beta_rises_over_the_warm_up(small):
    task = ShapeTask(CONFIG.model_copy(update={"beta": 6.0, "beta_warmup_epochs": 2}), small)
    betas = [task.beta_at(step) for step in range(task.plan().steps)]
    np.testing.assert_allclose(betas[:16], 6 * np.arange(1, 17) / 16)
    assert set(betas[16:]) == {6.0}
    assert ShapeTask(CONFIG.model_copy(update={"beta_warmup_epochs": 0}), small).beta_at(0) == CONFIG.beta


def test_nothing_held_out_trains_without_scores(small, tmp_path):
    shutil.copytree(small.folder, tmp_path / "c")
    manifest = tmp_path / "c" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("heldout", "train"))
    assert Cohort(tmp_path / "c").ids("heldout") == []
    config = CONFIG.model_copy(update={"epochs": 1})
    metrics = train_shape(tmp_path / "c", tmp_path / "r", config=config, device="cpu")
    assert set(metrics) == {"steps", "slices", "seconds", "peak_memory_mb"}
    assert load_shape_model(tmp_path / "r")


def test_a_structure_that_nobody_has_has_no_dice():
    truth = torch.zeros(2, 8, 8, dtype=torch.uint8)
    assert pooled_dice(truth, truth) == {}
    truth[:, 2:4] = 3
    assert pooled_dice(truth, truth) == {"dice": 1.0, "dice_lv": 1.0}
    assert pooled_dice(truth, torch.full_like(truth, 1))["dice_rv"] == 0.0
