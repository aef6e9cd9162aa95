"""Single flipped bits, as a disk, a network or a memory gives them back, in every kind of file that is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from doors import DOORS
from tally import Tally, outcome
from world import World


def flips(world: World, name: str, place: Path, count: int) -> Tally:
    """Flips ``count`` bits, one at a time, spread over the files of a kind.

    Args:
        place: an empty folder.
    """
    door, tally = DOORS[name], Tally(f"flipped bit: {name}")
    wanted = door.read(world, door.copy(world, place / "whole"))
    rng = np.random.default_rng(0)
    paths = door.paths(world)
    for number in range(count):
        folder = door.copy(world, place / "damaged")
        path = folder / paths[number % len(paths)]
        content = bytearray(path.read_bytes())
        bit = int(rng.integers(8 * len(content)))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        problem = outcome(lambda folder=folder: door.read(world, folder), wanted)
        tally.count(problem and f"{paths[number % len(paths)]}, bit {bit}: {problem}")
        shutil.rmtree(place / "damaged")
    return tally
