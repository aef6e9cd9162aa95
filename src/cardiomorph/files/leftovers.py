"""What a killed process leaves beside its output: recognised by its name, finished or removed at the next start.

A temporary file or folder is called ``.NAME.HOST-PID-START-NUMBER.new``, a folder that was set aside for its successor
the same with ``.old``. Those of this machine's dead processes are nobody's. Those of living processes and of other
machines, which may share the disk, are left alone; none of them counts as content of the folder that they lie in.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

_HOST = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:32] or "host"
_FORM = re.compile(
    r"\.(?P<name>.+)\.(?P<host>\w+)-(?P<pid>\d{1,10})-(?P<start>[0-9a-f]{8})-\d+\.(?P<kind>new|old)", re.DOTALL
)
_START = secrets.token_hex(4)
"""Tells this process from one of the same number before it: in a container every process may be the first."""
_numbers = itertools.count()
_settled: set[str] = set()


def beside(path: Path, kind: Literal["new", "old"]) -> Path:
    """A name in the same folder for what is not in place yet, or not any more. No two calls give the same."""
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{_START}-{next(_numbers)}.{kind}")


def is_leftover(path: Path) -> bool:
    """Whether that is a name of `beside`, of any process."""
    return _FORM.fullmatch(path.name) is not None


def in_the_making(path: Path) -> bool:
    """Whether the path lies in a folder that is not in place yet."""
    return any(parent.name.endswith(".new") and is_leftover(parent) for parent in path.parents)


def content(folder: Path) -> list[Path]:
    """What lies in a folder, leftovers not counted; nothing where there is no folder."""
    return sorted(path for path in folder.iterdir() if not is_leftover(path)) if folder.is_dir() else []


def settle(folder: Path) -> None:
    """Finishes or removes what dead processes left in a folder.

    A folder that was set aside and never replaced comes back under its own name.
    """
    for path, name, kind in _of_the_dead(folder):
        place = path.with_name(name)
        # Whoever else settles the same at the same time may be quicker.
        with suppress(OSError):
            if kind == "old" and not os.path.lexists(place):
                path.rename(place)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def settle_once(folder: Path) -> None:
    """`settle` at the first time that this process writes to the folder."""
    place = os.path.realpath(folder)
    if place not in _settled:
        _settled.add(place)
        settle(folder)


def _of_the_dead(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Path, name and kind, those set aside first, so that they are back before anything else is decided."""
    try:
        paths = sorted(folder.iterdir(), key=lambda path: not path.name.endswith(".old"))
    except OSError:
        return
    for path in paths:
        match = _FORM.fullmatch(path.name)
        if match and _is_dead(match):
            yield path, match["name"], match["kind"]


def _is_dead(match: re.Match[str]) -> bool:
    pid = int(match["pid"])
    if match["host"] != _HOST:
        return False
    if pid == os.getpid():
        return match["start"] != _START
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
