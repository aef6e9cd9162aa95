from __future__ import annotations

import errno
import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from line import PLAN, Line

from cardiomorph.errors import CardiomorphError
from cardiomorph.training.hardware import Hardware
from cardiomorph.training.loop import Plan, batches, check_plan, learning_rate_scale, train
from cardiomorph.training.run import RunFolder

plans = st.builds(
    Plan,
    n_items=st.integers(8, 40),
    batch_size=st.integers(1, 8),
    steps=st.integers(1, 60),
    learning_rate_floor=st.floats(0.01, 1),
    seed=st.integers(0, 2**31),
)


def run_at(path, resume=False, settings=None):
    return RunFolder(path, settings or {"a": 1}, resume=resume, hardware=Hardware())


@given(plans)
def test_every_epoch_is_a_permutation(plan):
    drawn = [indices for _, indices in batches(plan, 0)]
    assert len(drawn) == plan.steps
    assert {len(indices) for indices in drawn} == {plan.batch_size}
    for start in range(0, plan.steps, plan.steps_per_epoch):
        epoch = np.concatenate(drawn[start : start + plan.steps_per_epoch])
        assert len(set(epoch.tolist())) == len(epoch)
        assert set(epoch.tolist()) <= set(range(plan.n_items))


@given(plans, st.data())
def test_resuming_continues_the_same_sequence(plan, data):
    start = data.draw(st.integers(0, plan.steps))
    whole = itertools.islice(batches(plan, 0), start, None)
    for (step, ours), (same, theirs) in zip(batches(plan, start), whole, strict=True):
        assert step == same
        np.testing.assert_array_equal(ours, theirs)


def test_epochs_and_seeds_differ():
    plan = Plan(40, 40, 2, 1.0, seed=0)
    first, second = (indices.tolist() for _, indices in batches(plan, 0))
    assert first != second
    other = next(batches(Plan(40, 40, 2, 1.0, seed=1), 0))[1].tolist()
    assert first != other


@given(plans)
def test_the_learning_rate_falls_from_one_to_its_floor(plan):
    scales = [learning_rate_scale(plan, step) for step in range(plan.steps + 1)]
    assert scales[0] == pytest.approx(1)
    assert scales[-1] == pytest.approx(plan.learning_rate_floor)
    assert scales == sorted(scales, reverse=True)


def test_a_run_learns_and_reports(tmp_path):
    task = Line()
    seconds = train(run_at(tmp_path), task, PLAN, "line")
    assert seconds > 0
    assert [step for step, _ in task.seen] == list(range(30))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert [line["step"] for line in lines if "heldout_weight" in line] == [6, 12, 18, 24, 30]
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("killed_at", [2, 5, 13, 29])
def test_a_killed_run_resumed_is_the_run_that_was_not(killed_at, tmp_path, monkeypatch):
    whole = Line()
    train(run_at(tmp_path / "whole"), whole, PLAN, "line")
    step = Line.step

    def killed(self, number, batch):
        if number == killed_at:
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(Line, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(run_at(tmp_path / "cut"), Line(), PLAN, "line")
    monkeypatch.undo()
    resumed = Line()
    train(run_at(tmp_path / "cut", resume=True), resumed, PLAN, "line")
    assert resumed.seen[0][0] == killed_at // 5 * 5
    assert torch.equal(resumed.model.weight, whole.model.weight)
    assert (tmp_path / "cut" / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


def test_a_line_that_was_being_written_is_dropped(tmp_path):
    train(run_at(tmp_path), Line(), PLAN, "line")
    log = tmp_path / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"step": 3')
    train(run_at(tmp_path, resume=True), Line(), PLAN, "line")
    assert log.read_bytes() == whole


@pytest.mark.parametrize("bad", [0, 7, 10, 14])
def test_a_diverging_loss_is_an_error_and_never_a_checkpoint(bad, tmp_path):
    with pytest.raises(CardiomorphError, match=r"the training diverged: loss is nan at step \d+.*learning_rate"):
        train(run_at(tmp_path), Line(bad), PLAN, "line")
    task = Line()
    start, _ = run_at(tmp_path, resume=True).restore(task.modules, task.optimizers)
    assert start == bad // 5 * 5
    assert torch.isfinite(task.model.weight).all()


def test_too_few_slices_for_a_batch_is_an_error():
    with pytest.raises(CardiomorphError, match="3 training slices do not fill one batch of 4"):
        check_plan(Plan(3, 4, 1, 1.0, 0))


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, no_space):
    task, run = Line(), run_at(tmp_path)
    run.save(task.modules, task.optimizers, 5, 1.0)
    no_space()
    with pytest.raises(CardiomorphError, match=r"checkpoint.safetensors: cannot be written \(No space left"):
        run.save(task.modules, task.optimizers, 10, 2.0)
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


def test_a_damaged_checkpoint_is_an_error(tmp_path):
    run = run_at(tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"hello")
    with pytest.raises(CardiomorphError, match=r"checkpoint.safetensors: is not a readable safetensors"):
        train(run, Line(), PLAN, "line")


def test_a_full_disk_at_a_report_is_an_error(tmp_path, monkeypatch):
    run = run_at(tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(CardiomorphError, match=r"log.jsonl: cannot be written \(No space left"):
        run.report(1, {"loss": 1.0})


def test_a_flipped_bit_in_a_checkpoint_never_trains_another_model(tmp_path):
    task, run = Line(), run_at(tmp_path)
    run.save(task.modules, task.optimizers, 5, 1.0)
    path = tmp_path / "checkpoint.safetensors"
    content = path.read_bytes()
    name = content.index(b"file_sha256")
    for place in np.linspace(0, len(content) - 1, 25).astype(int).tolist():
        if name <= place < name + len(b"file_sha256"):
            continue  # the name of the digest, on which nothing depends
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        with pytest.raises(CardiomorphError, match=r"checkpoint\.safetensors: "):
            run_at(tmp_path, resume=True).restore(task.modules, task.optimizers)
    path.write_bytes(content)
    assert run_at(tmp_path, resume=True).restore(task.modules, task.optimizers) == (5, 1.0)


def test_a_flipped_bit_in_the_settings_is_seen(tmp_path):
    run_at(tmp_path, settings={"a": 1})
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"a": 1', '"a": 3'))
    with pytest.raises(CardiomorphError, match=r"run\.json: its content is not what its digest says"):
        run_at(tmp_path, resume=True, settings={"a": 3})


@pytest.mark.parametrize(
    "line", [b"\xff", b"[]", b'"x"', b'{"step": "x"}', b'{"step": 1e999}', b'{"loss": 1}', b"[" * 9000]
)
def test_a_damaged_line_of_the_log_is_dropped_and_said(line, tmp_path):
    train(run_at(tmp_path), Line(), PLAN, "line")
    log = tmp_path / "log.jsonl"
    whole = log.read_bytes()
    first, rest = whole.split(b"\n", 1)
    log.write_bytes(first + b"\n" + line + b"\n" + rest)
    train(run_at(tmp_path, resume=True), Line(), PLAN, "line")
    assert log.read_bytes() == whole
    assert "1 damaged lines of log.jsonl were dropped" in (tmp_path / "warnings.txt").read_text()


def test_what_is_not_finite_is_not_reported(tmp_path):
    run = run_at(tmp_path)
    run.report(1, {"dice": math.nan, "l1": 0.5})
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1, "l1": 0.5}\n'


def test_a_run_goes_on_after_a_kill_while_its_first_file_was_moved(tmp_path):
    from cardiomorph.files.leftovers import beside

    left = beside(tmp_path / "run.json", "new")
    left.with_name(left.name.replace(f"-{os.getpid()}-", "-4194304-")).write_text("half")
    run_at(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_run_in_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CardiomorphError, match="is not empty"):
        run_at(tmp_path)


def test_a_full_disk_below_tensorboard_is_one_error(tmp_path, monkeypatch, capfd):
    from tensorboard.summary.writer.record_writer import RecordWriter

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(CardiomorphError, match=r"tensorboard: cannot be written \(No space left"):
        train(run_at(tmp_path), Line(), PLAN, "line")
    assert "Exception in thread" not in capfd.readouterr().err
