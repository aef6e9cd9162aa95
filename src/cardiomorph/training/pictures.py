"""What a run shows: sheets of samples and curves of its log."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from cardiomorph.anatomy import LABEL_COLOURS
from cardiomorph.files import write_bytes


def label_colours() -> NDArray[np.float32]:
    """(codes, 3) RGB of the label codes; background is black."""
    table = np.zeros((1 + max(LABEL_COLOURS), 3), np.float32)
    for label, colour in LABEL_COLOURS.items():
        table[label] = to_rgb(colour)
    return table


def sheet(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Tiles rows of (n, x, y[, 3]) pictures; x runs to the right, y down, as a short-axis slice is shown."""
    return np.concatenate([np.concatenate([np.swapaxes(tile, 0, 1) for tile in row], axis=1) for row in rows], axis=0)


def label_sheet(rows: Sequence[NDArray[np.integer]]) -> NDArray[np.float32]:
    """A sheet of label slices in colour, values in [0, 1]."""
    return sheet([label_colours()[row] for row in rows]).astype(np.float32)


def image_sheet(rows: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    """A sheet of image slices in [-1, 1] as grey values in [0, 1]."""
    return np.clip(0.5 * (sheet(rows) + 1.0), 0.0, 1.0).astype(np.float32)


def write_picture(path: Path, picture: NDArray[np.float32]) -> None:
    """Writes a (h, w) or (h, w, 3) picture in [0, 1] as PNG."""
    buffer = io.BytesIO()
    imsave(buffer, picture, cmap="gray", vmin=0.0, vmax=1.0, format="png")
    write_bytes(path, buffer.getvalue())


def write_curves(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Every reported quantity against the step, one panel each."""
    names = sorted({key for entry in history for key in entry} - {"step"})
    columns = min(4, len(names)) or 1
    rows = -(-len(names) // columns) or 1
    figure = Figure(figsize=(3.4 * columns, 2.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        axes.plot(*zip(*points, strict=True), linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    write_bytes(path, buffer.getvalue())
