"""One quantity of synthetic hearts, what real hearts have in its place, and how far apart halves of these are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from cardiomorph.evaluation.distances import DISTANCES, split_half_floor


@dataclass(frozen=True)
class Comparison:
    """A value beside its real counterpart and its floor; what cannot be had is None.

    Attributes:
        path: what is compared, from the general to the quantity: ``("wasserstein",)``, ``("slice", "lv_hole")``.
        of: what it is taken over, where there are several: ``("NOR", "lv_edv_ml")``, ``("own",)``.
        value: of the synthetic hearts, or between them and the real ones; ``low`` and ``high`` its 95 % interval.
        real: of the real hearts; ``real_low`` and ``real_high`` its interval.
        floor: the same between real hearts, on average; ``floor95`` its 95th percentile.
    """

    path: tuple[str, ...]
    of: tuple[str, ...] = ()
    value: float | None = None
    low: float | None = None
    high: float | None = None
    real: float | None = None
    real_low: float | None = None
    real_high: float | None = None
    floor: float | None = None
    floor95: float | None = None

    def key(self, area: str) -> str:
        """The name of its value in metrics.json."""
        return ".".join((area, *self.path, *self.of))

    def numbers(self) -> dict[tuple[str, ...], float]:
        """What there is of it, by name: the quantity's name ends in ``_real``, ``_floor95`` and so on."""
        *before, quantity = self.path
        named = {part: getattr(self, part) for part in _NUMBERS}
        return {
            (*before, quantity if part == "value" else f"{quantity}_{part}", *self.of): float(number)
            for part, number in named.items()
            if number is not None
        }

    def finite(self) -> Comparison:
        """The same without numbers that are none: NaN never passes in silence."""
        named = {part: getattr(self, part) for part in _NUMBERS}
        kept = {part: number for part, number in named.items() if number is not None and math.isfinite(number)}
        return Comparison(self.path, self.of, **kept)

    @property
    def reference(self) -> float | None:
        """What the value stands beside in a table: the 95 % floor of a distance, else the real hearts' own."""
        return self.real if self.floor95 is None else self.floor95


_NUMBERS = tuple(part.name for part in fields(Comparison) if part.name not in ("path", "of"))


def distances(
    of: tuple[str, ...], synthetic: Sequence[float], real: Sequence[float], rng: np.random.Generator
) -> list[Comparison]:
    """Both distances of one measure of the hearts, with their floors: comparisons ``wasserstein`` and ``energy``.

    Args:
        of: whose measure it is, as in `Comparison`.
        synthetic, real: a value a heart, at least one each; fewer than four real ones have no floor.
        rng: of the random halves.
    """
    found = []
    for kind, distance in DISTANCES.items():
        value = float(distance(synthetic, real))
        floor = split_half_floor(real, distance, rng)
        floors = {} if floor is None else {"floor": floor.mean, "floor95": floor.p95}
        found.append(Comparison((kind,), of, value, **floors))
    return found
