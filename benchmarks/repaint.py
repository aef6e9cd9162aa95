"""How an image model repaints held-out slices: from their own style, and from a neighbour's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.consistency import image_consistency
from cardiomorph.evaluation.fidelity import frechet_distance, intensity_measures
from cardiomorph.evaluation.label_match import label_match
from cardiomorph.models.checkpoint import load_image_model
from cardiomorph.models.painter import Painter
from cardiomorph.models.segmenter import Segmenter
from cardiomorph.synthesis.painting import paint
from cardiomorph.volume import Volume


def repaint_measures(run: Path, cohort: Cohort, segmenter: Segmenter) -> dict[str, float]:
    """L1, label match, Frechet distance (the segmenter's features), grain and through-plane measures, held-out hearts.

    Grain, flicker and SSIM of neighbouring slices are given as ratios to the real images'.
    """
    model = load_image_model(run)
    painter = Painter(model)
    labels, real, painted = [], [], []
    through: dict[str, list[list[float]]] = {"heart_flicker": [[], []], "adjacent_ssim": [[], []]}
    for subject in cohort.subjects("heldout"):
        spacing_mm = subject.geometry.slice_spacing_mm("ED")
        for frame in subject.frames.values():
            with torch.inference_mode():
                style = model.encode_style(torch.from_numpy(frame.image)[:, None]).numpy()
            labels.append(frame.label)
            real.append(frame.image)
            painted.append(paint(painter, style, frame.label, np.random.default_rng(0)))
            label = _volume(frame.label, subject.geometry.spacing_mm, spacing_mm)
            for side, stack in enumerate((painted[-1], frame.image)):
                image = _volume(stack, subject.geometry.spacing_mm, spacing_mm)
                for key, value in image_consistency(image, label, spacing_mm).items():
                    if key in through and value is not None:
                        through[key][side].append(value)
    pixels = (cohort.config.spacing_mm,) * 2
    match = [label_match(a, _judged(segmenter, b)[0], pixels)["dice"] for a, b in zip(labels, painted, strict=True)]
    ours, theirs, drawn = np.concatenate(painted), np.concatenate(real), np.concatenate(labels)
    features = [_judged(segmenter, stack)[1] for stack in (ours, theirs)]
    grain = [intensity_measures(stack, drawn)["noise"] for stack in (ours, theirs)]
    return {
        "L1": float(np.abs(ours - theirs).mean()),
        "label match": float(np.mean(match)),
        "Frechet": frechet_distance(*features),
        "grain": grain[0] / grain[1],
        "heart flicker": np.mean(through["heart_flicker"][0]) / np.mean(through["heart_flicker"][1]),
        "neighbours' SSIM": np.mean(through["adjacent_ssim"][0]) / np.mean(through["adjacent_ssim"][1]),
    }


def _volume(slices: np.ndarray, pixel_mm: float, spacing_mm: float) -> Volume:
    return Volume(np.moveaxis(slices, 0, -1), (pixel_mm, pixel_mm, spacing_mm))


@torch.inference_mode()
def _judged(segmenter: Segmenter, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = [segmenter.judge(part) for part in torch.from_numpy(images)[:, None].split(32)]
    return tuple(torch.cat(kind).numpy() for kind in zip(*parts, strict=True))
