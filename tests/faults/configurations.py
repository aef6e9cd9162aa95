"""Configurations of trainings whose every value is replaced: refused in one line, or trained with."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from contents import _places, _replaced
from kills import in_child
from pydantic import BaseModel
from tally import Tally
from world import World

from cardiomorph.cli import main
from cardiomorph.models.discriminator import DiscriminatorConfig
from cardiomorph.models.label_vae import LabelVAEConfig
from cardiomorph.models.segmenter import SegmenterConfig
from cardiomorph.models.spade import ImageModelConfig
from cardiomorph.training.image import ImageTrainingConfig
from cardiomorph.training.segmenter import SegmenterTrainingConfig
from cardiomorph.training.shape import ShapeTrainingConfig

INSTEAD: tuple[Any, ...] = (None, [], "x", -1, 0, 0.5, 1, 7, 1000, 10**9, 10**30, 1e300, 1e-300, True)
_MEMORY = 6 * 2**30
TRAININGS: dict[str, BaseModel] = {
    "shape": ShapeTrainingConfig(model=LabelVAEConfig(width=2, latent_dims=4, bottleneck=8), epochs=1, batch_size=64),
    "image": ImageTrainingConfig(
        model=ImageModelConfig(width=2, hidden=4, style_dims=4, noise=True),
        discriminator=DiscriminatorConfig(width=2, layers=2),
        steps=1,
        batch_size=2,
    ),
    "segmenter": SegmenterTrainingConfig(model=SegmenterConfig(width=2), epochs=1, batch_size=64),
}
# What only makes a training longer.
_PATIENCE = ("epochs", "steps")


def wrong_configurations(world: World, kind: str, place: Path, limit: int | None = None) -> Tally:
    """`cardiomorph train` with each changed configuration, in a process of its own that may take a few GB.

    Args:
        place: an empty folder.
        limit: how many of the faults, evenly taken; all by default.
    """
    config = TRAININGS[kind]
    whole, tally = config.model_dump(), Tally(f"wrong configuration: {kind}")
    faults = [
        (at, new)
        for at in _places(whole)
        for new in INSTEAD
        if not (at[0] in _PATIENCE and isinstance(new, int) and 1 < new < 10**10)
    ]
    (place / "config.json").write_text(json.dumps(whole))
    if in_child(partial(_trained, kind, world.cohort, place)) != (0, "") or not (place / "run").exists():
        raise AssertionError(f"the command does not train {kind} as it is")
    shutil.rmtree(place / "run")
    for at, new in faults if limit is None else faults[:: max(1, -(-len(faults) // limit))]:
        (place / "config.json").write_text(json.dumps(_replaced(whole, at, new)))

        code, said = in_child(partial(_trained, kind, world.cohort, place))
        tally.count(f"{'.'.join(map(str, at))} = {new!r}: {said or code}" if code or said else None)
        shutil.rmtree(place / "run", ignore_errors=True)
    return tally


def _trained(kind: str, cohort: Path, place: Path) -> str:
    """What is wrong with how the command ends; nothing where it trains, or gives one line and exit code 2."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    words = ["train", kind, str(cohort), "--output", str(place / "run"), "--config", str(place / "config.json")]
    sys.argv = ["cardiomorph", *words, "--preset", "tiny", "--device", "cpu"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        errors = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
        one = len(errors) == 1 and said.getvalue().endswith(f"{errors[0]}\n") and errors[0].isprintable()
        return "" if end.code == 2 and one else f"exit code {end.code}: {said.getvalue()[-500:]!r}"
    return "" if (place / "run" / "model.safetensors").exists() else "no model"
