"""Hearts set into patients' own images: what stays, how the seam looks, how near what was there, how long it takes.

    python benchmarks/own_heart.py DATA_SET COHORT [ATLAS]

DATA_SET is in a known layout, COHORT prepared from it with the split of the atlas's training: its held-out subjects are
measured, whatever their group. Each is repainted at severity 0 and morphed to every disease.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cardiomorph.anatomy import DISEASES, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.sources import find_subjects
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.library import find_atlas
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.synthesis.full_field import SEAM_MM
from cardiomorph.synthesis.heart_synthesis import SyntheticHeart, synthesize_heart
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.synthesis.request import HeartJob

logging.getLogger("cardiomorph").setLevel(logging.ERROR)


def heart_of(atlas: Atlas, parent: Parent, target: str, severity: float) -> SyntheticHeart:
    facts = {"source": parent.id, "target": target, "version": 1, "severity": severity, "seed": 0, "images": True}
    job = HeartJob(sampler=sampler_named("population"), slices="native", field="full", **facts)
    return synthesize_heart(atlas, job)


def measured(heart: SyntheticHeart) -> Iterator[dict[str, float]]:
    """Phase by phase: share of voxels untouched, gradients at the seam, and what is painted against what was there."""
    scan, turned = heart.parent.scan, heart.parent.geometry.apex_first
    assert scan is not None, "a patient's"
    for phase in PHASES:
        source = scan[phase].image.array.astype(float)
        label, image = (v.turned() if turned else v for v in (heart.labels[phase], heart.images[phase]))
        made = image.array.astype(float)
        low, high = np.percentile(source, (0.5, 99.5))
        both = (label.array > 0) | (scan[phase].label.array > 0)
        seam = _seam(both, source.shape, scan[phase].label.spacing_mm[:2])
        yield {
            "untouched": float((made == source).mean()),
            "seam": float(_gradient(made)[seam].mean()),
            "seam before": float(_gradient(source)[seam].mean()),
            "difference": float(np.abs(made - source)[both].mean() / (high - low)),
        }


def _seam(heart: NDArray[np.bool_], shape: tuple[int, ...], spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    seam = np.zeros(shape, bool)
    for index in range(shape[2]):
        if heart[..., index].any():
            distance = distance_transform_edt(~heart[..., index], sampling=spacing_mm)
            seam[..., index] = (distance > 0.25 * SEAM_MM) & (distance < 1.25 * SEAM_MM)
    return seam


def _gradient(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(*np.gradient(image, axis=(0, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("atlas", nargs="?", default="acdc-small")
    given = parser.parse_args()
    atlas, held = Atlas(find_atlas(given.atlas)), set(Cohort(given.cohort).ids("heldout"))
    folders = [entry.folder for entry in find_subjects(given.data_set)[1] if entry.id in held]
    rows: dict[str, list[dict[str, float]]] = {"severity 0": [], **{target: [] for target in DISEASES}}
    seconds = []
    for folder in folders:
        began = time.monotonic()
        (patient,) = patients_at(folder, atlas)
        atlas.adopt({patient.parent.id: patient.parent})
        for target in DISEASES:
            rows[target] += measured(heart_of(atlas, patient.parent, target, 1.0))
        seconds.append(time.monotonic() - began)
        rows["severity 0"] += measured(heart_of(atlas, patient.parent, "NOR", 0.0))
    took = f"four diseased hearts in {np.median(seconds):.1f} s (median)"
    print(f"{len(folders)} held-out patients, {given.atlas}; {took}\n")
    print("| | untouched voxels | gradient at the seam, by the source's there | mean difference on the hearts |")
    print("|---|---|---|---|")
    for name, found in rows.items():
        ratio = np.median([row["seam"] / row["seam before"] for row in found])
        untouched, difference = (np.mean([row[key] for row in found]) for key in ("untouched", "difference"))
        print(f"| {name} | {untouched:.1%} | {ratio:.2f} | {difference:.1%} of the source's range |")


if __name__ == "__main__":
    main()
