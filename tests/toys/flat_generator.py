"""An image generator from outside the package: every structure has one grey value, moved by the image's mean."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from cardiomorph.anatomy import CLASS_NAMES


class FlatConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = 128
    classes: tuple[str, ...] = CLASS_NAMES
    style_dims: int = 1
    noise: bool = False


class FlatGenerator(nn.Module):
    Config = FlatConfig

    def __init__(self, config: FlatConfig) -> None:
        super().__init__()
        self.config = config
        self.grey = nn.Parameter(torch.tensor([-0.8, 0.5, -0.2, 0.6]))

    def encode_style(self, image: Tensor) -> Tensor:
        return image.mean(dim=(1, 2, 3))[:, None]

    def paint(self, style: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        with torch.inference_mode():
            return (self.grey[labels.long()] + 0.1 * style[:, :, None]).clamp(-1, 1)[:, None]

    def painter(self) -> FlatGenerator:
        return self
