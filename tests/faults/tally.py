"""What was injected, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Faults of one kind. A fault is survived where it ended in one clear error or in the bytes of an undisturbed run."""

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


def table(tallies: Iterable[Tally]) -> str:
    """A Markdown table, a row a kind."""
    rows = [f"| {t.kind} | {t.injected} | {t.survived} | {len(t.lost)} |" for t in tallies]
    return "\n".join(["| fault | injected | survived | lost |", "|---|---|---|---|", *rows])
