"""What (epsilon, delta) differential privacy would cost: group means alone, by the Gaussian mechanism.

    python benchmarks/private_means.py COHORT [--shape SHAPE] [--delta 0.01] [--repeats 20] [--seed 0]

Each training heart's deviation from the mean of all, in pooled standard deviations, is projected onto the waves that a
group's mean may differ in, and clipped to the median norm; their mean gets Gaussian noise for replacing one patient
(Balle & Wang, ICML 2018, theorem 8). The mean of all, the standard deviations and the models are taken for public,
which they are not: a bound from below. The mean heart is then decoded, with noise and without.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from cardiomorph.anatomy import GROUPS, PHASES
from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.consistency import adjacent_dice
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.latent.joint import MEAN_WAVES, pack, unpack
from cardiomorph.latent.library import find_atlas
from cardiomorph.latent.trajectory import N_SLICES, decode_labels, encode_subject
from cardiomorph.models.checkpoint import load_shape_model
from cardiomorph.volume import Volume

EPSILONS = (1.0, 3.0, 10.0, 30.0, 100.0)
Array = NDArray[np.float64]


def noise_sd(sensitivity: float, epsilon: float, delta: float) -> float:
    """The least SD with which the Gaussian mechanism is (epsilon, delta)-private."""

    def excess(log_sd: float) -> float:
        a, b = sensitivity / (2 * np.exp(log_sd)), epsilon * np.exp(log_sd) / sensitivity
        return float(ndtr(a - b) - np.exp(epsilon + log_ndtr(-a - b)) - delta)

    return float(np.exp(brentq(excess, np.log(sensitivity * 1e-4), np.log(sensitivity * 1e4))))


def waves(deviation: Array, codes: tuple[int, ...]) -> Array:
    """Coefficients of the leading waves along the axis, and the lengths."""
    n_codes = int(np.prod(codes))
    along = dct(deviation[:n_codes].reshape(codes), axis=1, norm="ortho")[:, :MEAN_WAVES]
    return np.concatenate([along.ravel(), deviation[n_codes:]])


def unwaved(coefficients: Array, codes: tuple[int, ...]) -> Array:
    along = np.zeros(codes)
    n = codes[0] * MEAN_WAVES * codes[2]
    along[:, :MEAN_WAVES] = coefficients[:n].reshape(codes[0], MEAN_WAVES, codes[2])
    return np.concatenate([idct(along, axis=1, norm="ortho").ravel(), coefficients[n:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--shape", type=Path)
    parser.add_argument("--delta", type=float, default=0.01)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cohort, rng = Cohort(given.cohort), np.random.default_rng(given.seed)
    model = load_shape_model(given.shape or find_atlas("acdc-small") / "shape")
    groups = {g: [encode_subject(model, cohort.load(n)) for n in cohort.ids("train", g)] for g in GROUPS}
    shape = groups["NOR"][0].codes["ED"].shape
    codes = (len(PHASES), N_SLICES, shape[-1])
    vectors = {name: np.stack([pack(heart) for heart in hearts]) for name, hearts in groups.items()}
    of_all = np.mean([v.mean(axis=0) for v in vectors.values()], axis=0)
    sd = np.sqrt(np.mean([v.var(axis=0, ddof=1) for v in vectors.values()], axis=0))
    found = {name: np.stack([waves((one - of_all) / sd, codes) for one in v]) for name, v in vectors.items()}
    norm = float(np.median([np.linalg.norm(one) for rows in found.values() for one in rows]))
    clipped = {n: rows * np.minimum(1, norm / np.linalg.norm(rows, axis=1))[:, None] for n, rows in found.items()}

    def heart(coefficients: Array) -> tuple[float, float, float]:
        made = unpack(of_all + sd * unwaved(coefficients, codes), shape)
        labels = {}
        for p in PHASES:
            slices = np.moveaxis(decode_labels(model, made.codes[p]), 0, -1)
            pixel = cohort.config.spacing_mm
            labels[p] = Volume(np.ascontiguousarray(slices), (pixel, pixel, made.length_mm[p] / N_SLICES))
        measures = measure_heart(labels, None, None)
        volume, fraction = (np.nan if (v := measures[k]) is None else v for k in ("lv_edv_ml", "lv_ef_pct"))
        return volume, fraction, adjacent_dice(labels["ED"]) or 0.0

    exact = {name: heart(rows.mean(axis=0)) for name, rows in found.items()}
    size = min(len(rows) for rows in found.values())
    print(
        f"{size} patients a group or more, {next(iter(found.values())).shape[1]} numbers a mean, delta {given.delta:g}"
    )
    print("\n| epsilon | noise, SD between patients | LVEDV off by, mL | LVEF off by, points | adjacent Dice |")
    print("|---" * 5 + "|")
    print(f"| none | 0 | 0 | 0 | {np.mean([e[2] for e in exact.values()]):.2f} |")
    for epsilon in EPSILONS:
        errors = []
        for name, rows in clipped.items():
            noise = noise_sd(2 * norm / len(rows), epsilon, given.delta)
            for _ in range(given.repeats):
                volume, fraction, smooth = heart(rows.mean(axis=0) + noise * rng.standard_normal(rows.shape[1]))
                errors.append([abs(volume - exact[name][0]), abs(fraction - exact[name][1]), smooth])
        volume, fraction, smooth = np.nanmean(errors, axis=0)
        spread = np.mean([rows.std(axis=0, ddof=1).mean() for rows in found.values()])
        noise = noise_sd(2 * norm / size, epsilon, given.delta) / spread
        print(f"| {epsilon:g} | {noise:.2f} | {volume:.0f} | {fraction:.0f} | {smooth:.2f} |", flush=True)


if __name__ == "__main__":
    main()
