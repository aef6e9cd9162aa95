"""The hearts that an area compares: one synthetic set and the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cardiomorph.anatomy import GROUPS
from cardiomorph.evaluation.heart_files import UNKNOWN_GROUP
from cardiomorph.evaluation.record import Record


@dataclass(frozen=True)
class Populations:
    """Records of the synthetic and of the real hearts.

    Attributes:
        split: by real heart, "train" or "heldout".
        seed: of random halves and draws.
    """

    synthetic: Sequence[Record]
    real: Sequence[Record]
    split: Mapping[str, str]
    seed: int = 0

    @property
    def training(self) -> list[Record]:
        """Real hearts that models were trained on."""
        return [r for r in self.real if self.split.get(r.id) != "heldout"]

    @property
    def heldout(self) -> list[Record]:
        """Real hearts that no model has seen."""
        return [r for r in self.real if self.split.get(r.id) == "heldout"]

    def rng(self, stream: int) -> np.random.Generator:
        """A generator of the seed. Areas of different ``stream`` draw independently of each other."""
        return np.random.default_rng([self.seed, stream])

    def by_group(self) -> dict[str, tuple[list[Record], list[Record]]]:
        """Synthetic and real hearts by group; those of an unknown group stand beside all real ones."""
        groups: dict[str, tuple[list[Record], list[Record]]] = {}
        for group in (*GROUPS, UNKNOWN_GROUP):
            ours = [r for r in self.synthetic if r.group == group]
            theirs = list(self.real) if group == UNKNOWN_GROUP else [r for r in self.real if r.group == group]
            if ours:
                groups[group] = (ours, theirs)
        return groups
