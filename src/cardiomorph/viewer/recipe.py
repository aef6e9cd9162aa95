"""How to make the heart on the screen again: a command line, Python, and the provenance that `recreate` reads."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import shipped_atlases
from cardiomorph.synthesis.batch_synthesis import provenance_of
from cardiomorph.synthesis.heart_synthesis import DrawnHeart
from cardiomorph.viewer.session import Choice


class Recipe(BaseModel):
    """Three ways to the same heart. ``command`` is None for a heart that sliders have moved: only Python makes it."""

    command: str | None
    python: str
    provenance: dict[str, Any]


def recipe(atlas: Atlas, choice: Choice, drawn: DrawnHeart, cohort: Path | None = None) -> Recipe:
    """The recipe of a heart that was drawn.

    Args:
        cohort: that of subjects which the atlas has adopted.
    """
    moved = any(choice.shift)
    lent = cohort if choice.source in atlas.adopted else None
    return Recipe(
        command=None if moved else _command(atlas, choice, lent),
        python=_python(atlas, choice, lent),
        provenance=provenance_of(drawn, atlas) | ({"shift_sd": list(choice.shift)} if moved else {}),
    )


def _command(atlas: Atlas, choice: Choice, cohort: Path | None) -> str:
    """`synthesize` makes all versions up to the wanted one, whose folder is the job's name."""
    words = ["cardiomorph", "synthesize", "--atlas", _named(atlas), "--source", choice.source]
    words += ["--target", choice.target, "--sampler", choice.sampler, "--seed", str(choice.seed)]
    words += ["--versions", str(choice.version), "--severity", f"{choice.severity:g}"]
    words += ["--cohort", str(cohort)] if cohort else []
    words += ["--slices", choice.slices, "--styles", choice.styles, "--output", "hearts"]
    return shlex.join(words)


def _named(atlas: Atlas) -> str:
    """The name of an atlas that ships, the folder of any other."""
    names = {folder: name for name, folder in shipped_atlases().items()}
    return names.get(atlas.folder, str(atlas.folder))


def _python(atlas: Atlas, choice: Choice, cohort: Path | None) -> str:
    given = ", ".join(
        f"{name}={json.dumps(value) if isinstance(value, str) else value}"
        for name, value in choice.model_dump(exclude_defaults=True, exclude={"source", "target"}).items()
    )
    imports, adopt = "", ""
    if cohort:
        imports = "from cardiomorph.data.cohort import Cohort\n"
        adopt = f"session.adopt(parents_of(Cohort({json.dumps(str(cohort))}), session.atlas))\n"
    return (
        f"from pathlib import Path\n\n{imports}"
        "from cardiomorph.latent.atlas import Atlas\n"
        "from cardiomorph.latent.library import find_atlas\n"
        f"{'from cardiomorph.synthesis.parents import parents_of' + chr(10) if cohort else ''}"
        "from cardiomorph.viewer.session import Choice, Session\n"
        "from cardiomorph.volume import write_nifti\n\n"
        f"session = Session(Atlas(find_atlas({json.dumps(_named(atlas))})))\n{adopt}"
        f"heart = Choice(source={json.dumps(choice.source)}, target={json.dumps(choice.target)}"
        f"{', ' + given if given else ''})\n"
        'for phase in ("ED", "ES"):\n'
        '    for kind in ("label", "image"):\n'
        "        volume = session.volume(heart, phase, kind)\n"
        "        if volume is not None:\n"
        '            write_nifti(Path(f"heart_{phase}_{kind}.nii.gz"), volume)\n'
    )
