"""The one exception that users meet: it says what was given, what was expected and what to do."""

from __future__ import annotations

from pathlib import Path


class CardiomorphError(Exception):
    """Something outside the program is wrong: an input file, a folder, an option.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, what: str, *, where: Path | str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        parts = [f"{where}: {what}" if where is not None else what]
        if fix:
            parts.append(fix)
        super().__init__(" ".join(part.rstrip(".") + "." for part in parts))
