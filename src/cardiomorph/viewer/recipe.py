"""How to make the heart on the screen again: a command line, Python, and the provenance that `recreate` reads."""

from __future__ import annotations

import json
import shlex
from typing import Any

from pydantic import BaseModel

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import shipped_atlases
from cardiomorph.synthesis.engine import Drawn
from cardiomorph.synthesis.pipeline import provenance_of
from cardiomorph.viewer.stage import Choice


class Recipe(BaseModel):
    """Three ways to the same heart. ``command`` is None for a heart that sliders have moved: only Python makes it."""

    command: str | None
    python: str
    provenance: dict[str, Any]


def recipe(atlas: Atlas, choice: Choice, drawn: Drawn) -> Recipe:
    """The recipe of a heart that was drawn."""
    moved = any(choice.shift)
    return Recipe(
        command=None if moved else _command(atlas, choice),
        python=_python(atlas, choice),
        provenance=provenance_of(drawn, atlas) | ({"shift_sd": list(choice.shift)} if moved else {}),
    )


def _command(atlas: Atlas, choice: Choice) -> str:
    """`synthesize` makes all versions up to the wanted one, whose folder is the job's name."""
    words = ["cardiomorph", "synthesize", "--atlas", _named(atlas), "--source", choice.source]
    words += ["--target", choice.target, "--sampler", choice.sampler, "--seed", str(choice.seed)]
    words += ["--versions", str(choice.version), "--severity", f"{choice.severity:g}"]
    words += ["--slices", choice.slices, "--styles", choice.styles, "--output", "hearts"]
    return shlex.join(words)


def _named(atlas: Atlas) -> str:
    """The name of an atlas that ships, the folder of any other."""
    names = {folder: name for name, folder in shipped_atlases().items()}
    return names.get(atlas.folder, str(atlas.folder))


def _python(atlas: Atlas, choice: Choice) -> str:
    given = ", ".join(
        f"{name}={json.dumps(value) if isinstance(value, str) else value}"
        for name, value in choice.model_dump(exclude_defaults=True, exclude={"source", "target"}).items()
    )
    return (
        "from pathlib import Path\n\n"
        "from cardiomorph.latent.atlas import Atlas\n"
        "from cardiomorph.latent.library import find_atlas\n"
        "from cardiomorph.viewer.stage import Choice, Stage\n"
        "from cardiomorph.volume import write_nifti\n\n"
        f"stage = Stage(Atlas(find_atlas({json.dumps(_named(atlas))})))\n"
        f"heart = Choice(source={json.dumps(choice.source)}, target={json.dumps(choice.target)}"
        f"{', ' + given if given else ''})\n"
        'for phase in ("ED", "ES"):\n'
        '    for kind in ("label", "image"):\n'
        "        volume = stage.volume(heart, phase, kind)\n"
        "        if volume is not None:\n"
        '            write_nifti(Path(f"heart_{phase}_{kind}.nii.gz"), volume)\n'
    )
