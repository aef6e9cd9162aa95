from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cardiomorph.models.checkpoint import load_shape_model, save_model
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, Posterior, fold_batch_norms, one_hot, vae_loss
from cardiomorph.training.augmentation import AugmentationConfig, draw_motions, move_labels
from cardiomorph.training.loop import Plan, learning_rate_scale
from cardiomorph.training.shape import SHAPE_PRESETS

TINY = LabelVAEConfig(width=2, latent_dims=5, bottleneck=8, size=32)


def posterior(seed, batch=3, dims=5):
    rng = torch.Generator().manual_seed(seed)
    return Posterior(torch.randn(batch, dims, generator=rng), torch.randn(batch, dims, generator=rng))


@pytest.mark.parametrize("size", [32, 48, 128])
def test_shapes(size):
    model = LabelVAE(TINY.model_copy(update={"size": size})).eval()
    labels = torch.randint(0, 4, (2, size, size))
    code = model.encode(one_hot(labels))
    assert code.mean.shape == code.log_variance.shape == (2, 5)
    assert model.decode(code.mean).shape == (2, 4, size, size)


def test_one_hot_is_undone_by_argmax():
    labels = torch.randint(0, 4, (2, 8, 8), dtype=torch.uint8)
    encoded = one_hot(labels)
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded.sum(1), torch.ones(2, 8, 8))
    assert torch.equal(encoded.argmax(1), labels.long())


@given(st.integers(0, 10**6))
def test_kl_is_that_of_torch_distributions(seed):
    ours = posterior(seed)
    normal = torch.distributions.Normal(ours.mean, torch.exp(0.5 * ours.log_variance))
    standard = torch.distributions.Normal(torch.zeros_like(ours.mean), torch.ones_like(ours.mean))
    torch.testing.assert_close(
        ours.kl_per_dimension(), torch.distributions.kl_divergence(normal, standard), rtol=1e-4, atol=1e-5
    )


@given(st.integers(0, 10**6), st.floats(0, 20), st.sampled_from([1.0, 0.25, 3.0]))
def test_the_loss_is_summed_cross_entropy_plus_beta_kl(seed, beta, heart):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(3, 4, 5, 5)), rng.integers(0, 4, (3, 5, 5))
    code = posterior(seed)
    cross_entropy = kl = 0.0
    for b in range(3):
        for i in range(5):
            for j in range(5):
                scores = logits[b, :, i, j]
                missed = (math.log(np.exp(scores).sum()) - scores[labels[b, i, j]]) / 3
                cross_entropy += missed if labels[b, i, j] == 0 else heart * missed
        for mean, log_variance in zip(code.mean[b].tolist(), code.log_variance[b].tolist(), strict=True):
            kl += 0.5 * (mean**2 + math.exp(log_variance) - 1 - log_variance) / 3
    loss = vae_loss(torch.tensor(logits), torch.tensor(labels), code, beta, heart_weight=heart)
    assert float(loss.cross_entropy) == pytest.approx(cross_entropy, rel=1e-5)
    assert float(loss.kl) == pytest.approx(kl, rel=1e-5)
    assert float(loss.total) == pytest.approx(cross_entropy + beta * kl, rel=1e-5)


def test_free_nats_are_not_charged():
    code = posterior(0)
    held = code.kl_per_dimension().mean(0)
    logits, labels = torch.zeros(3, 4, 2, 2), torch.zeros(3, 2, 2)
    free = float(held.median())
    loss = vae_loss(logits, labels, code, 2.0, free)
    charged = sum(max(0.0, float(value) - free) for value in held)
    assert float(loss.total - loss.cross_entropy) == pytest.approx(2 * charged, rel=1e-5)
    assert float(loss.kl) == pytest.approx(float(held.sum()))


def test_a_draw_has_the_posterior_s_moments():
    code = Posterior(torch.full((20000, 1), 3.0), torch.full((20000, 1), math.log(4.0)))
    draws = code.sample(torch.randn((20000, 1), generator=torch.Generator().manual_seed(0)))
    assert float(draws.mean()) == pytest.approx(3, abs=0.06)
    assert float(draws.std()) == pytest.approx(2, abs=0.05)


@pytest.fixture(scope="module")
def model():
    with torch.device("meta"):
        return LabelVAE(SHAPE_PRESETS["paper"].model)


class TestThePaper:
    config = SHAPE_PRESETS["paper"]

    def test_training(self):
        config = self.config
        assert (config.beta, config.learning_rate, config.batch_size, config.epochs) == (15, 2e-5, 20, 300)
        assert (config.learning_rate_floor, config.beta_warmup_epochs, config.free_nats, config.heart_weight) == (
            1,
            0,
            0,
            1,
        )
        assert config.augmentation == AugmentationConfig(quarter_turns=0.7)
        assert (config.learning_rate_decay, config.constant_epochs) == (0.96, 150)
        model = config.model
        assert (model.negative_slope, model.linear_activations, model.decoder_linear_layers) == (0.01, False, 3)
        assert (config.model.latent_dims, config.model.width, config.model.size) == (16, 64, 128)

    def test_the_encoder_is_four_blocks_of_three_convolutions(self, model):
        assert len(model.encoder) == 4
        channels = 4
        for block, width in zip(model.encoder, (64, 128, 256, 512), strict=True):
            convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
            assert [c.stride for c in convolutions] == [(2, 2), (1, 1), (1, 1)]
            assert [c.in_channels for c in convolutions] == [channels, width, width]
            assert {(c.out_channels, c.kernel_size) for c in convolutions} == {(width, (3, 3))}
            channels = width

    def test_every_convolution_of_a_block_is_followed_by_norm_and_leaky_relu(self, model):
        for block in (*model.encoder, *model.decoder):
            leaves = [type(m) for m in block.modules() if not list(m.children())]
            assert leaves == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * (len(leaves) // 3)

    def test_four_linear_layers_in_sequence_lead_to_the_code(self, model):
        linear = [m for m in model.to_posterior if isinstance(m, nn.Linear)]
        assert [(m.in_features, m.out_features) for m in linear] == [
            (512 * 8 * 8, 256),
            (256, 256),
            (256, 256),
            (256, 32),
        ]

    def test_the_decoder_is_four_blocks_of_two_convolutions_and_a_head(self, model):
        assert len(model.decoder) == 4
        for block in model.decoder:
            convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
            assert [(c.stride, c.kernel_size) for c in convolutions] == [((1, 1), (3, 3))] * 2
        assert [type(m) for m in model.head] == [nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]
        assert model.head[-1].out_channels == 4


class TestTheAuthorsScript:
    def test_linear_layers_are_as_many_and_as_bare_as_asked(self):
        config = LabelVAEConfig(width=2, bottleneck=8, size=32, linear_activations=False, decoder_linear_layers=3)
        model = LabelVAE(config)
        assert [type(layer) for layer in model.to_posterior] == [nn.Linear] * 4
        assert [(layer.in_features, layer.out_features) for layer in model.from_code] == [(16, 8), (8, 8), (8, 64)]
        slopes = {m.negative_slope for m in LabelVAE(LabelVAEConfig(width=2, negative_slope=0.01)).modules()
                  if isinstance(m, nn.LeakyReLU)}  # fmt: skip
        assert slopes == {0.01}

    def test_a_decoder_may_keep_the_statistics_of_its_batch(self, tmp_path):
        torch.manual_seed(0)
        model = LabelVAE(LabelVAEConfig(width=2, latent_dims=4, bottleneck=8, size=32, decoding_norm="batch"))
        save_model(tmp_path, "shape", model)
        codes = torch.randn(6, 4)
        with torch.inference_mode():
            expected = model.train().decode(codes)
            loaded = load_shape_model(tmp_path)
            assert torch.allclose(loaded.decode(codes), expected, atol=1e-5)
            assert torch.allclose(fold_batch_norms(loaded).decode(codes), expected, atol=1e-5)
            assert not torch.allclose(loaded.decode(codes[:3]), expected[:3], atol=1e-3), "other slices, another batch"

    def test_the_rate_decays_after_its_constant_epochs(self):
        plan = Plan(n_items=40, batch_size=20, steps=600, learning_rate_floor=1.0, seed=0, decay=0.96, decay_after=150)
        assert learning_rate_scale(plan, 0) == learning_rate_scale(plan, 301) == 1.0
        assert learning_rate_scale(plan, 2 * 160) == pytest.approx(0.96**10)

    def test_quarter_turns_are_exact_and_as_often_as_asked(self):
        labels = torch.zeros(400, 16, 16, dtype=torch.long)
        labels[:, 2:5, 3:11] = 1
        motions = draw_motions(AugmentationConfig(quarter_turns=0.7), 400, 16, torch.Generator().manual_seed(0))
        turned = move_labels(one_hot(labels, 2), motions)
        wanted = [torch.rot90(labels[0], k) for k in range(4)]
        counts = [sum(bool((one == other).all()) for one in turned) for other in wanted]
        assert sum(counts) == 400
        assert counts[0] / 400 == pytest.approx(0.3 + 0.7 / 4, abs=0.08)
