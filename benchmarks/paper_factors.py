"""What each factor of the paper's product does: L_z alone, L_s alone, both, neither, by the letter and standardised.

    python benchmarks/paper_factors.py [ATLAS] [--hearts 24] [--seed 0]

For every group, hearts are drawn of virtual parents. "Off by" is the mean absolute difference of Kendall correlations,
off the diagonal: over latent dimensions of the drawn hearts and of the group, over slices of a drawn heart and of its
parent. Adjacent Dice and roughness are of 10 mm stacks at end-diastole; LVEDV by the group's own mean.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, Label
from cardiomorph.evaluation.consistency import adjacent_dice, endocardial_roughness_mm
from cardiomorph.evaluation.function import structure_volume_ml
from cardiomorph.evaluation.reference import Reference
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.correlation import kendall_matrix
from cardiomorph.latent.library import find_atlas
from cardiomorph.latent.samplers.choice import Sampler, sampler_named
from cardiomorph.latent.samplers.paper import PaperSampler
from cardiomorph.latent.samplers.paper_standardised import PaperStandardisedSampler
from cardiomorph.latent.trajectory import Trajectory, decode_labels, equalise
from cardiomorph.latent.virtual import parent_named, virtual_name
from cardiomorph.volume import Volume

SLICE_MM = 10.0
COLUMNS = ("latent off by", "slices off by", "LVEDV, % of the group's", "adjacent Dice", "roughness, mm")


def rows() -> dict[str, Sampler]:
    found: dict[str, Sampler] = {"population": sampler_named("population")}
    for kind in (PaperSampler, PaperStandardisedSampler):
        for factors, name in (("none", "neither"), ("latent", "L_z"), ("slices", "L_s"), ("both", "both")):
            found[f"{kind().name}, {name}"] = kind(correlate=factors)
    return found


def off_by(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    apart = ~np.eye(len(a), dtype=bool)
    return float(np.abs(a - b)[apart].mean())


def stack(atlas: Atlas, heart: Trajectory, pixel_mm: float) -> Volume:
    count = max(3, round(heart.length_mm["ED"] / SLICE_MM))
    slices = np.moveaxis(decode_labels(atlas.shape_model, equalise(heart.codes["ED"], count)), 0, -1)
    return Volume(np.ascontiguousarray(slices), (pixel_mm, pixel_mm, heart.length_mm["ED"] / count))


def measured(atlas: Atlas, sampler: Sampler, hearts: int, seed: int) -> list[float]:
    """The row's numbers, mean over groups and hearts."""
    reference = Reference.model_validate(atlas.description["reference"]).measures
    found: list[list[float]] = []
    for number, (name, group) in enumerate(atlas.groups.items()):
        parents = [parent_named(atlas, virtual_name(i + 1), seed) for i in range(hearts)]
        drawn = [
            sampler.draw(group, parent.trajectory, np.random.default_rng([seed, number, i])).trajectory
            for i, parent in enumerate(parents)
        ]
        latent = [
            off_by(kendall_matrix(np.concatenate([heart.codes[p] for heart in drawn])), group.phases[p].kendall)
            for p in PHASES
        ]
        slices = [
            off_by(kendall_matrix(heart.codes[p].T), kendall_matrix(parent.trajectory.codes[p].T))
            for heart, parent in zip(drawn, parents, strict=True)
            for p in PHASES
        ]
        stacks = [stack(atlas, heart, parents[0].geometry.spacing_mm) for heart in drawn]
        volume = np.mean([structure_volume_ml(one, Label.LV) for one in stacks])
        dice, rough = ([f(one) for one in stacks] for f in (adjacent_dice, endocardial_roughness_mm))
        known = reference[name]["lv_edv_ml"].mean
        smooth = [np.mean([value for value in values if value is not None]) for values in (dice, rough)]
        found.append([np.mean(latent), np.mean(slices), 100 * volume / known, *smooth])  # type: ignore[list-item]
    return [float(value) for value in np.mean(found, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", nargs="?", default="acdc-small")
    parser.add_argument("--hearts", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    atlas = Atlas(find_atlas(given.atlas))
    print(f"{given.atlas}: {given.hearts} hearts of each group\n\n| | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name, sampler in rows().items():
        latent, slices, volume, dice, rough = measured(atlas, sampler, given.hearts, given.seed)
        print(f"| {name} | {latent:.3f} | {slices:.3f} | {volume:.0f} | {dice:.2f} | {rough:.1f} |", flush=True)


if __name__ == "__main__":
    main()
