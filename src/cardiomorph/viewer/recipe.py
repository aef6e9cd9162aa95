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
from cardiomorph.viewer.session import Choice, Session


class Recipe(BaseModel):
    """Three ways to the same heart. ``command`` is None for a heart that sliders have moved: only Python makes it."""

    command: str | None
    python: str
    provenance: dict[str, Any]


def recipe(session: Session, choice: Choice) -> Recipe:
    """The recipe of a heart of a session. Raises `CardiomorphError` where there is no such heart."""
    moved = any(choice.shift)
    lent = choice.source in session.atlas.adopted
    patient = session.patients.get(choice.source)
    cohort = session.cohort if lent and patient is None else None
    drawn = session.shape(choice).drawn
    return Recipe(
        command=None if moved else _command(session.atlas, choice, cohort, patient),
        python=_python(session.atlas, choice, cohort, patient),
        provenance=provenance_of(drawn, session.atlas) | ({"shift_sd": list(choice.shift)} if moved else {}),
    )


def _command(atlas: Atlas, choice: Choice, cohort: Path | None, patient: Path | None) -> str:
    """`synthesize` makes all versions up to the wanted one, whose folder is the job's name."""
    source = str(patient) if patient else choice.source
    words = ["cardiomorph", "synthesize", "--atlas", _named(atlas), "--source", source]
    words += ["--target", choice.target, "--sampler", choice.sampler, "--seed", str(choice.seed)]
    words += ["--versions", str(choice.version), "--severity", f"{choice.severity:g}"]
    words += ["--cohort", str(cohort)] if cohort else []
    words += ["--field", "full"] if choice.field == "full" else ["--slices", choice.slices]
    words += ["--styles", choice.styles, "--output", "hearts"]
    return shlex.join(words)


def _named(atlas: Atlas) -> str:
    """The name of an atlas that ships, the folder of any other."""
    names = {folder: name for name, folder in shipped_atlases().items()}
    return names.get(atlas.folder, str(atlas.folder))


def _python(atlas: Atlas, choice: Choice, cohort: Path | None, patient: Path | None) -> str:
    given = ", ".join(
        f"{name}={json.dumps(value) if isinstance(value, str) else value}"
        for name, value in choice.model_dump(exclude_defaults=True, exclude={"source", "target"}).items()
    )
    imports, adopt = _adoption(cohort, patient)
    return (
        "from pathlib import Path\n\n"
        f"{'from cardiomorph.data.cohort import Cohort' + chr(10) if cohort else ''}"
        "from cardiomorph.latent.atlas import Atlas\n"
        "from cardiomorph.latent.library import find_atlas\n"
        f"{imports}"
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


def _adoption(cohort: Path | None, patient: Path | None) -> tuple[str, str]:
    """Imports and lines that bring in a parent which the atlas does not hold."""
    if patient:
        place = f"Path({json.dumps(str(patient))})"
        return (
            "from cardiomorph.synthesis.patients import patients_at\n",
            f"session.adopt_patients(patients_at({place}, session.atlas), {place})\n",
        )
    if cohort:
        return (
            "from cardiomorph.synthesis.parents import parents_of\n",
            f"session.adopt(parents_of(Cohort({json.dumps(str(cohort))}), session.atlas))\n",
        )
    return "", ""
