"""Full disks: a write that fails half-way at each of a command's writes, and files that may not grow any more."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from pathlib import Path
from unittest import mock

from kills import in_child
from tally import Tally, outcome
from world import COMMANDS, World


class _Disk:
    """Counts writes, and is full from one of them on."""

    def __init__(self, full_from: int = -1) -> None:
        self.seen, self.full_from = 0, full_from
        self.original = Path.write_bytes

    def write(self, path: Path, content: bytes) -> int:
        here, self.seen = self.seen, self.seen + 1
        if 0 <= self.full_from <= here:
            self.original(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return self.original(path, content)

    def mounted(self) -> mock._patch:
        return mock.patch.object(Path, "write_bytes", lambda path, content: self.write(path, content))


def full_disks(world: World, name: str, place: Path, limit: int | None = None) -> Tally:
    """Lets a command find the disk full, at each write, and runs it again when there is space.

    Args:
        place: an empty folder.
        limit: how many of the writes, evenly taken; all by default.
    """
    command, tally = COMMANDS[name], Tally(f"full disk: {name}")
    command.before(world, place / "out")
    disk = _Disk()
    with disk.mounted():
        command.run(world, place / "out")
    wanted = dict(command.result(place / "out"))
    for number in range(0, disk.seen, 1 if limit is None else max(1, -(-disk.seen // limit))):
        shutil.rmtree(place)
        place.mkdir()
        command.before(world, place / "out")

        def fails(number: int = number) -> None:
            with _Disk(number).mounted():
                command.run(world, place / "out")

        problem = outcome(fails, "an error", says="No space left on device")
        left = [path.name for path in place.rglob("*") if path.name.startswith(".")]
        problem = problem or (f"left behind {left[0]}" if left else None)

        def goes_on() -> dict[str, bytes]:
            command.run(world, place / "out")
            return dict(command.result(place / "out"))

        tally.count(problem or outcome(goes_on, wanted))
    return tally


def small_files(world: World, name: str, place: Path, sizes: tuple[int, ...]) -> Tally:
    """Runs a command where the system lets no file grow beyond a size: one clear error, or it fits."""
    command, tally = COMMANDS[name], Tally(f"files that may not grow: {name}")
    for size in sizes:
        shutil.rmtree(place)
        place.mkdir()

        def run(size: int = size) -> str:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            return outcome(lambda: command.run(world, place / "out")) or ""

        code, said = in_child(run)
        tally.count(f"{size} bytes: {said}" if code or said else None)
    return tally
