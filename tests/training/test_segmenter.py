"""The referee learns to read hearts, resumes exactly, and is loaded as it was saved."""

import numpy as np
import pytest
import torch

from cardiomorph.models.checkpoint import load_segmenter
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.training.augmentation import AugmentationConfig
from cardiomorph.training.segmenter import (
    SEGMENTER_PRESETS,
    SegmenterTask,
    SegmenterTrainingConfig,
    soft_dice_loss,
    train_segmenter,
)

CONFIG = SegmenterTrainingConfig(model=SegmenterConfig(width=3), epochs=2, batch_size=8, learning_rate=1e-2)


def test_it_learns_to_read_its_slices(cohort):
    still = {"augmentation": AugmentationConfig(), "model": SegmenterConfig(width=4)}
    task = SegmenterTask(CONFIG.model_copy(update=still), cohort)
    batches = [task.batch(np.arange(8) * 7, torch.Generator().manual_seed(step)) for step in range(40)]
    losses = [task.step(step, batch) for step, batch in enumerate(batches)]
    assert losses[-1]["loss"] < 0.6 * losses[0]["loss"]
    assert losses[-1]["soft_dice"] < losses[0]["soft_dice"]


def test_a_run_gives_the_same_bytes_again_and_loads(cohort, tmp_path):
    for name in ("a", "b"):
        metrics = train_segmenter(cohort.folder, tmp_path / name, config=CONFIG)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert 0 <= metrics["dice"] <= 1
    assert load_segmenter(tmp_path / "a").config == CONFIG.model


def test_labels_and_features_have_their_shapes_and_do_not_mix_slices():
    torch.manual_seed(0)
    model = Segmenter(SegmenterConfig(width=2)).eval()
    images = torch.randn(3, 1, 128, 128)
    with torch.inference_mode():
        labels, features = model.judge(images)
        alone, alone_features = model.judge(images[1:2])
        logits = model(images)
    assert labels.shape == (3, 128, 128)
    assert labels.dtype == torch.uint8
    assert features.shape == (3, model.feature_dims)
    torch.testing.assert_close(labels, logits.argmax(1).to(torch.uint8))
    torch.testing.assert_close(alone[0], labels[1])
    torch.testing.assert_close(alone_features[0], features[1], atol=1e-5, rtol=1e-4)


def test_soft_dice_of_certain_and_right_labels_is_almost_nothing():
    labels = torch.randint(0, 4, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    certain = 50.0 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
    assert soft_dice_loss(certain, labels) == pytest.approx(0, abs=1e-5)
    assert soft_dice_loss(certain, (labels + 1) % 4) > 0.9


def test_presets_grow():
    widths = [SEGMENTER_PRESETS[name].model.width for name in ("tiny", "small", "base")]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
