"""Devices, precision, and several processes sharing a training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from line import PLAN, Line

from cardiomorph.errors import CardiomorphError
from cardiomorph.models.checkpoint import load_image_model, load_shape_model
from cardiomorph.training.hardware import Hardware, has_bfloat16, this_process
from cardiomorph.training.loop import check_plan, train
from cardiomorph.training.run import RunFolder

HERE = Path(__file__).parent


@given(st.integers(1, 8), st.integers(1, 8))
def test_the_shares_of_all_processes_are_the_batch(processes, each):
    batch = list(range(processes * each))
    shares = [batch[Hardware(rank=rank, processes=processes).share(len(batch))] for rank in range(processes)]
    assert [item for share in shares for item in share] == batch
    assert {len(share) for share in shares} == {each}


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(CardiomorphError, match="3 processes cannot share batches of 4 evenly"):
        check_plan(PLAN, processes=3)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(CardiomorphError, match="the device 'nonsense' cannot be used here"):
        this_process("nonsense")


def test_auto_takes_bfloat16_only_where_the_hardware_has_it(monkeypatch):
    for there in (True, False):
        monkeypatch.setattr("cardiomorph.training.hardware.has_bfloat16", lambda device, there=there: there)
        assert this_process("cpu", "auto").precision == ("bfloat16" if there else "float32")
        assert this_process("cpu", "float32").precision == "float32"
    with pytest.raises(CardiomorphError, match="no bfloat16 in hardware"):
        this_process("cpu", "bfloat16")


def test_bfloat16_is_what_the_processor_says():
    flags = Path("/proc/cpuinfo")
    if not flags.exists() or "flags" not in flags.read_text():
        pytest.skip("no list of processor features here")
    words = set(flags.read_text().split())
    assert has_bfloat16("cpu") == bool(words & {"avx512_bf16", "amx_bf16"})


def test_autocast_computes_in_the_chosen_precision():
    layer, x = torch.nn.Linear(4, 4), torch.ones(2, 4)
    for precision in ("float32", "bfloat16"):
        with Hardware(precision=precision).autocast():
            assert layer(x).dtype == getattr(torch, precision)


@pytest.fixture(scope="module")
def shared(cohort, tmp_path_factory):
    """Trainings that two processes shared."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    arguments = [str(HERE / "two_processes.py"), str(cohort.folder), str(folder)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_two_processes_do_what_one_does(shared, tmp_path):
    alone = Line()
    train(RunFolder(tmp_path / "line", {}, resume=False, hardware=Hardware()), alone, PLAN, "line")

    def logged(folder):
        return [json.loads(line) for line in (folder / "line" / "log.jsonl").read_text().splitlines()]

    ours, theirs = logged(shared), logged(tmp_path)
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert json.loads((shared / "line" / "run.json").read_text())["environment"]["processes"] == 2


def test_two_processes_write_one_model(shared):
    assert load_shape_model(shared / "shape").config.width == 2
    metrics = json.loads((shared / "shape" / "metrics.json").read_text())
    steps = [json.loads(line)["step"] for line in (shared / "shape" / "log.jsonl").read_text().splitlines()]
    assert max(steps) == metrics["steps"]
    assert load_image_model(shared / "image").config.width == 2


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_RANK"])
def test_a_launchers_variable_that_is_no_number_is_one_error(name, monkeypatch):
    monkeypatch.setenv(name, "x")
    with pytest.raises(CardiomorphError, match=f"the environment variable {name} is 'x'"):
        this_process("cpu")
