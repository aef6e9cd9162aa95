"""Kills at every move of a file: the process is gone at once, before or after the move, and no block cleans up.

A child process is killed in the middle of a command, and the same command is given again: it must end in the bytes of
a run that was never disturbed, and leave nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tally import Tally
from world import COMMANDS, Command, World

_KILLED = 9


def in_child(work: Callable[[], object]) -> tuple[int, str]:
    """Does work in a forked process that says nothing. Returns its exit code and what it failed with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code, said = 0, ""
        try:
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
                said = str(work() or "")
        except BaseException as error:
            code, said = 1, f"{type(error).__name__}: {error}"
        os.write(writing, said[:4000].encode(errors="replace"))
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


class _Moves:
    """Counts moves of files and folders, and ends the process at one of them."""

    def __init__(self, at: int = -1, *, after: bool = False) -> None:
        self.seen, self.at, self.after = 0, at, after

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        originals = {name: getattr(os, name) for name in ("rename", "replace")}
        for name, original in originals.items():
            setattr(os, name, lambda *given, original=original, **named: self._move(original, *given, **named))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(os, name, original)

    def _move(self, original: Callable[..., None], *given: object, **named: object) -> None:
        here, self.seen = self.seen, self.seen + 1
        if here == self.at and not self.after:
            os._exit(_KILLED)
        original(*given, **named)
        if here == self.at:
            os._exit(_KILLED)


def _undisturbed(world: World, command: Command, output: Path) -> int:
    """Runs a command and returns how many moves it makes."""

    def run() -> str:
        moves = _Moves()
        with moves.counted():
            command.run(world, output)
        return str(moves.seen)

    code, said = in_child(run)
    assert code == 0, said
    return int(said)


def kills(world: World, name: str, place: Path, limit: int | None = None) -> Tally:
    """Kills a command at its moves.

    Args:
        place: an empty folder.
        limit: how many of the kills, evenly taken; all by default.
    """
    command, tally = COMMANDS[name], Tally(f"kill at a move: {name}")
    command.before(world, place / "out")
    moves = _undisturbed(world, command, place / "out")
    wanted = dict(command.result(place / "out"))
    assert wanted, "there is nothing to compare"
    points = [(at, after) for at in range(moves) for after in (False, True)]
    chosen = points if limit is None else points[:: max(1, -(-len(points) // limit))]
    for at, after in chosen:
        shutil.rmtree(place)
        place.mkdir()
        tally.count(_killed(world, command, place / "out", wanted, at, after))
    return tally


def _killed(world: World, command: Command, output: Path, wanted: dict[str, bytes], at: int, after: bool) -> str | None:
    """Kills once and runs again. Returns what is wrong in the end."""
    command.before(world, output)
    point = f"{'after' if after else 'before'} move {at}"
    old = dict(command.result(output)) if output.exists() else {}

    def run() -> None:
        with _Moves(at, after=after).counted():
            command.run(world, output)

    code, said = in_child(run)
    if code != _KILLED:
        return f"{point}: not killed ({said})"
    if old and not output.exists() and not list(output.parent.iterdir()):
        return f"{point}: what was there is gone"
    whole = output.exists() and dict(command.result(output)) == wanted
    code, said = in_child(lambda: command.run(world, output) and None)
    if code and not (whole and "is not empty" in said):
        return f"{point}: the same command then fails: {said}"
    if dict(command.result(output)) != wanted:
        return f"{point}: other bytes"
    left = [path.name for path in (*output.parent.iterdir(), *output.rglob("*")) if path.name.startswith(".")]
    return f"{point}: left behind {left[0]}" if left else None
