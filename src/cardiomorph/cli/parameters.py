"""What several commands ask in the same words, and how it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from cardiomorph.checks import MAX_SEED


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number and nothing that could be rounded to one."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is no whole number") from None


Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Seed = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0, lte=MAX_SEED))]
Count = Annotated[int, Parameter(converter=_whole, validator=Number(gte=1))]
NotNegative = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0))]
Port = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0, lte=65535))]
Switch = Annotated[bool, Parameter(negative=())]
Flattened = Parameter(name="*")
"""The fields of a model, each an option."""
