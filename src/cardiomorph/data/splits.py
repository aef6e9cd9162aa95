"""Who trains and who is held out: by patient, stratified by group, seeded, twins together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Split = Literal["train", "heldout"]


def split_subjects(
    groups: Mapping[str, str], twins: Sequence[Sequence[str]], heldout_fraction: float, seed: int
) -> dict[str, Split]:
    """Assigns every subject to "train" or "heldout".

    In each group ``round(heldout_fraction * n)`` subjects are held out, as nearly as whole sets of twins allow
    (never more); a set of twins follows the group of its first member.

    Args:
        groups: subject -> group.
        twins: sets of subjects that must stay together.
    """
    units = _units(groups, twins)
    rng = np.random.default_rng(seed)
    split: dict[str, Split] = dict.fromkeys(groups, "train")
    for group in sorted(set(groups.values())):
        mine = [unit for unit in units if groups[unit[0]] == group]
        wanted = round(heldout_fraction * sum(len(unit) for unit in mine))
        for index in rng.permutation(len(mine)):
            if len(mine[index]) <= wanted:
                split.update(dict.fromkeys(mine[index], "heldout"))
                wanted -= len(mine[index])
    return split


def fold_subjects(
    groups: Mapping[str, str], twins: Sequence[Sequence[str]], first: Sequence[str], folds: int, seed: int
) -> dict[str, int]:
    """Assigns every subject to one of ``folds`` folds, evenly by group, twins together.

    Args:
        groups, twins: as of `split_subjects`.
        first: subjects of fold 0, as the held-out ones; with none every fold is drawn.
    """
    rng, fold = np.random.default_rng(seed), dict.fromkeys(first, 0)
    others = range(1 if first else 0, folds)
    start = 0
    for group in sorted(set(groups.values())):
        mine = [unit for unit in _units(groups, twins) if groups[unit[0]] == group and unit[0] not in fold]
        for position, index in enumerate(rng.permutation(len(mine))):
            fold.update(dict.fromkeys(mine[index], others[(start + position) % len(others)]))
        # The next group goes on where this one ended, so that no fold gets every remainder.
        start += len(mine)
    return fold


def _units(groups: Mapping[str, str], twins: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """What stays together: subjects, or sets of twins."""
    set_of = {name: tuple(members) for members in twins for name in members}
    return sorted({set_of.get(name, (name,)) for name in groups})
