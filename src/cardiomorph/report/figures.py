"""The paper's figures, made from a run: each takes arrays and returns a matplotlib figure.

Fig. 1 the latent map, Fig. 2 transition strips, Fig. 3 ejection-fraction distributions, Fig. 4 3D renderings with
perpendicular views, Fig. 5 correlation matrices.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource, to_rgb
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from cardiomorph.anatomy import GROUP_COLOURS, LABEL_COLOURS, Label
from cardiomorph.training.pictures import label_colours
from cardiomorph.volume import Volume

Picture = NDArray[np.float32]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches that needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: Figure, dpi: int = 110) -> bytes:
    """A figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi)
    return buffer.getvalue()


def as_data_uri(png: bytes) -> str:
    """A PNG as an address that an HTML page holds itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def overlay(label: NDArray[np.integer], image: NDArray[np.floating] | None, opacity: float = 0.35) -> Picture:
    """One (x, y) slice as an RGB picture, (y, x, 3): the label in colour over the image, or alone on black."""
    colours = label_colours()[label]
    if image is None:
        return np.swapaxes(colours, 0, 1)
    grey = np.repeat(np.clip(0.5 * (image + 1.0), 0, 1)[..., None], 3, axis=2)
    mixed = np.where((label > 0)[..., None], (1 - opacity) * grey + opacity * colours, grey)
    return np.swapaxes(mixed, 0, 1).astype(np.float32)


def transition_strips(rows: Mapping[str, Sequence[Picture]], severities: Sequence[float], title: str) -> Figure:
    """Fig. 2: one row a disease and view, one column a severity."""
    count = len(severities)
    figure = new_figure(1.5 * count + 1.0, 1.5 * len(rows) + 0.5)
    axes = figure.subplots(len(rows), count, squeeze=False)
    for row, (name, pictures) in enumerate(rows.items()):
        line = axes[row]
        for axis, picture, severity in zip(line, pictures, severities, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(f"severity {severity:g}", fontsize=8)
        line[0].set_ylabel(name, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def measure_distributions(
    real: Sequence[Mapping[str, Any]],
    synthetic: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    groups: Sequence[str],
) -> Figure:
    """Fig. 3: for each measure and group, real hearts (open) beside synthetic ones (filled): box and points."""
    figure = new_figure(9.5, 2.7 * len(columns))
    axes = figure.subplots(len(columns), 1, squeeze=False)[:, 0]
    for axis, (column, name) in zip(axes, columns.items(), strict=True):
        for position, group in enumerate(groups):
            for shift, rows, filled in ((-0.2, real, False), (0.2, synthetic, True)):
                values = [r[column] for r in rows if r["group"] == group and r.get(column) is not None]
                if values:
                    _box(axis, position + shift, values, GROUP_COLOURS[group], filled)
        axis.set_xticks(range(len(groups)), groups)
        axis.set_ylabel(name)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title("left and open: real; right and filled: synthetic", fontsize=9)
    return figure


def _box(axis: Any, position: float, values: Sequence[float], colour: str, filled: bool) -> None:
    box = axis.boxplot([values], positions=[position], widths=0.3, patch_artist=True, showfliers=False)
    box["boxes"][0].set(facecolor=colour if filled else "white", edgecolor=colour, alpha=0.8)
    box["medians"][0].set(color="black")
    spread = np.linspace(-0.08, 0.08, len(values))
    axis.plot(position + spread, values, ".", color=colour, markersize=3, alpha=0.6)


def heart_surfaces(hearts: Mapping[str, Volume], title: str) -> Figure:
    """Fig. 4: RV and epicardial surfaces side by side, base up; below each, two long-axis cuts through the LV."""
    count = len(hearts)
    figure = new_figure(2.2 * count + 0.8, 6.2)
    for index, (name, volume) in enumerate(hearts.items(), 1):
        axis = figure.add_subplot(3, count, index, projection="3d")
        _surface(axis, volume)
        axis.set_title(name, fontsize=9)
    for row, direction in enumerate((0, 1), 1):
        for index, volume in enumerate(hearts.values(), 1):
            show_cut(figure.add_subplot(3, count, row * count + index), volume, None, direction)
    figure.suptitle(title, fontsize=10)
    return figure


def show_cut(axis: Any, label: Volume, image: Volume | None, direction: int) -> None:
    """The long-axis cut through the LV's centre, perpendicular to x (0) or y (1), base up, in true proportions."""
    cavity = np.argwhere(label.array == Label.LV)
    at = round(cavity[:, direction].mean()) if len(cavity) else label.array.shape[direction] // 2
    cut = [None if v is None else np.take(v.array, at, axis=direction) for v in (label, image)]
    axis.imshow(
        overlay(cut[0], cut[1]),  # type: ignore[arg-type]
        aspect=label.spacing_mm[2] / label.spacing_mm[1 - direction],
        interpolation="nearest",
    )
    axis.set_xticks([])
    axis.set_yticks([])


def _surface(axis: Any, volume: Volume) -> None:
    light = LightSource(azdeg=220, altdeg=40)
    corners = []
    for label in (Label.RV, Label.MYOCARDIUM):
        mask = volume.array == label
        if label is Label.MYOCARDIUM:
            mask = mask | (volume.array == Label.LV)
        if mask.sum() < 50:
            continue
        # Smoothed in plane only: steps between slices are what the figure is about.
        field = gaussian_filter(np.pad(mask, 2).astype(np.float32), (1.0, 1.0, 0.0))[::2, ::2]
        if field.max() <= 0.5:  # too thin to have a surface after smoothing
            continue
        spacing = np.asarray(volume.spacing_mm) * (2, 2, 1)
        points, faces, _, _ = marching_cubes(field, 0.5, spacing=tuple(spacing))
        mesh = Poly3DCollection(points[faces])
        mesh.set_facecolor(_shaded(points[faces], to_rgb(LABEL_COLOURS[label]), light))
        axis.add_collection3d(mesh)
        corners.append(points)
    if corners:
        every = np.concatenate(corners)
        low, high = every.min(axis=0), every.max(axis=0)
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(high[2], low[2]))
        axis.set_box_aspect(high - low)
    axis.view_init(elev=12, azim=70)
    axis.set_axis_off()


def _shaded(triangles: NDArray[np.float32], colour: Any, light: LightSource) -> NDArray[np.float64]:
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    brightness = 0.65 + 0.35 * (normals @ np.asarray(light.direction))
    return np.clip(np.asarray(colour)[None] * brightness[:, None], 0, 1)


def latent_map(
    ellipses: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    paths: Mapping[str, NDArray[np.float64]],
    ends: Mapping[str, Picture],
    title: str,
) -> Figure:
    """Fig. 1: groups on a map of latent space, and a parent's ways into them.

    Args:
        ellipses: by group, (2,) mean and (2, 2) covariance.
        paths: by group, (steps, 2) from the parent on.
        ends: by group, what lies at the path's end; under "" what lies at its beginning.
    """
    figure = new_figure(8, 6)
    axis = figure.add_subplot()
    turn = np.linspace(0, 2 * np.pi, 80)
    for name, (mean, covariance) in ellipses.items():
        values, vectors = np.linalg.eigh(covariance)
        ring = (vectors * np.sqrt(np.clip(values, 0, None))) @ np.stack([np.cos(turn), np.sin(turn)])
        for radius, style in ((1.0, "-"), (2.0, ":")):
            axis.plot(*(mean[:, None] + radius * ring), style, color=GROUP_COLOURS[name], linewidth=1)
        axis.plot([], [], color=GROUP_COLOURS[name], label=name)
    for name, path in paths.items():
        axis.plot(*path.T, ".-", color=GROUP_COLOURS[name], linewidth=2)
        _thumbnail(axis, path[-1], ends[name], GROUP_COLOURS[name])
    if paths:
        _thumbnail(axis, next(iter(paths.values()))[0], ends[""], "black")
    axis.legend(frameon=False, fontsize=8)
    axis.set(xlabel="first component", ylabel="second component")
    axis.margins(0.15)
    axis.set_title(title, fontsize=10)
    return figure


def _thumbnail(axis: Any, at: NDArray[np.float64], picture: Picture, colour: str) -> None:
    place = (float(at[0]), float(at[1]))
    box = AnnotationBbox(OffsetImage(picture, zoom=0.4), place, (0, 34), boxcoords="offset points", pad=0.1)
    box.patch.set_edgecolor(colour)
    axis.add_artist(box)


def correlation_matrices(matrices: Mapping[str, NDArray[np.float64]], title: str) -> Figure:
    """Fig. 5: correlation matrices on one colour scale from -1 to 1."""
    columns = min(5, len(matrices))
    rows = -(-len(matrices) // columns)
    figure = new_figure(2.5 * columns + 0.5, 2.5 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(matrices) :]:
        axis.set_axis_off()
    shown = None
    for axis, (name, matrix) in zip(axes.flat, matrices.items(), strict=False):
        shown = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        axis.set_title(name, fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.7)
    figure.suptitle(title, fontsize=10)
    return figure
