"""The swap test: one heart's label painted in another's style. Anatomy must follow the label, appearance the style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.anatomy import STRUCTURES
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.splits import Split
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.fidelity import intensity_measures, noise_level
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.overlap import dice
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Presentation, Side
from cardiomorph.evaluation.record import NOTHING, Measured, Record
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict
from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.checkpoint import load_segmenter
from cardiomorph.models.image_generator import ImageGenerator, ImagePainter
from cardiomorph.models.segmenter import Segmenter
from cardiomorph.synthesis.painting import NOISE_SHARE, paint, strength_for

PAIRS = 40
_TISSUES = ("blood", "myocardium", "background")


@dataclass(frozen=True)
class Swap:
    """The area of evaluation that swaps hearts' styles. It has numbers and no verdict: no floor is known for them.

    Attributes:
        atlas: of the synthesis; None where there is none at hand.
        segmenter: run folder of a segmenter.
        cohort: the real hearts.
    """

    atlas: Atlas | None
    segmenter: Path | None
    cohort: Cohort

    name = "swap"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        return NOTHING

    def summarise(self, hearts: Populations) -> Summary:
        if self.atlas is None or self.segmenter is None or not self.atlas.has_images:
            return Summary(missing={(): "needs an atlas with an image model, and a segmenter"})
        segmenter = load_segmenter(self.segmenter)
        found = swap_comparisons(self.atlas.image_model, self.atlas.painter, segmenter, self.cohort, hearts.seed)
        return Summary(found) if found else Summary(missing={(): "needs two real hearts with images"})

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        return []

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        return None


def swap_comparisons(
    model: ImageGenerator, painter: ImagePainter, segmenter: Segmenter, cohort: Cohort, seed: int = 0
) -> tuple[Comparison, ...]:
    """The swap test over 40 pairs of subjects, held-out ones where there are any.

    ``anatomy`` is the Dice of what the segmenter reads and the label that was painted, ``anatomy_of_style`` that with
    the label of the image whose style was asked for, ``anatomy_unswapped`` the first without a swap. ``appearance`` is
    the mean absolute difference of the tissues' mean intensities (in [-1, 1]) to the style's image, and
    ``appearance_of_label`` that to the label's own image. Empty for fewer than two subjects with images.
    """
    slices = _middle_slices(cohort)
    if len(slices) < 2:
        return ()
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.choice(len(slices), 2, replace=False) for _ in range(PAIRS)])
    labels = np.stack([label for label, _ in slices])
    images = np.stack([image for _, image in slices])
    with torch.inference_mode():
        styles = model.encode_style(torch.from_numpy(images)[:, None]).numpy()
    of_style, of_label = pairs.T
    single = zip(styles[:, None], labels[:, None], images[:, None], strict=True)
    strength = np.array(
        [strength_for(painter, s, m, NOISE_SHARE * noise_level(i[0])) for s, m, i in single], np.float32
    )
    swapped, unswapped = (
        paint(painter, styles[look], labels[of_label], np.random.default_rng([seed, 1]), strength[look])
        for look in (of_style, of_label)
    )
    read = _read(segmenter, swapped)
    painted = _tissues(swapped, labels[of_label])
    real = _tissues(images, labels)
    found = {
        "anatomy": _mean_dice(read, labels[of_label]),
        "anatomy_of_style": _mean_dice(read, labels[of_style]),
        "anatomy_unswapped": _mean_dice(_read(segmenter, unswapped), labels[of_label]),
        "appearance": float(np.abs(painted - real[of_style]).mean()),
        "appearance_of_label": float(np.abs(painted - real[of_label]).mean()),
    }
    return tuple(Comparison((name,), value=value) for name, value in found.items())


def _middle_slices(cohort: Cohort) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """One end-diastolic slice a subject, two fifths from base to apex, with its image."""
    split: Split | None = "heldout" if len(cohort.ids("heldout")) > 1 else None
    found = []
    for subject in cohort.subjects(split):
        frame = subject.frames["ED"]
        if frame.image is not None:
            index = frame.n_slices * 2 // 5
            found.append((frame.label[index], frame.image[index]))
    return found


@torch.inference_mode()
def _read(segmenter: Segmenter, images: NDArray[np.float32]) -> NDArray[np.uint8]:
    return segmenter.judge(torch.from_numpy(images)[:, None])[0].numpy()


def _mean_dice(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.mean([dice(a, b, structure) for structure in STRUCTURES]))


def _tissues(images: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 3) mean intensities of blood, myocardium and background."""
    measured = [intensity_measures(i[None], m[None]) for i, m in zip(images, labels, strict=True)]
    return np.array([[m[tissue] or 0.0 for tissue in _TISSUES] for m in measured])
