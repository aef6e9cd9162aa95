"""What a study of usefulness is set to; light enough for ``--help``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.training.hardware import Precision


class AugmentationStrength(BaseModel):
    """How far real and synthetic slices alike are changed; the ranges are those of nnU-Net's 2D augmentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_deg: float = Field(180.0, ge=0, le=180)
    zoom: tuple[float, float] = (0.7, 1.4)
    probability: float = Field(0.2, ge=0, le=1, description="of each change but mirroring, which has one half")
    noise: float = Field(0.3, ge=0, le=5, description="largest SD, in SDs of the image")
    gamma: tuple[float, float] = (0.7, 1.5)
    contrast: float = Field(0.25, ge=0, lt=1)
    blur_px: tuple[float, float] = (0.5, 1.0)
    coarsening: tuple[float, float] = (0.5, 1.0)
    bend_px: float = Field(0.0, ge=0, le=50, description="SD of a smooth displacement; 0 leaves it out")


STRONG = AugmentationStrength(
    zoom=(0.6, 1.6), probability=0.5, noise=0.6, gamma=(0.5, 2.0), contrast=0.4, blur_px=(0.5, 2.0),
    coarsening=(0.3, 1.0), bend_px=6.0,
)  # fmt: skip
"""What a user would try first against few patients."""


class NetworkSettings(BaseModel):
    """The network and how it is trained: the same in every arm of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimensions: Literal[2, 3] = Field(2, description="slices one by one, or whole stacks")
    filters: tuple[int, ...] = Field((16, 32, 64, 96, 128), min_length=3, max_length=8)
    patch_px: int = Field(112, ge=32, le=1024, multiple_of=16, description="side of the patches in the plane")
    patch_slices: int = Field(10, ge=4, le=64, description="slices of a patch in three dimensions")
    deep_supervision: int = Field(2, ge=0, le=4, description="coarser levels that are also asked")
    steps: int = Field(1000, ge=1, le=10**7)
    batch_size: int = Field(8, ge=2)
    learning_rate: float = Field(2e-3, gt=0, le=10)
    learning_rate_floor: float = Field(0.01, gt=0, le=1)
    weight_decay: float = Field(1e-4, ge=0, le=1)
    on_heart: float = Field(0.8, ge=0, le=1, description="share of the patches that lie about a heart")
    augmentation: AugmentationStrength = AugmentationStrength()
    precision: Precision = "auto"


UTILITY_PRESETS: dict[str, NetworkSettings] = {
    "tiny": NetworkSettings(filters=(4, 8, 8), patch_px=64, deep_supervision=1, steps=4, batch_size=4),
    "small": NetworkSettings(),
    "base": NetworkSettings(filters=(32, 64, 128, 256, 320), patch_px=256, steps=25_000, batch_size=48),
}
