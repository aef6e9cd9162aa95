"""A run folder: what was asked, what happened, and everything needed to go on exactly.

``run.json`` (settings and environment), ``log.jsonl`` (one line a report), ``warnings.txt`` (what seemed to go wrong),
``tensorboard/``, ``checkpoint.safetensors`` (networks, optimisers and step in one file, so that a kill at any moment
leaves a whole one), ``model.safetensors`` with ``model.json`` (what other commands load), ``metrics.json``,
``curves.png``, ``samples.png``, ``README.md`` (the run's card).
"""

from __future__ import annotations

import json
import logging
import math
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import Optimizer

from cardiomorph.checks import check_same_classes
from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    claim,
    ensure_folder,
    explained,
    read_record,
    settle,
    validated,
    write_bytes,
    write_json,
    write_text,
)
from cardiomorph.files.arrays import blank_seal, sealed_bytes
from cardiomorph.models.checkpoint import read_tensors_and_facts, save_model, tensors_to_bytes
from cardiomorph.training.hardware import Hardware
from cardiomorph.training.pictures import write_curves, write_picture

_log = logging.getLogger(__name__)

_CHECKPOINT, _RUN = "checkpoint.safetensors", "run.json"


class _Run(BaseModel):
    """What run.json holds."""

    settings: dict[str, Any]
    environment: dict[str, Any]


def environment(hardware: Hardware) -> dict[str, Any]:
    """Versions and hardware that numbers may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if hardware.device.startswith("cuda") else hardware.device,
        "threads": torch.get_num_threads(),
        "processes": hardware.processes,
    }


class RunFolder:
    """Opens a new run, or an old one to resume. Of several processes only the first writes.

    Args:
        settings: everything that decides the outcome; a resumed run must have the same.

    Raises:
        CardiomorphError: the folder holds a run and ``resume`` is off; or it was started with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, resume: bool, hardware: Hardware) -> None:
        self.path, self.writes = Path(path), hardware.main
        if self.writes:
            self._open(json.loads(json.dumps(settings)), resume, hardware)
        hardware.wait()

    def _open(self, settings: dict[str, Any], resume: bool, hardware: Hardware) -> None:
        started = self.path / _RUN
        settle(self.path)
        if not started.exists():
            claim(self.path, _RUN)
            ensure_folder(self.path)
            write_json(started, {"settings": settings, "environment": environment(hardware)}, seal=True)
            return
        if not resume:
            raise CardiomorphError(
                "holds a run already", where=self.path, fix="Go on with --resume, or choose another folder"
            )
        before = validated(_Run, read_record(started), started).settings
        if before != settings:
            changed = sorted(k for k in before.keys() | settings.keys() if before.get(k) != settings.get(k))
            raise CardiomorphError(
                f"this run was started with other settings ({', '.join(changed)})",
                where=started,
                fix="Resume it with the same cohort and options, or choose another folder",
            )

    def save(
        self, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer], step: int, seconds: float
    ) -> None:
        """Writes the checkpoint of a step, replacing the one before."""
        if not self.writes:
            return
        tensors: dict[str, Tensor] = {}
        for name, module in modules.items():
            tensors |= {f"module/{name}/{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{name}/{index}/{key}": value for key, value in state.items()}
        content = tensors_to_bytes(tensors, blank_seal({"step": str(step), "seconds": repr(seconds)}))
        write_bytes(self.path / _CHECKPOINT, sealed_bytes(content))

    def restore(self, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> tuple[int, float]:
        """Loads the checkpoint if there is one. Returns the step reached and the seconds spent; 0 and 0 without.

        Raises:
            CardiomorphError: the file is damaged, or no checkpoint of these networks.
        """
        path = self.path / _CHECKPOINT
        if not path.exists():
            self._cut_log(0)
            return 0, 0.0
        tensors, facts = read_tensors_and_facts(path)
        try:
            step, seconds = int(facts["step"]), float(facts["seconds"])
            _put_back(tensors, modules, optimizers)
        except torch.OutOfMemoryError:
            raise
        except (KeyError, RuntimeError, ValueError) as error:
            raise CardiomorphError(
                f"is not a checkpoint of this run ({error})", where=path, fix="Delete it to begin the run anew"
            ) from error
        self._cut_log(step)
        return step, seconds

    def _cut_log(self, step: int) -> None:
        """Drops what was reported after the checkpoint: it will be done, and reported, again."""
        if not self.writes:
            return
        if step == 0:
            shutil.rmtree(self.path / "tensorboard", ignore_errors=True)
        reports, damaged = self._reports()
        kept = [report for report in reports if report["step"] <= step]
        write_text(self.path / "log.jsonl", "".join(json.dumps(report) + "\n" for report in kept))
        if damaged:
            self.warn(step, f"{damaged} damaged lines of log.jsonl were dropped: curves.png lacks them")

    def _reports(self) -> tuple[list[dict[str, float]], int]:
        """The reports of log.jsonl, and how many lines are none; the last may have been cut off by a kill."""
        path = self.path / "log.jsonl"
        with explained(path):
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        found = [_report_of(line) for line in lines]
        reports = [report for report in found if report is not None]
        cut_off = bool(lines) and not lines[-1].endswith(b"\n")
        return reports, len(lines) - len(reports) - cut_off

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """Appends one line to log.jsonl; what is not finite is left out."""
        if not self.writes:
            return
        path = self.path / "log.jsonl"
        finite = {key: round(float(value), 6) for key, value in values.items() if math.isfinite(value)}
        with explained(path), path.open("a") as stream:
            stream.write(json.dumps({"step": step, **finite}) + "\n")

    def warn(self, step: int, sentence: str) -> None:
        """Says what seems to go wrong, on the terminal and in warnings.txt; once a sentence."""
        path = self.path / "warnings.txt"
        before = path.read_text(errors="replace") if path.exists() else ""
        if not self.writes or sentence in before:
            return
        write_text(path, f"{before}step {step}: {sentence}\n")
        _log.warning(f"at step {step}: {sentence}")

    def history(self) -> list[dict[str, float]]:
        """All reports so far."""
        return self._reports()[0]

    def finish(self, kind: str, model: nn.Module, metrics: Mapping[str, Any], picture: NDArray[np.float32]) -> None:
        """Writes what a finished run shows and what other commands load: the model last."""
        if not self.writes:
            return
        write_json(self.path / "metrics.json", dict(metrics))
        write_picture(self.path / "samples.png", picture)
        write_curves(self.path / "curves.png", self.history())
        write_text(self.path / "README.md", self._card(kind, model, metrics))
        save_model(self.path, kind, model, settings=read_record(self.path / _RUN, "settings")["settings"])

    def _card(self, kind: str, model: nn.Module, metrics: Mapping[str, Any]) -> str:
        """The run in one page of Markdown: what, on what, how long, how good, what seemed wrong."""
        run = read_record(self.path / _RUN, "settings", "environment")
        warned = self.path / "warnings.txt"
        parameters = sum(p.numel() for p in model.parameters())
        lines = [
            f"# {kind if kind == 'segmenter' else kind + ' model'}, {parameters / 1e6:.2f} million parameters",
            "",
            f"Cohort {run['settings']['cohort']} (fingerprint of its subjects and their split).",
            "",
            "| | |",
            "|---|---|",
            *(f"| {key} | {value:.4g} |" for key, value in metrics.items()),
            *(f"| {key} | {value} |" for key, value in run["environment"].items()),
            "",
            "![curves](curves.png)",
            "",
            "![samples](samples.png)",
            "",
            "```json",
            json.dumps(run["settings"]["config"], indent=2),
            "```",
        ]
        if warned.exists():
            lines += ["", "Warnings:", "", *(f"- {line}" for line in warned.read_text(errors="replace").splitlines())]
        return "\n".join(lines) + "\n"


def _put_back(
    tensors: Mapping[str, Tensor], modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> None:
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, f"module/{name}/"))
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"optimizer/{name}/").items():
            index, _, field = key.partition("/")
            state.setdefault(int(index), {})[field] = value
        whole = optimizer.state_dict()
        optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _report_of(line: bytes) -> dict[str, float] | None:
    """A line of log.jsonl; None for one that is damaged, or was being written when the run was killed."""
    try:
        report = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not line.endswith(b"\n") or not isinstance(report, dict) or not isinstance(report.get("step"), int):
        return None
    numbers = (isinstance(value, int | float) and math.isfinite(value) for value in report.values())
    return report if all(numbers) else None


def check_slices(cohort: Cohort, size: int, classes: Sequence[str]) -> None:
    """Raises `CardiomorphError` where the cohort's slices are not of the model's size or have other classes."""
    if cohort.config.size != size:
        raise CardiomorphError(
            f"its slices have {cohort.config.size} pixels a side, the model {size}",
            where=cohort.folder,
            fix="Set the model's size with --config, or prepare the cohort with that size",
        )
    check_same_classes(cohort.classes, "the cohort", classes, "the model", cohort.folder)


def cohort_fingerprint(cohort: Cohort) -> str:
    """What ties a run to its cohort, first 16 digits: every subject's bytes, group and split."""
    return cohort.identity[:16]
