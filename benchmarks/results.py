"""Benchmark results in one file, ``benchmarks/results.json``: a flat dictionary, each run replacing its own entries."""

from __future__ import annotations

import json
from pathlib import Path

PATH = Path(__file__).with_name("results.json")


def keep(key: str, value: float) -> None:
    """Stores one number under a dotted name."""
    found = json.loads(PATH.read_text()) if PATH.exists() else {}
    found[key] = float(f"{value:.4g}")
    PATH.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n")
