"""Several processes for work on many subjects: spawned, one thread each, gone when their parent is.

Spawned and not forked, because the caller may hold threads (torch, BLAS) that do not survive a fork. A worker whose
parent was killed would wait for work for ever; a thread of its own looks out for that.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from typing import Any

_LOOK_EVERY_S = 1.0


def worker_pool(workers: int, tasks: int, start: Callable[..., None] | None = None, *given: Any) -> Executor:
    """A pool for that many tasks, of no more workers than there are tasks.

    Args:
        start: called with ``given`` in every worker before its first task.
    """
    return ProcessPoolExecutor(
        max(1, min(workers, tasks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=partial(_begin, os.getpid(), start, given),
    )


def _begin(parent: int, start: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    if start is not None:
        start(*given)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)
