"""The one training loop: batches in a seeded order, reports, warnings, checkpoints, exact resume.

Nothing random is carried from step to step: the order of an epoch and the noise of a step are functions of the seed
and their number, so a resumed run needs no generator's state and gives the bytes an uninterrupted one gives. The next
batch is drawn and moved about in a second thread while the networks train on this one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from cardiomorph.allocator import keep_freed_memory, peak_memory_mb
from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import explained
from cardiomorph.progress import progress_bar
from cardiomorph.training.hardware import Hardware
from cardiomorph.training.run import RunFolder, cohort_fingerprint
from cardiomorph.training.watch import Watch, cohort_warnings

_log = logging.getLogger(__name__)

_HELDOUT = "heldout_"


class Task(Protocol):
    """What is being trained. ``modules`` and ``optimizers`` hold all of its state."""

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    @property
    def optimizers(self) -> Mapping[str, Optimizer]: ...

    @property
    def hardware(self) -> Hardware: ...

    @property
    def result(self) -> nn.Module:
        """The network that other commands load."""
        ...

    def plan(self) -> Plan: ...

    def batch(self, indices: NDArray[np.intp], rng: torch.Generator) -> Any:
        """This process's share of the slices ``indices`` and of a step's random numbers; reads no network."""
        ...

    def step(self, step: int, batch: Any) -> dict[str, Tensor]:
        """Trains on a batch; returns what to report, as scalars on the device."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Measures on held-out slices; empty where none are held out."""
        ...

    def histograms(self) -> Mapping[str, Tensor]:
        """What TensorBoard shows the distribution of."""
        ...

    def picture(self) -> NDArray[np.float32]:
        """A sheet of samples, (height, width) or (height, width, 3), in [0, 1]."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long to train and how often to do what, in steps."""

    n_items: int
    batch_size: int
    steps: int
    learning_rate_floor: float
    """Cosine decay from 1 to this share of the initial learning rate; 1 keeps it constant."""
    seed: int
    decay: float = 1.0
    """Factor on the learning rate an epoch, from ``decay_after`` on."""
    decay_after: int = 0
    report_every: int = 20
    evaluate_every: int = 200
    checkpoint_every: int = 200

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.n_items // self.batch_size)


class Epochs(Protocol):
    """What a training by epochs is set to."""

    @property
    def epochs(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def learning_rate_floor(self) -> float: ...

    @property
    def seed(self) -> int: ...


def epochs_plan(n_items: int, config: Epochs) -> Plan:
    """The plan of a training by epochs: a checkpoint after each, a measurement after every second one."""
    per_epoch = max(1, n_items // config.batch_size)
    return Plan(
        n_items=n_items,
        batch_size=config.batch_size,
        steps=config.epochs * per_epoch,
        learning_rate_floor=config.learning_rate_floor,
        seed=config.seed,
        evaluate_every=2 * per_epoch,
        checkpoint_every=per_epoch,
    )


def check_plan(plan: Plan, processes: int = 1) -> None:
    """Raises `CardiomorphError` where the slices do not fill one batch, or processes cannot share it evenly."""
    if plan.batch_size % processes:
        raise CardiomorphError(
            f"{processes} processes cannot share batches of {plan.batch_size} evenly",
            fix="Set a batch_size that they divide with --config",
        )
    if plan.n_items < plan.batch_size:
        raise CardiomorphError(
            f"{plan.n_items} training slices do not fill one batch of {plan.batch_size}",
            fix="Add subjects, or set a smaller batch_size with --config",
        )


def batches(plan: Plan, start: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """(step, slice indices) from step ``start`` on; each epoch is a permutation drawn from (seed, epoch)."""
    order: NDArray[np.intp] = np.empty(0, np.intp)
    epoch_of_order = -1
    for step in range(start, plan.steps):
        epoch, position = divmod(step, plan.steps_per_epoch)
        if epoch != epoch_of_order:
            order = np.random.default_rng([plan.seed, epoch]).permutation(plan.n_items)
            epoch_of_order = epoch
        yield step, order[position * plan.batch_size : (position + 1) * plan.batch_size]


def learning_rate_scale(plan: Plan, step: int) -> float:
    """Factor on the initial learning rate at a step."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / plan.steps))
    decay = plan.decay ** max(0, step // plan.steps_per_epoch - plan.decay_after)
    return decay * (plan.learning_rate_floor + (1.0 - plan.learning_rate_floor) * cosine)


def _set_learning_rate(optimizers: Mapping[str, Optimizer], scale: float) -> None:
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * scale


def _step_generator(plan: Plan, step: int) -> torch.Generator:
    seed = int(np.random.SeedSequence([plan.seed, 1, step]).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator().manual_seed(seed)


class _Averages:
    """Means of reported values since the last report."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        self.count += 1
        for key, value in values.items():
            self.sums[key] = self.sums[key] + value.detach() if key in self.sums else value.detach().clone()

    def take(self) -> dict[str, float]:
        means = {key: float(value) / self.count for key, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Every convolution's and linear layer's weights, for `Task.histograms`."""
    return {name: p.detach() for name, p in module.named_parameters() if p.ndim > 1}


def fit(
    kind: str, task: Task, config: BaseModel, cohort: Cohort, output: Path, *, resume: bool
) -> dict[str, float | int]:
    """Opens the run folder, trains, and writes what a finished run holds.

    Args:
        kind: "shape", "image" or "segmenter".
        config: what the task was made from; with the cohort and the precision it decides the outcome.

    Returns:
        What metrics.json holds: the task's held-out measures, steps, slices, seconds, largest resident memory.

    Raises:
        CardiomorphError: no whole batch; a run of other settings; a diverged training.
    """
    plan = task.plan()
    check_plan(plan, task.hardware.processes)
    settings = {
        "kind": kind,
        "config": config.model_dump() | {"precision": task.hardware.precision},
        "cohort": cohort_fingerprint(cohort),
    }
    run = RunFolder(output, settings, resume=resume, hardware=task.hardware)
    for sentence in cohort_warnings(cohort):
        run.warn(0, sentence)
    title = kind if kind == "segmenter" else f"{kind} model"
    seconds = train(run, task, plan, title)
    metrics = {**_measured(task), "steps": plan.steps, "slices": plan.n_items, "seconds": round(seconds, 1)}
    peak = peak_memory_mb()
    metrics |= {"peak_memory_mb": round(peak)} if peak else {}
    run.finish(kind, task.result, metrics, task.picture())
    if task.hardware.main:
        scores = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        _log.info(f"{title} in {output}: {scores}")
    task.hardware.wait()
    return metrics


def _prepared(task: Task, plan: Plan, start: int, pool: ThreadPoolExecutor) -> Iterator[tuple[int, Any]]:
    """(step, batch) from step ``start`` on, each batch made while the one before is trained on."""
    waiting = None
    for step, indices in batches(plan, start):
        coming = step, pool.submit(task.batch, indices, _step_generator(plan, step))
        if waiting is not None:
            yield waiting[0], waiting[1].result()
        waiting = coming
    if waiting is not None:
        yield waiting[0], waiting[1].result()


def train(run: RunFolder, task: Task, plan: Plan, title: str) -> float:
    """Trains to the plan's last step, from wherever the run folder stands.

    Returns:
        Seconds of training, those before a resume counted in.

    Raises:
        CardiomorphError: the loss is no longer finite.
    """
    for optimizer in task.optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
    keep_freed_memory()
    start, seconds = run.restore(task.modules, task.optimizers)
    main = task.hardware.main
    if start and main:
        _log.info(f"{title}: going on from step {start} of {plan.steps}")
    began = time.monotonic() - seconds
    averages, reported_at, reported_time = _Averages(), start, time.monotonic()
    watch, history = Watch(), run.history()
    scores: Mapping[str, float] = next((row for row in reversed(history) if _first(row, _HELDOUT)), {})
    with ExitStack() as stack:
        writer = stack.enter_context(_tensorboard(run.path / "tensorboard", start)) if main else None
        bar = stack.enter_context(progress_bar(shown=main))
        # One thread of its own for drawing: it must not take the cores that the networks train on.
        pool = stack.enter_context(ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)))
        line = bar.add_task(title, total=plan.steps, completed=start, note="")
        for step, batch in _prepared(task, plan, start, pool):
            _set_learning_rate(task.optimizers, learning_rate_scale(plan, step))
            averages.add(task.step(step, batch))
            done = step + 1
            last = done == plan.steps
            saving = done % plan.checkpoint_every == 0 or last
            evaluating = done % plan.evaluate_every == 0 or last
            # A checkpoint is finite, and no average reaches across it: a resumed run reports the same.
            if done % plan.report_every == 0 or saving:
                values = task.hardware.mean(averages.take())
                _check_finite(values, done, run)
                rate = (done - reported_at) * plan.batch_size / (time.monotonic() - reported_time)
                reported_at, reported_time = done, time.monotonic()
                _report(run, writer, done, values)
                history.append(values)
                for sentence in watch.news(history):
                    run.warn(done, sentence)
                bar.update(line, completed=done, note=_note(values, scores, rate))
            if saving or evaluating:
                task.hardware.average_buffers(task.modules.values())
            if evaluating and writer is not None:
                scores = _measure(run, writer, task, done)
            if saving:
                run.save(task.modules, task.optimizers, done, time.monotonic() - began)
                task.hardware.wait()
    return time.monotonic() - began


def _measured(task: Task) -> dict[str, float]:
    """What was measured on held-out slices; what cannot be had of these is left out."""
    return {key: value for key, value in task.evaluate().items() if math.isfinite(value)}


@contextmanager
def _tensorboard(folder: Path, start: int) -> Iterator[SummaryWriter]:
    """What TensorBoard shows of a run. Its thread that writes tells of a failed write at the next one, in silence."""
    before, threading.excepthook = threading.excepthook, _silent_in_tensorboard
    try:
        with explained(folder):
            writer = SummaryWriter(str(folder), purge_step=start)
        try:
            yield writer
        finally:
            with explained(folder):
                writer.close()
    finally:
        threading.excepthook = before


def _silent_in_tensorboard(told: threading.ExceptHookArgs) -> None:
    if not (isinstance(told.exc_value, OSError) and type(told.thread).__module__.startswith("tensorboard.")):
        threading.__excepthook__(told)


def _measure(run: RunFolder, writer: SummaryWriter, task: Task, step: int) -> dict[str, float]:
    scores = {f"{_HELDOUT}{key}": value for key, value in _measured(task).items()}
    _report(run, writer, step, scores)
    sheet, histograms = task.picture(), task.histograms()
    with explained(run.path / "tensorboard"):
        writer.add_image("samples", sheet, step, dataformats="HW" if sheet.ndim == 2 else "HWC")
        for name, values in histograms.items():
            writer.add_histogram(name, values, step)
    return scores


def _report(run: RunFolder, writer: SummaryWriter | None, step: int, values: Mapping[str, float]) -> None:
    if values and writer is not None:
        run.report(step, values)
        with explained(run.path / "tensorboard"):
            for key, value in values.items():
                writer.add_scalar(key, value, step)


def _first(values: Mapping[str, float], prefix: str = "") -> str:
    """The first of the values whose name begins so, in words; nothing where there is none."""
    found = (f"{key.removeprefix(prefix)} {value:.4g}" for key, value in values.items() if key.startswith(prefix))
    return next(found, "")


def _note(values: Mapping[str, float], scores: Mapping[str, float], rate: float) -> str:
    """Loss, held-out measure and speed, short enough for 80 columns."""
    return "  ".join(filter(None, [_first(values), _first(scores, _HELDOUT), f"{rate:.0f} slices/s"]))


def _check_finite(values: Mapping[str, float], step: int, run: RunFolder) -> None:
    for key, value in values.items():
        if not math.isfinite(value):
            raise CardiomorphError(
                f"the training diverged: {key} is {value} at step {step}",
                where=run.path,
                fix="Lower learning_rate with --config; --resume goes back to the last checkpoint",
            )
