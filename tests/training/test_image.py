"""Training the image model: it learns, resumes exactly, and refuses what it cannot use."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.data.cohort import save_subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.models.discriminator import DiscriminatorConfig
from cardiomorph.models.spade import ImageModelConfig
from cardiomorph.training.image import IMAGE_PRESETS, ImageTask, ImageTrainingConfig, neighbours, train_image
from conftest import resealed

CONFIG = ImageTrainingConfig(
    model=ImageModelConfig(width=2, hidden=4, style_dims=4),
    discriminator=DiscriminatorConfig(width=2, layers=2),
    steps=6,
    batch_size=2,
    generator_rate=3e-3,
    l1=20.0,
    average_decay=0.9,
)


@pytest.fixture
def frequent(monkeypatch):
    """Checkpoints every two steps."""
    original = ImageTask.plan
    monkeypatch.setattr(ImageTask, "plan", lambda task: replace(original(task), checkpoint_every=2))


def test_an_interrupted_run_resumes_to_the_same_bytes(cohort, tmp_path, frequent, monkeypatch):
    train_image(cohort.folder, tmp_path / "whole", config=CONFIG)
    original = ImageTask.step

    def interrupted(task, step, batch):
        if step == 3:
            raise KeyboardInterrupt
        return original(task, step, batch)

    monkeypatch.setattr(ImageTask, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_image(cohort.folder, tmp_path / "parts", config=CONFIG)
    monkeypatch.setattr(ImageTask, "step", original)
    train_image(cohort.folder, tmp_path / "parts", config=CONFIG, resume=True)
    for name in ("model.safetensors", "log.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def drawn(task, step):
    return task.batch(np.array([0, 5]), torch.Generator().manual_seed(step))


def test_it_learns_to_repaint_its_slices(cohort):
    task = ImageTask(CONFIG, cohort)
    losses = [task.step(step, drawn(task, step))["l1"].item() for step in range(40)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_average_follows_the_weights_behind_them(cohort):
    task = ImageTask(CONFIG, cohort)
    start = task.average.generator.to_image.weight.clone()
    for step in range(3):
        task.step(step, drawn(task, step))
    now, mean = task.model.generator.to_image.weight, task.average.generator.to_image.weight
    assert 0 < (mean - now).abs().max() < (start - now).abs().max()


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_a_neighbour_is_another_slice_of_the_same_stack(seed, share):
    stack = np.repeat([0, 1, 2], [1, 4, 9])
    indices = np.random.default_rng(seed).integers(0, len(stack), 200)
    chosen = neighbours(indices, stack, share, torch.Generator().manual_seed(seed))
    np.testing.assert_array_equal(stack[chosen], stack[indices])
    assert np.abs(chosen - indices).max() <= 2
    np.testing.assert_array_equal(neighbours(indices, stack, 0.0, torch.Generator()), indices)


def test_half_of_the_slices_are_painted_in_a_neighbours_style():
    stack, indices = np.zeros(100, int), np.tile(np.arange(10, 90), 50)
    chosen = neighbours(indices, stack, 0.5, torch.Generator().manual_seed(0))
    assert (chosen != indices).mean() == pytest.approx(0.5, abs=0.03)
    assert {-2, -1, 0, 1, 2} == set((chosen - indices).tolist())


def test_pooling_before_the_l1_loss_leaves_the_grain_alone(cohort):
    real = drawn(ImageTask(CONFIG, cohort), 0).image
    checkerboard = 0.1 * ((torch.arange(128)[:, None] + torch.arange(128)) % 2 * 2.0 - 1.0)
    losses = {}
    for pool in (1, 4):
        task = ImageTask(CONFIG.model_copy(update={"l1_pool": pool, "generator_rate": 0.0}), cohort)
        fake = (real + checkerboard).requires_grad_()
        label = torch.zeros(2, 4, 128, 128)
        losses[pool] = task._update_generator(real, fake, label)["l1"].item()
    assert losses[1] == pytest.approx(0.1, abs=1e-4)
    assert losses[4] == pytest.approx(0.0, abs=1e-6)


def test_the_papers_preset_is_the_papers():
    paper = IMAGE_PRESETS["paper"]
    assert (paper.model.width, paper.model.hidden, paper.feature_matching) == (32, 128, 10)
    assert (paper.generator_rate, paper.discriminator_rate, paper.l1) == (1e-4, 4e-4, 0)
    assert not paper.augmentation.active


def test_two_time_scale_adam_has_the_paper_s_betas(cohort):
    task = ImageTask(CONFIG.model_copy(update={"generator_rate": 1e-4}), cohort)
    groups = {name: optimizer.param_groups for name, optimizer in task.optimizers.items()}
    assert {name: (g["lr"], g["betas"]) for name, (g,) in groups.items()} == {
        "generator": (1e-4, (0.0, 0.9)),
        "discriminator": (4e-4, (0.0, 0.9)),
    }


def test_slices_of_another_size_are_refused_before_anything_is_written(cohort, tmp_path):
    config = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"size": 64})})
    with pytest.raises(CardiomorphError, match="128 pixels a side, the model 64"):
        train_image(cohort.folder, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_too_few_slices_for_a_batch_are_refused_before_anything_is_written(cohort, tmp_path):
    with pytest.raises(CardiomorphError, match="do not fill one batch of 100000"):
        train_image(cohort.folder, tmp_path / "run", config=CONFIG.model_copy(update={"batch_size": 100_000}))
    assert not (tmp_path / "run").exists()


def test_a_cohort_of_labels_only_is_refused(cohort, tmp_path):
    shutil.copytree(cohort.folder, tmp_path / "labels")
    subject = cohort.load(cohort.ids("train")[0])
    bare = {phase: replace(frame, image=None) for phase, frame in subject.frames.items()}
    path = tmp_path / "labels" / "subjects" / f"{subject.id}.safetensors"
    save_subject(path, replace(subject, frames=bare))
    with pytest.raises(CardiomorphError, match="labels only"):
        train_image(resealed(tmp_path / "labels").folder, tmp_path / "run", config=CONFIG)


def test_the_perceptual_loss_says_what_it_needs(cohort, monkeypatch):
    monkeypatch.setattr("cardiomorph.training.image.imagenet_available", lambda: False)
    with pytest.raises(CardiomorphError, match=r"perceptual loss has the weight 10.*cardiomorph\[features\]"):
        ImageTask(CONFIG.model_copy(update={"perceptual": 10.0}), cohort)


def test_the_perceptual_loss_is_part_of_the_generators(cohort):
    pytest.importorskip("efficientnet_lite_pytorch")
    task = ImageTask(CONFIG.model_copy(update={"perceptual": 10.0, "l1": 0.0}), cohort)
    told = task.step(0, drawn(task, 0))
    expected = told["adversarial"] + 10 * told["feature_matching"] + 10 * told["perceptual"]
    assert told["generator"].item() == pytest.approx(expected.item(), rel=1e-4)
