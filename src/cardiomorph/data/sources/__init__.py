"""Data sets on disk. One module each, with what `Source` says; everything else is asked at one door, `Entry`.

What counts as a heart, which end is the base, what is refused and what doubted is the door's business: a source only
finds files and reads them. Adding a data set is one file here and one line in `SOURCES`, which the command line reads.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from cardiomorph.errors import CardiomorphError

if TYPE_CHECKING:
    from cardiomorph.data.entry import Entry


class Source(Protocol):
    """What a module of this package offers."""

    EXPECTED: str
    """How a folder of this layout is known, in a few words for people."""

    def recognises(self, folder: Path) -> bool:
        """Whether the folder has this layout. Looks at names, and at headings of tables; never at images."""
        ...

    def find(self, folder: Path) -> list[Entry]:
        """The subjects in order of name, unread, each with a function that reads what there is of it.

        That function takes other label codes, or None for what the layout takes its codes for; it returns frames as
        they are stored, and puts what is there and cannot be read into `Subject.problems`.
        """
        ...


SOURCES: Final[dict[str, str]] = {
    # nnU-Net's first: a folder labelsTr with cases of ACDC would pass for a subject of ACDC.
    "nnunet": "cardiomorph.data.sources.nnunet",
    "acdc": "cardiomorph.data.sources.acdc",
    "mnms": "cardiomorph.data.sources.mnms",
    "mnms2": "cardiomorph.data.sources.mnms2",
}
"""Name -> module, imported when it is first asked for, in the order in which a folder is shown to them."""
_AND_ITS_LIKE = {"mnms": ("mnms", "mnms2")}


def source_named(name: str) -> Source:
    """The source of that name in `SOURCES`."""
    return cast(Source, importlib.import_module(SOURCES[name]))


def find_subjects(folder: Path, source: str = "auto") -> tuple[str, list[Entry]]:
    """The name of the layout and the subjects found under ``folder``.

    Args:
        source: "auto" recognises the layout; or a key of `SOURCES`. "mnms" covers both M&Ms challenges.

    Raises:
        CardiomorphError: no such folder, no known layout, no subject in it.
    """
    if not folder.is_dir():
        raise CardiomorphError("is not a folder", where=folder, fix="Give the folder that holds the data set")
    # By its own name: a subject's folder may be given as ".".
    folder, candidates = folder.absolute(), _candidates(source)
    name = next((name for name in candidates if source_named(name).recognises(folder)), None)
    if name is None:
        expected = "; or ".join(source_named(name).EXPECTED for name in candidates)
        raise CardiomorphError(
            "no data set of a known layout was found here",
            where=folder,
            fix=f"Expected is {expected}. Is it a folder further in?",
        )
    entries = source_named(name).find(folder)
    for entry in entries:
        others = [other.folder for other in entries if other.id == entry.id and other is not entry]
        if others:
            raise CardiomorphError(
                f"two subjects are called {entry.id!r}, here and in {others[0]}", where=entry.folder, fix="Rename one"
            )
    if not entries:
        raise CardiomorphError(f"the layout is {name}'s, but no subject was found in it", where=folder)
    return name, entries


def _candidates(source: str) -> tuple[str, ...]:
    if source == "auto":
        return tuple(SOURCES)
    if source in SOURCES:
        return _AND_ITS_LIKE.get(source, (source,))
    raise CardiomorphError(f"there is no source format {source!r}; known are auto, {', '.join(SOURCES)}")
