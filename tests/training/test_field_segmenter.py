"""The segmenter of whole fields learns, resumes exactly, keeps patients apart, and is made ready with a calibration."""

import math

import numpy as np
import pytest
import torch

from cardiomorph.data.fields import FieldStack, read_fields
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.models.checkpoint import load_field_segmenter
from cardiomorph.models.field_segmenter import FieldSegmenterConfig
from cardiomorph.segmentation.calibration import READY, WORSE, make_ready
from cardiomorph.segmentation.quality import Signs, read_calibration
from cardiomorph.training.field_augmentation import FieldAugmentationConfig, draw_patch
from cardiomorph.training.field_segmenter import (
    FieldSegmenterTask,
    FieldSegmenterTrainingConfig,
    set_aside,
    train_field_segmenter,
)

NAMES = ("rv", "myocardium", "lv")
CONFIG = FieldSegmenterTrainingConfig(
    model=FieldSegmenterConfig(widths=(4, 4, 6, 6, 8), pixel_mm=2.0),
    patch_px=64,
    epochs=2,
    batch_size=8,
    phantoms=0,
    calibration=0.4,
)
MODEL = FieldSegmenterConfig()
SAME_LOOK = {"gamma": 1, "contrast": 1, "brightness": 0, "coil": 0, "noise": 0, "coarsening": 1}
STILL = FieldAugmentationConfig(elsewhere=0, shift_mm=0, scale=1, bend_px=0, alone=0, **SAME_LOOK)


def stack(n=5, size=60):
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    label = np.repeat((np.hypot(x - 35, y - 25) < 8).astype(np.uint8)[None] * 3, n, axis=0)
    return FieldStack(
        100.0 * label + 5 * np.arange(n, dtype=np.float32)[:, None, None], label, (1.5, 1.5), (35.0, 25.0)
    )


def test_image_and_label_of_a_patch_move_together():
    config = FieldAugmentationConfig(alone=0, elsewhere=0, shift_mm=5, **SAME_LOOK)
    for seed in range(20):
        image, label = draw_patch(stack(), 2, config, 64, MODEL, torch.Generator().manual_seed(seed))
        bright = image[1] > 0.5 * (image[1].min() + image[1].max())
        agree = (bright & (label == 3)).sum() / max(1, int((bright | (label == 3)).sum()))
        assert agree > 0.9


def test_without_augmentation_a_patch_is_the_slice_around_the_heart():
    found = [draw_patch(stack(), 2, STILL, 32, MODEL, torch.Generator().manual_seed(seed))[1] for seed in range(6)]
    areas = [int((label == 3).sum()) for label in found]
    assert max(areas) - min(areas) < 12
    assert abs(areas[0] - (stack().label[0] == 3).sum()) < 12


def test_neighbours_come_from_the_same_stack_and_may_be_exchanged():
    seen = set()
    for seed in range(30):
        image, _ = draw_patch(stack(), 2, STILL, 32, MODEL, torch.Generator().manual_seed(seed))
        seen.add(bool(image[0].mean() < image[2].mean()))
    assert seen == {True, False}


def test_a_patch_is_its_seeds_alone():
    config = FieldAugmentationConfig()
    first, again = (draw_patch(stack(), 1, config, 32, MODEL, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_nobody_is_trained_on_and_set_aside_or_held_out(cohort):
    aside = set_aside(cohort, 0.4, 0)
    assert aside
    assert set(aside) <= set(cohort.ids("train"))
    assert set_aside(cohort, 0.4, 0) == aside
    assert set_aside(cohort, 0.0, 0) == []


@pytest.fixture(scope="module")
def run(cohort, acdc_tree, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "a"
    train_field_segmenter(cohort.folder, acdc_tree, output, config=CONFIG)
    return output


def test_a_run_gives_the_same_bytes_again_interrupted_or_not(run, cohort, acdc_tree, tmp_path, monkeypatch):
    step = FieldSegmenterTask.step

    def interrupted(self, number, batch):
        if number == 12:
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(FieldSegmenterTask, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_field_segmenter(cohort.folder, acdc_tree, tmp_path / "b", config=CONFIG)
    monkeypatch.undo()
    metrics = train_field_segmenter(cohort.folder, acdc_tree, tmp_path / "b", config=CONFIG, resume=True)
    assert (tmp_path / "b" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert 0 <= metrics["dice"] <= 1


def test_it_learns(cohort, acdc_tree):
    quicker = {"augmentation": STILL, "learning_rate": 1e-2}
    task = FieldSegmenterTask(CONFIG.model_copy(update=quicker), cohort, acdc_tree)
    batches = [task.batch(np.arange(8) * 5, torch.Generator().manual_seed(step % 4)) for step in range(60)]
    losses = [task.step(step, batch)["loss"].item() for step, batch in enumerate(batches)]
    assert np.mean(losses[-8:]) < 0.7 * np.mean(losses[:8])


def test_it_is_made_ready_in_half_precision(run, cohort, acdc_tree, monkeypatch, caplog):
    monkeypatch.setattr("cardiomorph.segmentation.calibration.WORSE", {"as it is": WORSE["as it is"]})
    ready = make_ready(run, cohort.folder, acdc_tree)
    assert ready == run / READY
    assert load_field_segmenter(ready).config == CONFIG.model
    assert (ready / "model.safetensors").stat().st_size < 0.8 * (run / "model.safetensors").stat().st_size
    # Two epochs find no heart at all: then nothing is calibrated, and that is said.
    assert read_calibration(ready) is None
    assert "train longer" in caplog.text


def test_the_calibration_is_of_those_set_aside_as_they_are_and_worse(run, cohort, acdc_tree, monkeypatch):
    """A segmenter that knows the truth, less some of it, and says how much: then the fit must know it, too."""
    rng = np.random.default_rng(0)

    def reads(model, image, where):
        subject = next(s for s in subjects if s.frames["ED"].image.array.shape == image.array.shape)
        frame = subject.frames["ED"]
        lost = rng.uniform(0.02, 0.4)
        kept = np.where(rng.random(frame.label.array.shape) < lost, 0, frame.label.array).astype(np.uint8)
        doubt = math.log(lost)
        return Frame(frame.label.with_array(kept), image), Signs(dict.fromkeys(NAMES, (1.0, doubt, doubt, 0.0, 0.0)))

    aside = set_aside(cohort, CONFIG.calibration, CONFIG.seed)
    subjects = [entry.load() for entry in find_subjects(acdc_tree)[1] if entry.id in aside]
    monkeypatch.setattr("cardiomorph.segmentation.calibration.segment_volume", reads)
    calibration = read_calibration(make_ready(run, cohort.folder, acdc_tree))
    assert (calibration.subjects, calibration.stacks) == (len(aside), len(aside) * 2 * len(WORSE))


@pytest.mark.parametrize("name", WORSE)
def test_scans_are_made_worse_without_moving(name):
    image = np.random.default_rng(0).normal(100, 20, (40, 40, 4)).astype(np.float32)
    changed = WORSE[name](image, np.random.default_rng(1))
    assert changed.shape == image.shape
    assert np.isfinite(changed).all()
    assert (name == "as it is") == np.array_equal(changed, image)


def test_another_data_set_is_refused(cohort, mnms_tree, acdc_tree):
    with pytest.raises(CardiomorphError, match="has no subject 'patient001'"):
        read_fields(mnms_tree, cohort.ids())
