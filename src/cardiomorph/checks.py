"""What comes in through a door: names that become paths, seeds, counts. One rule for each, wherever they come from."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from cardiomorph.errors import CardiomorphError

MAX_SEED = 2**63 - 1
MAX_NAME = 120
"""Bytes of a name, so that a folder's name made of it, its files' and their temporary ones fit into 255."""


def is_name(text: object) -> bool:
    """Whether this may become a file's or folder's name: one part of a path, visible, printable, not too long."""
    return (
        isinstance(text, str)
        and 0 < len(text.encode(errors="surrogatepass")) <= MAX_NAME
        and not text.startswith(".")
        and text == text.strip()
        and not any(
            letter in "/\\" or unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in text
        )
    )


def checked_name(text: object, where: Path | str | None = None) -> str:
    """A name from a file or an option, before it becomes part of a path.

    Raises:
        CardiomorphError: it has separators, a leading dot, control characters, blanks around it, nothing in it, or more
            than `MAX_NAME` bytes.
    """
    if isinstance(text, str) and is_name(text):
        return text
    shown = repr(text) if len(repr(text)) <= MAX_NAME else f"{repr(text)[:MAX_NAME]}..."
    raise CardiomorphError(
        f"the name {shown} cannot be a file's",
        where=where,
        fix=f"Names have no / and no \\, no dot in front, no control characters, and at most {MAX_NAME} bytes",
    )


def checked_seed(seed: int) -> int:
    """A seed. Raises `CardiomorphError` where it is negative, no whole number, or beyond what generators take."""
    if _at_least(seed, 0, "seed") > MAX_SEED:
        raise CardiomorphError(f"seed is {seed}; expected at most {MAX_SEED}")
    return int(seed)


def checked_count(count: int, what: str) -> int:
    """How many of something there shall be. Raises `CardiomorphError` where it is below one or no whole number."""
    return _at_least(count, 1, what)


def check_same_classes(
    ours: Sequence[str], our_name: str, theirs: Sequence[str], their_name: str, where: Path | str | None = None
) -> None:
    """Raises `CardiomorphError` where label codes do not mean the same on two sides that meet."""
    if tuple(ours) != tuple(theirs):
        raise CardiomorphError(
            f"{our_name} has the classes {', '.join(ours)}, {their_name} {', '.join(theirs)}; they must be the same",
            where=where,
            fix="Use those that were made for each other",
        )


def _at_least(value: object, least: int, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        raise CardiomorphError(f"{what} is {value!r}; expected a whole number of {least} or more")
    return int(value)
