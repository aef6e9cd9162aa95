"""What each choice of the shape and the image model buys: short trainings that differ in one setting, one table.

Every row is a run folder under OUT, so an interrupted ablation goes on; rows that are finished are only read. All rows
of a table have the same schedule, seed and cohort, but for the setting that they are about.

    python benchmarks/ablation.py shape COHORT --unturned COHORT2 --coarse COHORT3 -o OUT
    python benchmarks/ablation.py image COHORT --segmenter RUN -o OUT
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.latent_space import latent_report
from cardiomorph.evaluation.reconstruction import reconstruction_report
from cardiomorph.files import read_json, write_json, write_text
from cardiomorph.models.checkpoint import DESCRIPTION, load_segmenter, load_shape_model
from cardiomorph.training.image import IMAGE_PRESETS, ImageTrainingConfig, train_image
from cardiomorph.training.shape import SHAPE_PRESETS, ShapeTrainingConfig, train_shape

SHAPE_EPOCHS, IMAGE_STEPS = 12, 400
Changes = dict[str, Any]
SHAPE_ROWS: dict[str, Changes] = {
    "small": {},
    "beta 15, as published": {"beta": 15.0},
    "beta 15 and 0.1 free nats": {"beta": 15.0, "free_nats": 0.1},
    "no KL warm-up": {"beta_warmup_epochs": 0.0},
    "no augmentation": {"augmentation": {"rotation_deg": 0, "scale": 0, "shift_px": 0}},
    "constant learning rate": {"learning_rate_floor": 1.0},
    "learning rate 2e-5, constant": {"learning_rate": 2e-5, "learning_rate_floor": 1.0},
    "bottleneck 64": {"model": {"bottleneck": 64}},
    "float32": {"precision": "float32"},
    "heart's pixels weighted 3": {"heart_weight": 3.0},
    "hearts as scanned, not turned": {},
    "pixels of 2 mm": {"model": {"size": 96}},
}
IMAGE_ROWS: dict[str, Changes] = {
    "small": {},
    "L1 on every pixel": {"l1_pool": 1},
    "no L1": {"l1": 0.0},
    "no feature matching": {"feature_matching": 0.0},
    "perceptual 10": {"perceptual": 10.0},
    "no noise": {"model": {"noise": False}},
    "own style only": {"style_neighbours": 0.0},
    "no augmentation": {"augmentation": {"rotation_deg": 0, "scale": 0, "shift_px": 0}},
    "no average of the weights": {"average_decay": 0.0},
}
_UNTURNED, _COARSE = "hearts as scanned, not turned", "pixels of 2 mm"


def changed(base: Any, changes: Changes) -> Any:
    """A configuration with some settings changed."""
    merged = base.model_dump()
    for key, value in changes.items():
        merged[key] = merged[key] | value if isinstance(value, dict) else value
    return type(base).model_validate(merged)


def shape_row(name: str, cohort: Path, folder: Path) -> dict[str, float]:
    """Trains one row and measures it on the held-out subjects."""
    base: ShapeTrainingConfig = SHAPE_PRESETS["small"].model_copy(
        update={"epochs": SHAPE_EPOCHS, "beta_warmup_epochs": SHAPE_EPOCHS / 8}
    )
    if not (folder / DESCRIPTION).exists():
        train_shape(cohort, folder, config=changed(base, SHAPE_ROWS[name]), resume=True)
    model, source = load_shape_model(folder), Cohort(cohort)
    rebuilt = reconstruction_report(model, source.subjects("heldout"))
    latent = latent_report(model, source.subjects("heldout"))
    return {
        "Dice RV": rebuilt["dice"]["rv"],
        "myocardium": rebuilt["dice"]["myocardium"],
        "LV": rebuilt["dice"]["lv"],
        "mean": rebuilt["dice"]["mean"],
        "apex": rebuilt["dice_apex"]["mean"],
        "bias RV %": rebuilt["volume_bias_pct"]["rv"],
        "myocardium %": rebuilt["volume_bias_pct"]["myocardium"],
        "LV %": rebuilt["volume_bias_pct"]["lv"],
        "active": latent["active"],
        "KL nats": sum(latent["kl_nats"]),
        "minutes": read_json(folder / "metrics.json")["seconds"] / 60,
    }


def image_row(name: str, cohort: Path, folder: Path, segmenter: Path) -> dict[str, float]:
    """Trains one row and measures how it repaints the held-out slices."""
    from repaint import held_out, repaint_measures

    base: ImageTrainingConfig = IMAGE_PRESETS["small"].model_copy(update={"steps": IMAGE_STEPS})
    if not (folder / DESCRIPTION).exists():
        train_image(cohort, folder, config=changed(base, IMAGE_ROWS[name]), resume=True)
    measured = repaint_measures(*held_out(folder, Cohort(cohort)), load_segmenter(segmenter))
    return {**measured, "minutes": read_json(folder / "metrics.json")["seconds"] / 60}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Rows as Markdown, three significant digits."""
    columns = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(f'{row[c]:.3g}' for c in columns)} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", choices=("shape", "image"))
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--unturned", type=Path, help="the cohort prepared with orientation 'source'")
    parser.add_argument("--coarse", type=Path, help="the cohort prepared with spacing_mm 2.0 and size 96")
    parser.add_argument("--segmenter", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rows", nargs="*", help="names of rows; all by default")
    given = parser.parse_args()
    names = given.rows or list(SHAPE_ROWS if given.model == "shape" else IMAGE_ROWS)
    others = {_UNTURNED: given.unturned, _COARSE: given.coarse}
    written = given.output / f"{given.model}.json"
    rows: dict[str, dict[str, float]] = read_json(written) if written.exists() else {}
    for name in names:
        cohort = others.get(name, given.cohort)
        if cohort is None:
            continue
        folder = given.output / given.model / name.replace(" ", "_").replace(",", "")
        rows[name] = (
            shape_row(name, cohort, folder)
            if given.model == "shape"
            else image_row(name, cohort, folder, given.segmenter)
        )
        write_json(written, rows)
        write_text(given.output / f"{given.model}.md", table(rows))
        print(json.dumps({name: rows[name]}), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
