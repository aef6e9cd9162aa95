"""Scale and shift of every pixel by its row of a table, the heart of a SPADE layer, with little memory traffic.

A layer of 128 x 128 pixels is tens of MB, far more than a processor's caches, and every elementary operation on all
of it would fetch it anew. Here a few thousand pixels at a time go through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 2**19
"""Numbers that go through at once: 2 MB of float32, well within the caches, and enough for each call to pay."""


def _chunks(x: Tensor) -> Iterator[slice]:
    # On a GPU, and with half as many bytes, the calls would cost more than what the cache saves.
    whole = x.is_cuda or x.element_size() < 4
    rows = len(x) if whole else max(1, _CHUNK // x.shape[1])
    return (slice(start, start + rows) for start in range(0, len(x), rows))


def scaled(x: Tensor, scale: Tensor, shift: Tensor, row: Tensor, slope: float | None = None) -> Tensor:
    """``x`` times its row of ``scale`` plus its row of ``shift``, then LeakyReLU; no gradient is kept.

    Args:
        x: (pixels, channels).
        scale, shift: (rows, channels).
        row: (pixels,), each pixel's.
        slope: of the LeakyReLU; None for no activation.
    """
    y, scale, shift = torch.empty_like(x), scale.to(x.dtype), shift.to(x.dtype)
    for part in _chunks(x):
        out = torch.index_select(shift, 0, row[part], out=y[part])
        out.addcmul_(x[part], scale.index_select(0, row[part]))
        if slope is not None:
            F.leaky_relu_(out, slope)
    return y


class Modulated(torch.autograd.Function):
    """Batch norm, scale and shift of pixels whose scale and shift come from a table, and LeakyReLU, in one.

    ``x`` (pixels, channels) is normalised by its own mean and variance, then multiplied by 1 + gamma and shifted by
    beta, (rows, channels) each, of the pixel's row. The normalisation is folded into the table, which is a hundred
    times smaller than ``x``; the gradient through mean and variance is that of batch norm.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        row: Tensor,
        mean: Tensor,
        inverse_std: Tensor,
        slope: float | None,
    ) -> Tensor:
        scale = (1.0 + gamma) * inverse_std
        y = scaled(x, scale, beta - mean * scale, row, slope)
        ctx.save_for_backward(x, None if slope is None else y, scale, row, mean, inverse_std)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale, row, mean, inverse_std = ctx.saved_tensors
        grad = grad.contiguous()
        d_x = torch.empty_like(x)
        # The gradient before the activation, kept where the result will be until the second pass.
        arriving = grad if y is None else d_x
        d_shift, d_scale = (torch.zeros_like(scale, dtype=x.dtype) for _ in range(2))
        for part in _chunks(x):
            if y is not None:
                torch.ops.aten.leaky_relu_backward(grad[part], y[part], ctx.slope, True, grad_input=d_x[part])
            _add_by_row(d_shift, arriving[part], row[part])
            _add_by_row(d_scale, arriving[part] * x[part], row[part])
        d_shift = d_shift.to(scale.dtype)
        d_scale = d_scale.to(scale.dtype) - mean * d_shift
        # d inverse_std / d variance = -inverse_std^3 / 2, d variance / d x = 2 (x - mean) / pixels
        along = -(d_scale * scale).sum(dim=0) * inverse_std.square() / len(x)
        offset = (-(d_shift * scale).sum(dim=0) / len(x) - along * mean).to(x.dtype)
        along, narrow = along.to(x.dtype), scale.to(x.dtype)
        for part in _chunks(x):
            through_statistics = torch.addcmul(offset, x[part], along)
            torch.addcmul(through_statistics, arriving[part], narrow.index_select(0, row[part]), out=d_x[part])
        return d_x, d_scale * inverse_std, d_shift, None, None, None, None


def _add_by_row(sums: Tensor, values: Tensor, row: Tensor) -> None:
    """Adds (pixels, channels) to the sums, (rows, channels), of the pixels' rows."""
    sums.scatter_add_(0, row[:, None].expand_as(values), values)
