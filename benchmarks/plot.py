"""docs/images/performance.png from results.json and cohort_times.csv: speed, seconds and memory as work grows.

python benchmarks/plot.py
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from results import PATH

from cardiomorph.files import write_bytes
from cardiomorph.report.figures import as_png, new_figure

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "performance.png"


def main() -> None:
    found = json.loads(PATH.read_text())
    figure = new_figure(12, 3)
    bars = figure.add_subplot(1, 3, 1)
    rates = {"plain": found["image_model.dense_slices_per_second"], "ours": found["image_model.slices_per_second"]}
    rates["convolutions alone"] = rates["ours"] / found["image_model.share_of_ceiling"]
    bars.bar(list(rates), list(rates.values()), color=("#bbbbbb", "#4477aa", "#dddddd"))
    bars.set_ylabel("slices a second, paper's width")
    growth = figure.add_subplot(1, 3, 2)
    with PATH.with_name("cohort_times.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for workers in ("1", "2"):
        points = [(int(row["heart"]), float(row["seconds"])) for row in rows if row["workers"] == workers]
        growth.plot(*zip(*points, strict=True), label=f"{workers} worker{'s' if workers == '2' else ''}")
    growth.set_xlabel("hearts, ED and ES, 32 slices each, to NIfTI")
    growth.set_ylabel("seconds")
    growth.legend(frameon=False)
    memory = figure.add_subplot(1, 3, 3)
    points = [(int(row["heart"]), float(row["rss_mb"])) for row in rows if row["workers"] == "2"]
    memory.plot(*zip(*points, strict=True))
    memory.set_ylim(0)
    memory.set_xlabel("hearts")
    memory.set_ylabel("MB, the larger of two workers")
    for axes in (bars, growth, memory):
        axes.spines[["top", "right"]].set_visible(False)
    write_bytes(PICTURE, as_png(figure))


if __name__ == "__main__":
    main()
