"""Time of one training step of each model, ours against the plain implementation, in one run on the same work.

Three ways: plain (NCHW, float32; the image model with dense SPADE), ours in float32, ours in bfloat16 where the
hardware has it. Gradients are compared with plain's, too.

    python benchmarks/training_step.py COHORT
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from plain import as_plain, paint
from results import keep
from torch import Tensor, nn

from cardiomorph.allocator import keep_freed_memory
from cardiomorph.data.cohort import Cohort
from cardiomorph.models.label_vae import one_hot, vae_loss
from cardiomorph.training.hardware import Hardware, has_bfloat16
from cardiomorph.training.image import IMAGE_PRESETS, Batch, ImageTask
from cardiomorph.training.loop import batches
from cardiomorph.training.shape import SHAPE_PRESETS, ShapeTask

ROUNDS, STEPS = 4, 3
Task = ImageTask | ShapeTask


class PlainImageTask(ImageTask):
    """The same training on the plain generator."""

    def __init__(self, config, cohort: Cohort, hardware: Hardware) -> None:
        super().__init__(config, cohort, hardware)
        for module in (self.model, self.judge):
            as_plain(module)
        self.model.paint = lambda style, one_hot, noise: paint(self.model.generator, style, one_hot, noise)

    def batch(self, indices, rng) -> Batch:
        made = super().batch(indices, rng)
        plain = [x.contiguous() for x in (made.one_hot, made.image, made.style)]
        return Batch(plain[0], *plain, made.noise)


class PlainShapeTask(ShapeTask):
    """The same training in plain memory."""

    def __init__(self, config, cohort: Cohort, hardware: Hardware) -> None:
        super().__init__(config, cohort, hardware)
        as_plain(self.model)


def main(cohort: Path) -> None:
    source = Cohort(cohort)
    # The plain ways are timed before the allocator is told anything.
    plain = {
        "image": PlainImageTask(IMAGE_PRESETS["small"], source, Hardware()),
        "shape": PlainShapeTask(SHAPE_PRESETS["small"], source, Hardware()),
    }
    seconds = {kind: timed(task) for kind, task in plain.items()}
    keep_freed_memory()
    for kind, task in plain.items():
        made = ImageTask if kind == "image" else ShapeTask
        ours: dict[str, Task] = {"float32": made(task.config, source, Hardware())}
        if has_bfloat16("cpu"):
            ours["bfloat16"] = made(task.config, source, Hardware(precision="bfloat16"))
        compare(kind, seconds[kind], task, ours)


def compare(kind: str, plain_seconds: float, plain: Task, ours: dict[str, Task]) -> None:
    """Prints and keeps gradients and times of one model's ways."""
    print(f"{kind} model: {torch.get_num_threads()} threads, batch {plain.config.batch_size}")
    wanted = gradient(plain)
    for name, task in ours.items():
        difference = float((gradient(task) - wanted).norm() / wanted.norm())
        keep(f"training.{kind}_gradient_difference_{name}", difference)
        print(f"  gradients in {name}: relative difference to plain {difference:.1e}")
    seconds: dict[str, float] = {}
    for _ in range(2):
        for name, task in ours.items():
            seconds[name] = min(seconds.get(name, 9e9), timed(task))
    for name, value in seconds.items():
        keep(f"training.{kind}_step_speedup_{name}", plain_seconds / value)
        keep(f"training.{kind}_step_seconds_{name}", value)
        print(f"  {name}: {value:.3f} s a step, plain {plain_seconds:.3f} s: {plain_seconds / value:.1f} times as fast")


def drawn(task: Task, step: int):
    (_, indices), *_ = batches(task.plan(), step)
    return task.batch(indices, torch.Generator().manual_seed(step))


def gradient(task: Task) -> Tensor:
    """The gradient of all weights for one batch: of the squared error of images, of the shape model's own loss."""
    batch, model = drawn(task, 0), task.model
    model.train()
    model.zero_grad(set_to_none=True)
    with task.hardware.autocast():
        if isinstance(task, ImageTask):
            fake = model.paint(model.encode_style(batch.style), batch.label, batch.noise)
        else:
            posterior = model.encode(one_hot(batch[0]))
            logits = model.decode(posterior.sample(batch[1]))
    if isinstance(task, ImageTask):
        loss = (fake.float() - batch.image).square().sum()
    else:
        loss = vae_loss(logits.float(), batch[0], posterior, task.config.beta).total
    loss.backward()
    return _taken(model)


def _taken(model: nn.Module) -> Tensor:
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad(set_to_none=True)
    return found


def timed(task: Task) -> float:
    """Seconds a step of the fastest of some rounds of three steps; batches are made beforehand, as in training."""
    given = [drawn(task, step) for step in range(STEPS)]
    # Weights stay as they were made: gradients are compared after this.
    kept = {name: {k: v.clone() for k, v in module.state_dict().items()} for name, module in task.modules.items()}
    task.step(0, given[0])
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for step, batch in enumerate(given):
            task.step(step, batch)
        best = min(best, (time.perf_counter() - began) / STEPS)
    for name, module in task.modules.items():
        module.load_state_dict(kept[name])
    return best


if __name__ == "__main__":
    main(Path(sys.argv[1]))
