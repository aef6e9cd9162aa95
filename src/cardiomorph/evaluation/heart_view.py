"""One heart as the areas of evaluation look at it; what several of them need is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES
from cardiomorph.evaluation import fidelity
from cardiomorph.evaluation.consistency import thinned
from cardiomorph.evaluation.features import Extractor, segmented
from cardiomorph.evaluation.heart_files import LoadedHeart
from cardiomorph.models.segmenter import Segmenter

_BATCH = 16


@dataclass(frozen=True)
class Slices:
    """A heart's slices on the cohort's grid, thinned along the axis, ED before ES.

    Attributes:
        labels, images: (n, size, size); images in [-1, 1] by their own percentiles.
        spacing_mm: of a pixel.
    """

    labels: NDArray[np.uint8]
    images: NDArray[np.float32]
    spacing_mm: tuple[float, float]

    def batches(self) -> tuple[torch.Tensor, ...]:
        """The images as (b, 1, size, size)."""
        return torch.from_numpy(np.ascontiguousarray(self.images, np.float32))[:, None].split(_BATCH)


class HeartView:
    """A heart, and what networks see in it.

    Attributes:
        heart: as it lies on disk.
        slice_spacing_mm: slice spacing at which hearts are compared along the axis.
    """

    def __init__(
        self, heart: LoadedHeart, slice_spacing_mm: float, segmenter: Segmenter | None, imagenet: Extractor | None
    ) -> None:
        self.heart = heart
        self.slice_spacing_mm = slice_spacing_mm
        self._segmenter, self._imagenet = segmenter, imagenet

    @cached_property
    def slices(self) -> Slices | None:
        """None for a heart of one phase or without images."""
        subject = self.heart.prepared
        if subject is None or any(frame.image is None for frame in subject.frames.values()):
            return None
        geometry = subject.geometry
        kept = {
            phase: thinned(frame.n_slices, geometry.slice_spacing_mm(phase), self.slice_spacing_mm)
            for phase, frame in subject.frames.items()
        }
        labels = np.concatenate([subject.frames[phase].label[kept[phase]] for phase in PHASES])
        images = np.concatenate([subject.frames[phase].image[kept[phase]] for phase in PHASES])  # type: ignore[index]
        return Slices(labels, fidelity.on_own_scale(images), (geometry.spacing_mm, geometry.spacing_mm))

    @cached_property
    def segmented(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
        """The (n, size, size) labels that the segmenter reads off `slices`, and its features, (n, d)."""
        if self.slices is None or self._segmenter is None:
            return None
        read, features = zip(*(segmented(self._segmenter, batch) for batch in self.slices.batches()), strict=True)
        return np.concatenate(read), np.concatenate(features)

    @cached_property
    def imagenet_features(self) -> NDArray[np.float32] | None:
        """ImageNet features of `slices`, (n, d)."""
        if self.slices is None or self._imagenet is None:
            return None
        return np.concatenate([self._imagenet(batch) for batch in self.slices.batches()])
