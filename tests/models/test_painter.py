"""The painter paints what the image model paints, whatever it has painted before."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_spade import heart, noise

from cardiomorph.models import painter as module
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, fold_batch_norms
from cardiomorph.models.painter import Painter
from cardiomorph.models.spade import ImageModel, ImageModelConfig

CONFIG = ImageModelConfig(width=3, hidden=5, style_dims=6, size=32, noise=True)


def trained():
    """A model whose statistics and noise weights are not those it starts with."""
    torch.manual_seed(0)
    model = ImageModel(CONFIG).train()
    for block in model.generator.blocks:
        torch.nn.init.normal_(block.grain, std=0.3)
    for seed in range(3):
        model.paint(torch.randn(2, 6), noise(32, seed), torch.randn(2, 1, 32, 32))
    return model.eval()


MODEL = trained()


def agree(painter, labels, seed=0):
    rng = torch.Generator().manual_seed(seed)
    style, grain = torch.randn(len(labels), 6, generator=rng), torch.randn(len(labels), 1, 32, 32, generator=rng)
    with torch.inference_mode():
        for given in (grain, None):
            ours, theirs = painter.paint(style, labels, given), MODEL.paint(style, labels, given)
            assert (ours - theirs).abs().max() < 1e-5


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_random_labels_are_painted_alike(seed, share):
    kept = torch.rand((2, 32, 32), generator=torch.Generator().manual_seed(seed)) < share
    agree(Painter(MODEL), noise(32, seed) * kept, seed)


def test_what_was_painted_before_changes_nothing():
    painter = Painter(MODEL)
    for labels in (heart(), heart().flip(1), noise(32), heart().flip(2), heart(), heart() * 0):
        agree(painter, labels)


def test_the_past_does_not_change_a_bit():
    """A heart made again gives the same bytes, alone or after a thousand others."""
    fresh, experienced = Painter(MODEL), Painter(MODEL)
    for shift in range(8):
        experienced.paint(torch.zeros(2, 6), heart().roll((shift, 3 * shift), (1, 2)))
    style, grain = torch.randn(2, 6), torch.randn(2, 1, 32, 32)
    assert torch.equal(fresh.paint(style, heart(), grain), experienced.paint(style, heart(), grain))


def test_nothing_is_learnt_twice(monkeypatch):
    painter, learnt = Painter(MODEL), []
    original = module._Tables._learn
    monkeypatch.setattr(module._Tables, "_learn", lambda self, new: (learnt.append(len(new)), original(self, new)))
    agree(painter, heart())
    assert sum(learnt) > 100
    learnt.clear()
    agree(painter, heart())
    assert learnt == []


def test_the_tables_stay_small(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROWS", 150)
    painter = Painter(MODEL)
    for shift in range(6):
        agree(painter, heart().roll((shift, 2 * shift), (1, 2)))
    for tables in painter.tables:
        largest = max(150, 2 * 32 * 32 * 3 // 10)
        assert len(tables.codes) == len(tables.scales[0]) <= largest


def test_noisy_labels_are_not_learnt():
    painter = Painter(MODEL)
    agree(painter, noise(32))
    assert len(painter.tables[-1].codes) == 0


@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_a_folded_shape_model_is_the_same_model(seed):
    torch.manual_seed(seed)
    model = LabelVAE(LabelVAEConfig(width=3, latent_dims=4, bottleneck=8, size=32)).train()
    for _ in range(3):
        model.decode(model.encode(torch.rand(4, 4, 32, 32)).mean)
    model.eval()
    ready, codes, pictures = fold_batch_norms(model), torch.randn(5, 4), torch.rand(5, 4, 32, 32)
    torch.testing.assert_close(ready.decode(codes), model.decode(codes), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ready.encode(pictures).mean, model.encode(pictures).mean, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in ready.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
