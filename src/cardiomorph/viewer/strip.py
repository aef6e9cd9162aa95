"""A heart as one picture for a slide: ED and ES, image and labels, slices from base to apex."""

from __future__ import annotations

import numpy as np

from cardiomorph.anatomy import GROUP_NAMES, PHASES
from cardiomorph.report.figures import Picture, as_png, new_figure, overlay
from cardiomorph.viewer.session import Choice, Session

COLUMNS = 8


def strip_png(session: Session, choice: Choice) -> bytes:
    """PNG of a heart: a row a phase and view, eight slices between base and apex."""
    scene, images = session.scene(choice), dict(session.images(choice))
    rows: dict[str, list[Picture]] = {}
    for phase in PHASES:
        labels, image = scene.labels[phase], images.get(phase)
        shown = np.linspace(1, len(labels) - 2, COLUMNS).round().astype(int).tolist()
        if image is not None:
            rows[phase] = [overlay(labels[k], image[k], 0.0) for k in shown]
        rows[f"{phase} labels"] = [overlay(labels[k], None if image is None else image[k]) for k in shown]
    figure = new_figure(1.3 * COLUMNS + 0.6, 1.3 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name, fontsize=8)
    figure.suptitle(
        f"{choice.source} to {GROUP_NAMES.get(choice.target, choice.target)}, severity {choice.severity:g}, "
        f"{choice.sampler}, seed {choice.seed}, version {choice.version}: synthetic, base to apex",
        fontsize=9,
    )
    return as_png(figure)
