"""What reliability costs: a synthesis with everything flushed to the disk, digested and checked, and without.

    python benchmarks/reliability.py [ATLAS [HEARTS [REPEATS]]]

Both make the same hearts in turn, and each turn begins with opening the atlas. Prints seconds a heart, and the ratio.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from cardiomorph.files import reading, writing
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.request import SynthesisRequest


@contextlib.contextmanager
def without_reliability() -> Iterator[None]:
    """Nothing is flushed, no heart's file and no atlas's file is digested."""
    with contextlib.ExitStack() as stack:
        for module in ("folders", "writing"):
            stack.enter_context(mock.patch(f"cardiomorph.files.{module}.flush_to_disk", lambda path: None))
        stack.enter_context(mock.patch("cardiomorph.synthesis.batch_synthesis.digest", lambda path: ""))
        stack.enter_context(mock.patch.object(Atlas, "_checked", lambda self, name: self.folder / name))
        yield


@contextlib.contextmanager
def clocked(spent: list[float]) -> Iterator[None]:
    """Adds up the seconds that flushing and digests take."""

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*given)
            finally:
                spent.append(time.perf_counter() - began)

        return run

    with contextlib.ExitStack() as stack:
        for module in ("folders", "writing"):
            stack.enter_context(mock.patch(f"cardiomorph.files.{module}.flush_to_disk", timed(writing.flush_to_disk)))
        stack.enter_context(mock.patch("cardiomorph.synthesis.batch_synthesis.digest", timed(reading.digest)))
        stack.enter_context(mock.patch.object(Atlas, "_checked", timed(Atlas._checked)))
        yield


def seconds(atlas: Path, request: SynthesisRequest) -> float:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        began = time.perf_counter()
        synthesize(Atlas(atlas), Path(folder) / "hearts", request)
        return time.perf_counter() - began


def main(name: str, hearts: int, repeats: int) -> None:
    atlas = find_atlas(name)
    request = SynthesisRequest(sources=("virtual",), parents=hearts, targets=("HCM",))
    seconds(atlas, request)
    with_, without = [], []
    spent: list[float] = []
    for number in range(repeats):
        # In turns: whoever comes second finds the machine warmer.
        for reliable in (True, False) if number % 2 else (False, True):
            with clocked(spent) if reliable else without_reliability():
                (with_ if reliable else without).append(seconds(atlas, request) / hearts)
    a, b = statistics.median(with_), statistics.median(without)
    ratios = statistics.median(x / y for x, y in zip(with_, without, strict=True))
    print(
        f"{name}, {hearts} hearts, {repeats} times: {a:.3f} s a heart, {b:.3f} without; ratio {ratios:.3f}; "
        f"flushing and digests {1000 * sum(spent) / repeats / hearts:.0f} ms a heart, "
        f"{sum(spent) / sum(with_) / hearts:.1%}"
    )


if __name__ == "__main__":
    given = [*sys.argv[1:], *("acdc-small", "8", "7")[len(sys.argv) - 1 :]]
    main(given[0], int(given[1]), int(given[2]))
