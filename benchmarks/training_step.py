"""Time of one training step of the image model, ours against the plain implementation, in one run on the same work.

Three ways: plain (dense SPADE, NCHW, float32), ours in float32, ours in bfloat16 where the hardware has it. First the
gradients of plain and ours are compared, then all are timed in turns, so that a busy machine slows them all.

    python benchmarks/training_step.py COHORT
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from plain import as_plain, paint
from results import keep

from cardiomorph.allocator import keep_freed_memory
from cardiomorph.data.cohort import Cohort
from cardiomorph.training.hardware import Hardware, has_bfloat16
from cardiomorph.training.image import IMAGE_PRESETS, Batch, ImageTask
from cardiomorph.training.loop import batches

ROUNDS, STEPS = 4, 3


class PlainTask(ImageTask):
    """The same training on the plain generator."""

    def __init__(self, cohort: Cohort, config) -> None:
        super().__init__(config, cohort, Hardware())
        for module in (self.model, self.judge):
            as_plain(module)
        self.model.paint = lambda style, one_hot, noise: paint(self.model.generator, style, one_hot, noise)

    def batch(self, indices, rng) -> Batch:
        made = super().batch(indices, rng)
        plain = [x.contiguous() for x in (made.one_hot, made.image, made.style)]
        return Batch(plain[0], *plain, made.noise)


def main(cohort: Path) -> None:
    source, config = Cohort(cohort), IMAGE_PRESETS["small"]
    print(f"{torch.get_num_threads()} threads, batch {config.batch_size}")
    tasks = {"plain": PlainTask(source, config), "float32": ImageTask(config, source, Hardware())}
    difference = gradient_difference(tasks)
    print(f"relative difference of the gradients, plain and ours in float32: {difference:.1e}")
    keep("training.image_gradient_difference", difference)
    if has_bfloat16("cpu"):
        tasks["bfloat16"] = ImageTask(config, source, Hardware(precision="bfloat16"))
    # The plain way is timed before the allocator is told anything.
    seconds = {"plain": timed(tasks.pop("plain"), ROUNDS)}
    keep_freed_memory()
    for _ in range(2):
        for name, task in tasks.items():
            seconds[name] = min(seconds.get(name, 9e9), timed(task, ROUNDS))
    for name, value in seconds.items():
        print(f"{name:9} {value:.3f} s a step, {seconds['plain'] / value:.1f} times as fast as plain")
    best = min(v for k, v in seconds.items() if k != "plain")
    keep("training.image_step_speedup", seconds["plain"] / best)
    keep("training.image_step_seconds", best)


def drawn(task: ImageTask, step: int):
    (_, indices), *_ = batches(task.plan(), step)
    return task.batch(indices, torch.Generator().manual_seed(step))


def gradient_difference(tasks: dict[str, ImageTask]) -> float:
    """Length of the difference by the gradient's own, over all weights of encoder and generator, for one batch."""
    gradients = {}
    for name, task in tasks.items():
        batch = drawn(task, 0)
        task.model.train()
        fake = task.model.paint(task.model.encode_style(batch.style), batch.label, batch.noise)
        (fake - batch.image).square().sum().backward()
        gradients[name] = [p.grad.clone() for p in task.model.parameters() if p.grad is not None]
        task.model.zero_grad(set_to_none=True)
    plain, ours = (torch.cat([g.flatten() for g in gradients[name]]) for name in ("plain", "float32"))
    return float((plain - ours).norm() / plain.norm())


def timed(task: ImageTask, rounds: int) -> float:
    """Seconds of the fastest of some rounds of three steps; batches are made beforehand, as in training."""
    batches_ = [drawn(task, step) for step in range(STEPS)]
    task.step(0, batches_[0])
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for step, batch in enumerate(batches_):
            task.step(step, batch)
        best = min(best, (time.perf_counter() - began) / STEPS)
    return best


if __name__ == "__main__":
    main(Path(sys.argv[1]))
