"""nnU-Net's layout: ``labelsTr/CASE.nii.gz`` with ``imagesTr/CASE_0000.nii.gz`` (Isensee et al., Nat Methods 2021).

A case is one phase of a subject: ``NAME_ED`` and ``NAME_ES``, or ``NAME_frame01`` and ``NAME_frame12``, of which the
one with the larger LV cavity is ED. What the codes mean, dataset.json says. Groups stand in ``subjects.csv`` beside
(columns subject and group), which `cardiomorph export` writes; nnU-Net itself knows of none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cardiomorph.anatomy import PHASES, Label, Phase
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources.clinical import body, read_table, read_text, refuse_faulty, visible
from cardiomorph.data.sources.images import SUFFIXES, stem_of, stored
from cardiomorph.data.subject import Frame, LabelCodes, Subject, checked_frame, checked_label
from cardiomorph.errors import CardiomorphError
from cardiomorph.volume import read_nifti

SUBJECTS = "subjects.csv"
EXPECTED = "nnU-Net (labelsTr)"
_DATASET = "dataset.json"
_CASE = re.compile(r"(?P<subject>.+)[_-](?P<frame>ED|ES|frame\d+)", re.IGNORECASE)


def recognises(folder: Path) -> bool:
    return bool(_labels(folder))


def _labels(folder: Path) -> list[Path]:
    return visible((path for suffix in SUFFIXES for path in folder.glob(f"labelsTr/*{suffix}")), folder)


def cases(folder: Path) -> dict[str, dict[str, str]]:
    """Cases by subject and frame. A case that names no frame is a subject of one frame."""
    found: dict[str, dict[str, str]] = {}
    for path in _labels(folder):
        stem = stem_of(path)
        match = _CASE.fullmatch(stem)
        subject, frame = match.group("subject", "frame") if match else (stem, "ED")
        found.setdefault(subject, {})[frame.upper() if frame.upper() in PHASES else frame] = stem
    return found


def find(folder: Path) -> list[Entry]:
    """The subjects. Raises `CardiomorphError` for a subjects.csv that is no table."""
    rows = read_table(folder / SUBJECTS).by("subject") if (folder / SUBJECTS).is_file() else {}
    return [
        Entry(
            name,
            folder,
            _files(folder, stems),
            partial(read, folder, name, stems, rows.get(name, {})),
            folder / SUBJECTS,
        )
        for name, stems in cases(folder).items()
    ]


def _files(folder: Path, stems: Mapping[str, str]) -> tuple[Path, ...]:
    places = [(folder / "labelsTr", stem) for stem in stems.values()]
    places += [(folder / "imagesTr", f"{stem}_0000") for stem in stems.values()]
    candidates = [place / f"{stem}{suffix}" for place, stem in places for suffix in SUFFIXES]
    return tuple(path for path in (*candidates, folder / _DATASET) if path.is_file())


def stated_codes(folder: Path) -> LabelCodes:
    """What dataset.json says that the codes mean; ours where there is no such file.

    Raises:
        CardiomorphError: it is no JSON, or names structures that cannot be told apart.
    """
    path = folder / _DATASET
    if not path.is_file():
        return {}
    try:
        labels = json.loads(read_text(path))["labels"]
        # Version 1 wrote {"1": "LV"}, version 2 writes {"LV": 1}.
        pairs = [_pair(key, value) for key, value in labels.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CardiomorphError(
            "does not say what its labels mean (a key 'labels' with one whole number for each name was expected)",
            where=path,
            fix=_SAY,
        ) from error
    codes = {code: _structure(name) for code, name in pairs}
    unknown = [name for code, name in pairs if codes[code] is None]
    meant = [structure for structure in codes.values() if structure]
    if unknown or len(set(meant)) < len(meant):
        raise CardiomorphError(
            f"names the labels {', '.join(name for _, name in pairs)}; which of them are RV cavity, LV myocardium and "
            "LV cavity?",
            where=path,
            fix=_SAY,
        )
    return {code: int(structure) for code, structure in codes.items() if structure is not None}


_SAY = "Say what they mean with --labels theirs:ours, for instance --labels 1:3,2:2,3:1"


def _pair(key: str, value: Any) -> tuple[int, str]:
    """Code and name. Raises `ValueError` where the code is no whole number."""
    code, name = (key, value) if str(key).isdecimal() else (value, key)
    if isinstance(code, bool) or not isinstance(code, int | str):
        raise ValueError(f"{code!r} is no code")
    return int(code), str(name)


def _structure(name: str) -> Label | None:
    """The structure that a name means; None for a name that could mean anything."""
    word = re.sub(r"[^a-z]", "", name.lower())
    if any(part in word for part in ("epi", "papill", "auric", "atri", "append")):
        return None
    if word in ("background", "bg"):
        return Label.BACKGROUND
    if "myo" in word or word in ("lvm", "lvwall", "wall", "mlv"):
        return None if "rv" in word or "right" in word else Label.MYOCARDIUM
    if word.startswith(("rv", "right")) and "atri" not in word:
        return Label.RV
    if word.startswith(("lv", "left")) and "atri" not in word:
        return Label.LV
    return None


def read(
    folder: Path, name: str, stems: Mapping[str, str], row: Mapping[str, Any], codes: LabelCodes | None = None
) -> Subject:
    """What can be read of one subject."""
    frames: dict[str, Frame] = {}
    problems: list[str] = []
    try:
        refuse_faulty(row, name, folder / SUBJECTS)
        meaning = codes or stated_codes(folder)
    except CardiomorphError as error:
        return Subject(name, "", {}, problems=(str(error),))
    for frame, stem in stems.items():
        try:
            frames[frame] = _frame(folder, stem, meaning)
        except CardiomorphError as error:
            problems.append(str(error))
    size = body(row, ("height_cm",), ("weight_kg",))
    return Subject(
        id=name,
        group=row.get("group", ""),
        frames=_phases(frames),
        height_cm=size.height_cm,
        weight_kg=size.weight_kg,
        synthetic=row.get("synthetic") == "yes",
        doubts=size.doubts,
        problems=tuple(problems),
    )


def _phases(frames: dict[str, Frame]) -> dict[Phase, Frame]:
    """Frames by phase: as named, or the fuller of two LV cavities first."""
    named: dict[Phase, Frame] = {phase: frames[phase] for phase in PHASES if phase in frames}
    if named:
        return named
    fullest = sorted(frames.values(), key=lambda frame: -int((frame.label.array == Label.LV).sum()))
    return dict(zip(PHASES, (fullest[0], fullest[-1]) if len(fullest) > 1 else fullest, strict=False))


def _frame(folder: Path, stem: str, codes: LabelCodes) -> Frame:
    path = stored(folder / "labelsTr", stem)
    assert path is not None, "cases() lists files that are there"
    label = checked_label(read_nifti(path), path, codes)
    image_path = stored(folder / "imagesTr", f"{stem}_0000")
    return Frame(label) if image_path is None else checked_frame(label, read_nifti(image_path), image_path)
