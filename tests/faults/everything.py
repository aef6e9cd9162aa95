"""Injects faults of every kind, many of each, and prints the table of docs/reliability.md.

    python tests/faults/everything.py [SHARE [KIND...]]

SHARE is how much of it, from 0 to 1; KIND is one or more of KINDS; all by default. All of
it takes hours on one core. Exit code 1 if any fault is lost.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bits import flips
from configurations import TRAININGS, wrong_configurations
from contents import wrong_arrays, wrong_json
from disks import full_disks, small_files
from doors import DOORS, OWN_WORDS
from kills import kills
from names import DOORS as NAME_DOORS
from names import hostile_names
from tally import Tally, table
from world import COMMANDS, World, make_world

KINDS = ("bits", "contents", "names", "configurations", "kills", "disks")
BITS, KILLS, WRITES, CONTENTS, CONFIGURATIONS = 200, 200, 40, 2000, 400
SIZES = tuple(int(300 * 1.6**k) for k in range(16))


def every_kind(world: World, share: float) -> dict[str, list[partial[Tally]]]:
    """What is to be injected, kind by kind; each takes an empty folder."""

    def of(count: int) -> int:
        return max(2, round(share * count))

    json_doors = [name for name, door in (DOORS | OWN_WORDS).items() if door.files.endswith(".json")]
    array_doors = ["statistics.safetensors", "parents.safetensors"]
    small = ["synthesize", "atlas", "train", "evaluate", "export"]
    return {
        "bits": [partial(flips, world, name, count=of(BITS)) for name in DOORS],
        "contents": [partial(wrong_json, world, name, limit=of(CONTENTS)) for name in json_doors]
        + [partial(wrong_arrays, world, name, limit=of(CONTENTS)) for name in array_doors],
        "names": [partial(hostile_names, world, name) for name in NAME_DOORS],
        "configurations": [partial(wrong_configurations, world, name, limit=of(CONFIGURATIONS)) for name in TRAININGS],
        "kills": [partial(kills, world, name, limit=of(KILLS)) for name in COMMANDS],
        "disks": [partial(full_disks, world, name, limit=of(WRITES)) for name in COMMANDS]
        + [partial(small_files, world, name, sizes=SIZES[:: round(1 / max(share, 0.1))]) for name in small],
    }


def main(share: float, kinds: Sequence[str]) -> int:
    torch.set_num_threads(1)
    tallies = []
    with tempfile.TemporaryDirectory() as root, Path(os.devnull).open("w") as nowhere:
        with contextlib.redirect_stderr(nowhere):
            world = make_world(Path(root) / "world")
        chosen = [inject for kind, all_of in every_kind(world, share).items() if kind in kinds for inject in all_of]
        for number, inject in enumerate(chosen):
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
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, sys.argv[2:] or KINDS))
