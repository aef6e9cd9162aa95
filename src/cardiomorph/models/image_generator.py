"""What every image generator can do, and the generators there are, by the ``kind`` that their model.json states.

Adding one is a new module with a `torch.nn.Module` that keeps `ImageGenerator`, its configuration a frozen pydantic
model, and one line in `IMAGE_GENERATORS`. Atlases, painting, the swap test, the viewer and the trainings use these
verbs only.
"""

from __future__ import annotations

import importlib
from typing import ClassVar, Final, Protocol

from pydantic import BaseModel
from torch import Tensor

IMAGE_GENERATORS: Final[dict[str, str]] = {"image": "cardiomorph.models.spade:ImageModel"}
"""Kind -> ``module:class``, imported when it is first asked for. "image" is SPADE."""


class GeneratorConfig(Protocol):
    """What others need to know of a generator's configuration, which is a frozen pydantic model."""

    @property
    def size(self) -> int:
        """Pixels along each side of its images."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label codes that it paints."""
        ...

    @property
    def style_dims(self) -> int:
        """Numbers of an appearance code."""
        ...

    @property
    def noise(self) -> bool:
        """Whether it takes noise to paint an image's own with."""
        ...


class ImagePainter(Protocol):
    """A generator made ready to paint many images: weights fixed, nothing trained."""

    @property
    def config(self) -> GeneratorConfig:
        """What it was built from."""
        ...

    def paint(self, style: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Paints label maps with an appearance.

        Args:
            style: (n, style_dims) appearance codes.
            labels: (n, size, size) integers.
            noise: (n, 1, size, size) standard normal, where the generator takes it; None paints without.

        Returns:
            (n, 1, size, size) in [-1, 1]. An image depends on its own inputs only, not on what was painted before.
        """
        ...


class ImageGenerator(Protocol):
    """A trained generator: a `torch.nn.Module` in evaluation mode, built from its configuration alone."""

    Config: ClassVar[type[BaseModel]]

    @property
    def config(self) -> GeneratorConfig:
        """What it was built from."""
        ...

    def encode_style(self, image: Tensor) -> Tensor:
        """(n, 1, size, size) images in [-1, 1] -> (n, style_dims) appearance codes."""
        ...

    def painter(self) -> ImagePainter:
        """Itself made ready to paint; its weights must not change while that is used."""
        ...


def generator_type(kind: str) -> type[ImageGenerator]:
    """The class of a generator by its kind, a key of `IMAGE_GENERATORS`."""
    module, _, name = IMAGE_GENERATORS[kind].partition(":")
    found: type[ImageGenerator] = getattr(importlib.import_module(module), name)
    return found
