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
    set_of = {name: tuple(members) for members in twins for name in members}
    unit_of = {name: set_of.get(name, (name,)) for name in sorted(groups)}
    units = sorted(set(unit_of.values()))
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
