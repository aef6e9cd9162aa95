"""The image model as a textbook has it: gamma and beta at every pixel, NCHW, nothing shared.

Ours is measured against it. It runs on the modules of an `ImageModel`: weights, gradients and statistics are the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cardiomorph.models.spade import Generator, ImageModel, Spade, SpadeBlock

_SLOPE = 0.2


def _spade(layer: Spade, x: Tensor, one_hot: Tensor) -> Tensor:
    gamma, beta = layer.gamma_beta(F.relu(layer.shared(one_hot))).chunk(2, dim=1)
    return layer.norm(x) * (1.0 + gamma) + beta


def _block(block: SpadeBlock, x: Tensor, one_hot: Tensor, noise: Tensor | None) -> Tensor:
    shortcut = block.conv_s(_spade(block.spade_s, x, one_hot)) if block.learned else x
    y = block.conv_0(F.leaky_relu(_spade(block.spade_0, x, one_hot), _SLOPE))
    if block.grain is not None and noise is not None:
        y = y + block.grain * noise
    return shortcut + block.conv_1(F.leaky_relu(_spade(block.spade_1, y, one_hot), _SLOPE))


def paint(generator: Generator, style: Tensor, one_hot: Tensor, noise: Tensor | None = None) -> Tensor:
    """(batch, style_dims), (batch, 4, size, size) one-hot labels, (batch, 1, size, size) -> (batch, 1, size, size)."""
    size = one_hot.shape[-1]
    x = generator.from_style(style).view(len(style), -1, size // 16, size // 16)
    for index, block in enumerate(generator.blocks):
        if index:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        step = size // x.shape[-1]
        spaced = None if noise is None else noise[..., ::step, ::step]
        x = _block(block, x, one_hot[..., ::step, ::step], spaced)
    return torch.tanh(generator.to_image(F.leaky_relu(x, _SLOPE)))


def as_plain(model: ImageModel) -> ImageModel:
    """The model with its weights in plain NCHW memory."""
    return model.to(memory_format=torch.contiguous_format)
