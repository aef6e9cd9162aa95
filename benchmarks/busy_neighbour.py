"""Painting one heart beside a process that keeps a processor busy, with OpenMP's threads spinning or asleep.

    python benchmarks/busy_neighbour.py [ATLAS]

In processes of their own, so that OpenMP reads its environment: alone and beside the neighbour, with threads that
spin and with the policy that `import cardiomorph` sets. Every figure is a median of rounds in turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
from results import keep

ROUNDS = 3
POLICIES = {"spinning": "ACTIVE", "asleep": "PASSIVE"}
_PAINT = """
import sys, time
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.synthesis.jobs import jobs
from cardiomorph.synthesis.request import SynthesisRequest
atlas = Atlas(find_atlas(sys.argv[1]))
for number in (1, 2):
    request = SynthesisRequest(targets=("HCM",), sources=("virtual",), parents=2, versions=1)
    job = list(jobs(request, atlas))[number - 1]
    start = time.perf_counter()
    synthesize_heart(atlas, job)
print(time.perf_counter() - start)
"""


def _busy() -> None:
    while True:
        pass


@contextmanager
def neighbour(there: bool):
    """One process that never waits."""
    process = multiprocessing.Process(target=_busy, daemon=True)
    if there:
        process.start()
    try:
        yield
    finally:
        if there:
            process.terminate()
            process.join()


def seconds(atlas: str, policy: str) -> float:
    """Seconds for the second heart of a fresh process."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    done = subprocess.run(
        [sys.executable, "-c", _PAINT, atlas], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("atlas", nargs="?", default="acdc-small")
    atlas = parser.parse_args().atlas
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(ROUNDS):
        for name, policy in POLICIES.items():
            for there in (False, True):
                with neighbour(there):
                    found.setdefault((name, there), []).append(seconds(atlas, policy))
    for (name, there), times in found.items():
        keep(f"busy_neighbour.{'beside' if there else 'alone'}_{name}_seconds", float(np.median(times)))
    for there in (False, True):
        ratio = np.median(found["spinning", there]) / np.median(found["asleep", there])
        keep(f"busy_neighbour.{'beside' if there else 'alone'}_speedup", float(ratio))


if __name__ == "__main__":
    main()
