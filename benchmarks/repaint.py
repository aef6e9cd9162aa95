"""How an image model repaints held-out hearts from their own labels and styles, with noise inputs of several strengths.

    python benchmarks/repaint.py RUN COHORT --segmenter RUN

Every image, real or painted, is scaled by the percentiles of its heart's crops, as `evaluate` does. The Frechet
distance is in the segmenter's features between the repainted half of the hearts and the real other half; its floor is
that between the real halves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.data.cohort import Cohort
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.evaluation.consistency import image_consistency
from cardiomorph.evaluation.fidelity import (
    checkerboard,
    frechet_distance,
    intensity_measures,
    noise_level,
    on_own_scale,
)
from cardiomorph.evaluation.label_match import label_match
from cardiomorph.models.checkpoint import load_image_model, load_segmenter
from cardiomorph.models.painter import Painter
from cardiomorph.models.segmenter import Segmenter
from cardiomorph.synthesis.painting import paint, strength_for
from cardiomorph.volume import Volume

HALVES = 20
Images = NDArray[np.float32]
Strength = Callable[["Heart", Painter], float]


@dataclass(frozen=True)
class Heart:
    """A real heart, ED before ES: (n, size, size) labels and images, (n, style_dims) styles, slices in ED."""

    labels: NDArray[np.uint8]
    images: Images
    styles: NDArray[np.float32]
    in_ed: int
    pixel_mm: float
    spacing_mm: float

    def phases(self, stack: NDArray) -> tuple[NDArray, NDArray]:
        return stack[: self.in_ed], stack[self.in_ed :]


def as_trained(heart: Heart, painter: Painter) -> float:
    return 1.0


def times(factor: float) -> Strength:
    return lambda heart, painter: factor


def share_of_own_noise(share: float) -> Strength:
    """As `synthesis.painting.noise_strength` does it: from four slices, at most twice."""

    def strength(heart: Heart, painter: Painter) -> float:
        tried = [q * len(stack) // 4 + start for stack, start in _starts(heart) for q in (1, 3)]
        noise = float(np.mean([noise_level(image) for image in heart.images]))
        return strength_for(painter, heart.styles[tried], heart.labels[tried], share * noise)

    return strength


def _starts(heart: Heart) -> list[tuple[NDArray, int]]:
    return list(zip(heart.phases(heart.labels), (0, heart.in_ed), strict=True))


ROWS: dict[str, Strength] = {
    "as trained": as_trained,
    "1.5 times": times(1.5),
    "twice": times(2.0),
    "80 % of the heart's own noise": share_of_own_noise(0.8),
    "90 %": share_of_own_noise(0.9),
    "100 %": share_of_own_noise(1.0),
}


def held_out(model_run: Path, cohort: Cohort) -> tuple[Painter, list[Heart]]:
    """The model's painter, and the held-out hearts with the styles that the model sees in them."""
    model = load_image_model(model_run)
    return Painter(model), [_heart(model, subject) for subject in cohort.subjects("heldout")]


@torch.inference_mode()
def _heart(model, subject: PreparedSubject) -> Heart:
    frames = list(subject.frames.values())
    images = np.concatenate([frame.image for frame in frames])
    return Heart(
        labels=np.concatenate([frame.label for frame in frames]),
        images=images,
        styles=model.encode_style(torch.from_numpy(images)[:, None]).numpy(),
        in_ed=frames[0].n_slices,
        pixel_mm=subject.geometry.spacing_mm,
        spacing_mm=subject.geometry.slice_spacing_mm("ED"),
    )


def repaint_measures(
    painter: Painter, hearts: Sequence[Heart], segmenter: Segmenter, strength: Strength = as_trained
) -> dict[str, float]:
    """L1, label match, Frechet distance and its floor, checkerboard; noise, flicker and SSIM as ratios to the real."""
    painted = [
        paint(painter, heart.styles, heart.labels, np.random.default_rng(0), strength(heart, painter))
        for heart in hearts
    ]
    error = np.concatenate([np.abs(p - h.images).ravel() for p, h in zip(painted, hearts, strict=True)])
    ours, theirs = [on_own_scale(p) for p in painted], [on_own_scale(h.images) for h in hearts]
    judged = [[_judged(segmenter, stack) for stack in side] for side in (ours, theirs)]
    match = [
        label_match(heart.labels, labels, (heart.pixel_mm,) * 2)["dice"]
        for heart, (labels, _) in zip(hearts, judged[0], strict=True)
    ]
    distance, floor = _frechet(*([features for _, features in side] for side in judged))
    noise = [[intensity_measures(i, h.labels)["noise"] for i, h in zip(s, hearts, strict=True)] for s in (ours, theirs)]
    through = [_through(side, hearts) for side in (ours, theirs)]
    return {
        "L1": float(error.mean()),
        "label match": float(np.mean(match)),
        "Frechet": distance,
        "floor": floor,
        "noise": float(np.mean(noise[0]) / np.mean(noise[1])),
        "checkerboard": float(np.mean([checkerboard(stack) for stack in ours])),
        "heart flicker": through[0]["heart_flicker"] / through[1]["heart_flicker"],
        "neighbours' SSIM": through[0]["adjacent_ssim"] / through[1]["adjacent_ssim"],
    }


def _frechet(ours: list[NDArray], theirs: list[NDArray]) -> tuple[float, float]:
    """Means over random halves: repainted to the real others, real to the real others."""
    rng, found = np.random.default_rng(0), []
    stacked = np.concatenate(theirs)
    centre, scale = stacked.mean(axis=0), stacked.std(axis=0).mean()
    ours, theirs = ([(f.astype(float) - centre) / scale for f in side] for side in (ours, theirs))
    for _ in range(HALVES):
        first, second = np.array_split(rng.permutation(len(theirs)), 2)
        others = np.concatenate([theirs[i] for i in second])
        found.append([frechet_distance(np.concatenate([side[i] for i in first]), others) for side in (ours, theirs)])
    return tuple(np.mean(found, axis=0).tolist())


def _through(stacks: Sequence[Images], hearts: Sequence[Heart]) -> dict[str, float]:
    """Means of the through-plane measures."""
    found: dict[str, list[float]] = {"heart_flicker": [], "adjacent_ssim": []}
    for stack, heart in zip(stacks, hearts, strict=True):
        for image, label in zip(heart.phases(stack), heart.phases(heart.labels), strict=True):
            volumes = [_volume(part, heart) for part in (image, label)]
            for key, value in image_consistency(*volumes, heart.spacing_mm).items():
                if key in found and value is not None:
                    found[key].append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _volume(slices: NDArray, heart: Heart) -> Volume:
    return Volume(np.moveaxis(slices, 0, -1), (heart.pixel_mm, heart.pixel_mm, heart.spacing_mm))


@torch.inference_mode()
def _judged(segmenter: Segmenter, images: Images) -> tuple[NDArray, NDArray]:
    parts = [segmenter.judge(part) for part in torch.from_numpy(images)[:, None].split(32)]
    labels, features = (torch.cat(kind).numpy() for kind in zip(*parts, strict=True))
    return labels, features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="run folder of the image model")
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--segmenter", type=Path, required=True)
    given = parser.parse_args()
    painter, hearts = held_out(given.run, Cohort(given.cohort))
    segmenter = load_segmenter(given.segmenter)
    real = float(np.mean([checkerboard(on_own_scale(heart.images)) for heart in hearts]))
    print(f"{len(hearts)} hearts; checkerboard of the real images {real:.3f}")
    for number, (name, strength) in enumerate(ROWS.items()):
        measured = repaint_measures(painter, hearts, segmenter, strength)
        if not number:
            print(f"| | {' | '.join(measured)} |\n|---|{'---|' * len(measured)}")
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in measured.values())} |", flush=True)


if __name__ == "__main__":
    main()
