"""One model, many people: jobs run one at a time in the order they came, in a line that has an end.

A job whose client has gone (the slider moved on, the page was closed) is dropped when its turn comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request

T = TypeVar("T")
_END = object()


class Busy(Exception):
    """The line is full."""


class Gone(Exception):
    """Nobody waits for the answer any more."""


class JobQueue:
    """A line of at most ``places`` jobs, the one that runs included."""

    def __init__(self, places: int = 32) -> None:
        self.places, self.taken = places, 0
        self._lock = asyncio.Lock()
        # One thread for good: every thread that has computed keeps memory and helpers of its own.
        self._worker = ThreadPoolExecutor(1, "hearts")

    async def run(self, request: Request, job: Callable[[], T]) -> T:
        """Runs a job when its turn comes. Raises `Busy` where the line is full, `Gone` where the client has left."""
        if self.taken >= self.places:
            raise Busy
        self.taken += 1
        try:
            async with self._lock:
                if await request.is_disconnected():
                    raise Gone
                return await asyncio.get_running_loop().run_in_executor(self._worker, job)
        finally:
            self.taken -= 1

    async def each(self, request: Request, items: Iterator[T]) -> AsyncIterator[T]:
        """The items of a slow iterator, a turn each: between two of them others are served."""
        while True:
            item = await self.run(request, lambda: next(items, _END))
            if item is _END:
                return
            yield item  # type: ignore[misc]
