"""Trains one network of a study: real and synthetic hearts in balanced batches, the same steps in every arm.

A few real hearts among thousands of synthetic slices would hardly be seen: so a batch has fixed shares of both,
whatever there is of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from cardiomorph.training.hardware import Hardware
from cardiomorph.training.loop import Plan as Schedule
from cardiomorph.training.loop import train, weights
from cardiomorph.training.pictures import label_sheet
from cardiomorph.training.run import RunFolder
from cardiomorph.utility.augmentation import Augmentation
from cardiomorph.utility.network import SupervisedLoss, logits_of, made
from cardiomorph.utility.plan import Planned
from cardiomorph.utility.settings import NetworkSettings

_WIDER = 1.3
"""Patches are cut so much larger than the network sees, and changed before they are cut to size: no empty corners."""
_JITTER = 0.15
_SHOWN = 8


@dataclass(frozen=True)
class Pool:
    """Hearts that a part of a batch is drawn from.

    Attributes:
        hearts: stacks by group.
        balanced: draw groups as often as each other, whatever there is of each.
    """

    hearts: Mapping[str, Sequence[Planned]]
    balanced: bool = False

    @property
    def count(self) -> int:
        return len(self.everyone)

    @cached_property
    def everyone(self) -> list[Planned]:
        """All stacks, group by group."""
        return [stack for group in sorted(self.hearts) for stack in self.hearts[group]]

    def drawn(self, rng: np.random.Generator) -> Planned:
        from_whom: Sequence[Planned] = self.everyone
        if self.balanced:
            from_whom = self.hearts[sorted(self.hearts)[int(rng.integers(len(self.hearts)))]]
        return from_whom[int(rng.integers(len(from_whom)))]


class UtilityTask:
    """A network with its optimiser and the pools that its batches are drawn from.

    Args:
        share: of a batch that is synthetic.
    """

    def __init__(
        self, settings: NetworkSettings, real: Pool, synthetic: Pool, share: float, seed: int, hardware: Hardware
    ) -> None:
        self.settings, self.pools, self.share, self.seed = settings, (real, synthetic), share, seed
        self.hardware = hardware
        self.model = made(settings, seed).to(hardware.device)
        self.loss = SupervisedLoss()
        self.augmentation = Augmentation(settings.augmentation, settings.dimensions)
        # DynUNet registers its blocks twice; a file of weights holds each once.
        self.modules: dict[str, nn.Module] = {"model": nn.ParameterList(self.model.parameters())}
        adam = torch.optim.AdamW(self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimizers: dict[str, Optimizer] = {"adam": adam}

    @property
    def result(self) -> nn.Module:
        return self.model

    def plan(self) -> Schedule:
        settings = self.settings
        return Schedule(
            n_items=max(settings.batch_size, sum(pool.count for pool in self.pools)),
            batch_size=settings.batch_size,
            steps=settings.steps,
            learning_rate_floor=settings.learning_rate_floor,
            seed=self.seed,
            evaluate_every=settings.steps,
            checkpoint_every=max(1, min(100, settings.steps)),
        )

    def batch(self, indices: NDArray[np.intp], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Patches and labels. Which hearts is drawn anew in every step: a pool has no epochs of its own."""
        (seed,) = torch.randint(2**62, (1,), generator=rng).tolist()
        drawing = np.random.default_rng(seed)
        wanted = self.share * len(indices)
        synthetic = int(wanted) + int(drawing.random() < wanted - int(wanted))
        drawn = []
        for position in range(len(indices)):
            stack = self.pools[position < synthetic].drawn(drawing)
            image, label = patch_of(stack, self.settings, drawing)
            drawn.append(self._changed(image, label, int(drawing.integers(2**32))))
        images, labels = (torch.stack(parts).to(self.hardware.device) for parts in zip(*drawn, strict=True))
        return images, labels

    def _changed(self, image: NDArray[np.float32], label: NDArray[np.uint8], seed: int) -> tuple[Tensor, Tensor]:
        changed, labels = self.augmentation(image, label, seed)
        side = self.settings.patch_px
        start = [(size - side) // 2 for size in labels.shape[:2]]
        cut = (slice(start[0], start[0] + side), slice(start[1], start[1] + side))
        return changed[(slice(None), *cut)], labels[cut]

    def step(self, step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        images, labels = batch
        self.model.train()
        with self.hardware.autocast():
            logits = self.model(images).float()
        loss = self.loss(logits, labels)
        self.hardware.descend(self.optimizers["adam"], loss)
        return {"loss": loss}

    def evaluate(self) -> dict[str, float]:
        """Nothing: a study's networks are measured on its test patients, once, when they are trained."""
        return {}

    def histograms(self) -> dict[str, Tensor]:
        return weights(self.model)

    def picture(self) -> NDArray[Any]:
        pool = self.pools[0] if self.pools[0].count else self.pools[1]
        stack = pool.drawn(np.random.default_rng(self.seed))
        chosen = np.linspace(0, len(stack.image) - 1, min(_SHOWN, len(stack.image))).astype(int)
        images = torch.from_numpy(stack.image)
        found = logits_of(self.model, images, self.settings, self.hardware.device)
        labels = found.argmax(dim=1).to(torch.uint8).numpy()
        return label_sheet([stack.label[chosen], labels[chosen]])


def patch_of(
    stack: Planned, settings: NetworkSettings, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A patch a little larger than the network sees, (side, side) or (side, side, slices); zeros beyond the field."""
    side = int(settings.patch_px * _WIDER)
    shape = stack.label.shape[1:]
    about = rng.random() < settings.on_heart and stack.hearts.any()
    if about:
        centre = np.array(stack.centre_px) + rng.normal(0, _JITTER * settings.patch_px, 2)
    else:
        centre = rng.random(2) * shape
    start = np.round(centre - side / 2).astype(int)
    if settings.dimensions == 2:
        index = rng.choice(np.flatnonzero(stack.hearts)) if about else rng.integers(len(stack.image))
        window = [(int(index), int(index) + 1)]
    else:
        spare = len(stack.image) - settings.patch_slices
        first = int(rng.integers(spare + 1)) if spare > 0 else spare // 2
        window = [(first, first + settings.patch_slices)]
    window += [(int(s), int(s) + side) for s in start]
    image, label = (_cut(array, window) for array in (stack.image, stack.label))
    if settings.dimensions == 2:
        return image[0], label[0]
    return np.moveaxis(image, 0, -1), np.moveaxis(label, 0, -1)


def _cut(array: NDArray[Any], window: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """A part of an array that may reach beyond it; zeros there."""
    result = np.zeros([stop - start for start, stop in window], array.dtype)
    inside = [(max(0, a), min(n, b)) for (a, b), n in zip(window, array.shape, strict=True)]
    if all(a < b for a, b in inside):
        to = tuple(slice(a - w[0], b - w[0]) for (a, b), w in zip(inside, window, strict=True))
        result[to] = array[tuple(slice(a, b) for a, b in inside)]
    return result


def trained(
    task: UtilityTask, folder: Path, settings: Mapping[str, Any], start_from: nn.Module | None = None
) -> tuple[nn.Module, float]:
    """Trains in a run folder, from wherever it stands.

    Args:
        settings: everything that decides the outcome.
        start_from: a trained network whose weights this one begins with.

    Returns:
        The network, and the seconds that it took.
    """
    if start_from is not None:
        task.model.load_state_dict(start_from.state_dict())
    run = RunFolder(folder, settings, resume=(folder / "run.json").exists(), hardware=task.hardware)
    seconds = train(run, task, task.plan(), folder.name)
    return task.model, seconds
