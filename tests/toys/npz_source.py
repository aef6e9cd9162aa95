"""A source from outside the package: one ``NAME.npz`` a subject with labels by phase, spacing and group."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from cardiomorph.data.entry import Entry
from cardiomorph.data.subject import Frame, LabelCodes, Subject, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import Volume

EXPECTED = "a folder of .npz files"
THEIRS: LabelCodes = {10: 1, 20: 2, 30: 3}


def recognises(folder: Path) -> bool:
    return any(folder.glob("*.npz"))


def find(folder: Path) -> list[Entry]:
    return [Entry(p.stem, folder, (p,), partial(read, p), p) for p in sorted(folder.glob("*.npz"))]


def read(path: Path, codes: LabelCodes | None = None) -> Subject:
    frames, problems = {}, []
    with np.load(path) as stored:
        spacing = tuple(stored["spacing_mm"].tolist())
        for phase in ("ED", "ES"):
            try:
                frames[phase] = Frame(checked_label(Volume(stored[phase], spacing), path, codes or THEIRS))
            except CardiomorphError as error:
                problems.append(str(error))
        return Subject(path.stem, str(stored["group"]), frames, problems=tuple(problems))
