"""The segmenter that ships, and any folder of the user's."""

from __future__ import annotations

from pathlib import Path

from cardiomorph.errors import CardiomorphError

SHIPPED = Path(__file__).parents[1] / "weights" / "acdc-small" / "segmenter"


def find_segmenter(folder: str | Path | None = None) -> Path:
    """The folder of a segmenter of whole fields of view. Raises `CardiomorphError` where it is none."""
    if folder is None:
        if not SHIPPED.is_dir():
            raise CardiomorphError("no segmenter came with this installation", fix="Name one with --segmenter")
        return SHIPPED
    if not Path(folder).is_dir():
        raise CardiomorphError(
            "is no folder of a segmenter", where=folder, fix="Train one with 'cardiomorph train field-segmenter'"
        )
    return Path(folder)
