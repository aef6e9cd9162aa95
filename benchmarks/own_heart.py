"""Hearts set into patients' own images: what stays, seam and grain, how long it takes, and what hearts they are.

    python benchmarks/own_heart.py DATA_SET COHORT [ATLAS]

DATA_SET is in a known layout, COHORT prepared from it with the split of the atlas's training: its held-out subjects are
measured, whatever their group. Each is repainted at severity 0 and morphed to every disease. `cardiomorph evaluate
--scans` has the rest: label match and a classifier.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import DISEASES, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame
from cardiomorph.evaluation.reference import Reference
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.library import find_atlas
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.synthesis.field_measures import FieldMeasures, field_measures
from cardiomorph.synthesis.heart_synthesis import SyntheticHeart, synthesize_heart
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.synthesis.request import HeartJob

logging.getLogger("cardiomorph").setLevel(logging.ERROR)


def heart_of(atlas: Atlas, parent: Parent, target: str, severity: float) -> SyntheticHeart:
    facts = {"source": parent.id, "target": target, "version": 1, "severity": severity, "seed": 0, "images": True}
    job = HeartJob(sampler=sampler_named("population"), slices="native", field="full", **facts)
    return synthesize_heart(atlas, job)


def measured(heart: SyntheticHeart) -> Iterator[FieldMeasures]:
    """Phase by phase, beside the scan."""
    scan, turned = heart.parent.scan, heart.parent.geometry.apex_first
    assert scan is not None, "a patient's"
    for phase in PHASES:
        label, image = (v.turned() if turned else v for v in (heart.labels[phase], heart.images[phase]))
        yield field_measures(Frame(label, image), scan[phase])


def function(atlas: Atlas, hearts: dict[str, list[SyntheticHeart]]) -> Iterator[str]:
    """Measures of the morphs beside those of the atlas's own groups."""
    keys = ("lv_edv_ml", "lv_ef_pct", "rv_edv_ml", "rv_ef_pct", "lv_mass_g", "wall_max_mm")
    yield f"| | {' | '.join(keys)} |"
    yield "|---" * (len(keys) + 1) + "|"
    reference = Reference.model_validate(atlas.description["reference"]).measures
    for target, made in hearts.items():
        ours = {key: np.array([h.measures[key] for h in made if h.measures[key] is not None], float) for key in keys}
        yield f"| {target} | " + " | ".join(f"{ours[k].mean():.0f} ± {ours[k].std(ddof=1):.0f}" for k in keys) + " |"
        theirs = reference[target]
        yield f"| {target}, patients | " + " | ".join(f"{theirs[k].mean:.0f} ± {theirs[k].sd:.0f}" for k in keys) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("atlas", nargs="?", default="acdc-small")
    given = parser.parse_args()
    atlas, held = Atlas(find_atlas(given.atlas)), set(Cohort(given.cohort).ids("heldout"))
    folders = [entry.folder for entry in find_subjects(given.data_set)[1] if entry.id in held]
    rows: dict[str, list[FieldMeasures]] = {"severity 0": [], **{target: [] for target in DISEASES}}
    hearts: dict[str, list[SyntheticHeart]] = {target: [] for target in DISEASES}
    seconds = []
    for folder in folders:
        began = time.monotonic()
        (patient,) = patients_at(folder, atlas)
        atlas.adopt({patient.parent.id: patient.parent})
        for target in DISEASES:
            hearts[target].append(heart_of(atlas, patient.parent, target, 1.0))
        seconds.append(time.monotonic() - began)
        for target in DISEASES:
            rows[target] += measured(hearts[target][-1])
        rows["severity 0"] += measured(heart_of(atlas, patient.parent, "NOR", 0.0))
    took = f"four diseased hearts in {np.median(seconds):.1f} s (median)"
    print(f"{len(folders)} held-out patients, {given.atlas}; {took}\n")
    print("| | untouched voxels | seam | grain | sharpness | difference on the hearts |")
    print("|---|---|---|---|---|---|")
    for name, found in rows.items():
        of = {key: np.median([getattr(row, key) for row in found]) for key in FieldMeasures.__dataclass_fields__}
        ratios = " | ".join(f"{of[key]:.2f}" for key in ("seam", "grain", "sharpness"))
        print(f"| {name} | {of['untouched']:.1%} | {ratios} | {of['difference']:.1%} |")
    print("\nMean ± SD of the morphs, and of the atlas's patients of that group\n")
    print("\n".join(function(atlas, hearts)))


if __name__ == "__main__":
    main()
