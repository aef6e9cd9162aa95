"""Atlases by name: those that ship with the package, and any folder of the user's."""

from __future__ import annotations

from pathlib import Path

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_record, settle

SHIPPED = Path(__file__).parents[1] / "weights"
CARD = "card.json"
_PREFERRED = ("acdc-small", "phantom-small")


def shipped_atlases() -> dict[str, Path]:
    """Folders of the atlases that come with the package, by name."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob("*/atlas.json"))}


def default_atlas() -> str:
    """Name of the atlas to use where none is named. Raises `CardiomorphError` where none has been installed."""
    there = shipped_atlases()
    for name in (*_PREFERRED, *there):
        if name in there:
            return name
    raise CardiomorphError("no atlas came with this installation", fix="Name one with --atlas, or install again")


def find_atlas(name: str | Path) -> Path:
    """The folder of an atlas, given as a folder or as the name of one that ships; a folder goes first.

    Raises:
        CardiomorphError: neither.
    """
    there = shipped_atlases()
    settle(Path(name).parent)
    if not Path(name).is_dir() and str(name) in there:
        return there[str(name)]
    if Path(name).exists():
        return Path(name)
    raise CardiomorphError(
        f"there is no atlas {str(name)!r}",
        fix=f"Name a folder of 'cardiomorph atlas', or one of {', '.join(there) or 'none that ship'}",
    )


def notice(folder: Path) -> str | None:
    """What must be said when an atlas is used: its licence and limits, in one line; None where it has no card."""
    if not (folder / CARD).is_file():
        return None
    card = read_record(folder / CARD, "name", "licence", "data", "use")
    return f"{card['name']}: {card['licence']}; {card['data']} {card['use']}"
