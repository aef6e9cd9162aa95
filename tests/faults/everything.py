"""Injects faults of every kind, many of each, and prints the table of docs/reliability.md.

    python tests/faults/everything.py [SHARE]

SHARE is how much of it, from 0 to 1; all by default, which takes about an hour on one core. Exit code 1 if any is lost.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bits import flips
from contents import wrong_arrays, wrong_json
from disks import full_disks, small_files
from doors import DOORS, OWN_WORDS
from kills import kills
from names import DOORS as NAME_DOORS
from names import hostile_names
from tally import Tally, table
from world import COMMANDS, World, make_world

BITS, KILLS, WRITES, CONTENTS = 200, 200, 40, 2000
SIZES = tuple(int(300 * 1.6**k) for k in range(16))


def every_kind(world: World, share: float) -> Iterator[partial[Tally]]:
    """What is to be injected, kind by kind; each takes an empty folder."""

    def of(count: int) -> int:
        return max(2, round(share * count))

    for name in COMMANDS:
        yield partial(kills, world, name, limit=of(KILLS))
    for name in DOORS:
        yield partial(flips, world, name, count=of(BITS))
    for name, door in (DOORS | OWN_WORDS).items():
        if door.files.endswith(".json"):
            yield partial(wrong_json, world, name, limit=of(CONTENTS))
    for name in ("statistics.safetensors", "parents.safetensors"):
        yield partial(wrong_arrays, world, name, limit=of(CONTENTS))
    for name in COMMANDS:
        yield partial(full_disks, world, name, limit=of(WRITES))
    for name in ("synthesize", "atlas", "train", "evaluate", "export"):
        yield partial(small_files, world, name, sizes=SIZES[: of(len(SIZES))])
    for name in NAME_DOORS:
        yield partial(hostile_names, world, name)


def main(share: float) -> int:
    torch.set_num_threads(1)
    tallies = []
    with tempfile.TemporaryDirectory() as root, Path(os.devnull).open("w") as nowhere:
        with contextlib.redirect_stderr(nowhere):
            world = make_world(Path(root) / "world")
        for number, inject in enumerate(every_kind(world, share)):
            place = Path(root) / str(number)
            place.mkdir()
            with contextlib.redirect_stderr(nowhere):
                tally = inject(place=place)
            tallies.append(tally)
            print(f"{tally.kind}: {tally.injected} injected, {len(tally.lost)} lost", file=sys.stderr, flush=True)
            for problem in tally.lost:
                print(f"  {problem}", file=sys.stderr, flush=True)
    whole = Tally("all", sum(t.survived for t in tallies), [problem for t in tallies for problem in t.lost])
    print(table([*tallies, whole]))
    return 1 if whole.lost else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
