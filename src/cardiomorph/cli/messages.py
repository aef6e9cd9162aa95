"""What the library logs, on standard error, for a person: a line each, as it is."""

from __future__ import annotations

import logging

from cardiomorph.errors import printable


class ConsoleHandler(logging.Handler):
    """Prints messages beside the progress bars: brackets in names are no markup, control characters are shown."""

    def emit(self, record: logging.LogRecord) -> None:
        # Here, because ``--help`` says nothing and should not wait for it.
        from rich.text import Text

        from cardiomorph.progress import console

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
