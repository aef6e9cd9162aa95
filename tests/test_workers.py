"""Workers: as many as there is work for, ready before they start, gone when their parent is."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.workers import worker_pool

_said = []


def remember(*words):
    _said.extend(words)


def report(number):
    return number, os.getpid(), list(_said)


def test_every_worker_is_readied_and_the_order_kept():
    with worker_pool(2, 6, remember, "a", "b") as pool:
        found = list(pool.map(report, range(6)))
    assert [number for number, _, _ in found] == list(range(6))
    assert all(said == ["a", "b"] for _, _, said in found)
    assert os.getpid() not in {pid for _, pid, _ in found}


def test_no_more_workers_than_work_and_one_is_this_process():
    _said.clear()
    for workers, tasks in ((8, 1), (2, 0), (1, 9)):
        with worker_pool(workers, tasks, remember, tasks) as pool:
            assert list(pool.map(report, [1])) == [(1, os.getpid(), _said)]
            assert pool.submit(report, 2).result()[:2] == (2, os.getpid())
    assert _said == [1, 0, 9]


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(CardiomorphError, match=r"workers is .*whole number of 1 or more"), worker_pool(workers, 3):
        pass


@pytest.mark.parametrize("workers", [1, 2])
def test_work_is_a_stream(workers):
    """Of an endless one no more is taken than is asked for, but for a few ahead."""
    taken = itertools.count()
    with worker_pool(workers, 10**9) as pool:
        assert list(itertools.islice(pool.map(abs, taken), 5)) == list(range(5))
        assert next(taken) <= 20


def refuse():
    raise CardiomorphError("is damaged", where="atlas")


def test_a_worker_that_cannot_begin_says_why(capfd):
    with pytest.raises(CardiomorphError, match=r"^atlas: is damaged"), worker_pool(2, 4, refuse) as pool:
        list(pool.map(abs, range(4)))
    assert capfd.readouterr().err == ""


INTERRUPTED = """
import os, sys, time
from cardiomorph.workers import worker_pool
def slow(number):
    time.sleep(30)
if __name__ == "__main__":
    try:
        with worker_pool(2, 4) as pool:
            print(*[pool.submit(os.getpid).result() for _ in range(4)], flush=True)
            list(pool.map(slow, range(4)))
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def test_an_interruption_ends_the_workers_at_once_and_silently(tmp_path):
    """Ctrl-C goes to the whole group, and here it comes while workers start."""
    (tmp_path / "parent.py").write_text(INTERRUPTED)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    # What runs in a shell's background ignores Ctrl-C, and so would its children.
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **pipes,
    )
    workers = {int(word) for word in parent.stdout.readline().split()}
    began = time.monotonic()
    os.killpg(parent.pid, signal.SIGINT)
    said, errors = parent.communicate(timeout=60)
    assert (said, errors, parent.returncode) == ("stopped\n", "", 0)
    assert time.monotonic() - began < 10
    assert not any(alive(worker) for worker in workers)


def leave(number):
    os._exit(9)


def test_a_worker_that_is_killed_is_a_clear_error():
    said = r"a worker process was killed.*Use fewer workers"
    with pytest.raises(CardiomorphError, match=said), worker_pool(2, 4) as pool:
        list(pool.map(leave, range(4)))


PARENT = """
import sys, time
from cardiomorph.workers import worker_pool
if __name__ == "__main__":
    import os
    with worker_pool(2, 2) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_killed_parent_takes_its_workers_along(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    assert alive(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not alive(worker):
            return
        time.sleep(0.1)
    raise AssertionError(f"worker {worker} outlived its parent by ten seconds")
