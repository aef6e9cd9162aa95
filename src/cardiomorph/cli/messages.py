"""What the library logs, on standard error, for a person: a line each, as it is."""

from __future__ import annotations

import logging

from rich.text import Text

from cardiomorph.errors import printable
from cardiomorph.progress import console


class ConsoleHandler(logging.Handler):
    """Prints messages beside the progress bars: brackets in names are no markup, control characters are shown."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = "\n".join(printable(line) for line in record.getMessage().split("\n"))
            console.print(Text(lines, style="bold" if record.levelno >= logging.WARNING else ""), soft_wrap=True)
        except Exception:
            self.handleError(record)


def show_messages() -> None:
    """Shows what Cardiomorph logs from here on."""
    logger = logging.getLogger("cardiomorph")
    if not any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(ConsoleHandler())
    logger.setLevel(logging.INFO)
