"""Workers: as many as there is work for, ready before they start, gone when their parent is."""

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


def test_no_more_workers_than_work():
    with worker_pool(8, 1) as pool:
        assert pool._max_workers == 1
    with worker_pool(2, 0) as pool:
        assert pool._max_workers == 1


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
    with worker_pool(1, 2) as pool:
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
