"""What nnU-Net would plan for a set of cases, and how to keep synthetic ones from changing it.

nnU-Net takes its target spacing from all training cases: the median, and along a much coarser axis the tenth percentile
(Isensee et al., Nat Methods 18, 2021; `ExperimentPlanner.determine_fullres_target_spacing`). A tenth of thin-sliced
cases changes the plan for all. So plans are made on real data and moved.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import copy_file, write_json, write_text

SPLITS = "splits_final.json"
_ANISOTROPIC = 3.0
_COARSE_PERCENTILE = 10
_SAME = 0.02


@dataclass
class Fingerprint:
    """Spacings in mm and shapes of cases, (x, y, slice) each, as they are written."""

    spacings_mm: list[tuple[float, float, float]] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, spacing_mm: tuple[float, float, float], shape: tuple[int, ...]) -> None:
        """One case more."""
        self.spacings_mm.append(spacing_mm)
        self.shapes.append(shape)

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.spacings_mm + other.spacings_mm, self.shapes + other.shapes)

    def target_spacing_mm(self) -> NDArray[np.float64]:
        """What nnU-Net resamples all cases to in its full resolution."""
        spacings = np.asarray(self.spacings_mm, np.float64)
        target: NDArray[np.float64] = np.median(spacings, axis=0)
        size = np.median(np.asarray(self.shapes, np.float64), axis=0)
        coarse = int(np.argmax(target))
        others = [axis for axis in range(3) if axis != coarse]
        finest = float(target[others].max())
        if target[coarse] > _ANISOTROPIC * finest and size[coarse] * _ANISOTROPIC < size[others].min():
            target[coarse] = max(float(np.percentile(spacings[:, coarse], _COARSE_PERCENTILE)), finest)
        return target

    def facts(self) -> dict[str, object]:
        """For people and planning.json."""
        return {
            "cases": len(self.shapes),
            "median_spacing_mm": _rounded(np.median(self.spacings_mm, axis=0)),
            "median_shape": _rounded(np.median(self.shapes, axis=0)),
            "target_spacing_mm": _rounded(self.target_spacing_mm()),
        }


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in values]


def check_slices(real: Fingerprint, synthetic: Fingerprint, where: str) -> None:
    """Raises `CardiomorphError` where synthetic cases change the distance of slices that nnU-Net resamples to."""
    alone, together = real.target_spacing_mm()[2], (real + synthetic).target_spacing_mm()[2]
    if abs(together - alone) > _SAME * alone:
        raise CardiomorphError(
            f"{len(synthetic.shapes)} synthetic cases beside {len(real.shapes)} real ones would change the distance of "
            f"slices that nnU-Net resamples to from {alone:.3g} to {together:.3g} mm",
            where=where,
            fix="Leave out --keep-slices, so that they are resampled; or say --any-spacing, and move plans",
        )


def write_planning(folder: Path, name: str, real: Fingerprint, synthetic: Fingerprint) -> None:
    """Writes planning.json, PLANNING.md and, where there are splits, copy_splits.sh into a data set's folder.

    Args:
        name: of the data set, ``Dataset501_Name``.
    """
    sides = {"real": real, "synthetic": synthetic, "together": real + synthetic}
    facts = {side: found.facts() for side, found in sides.items() if found.shapes}
    write_json(folder / "planning.json", facts)
    write_text(folder / "PLANNING.md", _advice(name, facts))
    if (folder / SPLITS).is_file():
        write_text(folder / "copy_splits.sh", _SCRIPT.format(name=name))


_SCRIPT = """#!/bin/sh
# Puts the splits where nnU-Net reads them: beside the preprocessed data, after nnUNetv2_preprocess.
: "${{nnUNet_preprocessed:?is not set}}" && cp "$(dirname "$0")/splits_final.json" "$nnUNet_preprocessed/{name}/"
"""


def _advice(name: str, facts: dict[str, dict[str, object]]) -> str:
    rows = [f"| {side} | {f['cases']} | {f['median_shape']} | {f['median_spacing_mm']} | {f['target_spacing_mm']} |"
            for side, f in facts.items()]  # fmt: skip
    return "\n".join(
        [
            f"# Planning for {name}",
            "",
            "nnU-Net plans network, patch and spacing from all training cases. Synthetic ones must not decide that: "
            "plan on the real data alone, and move the plans here.",
            "",
            "| cases | number | median shape | median spacing (mm) | nnU-Net's target spacing (mm) |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "```",
            "# REAL: a data set of the real cases alone (cardiomorph export --real DATA_SET -o DatasetNNN_Real)",
            "nnUNetv2_plan_and_preprocess -d REAL --no_pp --verify_dataset_integrity",
            f"nnUNetv2_extract_fingerprint -d {_number(name)}",
            f"nnUNetv2_move_plans_between_datasets -s REAL -t {_number(name)} -sp nnUNetPlans -tp nnUNetPlansReal",
            f"nnUNetv2_preprocess -d {_number(name)} -plans_name nnUNetPlansReal -c 2d 3d_fullres",
            "sh copy_splits.sh",
            f"nnUNetv2_train {_number(name)} 2d 0 -p nnUNetPlansReal",
            "```",
            "",
        ]
    )


def _number(name: str) -> str:
    digits = name.removeprefix("Dataset")[:3]
    return str(int(digits)) if digits.isdecimal() and name.startswith("Dataset") else name


def install_splits(folder: Path) -> Path | None:
    """Copies the splits of a data set to where nnU-Net reads them, where its environment says that and none lie there.

    Returns:
        The copy; None where ``nnUNet_preprocessed`` names no folder, or there are other splits.
    """
    place = os.environ.get("nnUNet_preprocessed")  # noqa: SIM112
    if not place or not Path(place).is_dir() or not (folder / SPLITS).is_file():
        return None
    target = Path(place) / folder.name / SPLITS
    if target.exists():
        return None
    copy_file(folder / SPLITS, target)
    return target
