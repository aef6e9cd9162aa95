"""A labelled scan as one picture: every slice around the heart, ED above ES, with the contours on it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiomorph.anatomy import LABEL_COLOURS
from cardiomorph.data.subject import Frame
from cardiomorph.files import write_bytes
from cardiomorph.segmentation.heart import SegmentedHeart

_MARGIN_MM = 25.0
_TILE_INCH = 1.1


def write_preview(path: Path, heart: SegmentedHeart) -> None:
    """Writes the picture as PNG; slices in the order of the file, x to the right, y down."""
    rows = list(heart.frames.items())
    columns = max(frame.label.n_slices for _, frame in rows)
    figure = Figure(figsize=(columns * _TILE_INCH, len(rows) * _TILE_INCH), facecolor="black")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, (phase, frame) in zip(axes, rows, strict=True):
        x, y = _box(frame)
        assert frame.image is not None, "what was labelled is an image"
        picture = frame.image.array[x, y].astype(np.float32)
        low, high = np.percentile(picture, (1, 99))
        for index, axis in enumerate(row):
            axis.axis("off")
            if index >= frame.label.n_slices:
                continue
            axis.imshow(picture[..., index].T, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
            label = frame.label.array[x, y, index].T
            for code, colour in LABEL_COLOURS.items():
                if (label == code).any():
                    axis.contour(label == code, levels=[0.5], colors=[colour], linewidths=0.7)
        row[0].set_title(phase, color="white", fontsize=7, loc="left", pad=1)
    figure.subplots_adjust(0, 0, 1, 0.93, 0.02, 0.12)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _box(frame: Frame) -> tuple[slice, slice]:
    """The heart's box in plane, with a margin."""
    heart: NDArray[np.bool_] = np.any(frame.label.array > 0, axis=2)
    found = []
    for axis, (n, mm) in enumerate(zip(heart.shape, frame.label.spacing_mm[:2], strict=True)):
        where = np.flatnonzero(np.any(heart, axis=1 - axis))
        margin = round(_MARGIN_MM / mm)
        found.append(slice(max(0, int(where[0]) - margin), min(n, int(where[-1]) + margin + 1)))
    return found[0], found[1]
