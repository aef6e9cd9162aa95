"""What several commands ask in the same words, and how it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from cardiomorph.checks import MAX_SEED
from cardiomorph.errors import CardiomorphError


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number and nothing that could be rounded to one."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is no whole number") from None


Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Seed = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0, lte=MAX_SEED))]
Count = Annotated[int, Parameter(converter=_whole, validator=Number(gte=1))]
Switch = Annotated[bool, Parameter(negative=())]
Flattened = Parameter(name="*")
"""The fields of a model, each an option."""


def label_codes(text: str | None) -> dict[int, int] | None:
    """``theirs:ours,...`` as a dictionary. Raises `CardiomorphError` where it is not."""
    if text is None:
        return None
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        codes = {int(theirs): int(ours) for theirs, ours in pairs}
    except ValueError as error:
        raise CardiomorphError(f"--labels is {text!r}", fix="Write for instance 1:3,2:2,3:1") from error
    if not set(codes.values()) <= {0, 1, 2, 3}:
        raise CardiomorphError(f"--labels {text!r} names codes that are not ours", fix="Ours are 0, 1, 2 and 3")
    return codes
