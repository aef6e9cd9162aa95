"""One word an area: inside the floor of real hearts, near it, or outside."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cardiomorph.errors import CardiomorphError

Word = Literal["inside", "near", "outside", "not measured"]


@dataclass(frozen=True)
class Verdict:
    """An area's word and the numbers behind it, in a sentence."""

    area: str
    word: Word
    reason: str


def judged(area: str, value: float, inside: float, near: float, reason: str, *, less: bool = False) -> Verdict:
    """The verdict on a value.

    Args:
        inside, near: limits that the value must reach, or must not exceed if ``less``.
        reason: the numbers behind it, in a sentence.
    """
    reaches = operator.le if less else operator.ge
    word: Word = "inside" if reaches(value, inside) else "near" if reaches(value, near) else "outside"
    return Verdict(area, word, reason)


def not_measured(area: str) -> Verdict:
    """The verdict where there is nothing to judge."""
    return Verdict(area, "not measured", "")


_EXPRESSION = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(<=|>=|==|!=|<|>)\s*([-+0-9.eE]+)\s*")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Condition:
    """``KEY OPERATOR NUMBER``, as `cardiomorph evaluate --fail-if` takes it."""

    key: str
    comparison: str
    number: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises `CardiomorphError` where the text is no such condition."""
        match = _EXPRESSION.fullmatch(text)
        try:
            if match is not None:
                return cls(match[1], match[2], float(match[3]))
        except ValueError:
            pass
        raise CardiomorphError(f"{text!r} is no condition", fix="Write for instance 'validity.invalid_slices > 0.01'")

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Raises `CardiomorphError` where the key was not measured."""
        if self.key not in metrics:
            raise CardiomorphError(
                f"{self.key!r} was not measured, so nothing can depend on it",
                fix="metrics.json lists what was, and 'missing' why something was not",
            )
        return _OPERATORS[self.comparison](metrics[self.key], self.number)
