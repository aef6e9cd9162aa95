"""Data sets on disk. One module each, with two functions:

``recognises(folder) -> bool`` looks at names only; ``find(folder) -> list[Entry]`` lists the subjects, unread, each
with a function that reads what there is of it. Everything else (which codes are hearts, which end is the base, what is
refused and what doubted) is asked at one door, `Entry`. Adding a data set is one file here and one line in `SOURCES`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cardiomorph.data.entry import Entry
from cardiomorph.data.sources import acdc, mnms, mnms2, nnunet
from cardiomorph.errors import CardiomorphError


class Source(Protocol):
    """What a module of this room offers."""

    def recognises(self, folder: Path) -> bool: ...

    def find(self, folder: Path) -> list[Entry]: ...


# nnU-Net's first: a folder labelsTr with cases of ACDC would pass for a subject of ACDC.
SOURCES: dict[str, Source] = {"nnunet": nnunet, "acdc": acdc, "mnms": mnms, "mnms2": mnms2}


def find_subjects(folder: Path, source: str = "auto") -> tuple[str, list[Entry]]:
    """The name of the layout and the subjects found under ``folder``.

    Args:
        source: "auto" recognises the layout; or a key of `SOURCES`. "mnms" covers both M&Ms challenges.

    Raises:
        CardiomorphError: no such folder, no known layout, no subject in it.
    """
    if not folder.is_dir():
        raise CardiomorphError("is not a folder", where=folder, fix="Give the folder that holds the data set")
    names = _candidates(source)
    name = next((name for name in names if SOURCES[name].recognises(folder)), None)
    if name is None:
        raise CardiomorphError(
            "no data set of a known layout was found here",
            where=folder,
            fix="Expected is ACDC (patientXXX/Info.cfg), M&Ms (a CSV with 'External code' and *_sa.nii.gz), "
            "M&Ms-2 (a CSV with 'SUBJECT_CODE' and *_SA_ED.nii.gz) or nnU-Net (labelsTr). Is it a folder further in?",
        )
    entries = SOURCES[name].find(folder)
    if not entries:
        raise CardiomorphError(f"the layout is {name}'s, but no subject was found in it", where=folder)
    return name, entries


def _candidates(source: str) -> list[str]:
    if source == "auto":
        return list(SOURCES)
    if source == "mnms":
        return ["mnms", "mnms2"]
    if source in SOURCES:
        return [source]
    raise CardiomorphError(f"there is no source format {source!r}; known are auto, {', '.join(SOURCES)}")
