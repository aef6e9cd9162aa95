from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.models.label_vae import one_hot
from cardiomorph.training.augmentation import AugmentationConfig, draw_motions, move, move_labels
from conftest import heart_label, hearts_of

STRONG = AugmentationConfig(rotation_deg=180, scale=0.5, shift_px=20)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def hearts(size=64):
    stack = heart_label(hearts_of("NOR")["ED"], (size, size, 8), (2.25, 2.25, 10.0))
    return torch.from_numpy(stack[:, :, [0, 3, 6]].copy()).movedim(-1, 0)


def motion(degrees=0.0, factor=1.0, shift=(0.0, 0.0)):
    cos, sin = factor * math.cos(math.radians(degrees)), factor * math.sin(math.radians(degrees))
    return torch.tensor([[[cos, -sin, shift[0]], [sin, cos, shift[1]]]])


def test_no_motion_changes_nothing():
    still = draw_motions(AugmentationConfig(), 3, 64, generator())
    assert torch.equal(still, torch.eye(2, 3).expand(3, 2, 3))
    assert torch.equal(move_labels(one_hot(hearts()), still), hearts().long())
    images = torch.rand(3, 1, 64, 64, generator=generator())
    torch.testing.assert_close(move(images, still), images, rtol=0, atol=1e-5)
    assert not AugmentationConfig().active
    assert STRONG.active


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns):
    labels = torch.randint(0, 4, (1, 16, 16), generator=generator())
    moved = move_labels(one_hot(labels), motion(90 * turns))
    either = [torch.rot90(labels, way * turns, (1, 2)) for way in (1, -1)]
    assert any(torch.equal(moved, turned) for turned in either)


def test_there_and_back_is_where_it_was():
    labels = hearts()
    there = move_labels(one_hot(labels), motion(20).expand(3, 2, 3))
    back = move_labels(one_hot(there), motion(-20).expand(3, 2, 3))
    assert (there != labels).float().mean() > 0.01
    assert (back != labels).float().mean() < 0.01


@given(st.integers(0, 10**6))
def test_labels_stay_labels_and_background_comes_in_from_outside(seed):
    labels = torch.randint(1, 4, (2, 16, 16), generator=generator(seed))
    moved = move_labels(one_hot(labels), draw_motions(STRONG, 2, 16, generator(seed)))
    assert moved.shape == labels.shape
    assert 0 <= moved.min() <= moved.max() <= 3
    far = move_labels(one_hot(labels), motion(shift=(4.0, 0.0)).expand(2, 2, 3))
    assert (far == 0).all()


def test_what_lies_outside_an_image_is_filled_as_asked():
    image = torch.ones(1, 1, 16, 16)
    assert (move(image, motion(shift=(4.0, 0.0)), outside=-1.0) == -1).all()


def test_scaling_scales_the_area():
    labels = hearts()[:1]
    larger = move_labels(one_hot(labels), motion(factor=1 / 1.2))
    assert float((larger == 3).sum() / (labels == 3).sum()) == pytest.approx(1.44, rel=0.05)


def test_image_and_label_move_together():
    labels = hearts()
    motions = draw_motions(AugmentationConfig(rotation_deg=20, scale=0.1, shift_px=4), 3, 64, generator())
    moved = move((labels == 3)[:, None].float(), motions)[:, 0]
    assert ((moved > 0.5) != (move_labels(one_hot(labels), motions) == 3)).float().mean() < 0.002


@given(st.integers(0, 10**6))
def test_motions_stay_within_what_is_asked(seed):
    config = AugmentationConfig(rotation_deg=10, scale=0.08, shift_px=3)
    rows = draw_motions(config, 50, 64, generator(seed))
    angle = torch.rad2deg(torch.atan2(rows[:, 1, 0], rows[:, 0, 0]))
    factor = 1 / torch.hypot(rows[:, 0, 0], rows[:, 1, 0])
    assert angle.abs().max() <= 10.001
    assert 0.9199 <= factor.min() <= factor.max() <= 1.0801
    assert rows[:, :, 2].abs().max() * 32 <= 3.0001
    assert torch.equal(rows, draw_motions(config, 50, 64, generator(seed)))
