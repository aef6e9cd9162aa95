"""Jobs take turns: in order, one at a time, no more than fit, none for a client that has gone."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from serving import served

from cardiomorph.viewer import session as module
from cardiomorph.viewer.job_queue import Busy, Gone, JobQueue
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Choice, Session

CLIENTS, REQUESTS = 8, 200


def run(work):
    """In a thread of its own: the browser tests keep a loop in this one."""
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(asyncio.run, work).result()


class Caller:
    """A request whose client may leave."""

    def __init__(self, gone=False):
        self.gone = gone

    async def is_disconnected(self):
        return self.gone


def test_jobs_run_one_at_a_time_in_the_order_they_came():
    running, most, order = [], [], []

    def job(number):
        running.append(number)
        most.append(len(running))
        threading.Event().wait(0.01)
        order.append(running.pop())

    async def all_of_them():
        queue = JobQueue()
        await asyncio.gather(*(queue.run(Caller(), lambda n=n: job(n)) for n in range(6)))
        return queue.taken

    assert run(all_of_them()) == 0
    assert (order, max(most)) == (list(range(6)), 1)


def test_a_full_line_says_so_and_those_who_left_are_passed_over():
    async def scenario():
        queue, done, release = JobQueue(places=2), [], threading.Event()
        first = asyncio.create_task(queue.run(Caller(), release.wait))
        left = asyncio.create_task(queue.run(Caller(gone=True), lambda: done.append("left")))
        await asyncio.sleep(0.02)
        with pytest.raises(Busy):
            await queue.run(Caller(), lambda: done.append("late"))
        release.set()
        await first
        with pytest.raises(Gone):
            await left
        await queue.run(Caller(), lambda: done.append("next"))
        return done

    assert run(scenario()) == ["next"]


def test_others_are_served_between_the_items_of_a_stream():
    async def scenario():
        queue, seen = JobQueue(), []

        async def stream():
            async for item in queue.each(Caller(), iter("abc")):
                seen.append(item)

        async def other():
            await asyncio.sleep(0)
            seen.append(await queue.run(Caller(), lambda: "other"))

        await asyncio.gather(stream(), other())
        return seen

    seen = run(scenario())
    assert sorted(seen) == ["a", "b", "c", "other"]
    assert seen[-1] != "other"


def test_two_hundred_requests_of_eight_clients_are_all_answered_right(atlas):
    session = Session(atlas, scenes=16)
    steps = np.random.default_rng(0).integers(20, size=REQUESTS)
    wanted = [Choice(target="HCM", severity=step / 20) for step in steps.tolist()]
    with served(create_app(session)) as address, ThreadPoolExecutor(CLIENTS) as clients:

        def ask(choice):
            return httpx.post(f"{address}api/scene", json=choice.model_dump(), timeout=60)

        answers = list(clients.map(ask, wanted))
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["choice"] for answer in answers] == [choice.model_dump(mode="json") for choice in wanted]
    by_choice = {}
    for choice, answer in zip(wanted, answers, strict=True):
        facts = answer.json()
        assert by_choice.setdefault(choice, facts) == facts
    assert len(session._scenes) <= 16


def test_a_heart_that_nobody_waits_for_any_more_is_not_painted(atlas, monkeypatch):
    painting, painted = threading.Event(), []

    def slow(atlas, drawn, phase, labels):
        painted.append(drawn.job.target)
        painting.set()
        time.sleep(0.4)
        return np.zeros(labels.shape, np.float32)

    monkeypatch.setattr(module, "image_slices", slow)
    with served(create_app(Session(atlas))) as address, ThreadPoolExecutor(1) as other:
        patient = other.submit(httpx.post, f"{address}api/images", json={"target": "DCM"}, timeout=30)
        painting.wait(20)
        with pytest.raises(httpx.TimeoutException):
            httpx.post(f"{address}api/images", json={"target": "HCM"}, timeout=0.1)
        assert len(patient.result().text.splitlines()) == 2
        assert httpx.post(f"{address}api/scene", json={"target": "DCM"}, timeout=30).status_code == 200
    assert set(painted) == {"DCM"}
