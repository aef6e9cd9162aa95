"""Who is there to train on: the situations in which synthetic hearts might help."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cardiomorph.anatomy import DISEASES, GROUPS, HEALTHY
from cardiomorph.errors import CardiomorphError

_FORMS = {
    "few": r"few:(\d+)",
    "healthy": r"healthy:(\d+)",
    "missing": rf"missing:({'|'.join(DISEASES)})",
    "rare": rf"rare:({'|'.join(DISEASES)})",
    "errors": r"errors:([1-9]\d?|100)",
    "all": r"all",
}
KNOWN = "few:N, healthy:N, missing:GROUP, rare:GROUP, errors:PERCENT, all"


@dataclass(frozen=True)
class Scenario:
    """A situation.

    Attributes:
        name: as it is asked for.
        kind: few (N patients of all groups), healthy (N healthy ones), missing (all but one disease), rare (one patient
            of a disease), errors (all, so many per cent of their slices wrongly labelled), all.
    """

    name: str
    kind: str
    count: int = 0
    group: str = ""

    @property
    def draws(self) -> bool:
        """Whether it matters who was drawn."""
        return self.kind in ("few", "healthy", "rare")

    @property
    def targets(self) -> tuple[str, ...]:
        """Groups that synthetic hearts should be of: what is lacking."""
        if self.kind in ("missing", "rare"):
            return (self.group,)
        return DISEASES if self.kind == "healthy" else GROUPS

    @property
    def judged_on(self) -> tuple[str, ...]:
        """Groups of test patients whom the scenario is about."""
        return self.targets

    def patients(self, groups: Mapping[str, str], draw: int, seed: int) -> list[str]:
        """Names of the training patients.

        Args:
            groups: of all who may train, by name.
            draw: number of the draw.

        Raises:
            CardiomorphError: there are not so many.
        """
        rng = np.random.default_rng([seed, draw])
        by_group = {g: [n for n in sorted(groups) if groups[n] == g] for g in GROUPS}
        if self.kind == "healthy":
            return sorted(_some(by_group[HEALTHY], self.count, rng, self.name))
        if self.kind == "few":
            # Group after group, so that few patients are of many groups.
            order = [list(rng.permutation(by_group[g])) for g in GROUPS if by_group[g]]
            turns = range(max(map(len, order), default=0))
            mixed = [one for turn in turns for members in order for one in members[turn : turn + 1]]
            return sorted(_some(mixed, self.count, None, self.name))
        others = [n for n in sorted(groups) if groups[n] != self.group]
        if self.kind == "rare":
            return sorted([*others, *_some(by_group[self.group], 1, rng, self.name)])
        return others


def scenario(name: str) -> Scenario:
    """The scenario of a name such as ``healthy:8``.

    Raises:
        CardiomorphError: there is none.
    """
    for kind, form in _FORMS.items():
        match = re.fullmatch(form, name)
        if match:
            value = match[1] if match.groups() else ""
            if value.isdecimal():
                if not 1 <= int(value) <= 10**6:
                    break
                return Scenario(name, kind, count=int(value))
            return Scenario(name, kind, group=value)
    raise CardiomorphError(f"there is no scenario {name!r}", fix=f"Known are {KNOWN}")


def _some(names: Sequence[str], count: int, rng: np.random.Generator | None, scenario: str) -> list[str]:
    if len(names) < count:
        raise CardiomorphError(f"the scenario {scenario} needs {count} patients, and there are {len(names)}")
    return [str(n) for n in (names[:count] if rng is None else rng.permutation(list(names))[:count])]
