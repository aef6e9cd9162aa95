"""Are two sets of hearts one population, over several measures at once, and what could the answer have missed?

Hearts are the units. Energy distance with permutation p-values (Szekely and Rizzo, J Stat Plan Inference 143, 2013); a
classifier that tries to tell the sets apart, asked about hearts it has not seen (Lopez-Paz and Oquab, ICLR 2017);
ratios of standard deviations. The power of a test is the share of simulated sets that it finds out, at the numbers of
hearts at hand: sets of hearts as a real group's mean and covariance make them, changed in a known way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

Table = NDArray[np.float64]
"""(hearts, measures), standardised."""
PERMUTATIONS = 500
LEVEL = 0.05
"""Below this p-value two sets are found to differ."""
_RESAMPLES = 400
_FOLDS = 5
_RIDGE = 1.0
_SHRINKAGE = 0.2


@dataclass(frozen=True)
class EnergyTest:
    """Energy distance, and the share of random re-labellings that are at least as far apart."""

    distance: float
    p: float


def energy_test(
    pairs: Sequence[tuple[Table, Table]], rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> EnergyTest:
    """Tests strata at once: the distances of all pairs of sets, weighted by n m / (n + m), are added.

    Args:
        pairs: by stratum, two sets of hearts. Hearts are re-labelled within their stratum only, so that the strata's
            sizes do not matter.
    """
    observed, drawn = 0.0, np.zeros(permutations)
    for x, y in pairs:
        pooled = np.concatenate([x, y])
        between = cdist(pooled, pooled)
        weight = len(x) * len(y) / len(pooled)
        first = np.zeros(len(pooled))
        first[: len(x)] = 1.0
        observed += weight * float(_energies(between, first[None])[0])
        drawn += weight * _energies(between, np.stack([rng.permutation(first) for _ in range(permutations)]))
    # The observed labelling is one of those that chance could have made: no p is 0.
    return EnergyTest(observed, float((1 + (drawn >= observed - 1e-12).sum()) / (permutations + 1)))


def _energies(between: Table, first: Table) -> NDArray[np.float64]:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| for (labellings, hearts) indicators of the first set."""
    second = 1.0 - first
    n, m = first.sum(axis=1), second.sum(axis=1)
    to_first, to_second = first @ between, second @ between
    across = (to_first * second).sum(axis=1) / (n * m)
    return np.asarray(2.0 * across - (to_first * first).sum(axis=1) / n**2 - (to_second * second).sum(axis=1) / m**2)


@dataclass(frozen=True)
class Told:
    """Area under the curve of a classifier, 0.5 where it can only guess, and its 95 % interval."""

    auc: float
    low: float
    high: float


Folds = tuple[NDArray[np.intp], NDArray[np.intp]]


def classifier_test(x: Table, y: Table, rng: np.random.Generator, folds: Folds | None = None) -> Told | None:
    """A ridge logistic regression on the measures, their squares and products, in five folds.

    None for fewer than ten hearts in either set.

    Args:
        folds: in which fold each heart of both sets is; drawn without.
    """
    if min(len(x), len(y)) < 2 * _FOLDS:
        return None
    pooled = _quadratic(np.concatenate([x, y]))
    second = np.arange(len(pooled)) >= len(x)
    fold = np.concatenate(folds or [rng.permutation(len(part)) % _FOLDS for part in (x, y)])
    scores = np.empty(len(pooled))
    for k in np.unique(fold):
        seen = fold != k
        scores[~seen] = _logistic(pooled[seen], second[seen], pooled[~seen])
    resampled = []
    for _ in range(_RESAMPLES):
        chosen = np.concatenate([rng.choice(np.flatnonzero(second == kind), (second == kind).sum()) for kind in (0, 1)])
        resampled.append(area_under_curve(scores[chosen], second[chosen]))
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Told(area_under_curve(scores, second), float(low), float(high))


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive one scores above a negative one; ties count half (Mann and Whitney)."""
    ones, others = int(positive.sum()), int((~positive).sum())
    return float((rankdata(scores)[positive].sum() - 0.5 * ones * (ones + 1)) / (ones * others))


def _quadratic(table: Table) -> Table:
    rows, columns = np.triu_indices(table.shape[1])
    return np.column_stack([table, table[:, rows] * table[:, columns]])


def _logistic(features: Table, second: NDArray[np.bool_], asked: Table) -> NDArray[np.float64]:
    """Scores of hearts that were not seen: Newton steps of a ridge logistic regression, classes of equal weight."""
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    x = np.column_stack([(features - centre) / scale, np.ones(len(features))])
    weight = np.where(second, 0.5 / second.mean(), 0.5 / (~second).mean())
    penalty = _RIDGE * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6
    beta = np.zeros(x.shape[1])
    for _ in range(8):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weight * (second - p)) - penalty @ beta
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + penalty
        beta = beta + np.linalg.solve(curvature, gradient)
    return np.asarray(np.column_stack([(asked - centre) / scale, np.ones(len(asked))]) @ beta)


def spread_within(groups: Sequence[Table]) -> NDArray[np.float64]:
    """(measures,) standard deviation within groups, of all of them together."""
    squares = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in groups)
    return np.sqrt(squares / sum(len(group) - 1 for group in groups))


def scale_of(groups: Sequence[Table]) -> NDArray[np.float64]:
    """What measures are divided by: `spread_within`, and 1 for a measure that does not vary."""
    spread = spread_within(groups)
    return np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True)
class SpreadRatio:
    """SD of the first sets by that of the second, geometric mean over the measures, its 95 % interval; each measure."""

    ratio: float
    low: float
    high: float
    by_measure: NDArray[np.float64]


def spread_ratio(pairs: Sequence[tuple[Table, Table]], rng: np.random.Generator) -> SpreadRatio:
    """How wide sets are beside others, within their pairs. Hearts are drawn again with replacement for the interval."""
    found = _ratios(pairs)
    drawn = [np.log(_ratios([(_again(x, rng), _again(y, rng)) for x, y in pairs])).mean() for _ in range(_RESAMPLES)]
    low, high = np.exp(np.percentile(drawn, (2.5, 97.5)))
    return SpreadRatio(float(np.exp(np.log(found).mean())), float(low), float(high), found)


def _ratios(pairs: Sequence[tuple[Table, Table]]) -> NDArray[np.float64]:
    ours, theirs = (spread_within(side) for side in zip(*pairs, strict=True))
    return np.asarray((ours + 1e-9) / (theirs + 1e-9))


def _again(table: Table, rng: np.random.Generator) -> Table:
    return np.asarray(table[rng.integers(len(table), size=len(table))])


Change = Callable[[Table, Table], Table]
"""Hearts as a group makes them, and other such hearts, to hearts that a bad generator would give."""
CHANGES: dict[str, Change] = {
    "nothing": lambda drawn, real: drawn,
    "collapse": lambda drawn, real: np.repeat(np.median(drawn, axis=0)[None], len(drawn), axis=0),
    "half_spread": lambda drawn, real: drawn.mean(axis=0) + 0.5 * (drawn - drawn.mean(axis=0)),
    "shift_half_sd": lambda drawn, real: drawn + 0.5,
    "copies": lambda drawn, real: real[np.arange(len(drawn)) % len(real)],
}
"""What a generator may do wrong, in SDs of the real hearts; "nothing" gives the rate of false alarms."""


@dataclass(frozen=True)
class Stratum:
    """Hearts that are re-labelled among themselves.

    Attributes:
        real: what real hearts of that kind are like.
        real_count, count: how many real and synthetic ones the test compares.
    """

    real: Table
    real_count: int
    count: int


def power(
    strata: Sequence[Stratum],
    rng: np.random.Generator,
    simulations: int = 40,
    permutations: int = 100,
) -> dict[str, float]:
    """By change, the share of simulated sets in which `energy_test` finds p below 0.05.

    Args:
        strata: simulated hearts have the mean and the (shrunk) covariance of their real ones.
    """
    found, normals = {}, [_normal_of(one.real) for one in strata]
    for name, change in CHANGES.items():
        hits = 0
        for _ in range(simulations):
            pairs = []
            for one, (mean, factor) in zip(strata, normals, strict=True):
                simulated = mean + rng.standard_normal((one.real_count, len(mean))) @ factor.T
                drawn = mean + rng.standard_normal((one.count, len(mean))) @ factor.T
                pairs.append((change(drawn, simulated), simulated))
            hits += energy_test(pairs, rng, permutations).p < LEVEL
        found[name] = hits / simulations
    return found


def _normal_of(real: Table) -> tuple[NDArray[np.float64], Table]:
    """Mean, and a factor of the covariance, shrunk towards its diagonal: few hearts know few correlations."""
    covariance = np.atleast_2d(np.cov(real.T))
    shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.diag(np.diag(covariance))
    mean: NDArray[np.float64] = real.mean(axis=0)
    return mean, np.asarray(np.linalg.cholesky(shrunk + 1e-9 * np.eye(len(shrunk))), np.float64)
