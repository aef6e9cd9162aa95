from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from cardiomorph.models import modulation
from cardiomorph.models.neighbourhoods import LabelMap
from cardiomorph.models.spade import ImageModel, ImageModelConfig, Spade, StyleEncoder
from conftest import heart_label, hearts_of

TINY = ImageModelConfig(width=2, hidden=4, style_dims=6, size=32)


def heart(size=32):
    """Two slices of a heart, with few distinct neighbourhoods, and one of noise, with many."""
    spacing_mm = 144 / size
    stack = heart_label(hearts_of("NOR")["ED"], (size, size, 8), (spacing_mm, spacing_mm, 10.0))
    return torch.from_numpy(np.moveaxis(stack[:, :, [0, 4]], -1, 0).astype(np.int64))


def noise(size=16, seed=0):
    return torch.randint(0, 4, (2, size, size), generator=torch.Generator().manual_seed(seed))


def spade_layer(channels=3, hidden=5):
    torch.manual_seed(0)
    layer = Spade(channels, hidden).eval()
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2)
    return layer


def convolved(x, weight, bias):
    """3 x 3 cross-correlation with zero padding, written out."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.repeat(bias[:, None, None], x.shape[1], 1).repeat(x.shape[2], 2).astype(float)
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + x.shape[1], j : j + x.shape[2]]
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], window)
    return out


@pytest.mark.parametrize("labels", [heart(), noise()], ids=["heart", "noise"])
@torch.inference_mode()
def test_a_layer_is_equation_1_of_park_et_al(labels):
    layer = spade_layer()
    x = torch.randn(len(labels), 3, *labels.shape[1:], generator=torch.Generator().manual_seed(1))
    ours = layer(x, LabelMap(labels)).numpy()
    weights = {key: value.numpy().astype(float) for key, value in layer.state_dict().items()}
    for b, label in enumerate(labels.numpy()):
        one_hot = np.stack([label == code for code in range(4)]).astype(float)
        hidden = np.maximum(convolved(one_hot, weights["shared.weight"], weights["shared.bias"]), 0)
        gamma, beta = np.split(convolved(hidden, weights["gamma_beta.weight"], weights["gamma_beta.bias"]), 2)
        mean, variance = (weights[f"norm.running_{key}"][:, None, None] for key in ("mean", "var"))
        normalised = (x[b].numpy() - mean) / np.sqrt(variance + 1e-5)
        np.testing.assert_allclose(ours[b], normalised * (1 + gamma) + beta, atol=2e-5)


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0, 1))
def test_distinct_neighbourhoods_give_what_every_pixel_gives(seed, size, share):
    labels = noise(size, seed) * (torch.rand((2, size, size), generator=torch.Generator().manual_seed(seed)) < share)
    layer = spade_layer()
    dense = layer.gamma_beta(torch.relu(layer.shared(LabelMap(labels).one_hot)))
    torch.testing.assert_close(layer.modulation(LabelMap(labels)), dense, rtol=1e-5, atol=1e-5)


def test_distinct_neighbourhoods_give_the_same_gradients():
    labels, layer = heart(64), spade_layer()
    assert LabelMap(labels).table is not None
    layer.modulation(LabelMap(labels)).square().sum().backward()
    gathered = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    layer.gamma_beta(torch.relu(layer.shared(LabelMap(labels).one_hot))).square().sum().backward()
    for ours, dense in zip(gathered, (p.grad for p in layer.parameters()), strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("slope", [None, 0.2])
@pytest.mark.parametrize("chunk", [modulation._CHUNK, 15], ids=["whole", "in parts of five pixels"])
def test_the_fused_normalisation_has_the_gradient_of_its_own_differences(slope, chunk, monkeypatch):
    monkeypatch.setattr(modulation, "_CHUNK", chunk)
    rng = torch.Generator().manual_seed(0)
    x, gamma, beta = (torch.randn(n, 3, dtype=torch.float64, generator=rng) for n in (14, 4, 4))
    row = torch.tensor([0, 0, 1, 2, 2, 2, 2, 0, 1, 1, 0, 2, 2, 0])

    def modulated(x, gamma, beta):
        variance, mean = (s.detach() for s in torch.var_mean(x, dim=0, correction=0))
        return modulation.Modulated.apply(x, gamma, beta, row, mean, torch.rsqrt(variance + 1e-5), slope)

    assert torch.autograd.gradcheck(modulated, tuple(t.requires_grad_() for t in (x, gamma, beta)))


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 64), st.sampled_from([None, 0.0, 0.2]))
def test_pixels_are_scaled_alike_in_parts_of_any_size(pixels, channels, chunk, slope):
    rng = torch.Generator().manual_seed(pixels)
    x, scale, shift = (torch.randn(n, channels, generator=rng) for n in (pixels, 5, 5))
    row = torch.randint(0, 5, (pixels,), generator=rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modulation, "_CHUNK", chunk)
        ours = modulation.scaled(x, scale, shift, row, slope).double().numpy()
    theirs = (x.double() * scale[row] + shift[row]).numpy()
    np.testing.assert_allclose(ours, np.where(theirs > 0, theirs, theirs * (1 if slope is None else slope)), atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_trains_as_the_dense_one_does(training):
    """Output, running statistics and every gradient against plain batch norm, scale and shift."""
    labels, fast = heart(64), spade_layer(6, 5).train(training)
    dense = copy.deepcopy(fast)
    inputs = [torch.randn(len(labels), 6, 64, 64, generator=torch.Generator().manual_seed(2)) * 3 + 1 for _ in "ab"]
    weight = torch.randn(len(labels), 6, 64, 64, generator=torch.Generator().manual_seed(3))
    for x in inputs:
        x.requires_grad_()
    ours = fast(inputs[0], LabelMap(labels))
    gamma, beta = dense.gamma_beta(torch.relu(dense.shared(LabelMap(labels).one_hot))).chunk(2, dim=1)
    theirs = dense.norm(inputs[1]) * (1 + gamma) + beta
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for y in (ours, theirs):
        (y * weight).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-5)
    for (name, a), b in zip(fast.named_parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-3, msg=name)
    for a, b in zip(fast.buffers(), dense.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@torch.inference_mode()
def test_noise_is_added_where_it_has_a_weight_and_nowhere_else():
    torch.manual_seed(0)
    model = ImageModel(TINY.model_copy(update={"noise": True})).eval()
    style, labels, noise = torch.randn(2, 6), heart(), torch.randn(2, 1, 32, 32)
    still = model.paint(style, labels)
    assert torch.equal(model.paint(style, labels, noise), still)
    for block in model.generator.blocks:
        block.grain.fill_(0.3)
    assert torch.equal(model.paint(style, labels), still)
    assert not torch.allclose(model.paint(style, labels, noise), still, atol=1e-3)
    assert not torch.allclose(model.paint(style, labels, noise), model.paint(style, labels, -noise), atol=1e-3)


@pytest.mark.parametrize("base", [heart(), noise(32)], ids=["heart", "noise"])
@torch.inference_mode()
def test_gamma_and_beta_see_5_by_5_labels_and_no_further(base):
    layer = spade_layer()
    before = layer.modulation(LabelMap(base))
    changed = base.clone()
    changed[0, 15, 17] = (changed[0, 15, 17] + 1) % 4
    moved = (layer.modulation(LabelMap(changed)) - before).abs().amax(dim=1) > 1e-6
    assert moved[0, 15, 17]
    moved[0, 13:18, 15:20] = False
    assert not moved.any()


def test_the_lower_resolutions_are_nearest_neighbours():
    labels = noise(16)
    assert torch.equal(LabelMap(labels).at(8).labels, labels[:, ::2, ::2])
    assert torch.equal(
        LabelMap(labels).at(4).labels.float(),
        nn.functional.interpolate(labels[:, None].float(), size=4, mode="nearest")[:, 0],
    )
    assert LabelMap(labels).at(16).labels is labels


@pytest.mark.parametrize("size", [32, 64])
@torch.inference_mode()
def test_an_image_has_the_label_s_shape_and_lies_in_minus_one_and_one(size):
    model = ImageModel(TINY.model_copy(update={"size": size})).eval()
    style = 30 * torch.randn(2, 6)
    image = model.paint(style, heart(size))
    assert image.shape == (2, 1, size, size)
    assert image.abs().max() <= 1
    assert model.encode_style(image).shape == (2, 6)


@torch.inference_mode()
def test_the_image_follows_the_label_and_the_style():
    torch.manual_seed(0)
    model = ImageModel(TINY).eval()
    style = torch.randn(2, 6)
    image = model.paint(style, heart())
    assert not torch.allclose(image, model.paint(style, heart() * 0))
    assert not torch.allclose(image, model.paint(-style, heart()))


def test_wrapped_weights_have_a_largest_singular_value_of_one():
    torch.manual_seed(0)
    model = ImageModel(TINY).train()
    with torch.no_grad():
        for _ in range(60):
            for module in model.modules():
                if parametrize.is_parametrized(module):
                    _ = module.weight
    model.eval()
    wrapped = [m for m in model.modules() if isinstance(m, nn.Conv2d) and parametrize.is_parametrized(m)]
    assert len(wrapped) > 10
    for convolution in wrapped:
        largest = torch.linalg.svdvals(convolution.weight.detach().flatten(1))[0]
        assert float(largest) == pytest.approx(1, abs=0.05)


def test_every_convolution_between_features_is_spectrally_normed():
    model = ImageModel(TINY)
    for block in model.generator.blocks:
        assert parametrize.is_parametrized(block.conv_0)
        assert parametrize.is_parametrized(block.conv_1)
    for module in model.style_encoder.modules():
        if isinstance(module, nn.Conv2d):
            assert parametrize.is_parametrized(module)


def test_the_style_encoder_has_a_stem_four_strides_and_two_residual_blocks():
    encoder = StyleEncoder(ImageModelConfig())
    convolutions = [m for m in encoder.features if isinstance(m, nn.Conv2d)]
    assert [(c.kernel_size[0], c.stride[0]) for c in convolutions] == [(7, 1)] + [(3, 2)] * 4
    assert [c.out_channels for c in convolutions] == [32, 64, 128, 256, 256]
    assert [type(m).__name__ for m in encoder.features][-2:] == ["_ResidualBlock"] * 2
    assert encoder.to_style.in_features == 256 * 8 * 8
    assert encoder.to_style.out_features == 256


def test_without_memory_it_has_the_tensors_of_a_real_one():
    config = ImageModelConfig(width=2, hidden=4, style_dims=4, noise=True)
    with torch.device("meta"):
        shapes = ImageModel(config).state_dict()
    real = ImageModel(config).state_dict()
    assert [(k, v.shape, v.dtype) for k, v in shapes.items()] == [(k, v.shape, v.dtype) for k, v in real.items()]
