"""Image files of a data set by their stem, compressed or not."""

from __future__ import annotations

from pathlib import Path

from cardiomorph.errors import CardiomorphError

SUFFIXES = (".nii.gz", ".nii")


def stored(folder: Path, stem: str) -> Path | None:
    """``folder/stem.nii.gz`` or ``folder/stem.nii``. Raises `CardiomorphError` where both are there."""
    there = [folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()]
    if len(there) > 1:
        raise CardiomorphError("is there twice, as .nii and as .nii.gz", where=there[0], fix="Keep the right one")
    return there[0] if there else None


def stem_of(path: Path) -> str:
    """The name of an image file without its suffix."""
    return path.name.removesuffix(".gz").removesuffix(".nii")
