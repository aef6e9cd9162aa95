"""Configurations of trainings whose every value is replaced: refused in one line, or trained with."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contents import _places, _replaced
from kills import in_child
from pydantic import BaseModel
from tally import Tally, outcome
from world import World

from cardiomorph.models.discriminator import DiscriminatorConfig
from cardiomorph.models.label_vae import LabelVAEConfig
from cardiomorph.models.segmenter import SegmenterConfig
from cardiomorph.models.spade import ImageModelConfig
from cardiomorph.training.image import ImageTrainingConfig, train_image
from cardiomorph.training.segmenter import SegmenterTrainingConfig, train_segmenter
from cardiomorph.training.shape import ShapeTrainingConfig, train_shape

INSTEAD: tuple[Any, ...] = (None, [], "x", -1, 0, 0.5, 1, 7, 1000, 10**9, 10**30, 1e300, 1e-300, True)
_MEMORY = 6 * 2**30
TRAININGS: dict[str, tuple[Callable[..., object], BaseModel]] = {
    "shape": (
        train_shape,
        ShapeTrainingConfig(model=LabelVAEConfig(width=2, latent_dims=4, bottleneck=8), epochs=1, batch_size=64),
    ),
    "image": (
        train_image,
        ImageTrainingConfig(
            model=ImageModelConfig(width=2, hidden=4, style_dims=4, noise=True),
            discriminator=DiscriminatorConfig(width=2, layers=2),
            steps=1,
            batch_size=2,
        ),
    ),
    "segmenter": (train_segmenter, SegmenterTrainingConfig(model=SegmenterConfig(width=2), epochs=1, batch_size=64)),
}
# What only makes a training longer.
_PATIENCE = ("epochs", "steps")


def wrong_configurations(world: World, kind: str, place: Path, limit: int | None = None) -> Tally:
    """Trains with each changed configuration, in a process of its own that may take a few GB.

    Args:
        place: an empty folder.
        limit: how many of the faults, evenly taken; all by default.
    """
    train, config = TRAININGS[kind]
    whole, tally = config.model_dump(), Tally(f"wrong configuration: {kind}")
    faults = [
        (at, new)
        for at in _places(whole)
        for new in INSTEAD
        if not (at[0] in _PATIENCE and isinstance(new, int) and 1 < new < 10**10)
    ]
    for at, new in faults if limit is None else faults[:: max(1, -(-len(faults) // limit))]:
        (place / "config.json").write_text(json.dumps(_replaced(whole, at, new)))

        def run() -> str:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            return (
                outcome(lambda: train(world.cohort, place / "run", changes=place / "config.json", preset="tiny")) or ""
            )

        code, said = in_child(run)
        tally.count(f"{'.'.join(map(str, at))} = {new!r}: {said or code}" if code or said else None)
        shutil.rmtree(place / "run", ignore_errors=True)
    return tally
