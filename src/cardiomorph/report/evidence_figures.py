"""Figures of the evidence: what areas of evaluation show as data is drawn here, one function a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np
from matplotlib.figure import Figure

from cardiomorph.evaluation.presentation import (
    REAL,
    CorrelationMatrices,
    DistancesBesideFloors,
    FailureRates,
    GroupDistributions,
    Histograms,
    Pairs,
    Ranges,
)
from cardiomorph.report.figures import Picture, correlation_matrices, measure_distributions, new_figure, overlay

_GREY = "#999999"
_COLOURS = ("#1f5fa8", "#d95f02", "#7570b3", "#1b9e77", "#e7298a", "#666666")


def _colour(index: int) -> str:
    """Grey for the real hearts, which come first, then a colour a set."""
    return _GREY if index == 0 else _COLOURS[(index - 1) % len(_COLOURS)]


def _clean(axis: object) -> None:
    axis.spines[["top", "right"]].set_visible(False)  # type: ignore[attr-defined]


@singledispatch
def drawn(data: object) -> Figure:
    """A figure's data, drawn; `evaluation.presentation` says what each kind holds.

    Raises:
        TypeError: a kind that nothing is registered for.
    """
    raise TypeError(f"nothing draws {type(data).__name__}: register a function with `drawn`")


@drawn.register
def group_distributions(data: GroupDistributions) -> Figure:
    """Synthetic and real hearts of every group, measure by measure."""
    return measure_distributions(data.real, data.synthetic, data.measures, data.groups)


@drawn.register
def correlations_side_by_side(data: CorrelationMatrices) -> Figure:
    """Correlation matrices of the measures, a panel a set."""
    return correlation_matrices(data.matrices, data.title)


@drawn.register
def distances_beside_floors(data: DistancesBesideFloors) -> Figure:
    """One row a comparison, one mark a set."""
    distances, floors = data.distances, data.floors
    names = list(floors)
    figure = new_figure(7.5, 0.24 * len(names) + 1.4)
    axis = figure.subplots()
    axis.axvspan(0, 1, color="#1a7f4b", alpha=0.12)
    for index, (label, found) in enumerate(distances.items()):
        rows = [row for row, name in enumerate(names) if name in found]
        multiples = [found[names[row]] / floors[names[row]] for row in rows]
        axis.plot(multiples, rows, "o", color=_COLOURS[index % len(_COLOURS)], markersize=5, label=label)
    axis.axvline(1, color="#1a7f4b", linewidth=1)
    furthest = max(found[name] / floors[name] for found in distances.values() for name in floors if name in found)
    if furthest > 4:
        axis.set_xscale("symlog", linthresh=2)
        axis.set_xticks([0, 1, 2, *(ten for ten in (5, 10, 20, 50) if ten < furthest)])
        axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlim(0, 1.1 * max(1.0, furthest))
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("distance / 95 % floor of real halves")
    axis.set_title(data.title, fontsize=10)
    axis.legend(fontsize=8, frameon=False)
    _clean(axis)
    return figure


@drawn.register
def failure_rates(data: FailureRates) -> Figure:
    """Bars in percent, a group of bars a criterion, a colour a set; the first set, the real hearts, is grey."""
    rates = data.rates
    criteria = list(next(iter(rates.values())))
    figure = new_figure(7.5, 0.3 * len(criteria) + 1.2)
    axis = figure.subplots()
    width = 0.8 / len(rates)
    for index, (label, found) in enumerate(rates.items()):
        rows = np.arange(len(criteria)) + (index - 0.5 * (len(rates) - 1)) * width
        axis.barh(rows, [100 * found.get(name, 0.0) for name in criteria], width, color=_colour(index), label=label)
    axis.set_yticks(range(len(criteria)), [name.replace("_", " ") for name in criteria], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("failing, %")
    axis.set_title(data.title, fontsize=10)
    axis.legend(fontsize=8, frameon=False)
    _clean(axis)
    return figure


@drawn.register
def ranges(data: Ranges) -> Figure:
    """One panel a measure: boxes of every set, the real hearts' 5-95 % range shaded."""
    values = data.values
    columns = 2
    rows = -(-len(values) // columns)
    figure = new_figure(9.0, 2.3 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(values) :]:
        axis.set_axis_off()
    for axis, (measure, sets) in zip(axes.flat, values.items(), strict=False):
        present = {name: found for name, found in sets.items() if len(found)}
        if len(present.get(REAL, ())):
            axis.axvspan(*np.percentile(present[REAL], [5, 95]), color="#1a7f4b", alpha=0.12)
        box = axis.boxplot(
            list(present.values()),
            orientation="horizontal",
            widths=0.6,
            patch_artist=True,
            showfliers=True,
            flierprops={"markersize": 2},
        )
        for index, patch in enumerate(box["boxes"]):
            patch.set(facecolor=_colour(index), alpha=0.8)
        axis.set_yticks(range(1, len(present) + 1), list(present), fontsize=8)
        axis.set_title(measure.replace("_", " "), fontsize=9)
        _clean(axis)
    figure.suptitle(data.title, fontsize=10)
    return figure


def stack_strips(rows: Mapping[str, Sequence[Picture]], title: str) -> Figure:
    """Hearts as rows of slices from base to apex."""
    columns = max(len(pictures) for pictures in rows.values())
    figure = new_figure(1.0 * columns + 0.6, 1.1 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, picture in zip(line, pictures, strict=False):
            axis.imshow(picture)
        line[0].set_title(name, fontsize=7, loc="left")
    figure.suptitle(title, fontsize=10)
    return figure


@drawn.register
def pairs(data: Pairs) -> Figure:
    """One pair a column."""
    figure = new_figure(1.9 * len(data.pairs) + 0.4, 4.4)
    axes = figure.subplots(2, len(data.pairs), squeeze=False)
    for column, pair in enumerate(data.pairs):
        for axis, picture in zip(axes[:, column], pair, strict=True):
            axis.imshow(overlay(picture.label, picture.image))
            axis.set_title(picture.caption, fontsize=6)
            axis.set_axis_off()
    figure.suptitle(data.title, fontsize=10)
    return figure


@drawn.register
def histograms(data: Histograms) -> Figure:
    """Outlines, the real hearts' filled."""
    figure = new_figure(7.0, 2.8)
    axis = figure.subplots()
    for index, (name, share) in enumerate(data.shares.items()):
        axis.stairs(
            100 * share,
            data.edges,
            color=_colour(index),
            label=name,
            fill=name == REAL,
            alpha=0.35 if name == REAL else 1,
        )
    axis.set_xlabel("intensity, as prepared")
    axis.set_ylabel("voxels, %")
    axis.set_title(data.title, fontsize=10)
    axis.legend(fontsize=8, frameon=False)
    _clean(axis)
    return figure
