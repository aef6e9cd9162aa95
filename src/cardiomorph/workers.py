"""Several processes for work on many subjects: spawned, one thread each, gone when their parent is.

Spawned and not forked, because the caller may hold threads (torch, BLAS) that do not survive a fork. A worker whose
parent was killed would wait for work for ever; a thread of its own looks out for that.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from cardiomorph.errors import CardiomorphError

_LOOK_EVERY_S = 1.0


@contextmanager
def worker_pool(workers: int, tasks: int, start: Callable[..., None] | None = None, *given: Any) -> Iterator[Executor]:
    """A pool for that many tasks, of no more workers than there are tasks.

    Args:
        start: called with ``given`` in every worker before its first task.

    Raises:
        CardiomorphError: a worker was killed, or could not begin.
    """
    pool = ProcessPoolExecutor(
        max(1, min(workers, tasks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=partial(_begin, os.getpid(), start, given),
    )
    try:
        with pool:
            yield pool
    except BrokenProcessPool as error:
        raise CardiomorphError(
            "a worker process was killed, mostly because memory ran out, or could not begin",
            fix="Use fewer workers; in a script of your own, make the call below if __name__ == '__main__'",
        ) from error


def _begin(parent: int, start: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    if start is not None:
        start(*given)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)
