"""A picture of one scan and of diseased hearts in its whole image, for the documentation: of a phantom's chest only.

    python benchmarks/own_heart_picture.py PHANTOM OUTPUT.png

PHANTOM is a patient of `cardiomorph phantom --field chest`.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cardiomorph.anatomy import LABEL_COLOURS
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.synthesis.request import HeartJob

logging.getLogger("cardiomorph").setLevel(logging.ERROR)
ROWS = {"the scan": None, "HCM": "HCM", "DCM": "DCM", "RV": "RV"}
LEVELS = (0.2, 0.4, 0.6, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phantom", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    if not (given.phantom / "truth.json").is_file():
        parser.error("is no phantom: no patient's picture belongs into documentation")
    atlas = Atlas(find_atlas("acdc-small"))
    (patient,) = patients_at(given.phantom, atlas)
    atlas.adopt({patient.parent.id: patient.parent})
    figure = Figure(figsize=(2.2 * len(LEVELS), 2.2 * len(ROWS)), facecolor="black")
    scan = patient.parent.scan["ED"]
    top = np.percentile(scan.image.array, 99.5)
    for row, (words, target) in zip(figure.subplots(len(ROWS), len(LEVELS)), ROWS.items(), strict=True):
        label, image = scan.label, scan.image
        if target is not None:
            job = HeartJob(source=patient.parent.id, target=target, version=1, severity=1.0, seed=0, images=True,
                           sampler=sampler_named("population"), slices="native", field="full")  # fmt: skip
            heart = synthesize_heart(atlas, job)
            label, image = heart.labels["ED"], heart.images["ED"]
        labelled = np.flatnonzero((label.array > 0).any(axis=(0, 1)))
        for axis, level in zip(row, LEVELS, strict=True):
            index = labelled[int(level * len(labelled))]
            axis.axis("off")
            axis.imshow(image.array[..., index].T, cmap="gray", vmin=0, vmax=top)
            for code, colour in LABEL_COLOURS.items():
                if (label.array[..., index] == code).any():
                    axis.contour((label.array[..., index] == code).T, levels=[0.5], colors=[colour], linewidths=0.6)
        row[0].set_title(words, color="white", fontsize=9, loc="left", pad=2)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.96, 0.02, 0.1)
    FigureCanvasAgg(figure).print_png(given.output, metadata={"Software": None})


if __name__ == "__main__":
    main()
