"""Folders that appear whole or not at all, and whose they are."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cardiomorph.errors import CardiomorphError
from cardiomorph.files.leftovers import beside, content, settle, settle_once
from cardiomorph.files.writing import ensure_folder, explained, flush_to_disk

_TRIES = 5


@contextmanager
def folder_in_place(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes ``path`` if the block succeeds, and vanishes if it fails.

    A folder that is there already stays until its successor is whole and on the disk. Whether it may be replaced is for
    the caller to ask, by `new_folder` or `claim`.
    """
    ensure_folder(path.parent)
    settle_once(path.parent)
    temporary = beside(path, "new")
    with explained(path):
        temporary.mkdir()
    try:
        yield temporary
        with explained(path):
            _flush_tree(temporary)
            _move_in(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            flush_to_disk(Path(place) / name)
        flush_to_disk(Path(place))


def _move_in(temporary: Path, path: Path) -> None:
    for _ in range(_TRIES):
        old = beside(path, "old")
        if path.exists():
            try:
                path.rename(old)
            except FileNotFoundError:
                continue
        try:
            temporary.rename(path)
        except OSError as error:
            # Another process was quicker: its folder is set aside in its turn.
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            if old.exists() and not path.exists():
                old.rename(path)
            raise
        finally:
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
        flush_to_disk(path.parent)
        return
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def refuse_unless_empty(path: Path) -> None:
    """Raises `CardiomorphError` where there is anything but an empty folder; what dead processes left is removed."""
    settle(path.parent)
    settle(path)
    if os.path.lexists(path) and not path.is_dir():
        raise CardiomorphError("exists and is not a folder", where=path, fix="Choose another output folder")
    if content(path):
        raise CardiomorphError("is not empty", where=path, fix="Choose an empty output folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """`folder_in_place` for a command that makes a new folder: raises where ``path`` holds anything."""
    refuse_unless_empty(path)
    with folder_in_place(path) as folder:
        yield folder


def claim(path: Path, mark: str, known: Collection[str] | None = None) -> None:
    """Makes sure that an output folder is new, or one of the same kind from before.

    Args:
        mark: name of the file or folder by which one from before is known.
        known: names that such a folder may hold; anything if None.

    Raises:
        CardiomorphError: not a folder, or one that holds other things.
    """
    settle(path.parent)
    settle(path)
    names = [entry.name for entry in content(path)]
    if mark in names:
        others = [name for name in names if known is not None and name != mark and name not in known]
        if others:
            raise CardiomorphError(
                f"holds other things ({', '.join(others[:3])})", where=path, fix="Choose an empty output folder"
            )
    else:
        refuse_unless_empty(path)
