"""The one exception that users meet: it says what was given, what was expected and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}
_SURROGATES = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
"""What stands in a path for bytes that are no UTF-8."""
_ESCAPED = _CONTROLS | _SURROGATES


class CardiomorphError(Exception):
    """Something outside the program is wrong: an input file, a folder, an option.

    The command line prints it without a traceback and exits with code 2. It is one line, whatever names and contents
    it quotes: their control characters are shown escaped.
    """

    def __init__(self, what: str, *, where: Path | str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        parts = [f"{where}: {what}" if where is not None else what]
        if fix:
            parts.append(fix)
        super().__init__(printable(" ".join(part if part.endswith("?") else part.rstrip(".") + "." for part in parts)))


def printable(text: str) -> str:
    """The text on one line, without anything that a terminal would obey."""
    return text.translate(_ESCAPED)


def first_problem(error: ValidationError) -> str:
    """The first of the things that are wrong, and how many more there are, in one line."""
    first, *others = error.errors(include_url=False)
    more = f" (and {len(others)} more)" if others else ""
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}{more}" if place else f"{message}{more}"
