"""Bars for a person who waits, for work that takes a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cardiomorph.errors import printable

T = TypeVar("T")
console = Console(stderr=True, emoji=False)


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with count, time gone and time left, on standard error; hidden when that is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not (shown and console.is_terminal),
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yields ``items`` while a bar counts them."""
    with progress_bar() as bar:
        size = total if total is not None else len(items)  # type: ignore[arg-type]
        task = bar.add_task(escape(printable(description)), total=size, note="")
        for item in items:
            yield item
            bar.advance(task)
