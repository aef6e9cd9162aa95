"""How the program begins and ends: what is said and with which exit code, whatever happened."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from cyclopts import CycloptsError

from cardiomorph.cli.messages import show_messages
from cardiomorph.errors import CardiomorphError, first_problem, printable

_SMALLER = "Use fewer workers, a smaller batch or model, or a smaller input."


def run(command: Callable[[list[str]], object]) -> None:
    """Runs a command with the program's arguments.

    Exit code 2 for anything that the user can mend, 130 for an interruption; a mistake of ours keeps its traceback.
    """
    _print_what_a_terminal_cannot()
    show_messages()
    try:
        with _memory_in_words():
            command(expanded(sys.argv[1:]))
            sys.stdout.flush()
            _leave_process_group()
    except (CardiomorphError, CycloptsError) as error:
        _fail(_in_words(error))
    except BrokenPipeError:
        _leave_quietly()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}.")
    except KeyboardInterrupt:
        print("interrupted; the same command (train: with --resume) goes on from here", file=sys.stderr)
        sys.exit(130)


@contextlib.contextmanager
def _memory_in_words() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        _fail(f"there is not enough memory ({error or 'no more was given'}). {_SMALLER}")
    except RuntimeError as error:
        # torch has no class of its own for a CPU's memory.
        if "not enough memory" not in str(error) and "out of memory" not in str(error):
            raise
        _fail(f"there is not enough memory. {_SMALLER}")


def _in_words(error: Exception) -> str:
    """An error in one line; that of a model's field names the field."""
    from pydantic import ValidationError

    cause = error.__cause__
    return first_problem(cause) if isinstance(cause, ValidationError) else str(error)


def _leave_process_group() -> None:
    training = sys.modules.get("cardiomorph.training.hardware")
    if training is not None:
        training.end_process()


def expanded(words: Sequence[str]) -> list[str]:
    """``--output=~/x`` with the home folder that the shell leaves as it is there."""
    found = ((re.fullmatch(r"(--?[\w-]+=)(~(/.*)?)", word, re.DOTALL), word) for word in words)
    return [f"{match[1]}{Path(match[2]).expanduser()}" if match else word for match, word in found]


def _print_what_a_terminal_cannot() -> None:
    """What the terminal's encoding has not is printed escaped instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _leave_quietly() -> NoReturn:
    """Whoever read our output has read enough, as `head` does."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _fail(message: str) -> NoReturn:
    print(f"error: {printable(message.strip())}", file=sys.stderr)
    sys.exit(2)
