"""One stack of slices, labelled: the heart is found in the whole field of view, then looked at closely eight times.

First pass: overlapping patches over the field of view; the largest connected body of what looks like a heart is it.
Second pass: one window around it, turned and mirrored in all eight ways; the mean of the eight decides, and how far
they agree says how sure that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label as components
from torch import Tensor

from cardiomorph.evaluation.overlap import agreement
from cardiomorph.models.field_segmenter import FieldSegmenter, Window, standardised, with_neighbours

WINDOW_PX = 128
_LARGER_PX = 192
_MARGIN_PX = 6
_STRIDE = WINDOW_PX // 2
_BATCH = 16
_HEART = 0.5
_ANY_NEIGHBOUR = np.ones((3, 3, 3), bool)
TURNS = tuple(product(range(4), (False, True)))
"""Quarter turns, and whether mirrored."""


@dataclass(frozen=True)
class Labelling:
    """What the network says of one stack.

    Attributes:
        probability: (classes, n_slices, nx, ny), means over the ways it was looked at.
        overlap: by structure, mean Dice of the single ways with their mean's labels.
    """

    probability: NDArray[np.float32]
    overlap: dict[str, float]

    @property
    def label(self) -> NDArray[np.uint8]:
        """(n_slices, nx, ny), the most probable class."""
        return self.probability.argmax(axis=0).astype(np.uint8)


def find_heart(model: FieldSegmenter, stack: NDArray[np.float32], spacing_mm: tuple[float, float]) -> Window | None:
    """The window around the heart; None where nothing looks like one.

    Args:
        stack: (n_slices, nx, ny) intensities of any scale.
        spacing_mm: of its pixels, along x and y.
    """
    near = with_neighbours(torch.from_numpy(stack), model.config.neighbours)
    total = torch.zeros(len(stack), *stack.shape[1:])
    seen = torch.zeros(stack.shape[1:])
    for window in _tiles(stack.shape[1:], spacing_mm, model.config.pixel_mm):
        heart = 1.0 - _probability(model, standardised(window.cut(near)))[:, :1]
        total += window.put_back(heart, stack.shape[1:])[:, 0]
        seen += window.put_back(torch.ones(1, 1, WINDOW_PX, WINDOW_PX), stack.shape[1:])[0, 0]
    found = _largest((total / seen.clamp_min(1e-3)).numpy() > _HEART)
    if found is None:
        return None
    window = _window_around(found, spacing_mm, model.config.pixel_mm)
    # Seen from nearby the heart may lie a little otherwise than patches that cut it had it.
    closer = _largest(label_stack(model, stack, window, ways=TURNS[:1]).label > 0)
    return window if closer is None else _window_around(closer, spacing_mm, model.config.pixel_mm)


def _tiles(shape: tuple[int, ...], spacing_mm: tuple[float, float], pixel_mm: float) -> Iterator[Window]:
    """Overlapping windows that cover a slice."""
    centres = []
    for n, mm in zip(shape, spacing_mm, strict=True):
        extent = n * mm / pixel_mm
        count = max(1, int(np.ceil((extent - WINDOW_PX) / _STRIDE)) + 1)
        half = min(0.5 * WINDOW_PX, 0.5 * extent)
        centres.append(np.linspace(half, extent - half, count) * pixel_mm / mm if count > 1 else [0.5 * n])
    for x, y in product(*centres):
        yield Window((float(x), float(y)), WINDOW_PX, pixel_mm, spacing_mm)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    numbered, count = components(mask, _ANY_NEIGHBOUR)
    if not count:
        return None
    return np.asarray(numbered == 1 + int(np.argmax(np.bincount(numbered.ravel())[1:])))


def _window_around(heart: NDArray[np.bool_], spacing_mm: tuple[float, float], pixel_mm: float) -> Window:
    """A window around the middle of a heart's box; a larger one where the heart does not fit into the usual one."""
    ends = [np.flatnonzero(heart.any(axis=axes)) for axes in ((0, 2), (0, 1))]
    centre = tuple(0.5 * float(found[0] + found[-1]) for found in ends)
    extent = max((found[-1] - found[0]) * mm / pixel_mm for found, mm in zip(ends, spacing_mm, strict=True))
    size = WINDOW_PX if extent + 2 * _MARGIN_PX <= WINDOW_PX else _LARGER_PX
    return Window((centre[0], centre[1]), size, pixel_mm, spacing_mm)


@torch.inference_mode()
def _probability(model: FieldSegmenter, patches: Tensor) -> Tensor:
    """(n, channels, h, w) -> (n, classes, h, w)."""
    device = next(model.parameters()).device
    parts = (part.to(device, memory_format=torch.channels_last) for part in patches.split(_BATCH))
    return torch.cat([model(part).softmax(dim=1).cpu() for part in parts])


def label_stack(
    model: FieldSegmenter, stack: NDArray[np.float32], window: Window, *, ways: tuple[tuple[int, bool], ...] = TURNS
) -> Labelling:
    """Labels the stack inside a window; all else is background.

    Args:
        stack: (n_slices, nx, ny).
        window: of `find_heart`.
        ways: quarter turns and mirrorings to look at it in; one is eight times quicker, and says nothing of how sure.
    """
    patches = standardised(window.cut(with_neighbours(torch.from_numpy(stack), model.config.neighbours)))
    seen = [_back(_probability(model, _turned(patches, *way)), *way) for way in ways]
    mean = torch.stack(seen).mean(dim=0)
    whole = window.put_back(mean, (stack.shape[1], stack.shape[2])).permute(1, 0, 2, 3)
    whole[0] += 1.0 - whole.sum(dim=0)
    decided = mean.argmax(dim=1).numpy()
    single = [agreement(one.argmax(dim=1).numpy(), decided) for one in seen]
    return Labelling(whole.numpy(), {name: float(np.mean([one[name] for one in single])) for name in single[0]})


def _turned(patches: Tensor, quarters: int, mirrored: bool) -> Tensor:
    turned = torch.rot90(patches, quarters, (2, 3))
    return turned.flip(3) if mirrored else turned


def _back(patches: Tensor, quarters: int, mirrored: bool) -> Tensor:
    return torch.rot90(patches.flip(3) if mirrored else patches, -quarters, (2, 3))
