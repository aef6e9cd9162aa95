"""Augmentation like nnU-Net's, by MONAI's transforms, each patch's a function of its own seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from monai.transforms import (
    Compose,
    Rand2DElasticd,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandScaleIntensityd,
    RandSimulateLowResolutiond,
    RandZoomd,
)
from numpy.typing import NDArray
from torch import Tensor, as_tensor

from cardiomorph.utility.settings import AugmentationStrength

_BOTH, _IMAGE = ("image", "label"), ("image",)
_MODES = ("bilinear", "nearest")


class Augmentation:
    """Changes an image and its label alike.

    Args:
        dimensions: 2 or 3; stacks are turned and enlarged in the plane only.
    """

    def __init__(self, strength: AugmentationStrength, dimensions: int) -> None:
        p, turn = strength.probability, math.radians(strength.rotation_deg)
        about: Any = {"range_x": turn} if dimensions == 2 else {"range_z": turn}
        low, high = strength.zoom
        zoom: Any = {"min_zoom": low, "max_zoom": high}
        if dimensions == 3:
            zoom = {"min_zoom": (low, low, 1.0), "max_zoom": (high, high, 1.0)}
        smooth = "bilinear" if dimensions == 2 else "trilinear"
        steps: list[Any] = [
            RandRotated(_BOTH, prob=p, **about, mode=_MODES, padding_mode="zeros"),
            RandZoomd(_BOTH, prob=p, **zoom, mode=(smooth, "nearest")),
        ]
        if strength.bend_px and dimensions == 2:
            bend = (strength.bend_px / 2, strength.bend_px)
            steps.append(Rand2DElasticd(_BOTH, spacing=(30, 30), magnitude_range=bend, prob=p, mode=_MODES))
        self.transform = Compose(
            [
                *steps,
                RandGaussianNoised(_IMAGE, prob=p, std=strength.noise),
                RandGaussianSmoothd(_IMAGE, prob=p, sigma_x=strength.blur_px, sigma_y=strength.blur_px),
                RandScaleIntensityd(_IMAGE, factors=strength.contrast, prob=p),
                RandSimulateLowResolutiond(_IMAGE, prob=p, zoom_range=strength.coarsening, upsample_mode=smooth),
                RandAdjustContrastd(_IMAGE, prob=p, gamma=strength.gamma, retain_stats=True),
                RandFlipd(_BOTH, prob=0.5, spatial_axis=0),
                RandFlipd(_BOTH, prob=0.5, spatial_axis=1),
            ]
        )

    def __call__(self, image: NDArray[np.float32], label: NDArray[np.uint8], seed: int) -> tuple[Tensor, Tensor]:
        """(h, w[, n]) image and label -> (1, h, w[, n]) float32 image and (h, w[, n]) int64 label."""
        self.transform.set_random_state(seed % (2**32))
        changed = self.transform({"image": as_tensor(image)[None], "label": as_tensor(label)[None].float()})
        return as_tensor(changed["image"]).float(), as_tensor(changed["label"])[0].round().long()
