"""The viewer under load: 200 morphs asked for by 8 clients in a row, over HTTP, in a server process of its own.

python benchmarks/viewer_load.py [ATLAS]
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from results import keep

CLIENTS, REQUESTS, ROUNDS = 8, 200, 3


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("atlas", nargs="?", default="acdc-small")
    given = parser.parse_args()
    command = [sys.executable, "-m", "cardiomorph.cli", "view", given.atlas, "--no-browser", "--port", "8799"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with httpx.Client(base_url="http://127.0.0.1:8799", timeout=120) as client:
                measured = under_load(client, server.pid)
        finally:
            server.terminate()
    print(measured)
    for name, value in measured.items():
        keep(f"viewer.{name}", value)


def under_load(client: httpx.Client, pid: int) -> dict[str, float]:
    for _ in range(200):
        try:
            client.get("/api/atlas")
            break
        except httpx.ConnectError:
            time.sleep(0.2)
    severities = itertools.count()

    def ask(_: int) -> tuple[float, int]:
        # Every request is a heart that nobody has asked for before.
        choice = {"target": "HCM", "severity": (next(severities) % 1000) / 1000}
        start = time.perf_counter()
        status = client.post("/api/scene", json=choice).status_code
        return time.perf_counter() - start, status

    def labels() -> float:
        choice = {"target": "HCM", "severity": (next(severities) % 1000) / 1000}
        start = time.perf_counter()
        client.post("/api/labels", json=choice).raise_for_status()
        return time.perf_counter() - start

    ask(0)
    first = [labels() for _ in range(20)]
    alone = [ask(0)[0] for _ in range(20)]
    memory, answers = [], []
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(ROUNDS):
            answers += list(clients.map(ask, range(REQUESTS)))
            memory.append(resident_mb(pid))
    seconds = np.array([took for took, _ in answers])
    return {
        "requests": len(answers),
        "lost": sum(status != 200 for _, status in answers),
        "labels_alone_median_ms": round(1000 * float(np.median(first))),
        "alone_median_ms": round(1000 * float(np.median(alone))),
        "median_ms": round(1000 * float(np.median(seconds))),
        "p95_ms": round(1000 * float(np.percentile(seconds, 95))),
        "rss_mb_after_200": round(memory[0]),
        "rss_mb_after_600": round(memory[-1]),
    }


if __name__ == "__main__":
    main()
