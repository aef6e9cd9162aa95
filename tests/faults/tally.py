"""What was injected, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cardiomorph.errors import CardiomorphError


@dataclass
class Tally:
    """Faults of one kind: survived where one ended in one clear error, or in the bytes of an undisturbed run."""

    kind: str
    survived: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        return self.survived + len(self.lost)

    def count(self, problem: str | None) -> None:
        """Counts a fault: survived if nothing is wrong, else lost, for the reason given."""
        if problem is None:
            self.survived += 1
        else:
            self.lost.append(problem)


def outcome(work: Callable[[], object], wanted: object = None, says: str = "") -> str | None:
    """What is wrong with how work on something damaged ends; None where it is one clear error or as wanted.

    Args:
        wanted: the result of undisturbed work; any will do if None.
        says: what the error must say.
    """
    try:
        found = work()
    except CardiomorphError as error:
        text = str(error)
        return None if text.isprintable() and says in text else f"the error is {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if wanted is None or found == wanted else "read as good"


def table(tallies: Iterable[Tally]) -> str:
    """A Markdown table, a row a kind."""
    rows = [f"| {t.kind} | {t.injected} | {t.survived} | {len(t.lost)} |" for t in tallies]
    return "\n".join(["| fault | injected | survived | lost |", "|---|---|---|---|", *rows])
