"""Several processes for work on many subjects: spawned, one thread each, gone when their parent is.

Spawned and not forked, because the caller may hold threads (torch, BLAS) that do not survive a fork. A worker whose
parent was killed would wait for work for ever; a thread of its own looks out for that. One worker is this process: that
needs no main guard, and works in a notebook.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from cardiomorph.checks import checked_count
from cardiomorph.errors import CardiomorphError

T = TypeVar("T")
_AHEAD = 4
"""Tasks a worker that are handed out before their results are asked for: work is a stream, however long."""


@contextmanager
def worker_pool(workers: int, tasks: int, start: Callable[..., None] | None = None, *given: Any) -> Iterator[Executor]:
    """A pool for that many tasks, of no more workers than there are tasks; one is this process itself.

    ``map`` gives results in order and takes its items as it goes. An error or an interruption ends the workers.

    Args:
        start: called with ``given`` in every worker before its first task.

    Raises:
        CardiomorphError: a worker was killed, or could not begin.
    """
    count = min(checked_count(workers, "workers"), tasks)
    if count <= 1:
        if start is not None:
            start(*given)
        yield _ThisProcess()
        return
    before = set(multiprocessing.active_children())
    pool = _Processes(count, partial(_begin, start, given))
    try:
        yield pool
        pool.shutdown()
    except BrokenProcessPool as error:
        raise CardiomorphError(
            "a worker process was killed, mostly because memory ran out, or could not begin",
            fix="Use fewer workers; in a script of your own, make the call below if __name__ == '__main__'",
        ) from error
    finally:
        # Nothing that a worker writes is ever half there, so it can go at any moment.
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown(cancel_futures=True)


class _ThisProcess(Executor):
    """An executor's face for work that is done here and now."""

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(
        self, work: Callable[..., T], *items: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        return map(work, *items)


class _Processes(ProcessPoolExecutor):
    def __init__(self, workers: int, begin: Callable[[], None]) -> None:
        super().__init__(workers, multiprocessing.get_context("spawn"), begin)
        self.workers = workers

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        # Any of them may start a worker.
        with _interruptions_held_back():
            return super().submit(_done, work, *arguments, **named)

    def map(
        self, work: Callable[..., T], *items: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        todo = zip(*items, strict=False)
        waiting = deque(self.submit(work, *each) for each in islice(todo, _AHEAD * self.workers))
        while waiting:
            result = waiting.popleft().result(timeout)
            waiting.extend(self.submit(work, *each) for each in islice(todo, 1))
            yield result


@contextmanager
def _interruptions_held_back() -> Iterator[None]:
    """What is started here never sees Ctrl-C: the parent does, and ends its workers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_problem: list[Exception] = []


def _begin(start: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if start is None:
        return
    try:
        start(*given)
    except Exception as error:
        # Told by the first task: here it would only be a traceback, and a pool that is broken.
        _problem.append(error)


def _done(work: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
    if _problem:
        raise _problem[0]
    return work(*arguments, **named)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is spawned by somebody"
    parent.join()
    os._exit(1)
