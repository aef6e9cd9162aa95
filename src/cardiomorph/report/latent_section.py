"""The latent space on a page: what each dimension holds, what it does to a heart, how the groups lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiomorph.anatomy import HEALTHY
from cardiomorph.evaluation.latent_space import ACTIVE_NATS, area_effects, traversal
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.atlas_files import Diagnostics
from cardiomorph.report.figures import new_figure
from cardiomorph.report.page import Section, table
from cardiomorph.training.pictures import label_colours, sheet

REACH = (-2.0, -1.0, 0.0, 1.0, 2.0)
_SLICE = 12
"""Of 32: a little above the middle, where both ventricles are."""


def latent_section(atlas: Atlas) -> Section:
    """KL of every dimension, and the mean healthy heart's slice as each dimension goes from -2 to 2 SD."""
    model, healthy = atlas.shape_model, atlas.group(HEALTHY).phases["ED"]
    told = atlas.diagnostics
    kl, spread = told.latent.kl_nats, np.asarray(told.latent.sd_of_means)
    slices = traversal(model, healthy.mean[_SLICE], spread, REACH)
    effects = area_effects(slices)
    rows = [
        [str(k + 1), f"{kl[k]:.2f}", f"{spread[k]:.2f}", *(f"{effect:+.0f}" for effect in effects[k])]
        for k in np.argsort(kl)[::-1]
    ]
    return Section(
        "Latent space",
        " ".join(_sentences(told)),
        {"latent_kl": kl_figure(kl), "latent_traversal": traversal_figure(slices, kl)},
        table(("dimension", "KL, nats", "SD of means", "RV area, %", "myocardium, %", "LV, %"), rows),
    )


def _sentences(told: Diagnostics) -> list[str]:
    sentences = [
        f"{told.latent.active} of {told.latent.dimensions} dimensions hold more than {ACTIVE_NATS} nats a slice.",
        "Areas: change of the mean healthy slice from -2 to 2 SD along the dimension.",
    ]
    if told.interpolation:
        way = told.interpolation
        sentences.append(
            f"Between hearts of different groups the way is {way.detour:.2f} times as long as the change from end "
            f"to end, and the largest of ten steps makes {way.largest_step:.0%} of it."
        )
    if told.separability:
        found = told.separability
        sentences.append(
            f"A linear discriminant names the group of {found.accuracy:.0%} of {found.subjects:.0f} held-out "
            f"subjects from their codes; naming the most frequent group would be right for {found.chance:.0%}."
        )
    return sentences


def kl_figure(kl: Sequence[float]) -> Figure:
    """KL divergence of every dimension, largest first."""
    order = np.argsort(kl)[::-1]
    figure = new_figure(7, 2.4)
    axes = figure.add_subplot()
    axes.bar(range(len(kl)), np.asarray(kl)[order], color="#4477aa")
    axes.axhline(ACTIVE_NATS, color="#b3261e", linewidth=1, linestyle="--")
    axes.set_xticks(range(len(kl)), [str(k + 1) for k in order])
    axes.set_xlabel("latent dimension")
    axes.set_ylabel("KL, nats a slice")
    return figure


def traversal_figure(slices: NDArray[np.uint8], kl: Sequence[float]) -> Figure:
    """A row a dimension, most informative first; (n_z, steps, size, size) labels."""
    order = np.argsort(kl)[::-1]
    margin = slices.shape[-1] // 6
    cut = slices[order, :, margin:-margin, margin:-margin]
    half = -(-len(cut) // 2)
    figure = new_figure(9, 0.85 * half + 0.6)
    for column, rows in enumerate((cut[:half], cut[half:])):
        axes = figure.add_subplot(1, 2, column + 1)
        if not len(rows):
            axes.axis("off")
            continue
        axes.imshow(sheet([label_colours()[row] for row in rows]))
        side = rows.shape[-1]
        axes.set_yticks((np.arange(len(rows)) + 0.5) * side, [str(k + 1) for k in order[column * half :][: len(rows)]])
        axes.set_xticks((np.arange(rows.shape[1]) + 0.5) * side, [f"{r:+g} SD" for r in REACH])
        axes.tick_params(length=0, labelsize=8)
    return figure
