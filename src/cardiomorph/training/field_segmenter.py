"""Trains the segmenter of whole fields of view: what `cardiomorph segment` labels scans with.

A part of the cohort's training patients is set aside (``calibration``): nobody trains on them, and on them it is
measured how well the segmenter knows its own mistakes. The held-out patients stay unseen for the final figures.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from cardiomorph.checks import MAX_SEED
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.fields import FieldStack, phantom_fields, read_fields
from cardiomorph.data.splits import split_subjects
from cardiomorph.models.field_segmenter import FieldSegmenter, FieldSegmenterConfig
from cardiomorph.training.configuration import configured
from cardiomorph.training.field_augmentation import FieldAugmentationConfig, draw_patch
from cardiomorph.training.hardware import Hardware, Precision, this_process
from cardiomorph.training.loop import Plan, epochs_plan, fit, weights
from cardiomorph.training.pictures import label_sheet
from cardiomorph.training.segmenter import soft_dice_loss
from cardiomorph.training.shape import pooled_dice

_SHOWN = 12


class FieldSegmenterTrainingConfig(BaseModel):
    """A segmenter of fields of view and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: FieldSegmenterConfig = FieldSegmenterConfig()
    patch_px: int = Field(128, ge=32, le=4096, multiple_of=16, description="side of the patches that it is trained on")
    epochs: int = Field(120, ge=1, le=10**9)
    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(2e-3, gt=0, le=100)
    learning_rate_floor: float = Field(0.01, gt=0, le=1)
    weight_decay: float = Field(1e-4, ge=0, le=1)
    averaging: float = Field(0.998, ge=0, lt=1, description="what the averaged weights keep of themselves in a step")
    calibration: float = Field(0.125, ge=0, lt=1, description="share of each group's training patients set aside")
    phantoms: int = Field(2, ge=0, le=1000, description="phantom hearts in whole chests, of each group")
    augmentation: FieldAugmentationConfig = FieldAugmentationConfig()
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, le=MAX_SEED)


FIELD_SEGMENTER_PRESETS: dict[str, FieldSegmenterTrainingConfig] = {
    "tiny": FieldSegmenterTrainingConfig(
        model=FieldSegmenterConfig(widths=(6, 8, 12, 16, 16)), patch_px=64, epochs=2, phantoms=0
    ),
    "small": FieldSegmenterTrainingConfig(),
    "base": FieldSegmenterTrainingConfig(model=FieldSegmenterConfig(widths=(32, 64, 128, 256, 320)), epochs=300),
}


def set_aside(cohort: Cohort, share: float, seed: int) -> list[str]:
    """The training patients on whom the segmenter's own judgement is measured, twins together."""
    groups = {row["subject"]: row["group"] for row in cohort.rows if row["split"] == "train"}
    twins = [members for members in cohort.settings.get("same_heart", []) if set(members) <= set(groups)]
    split = split_subjects(groups, twins, share, seed)
    return [name for name in sorted(groups) if split[name] == "heldout"]


class FieldSegmenterTask:
    """The segmenter, its running average, its optimiser and slices."""

    def __init__(
        self, config: FieldSegmenterTrainingConfig, cohort: Cohort, scans: Path, hardware: Hardware | None = None
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.hardware = config, hardware or Hardware()
        self.device = self.hardware.device
        self.model = FieldSegmenter(config.model).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = deepcopy(self.model).requires_grad_(False)
        aside = set_aside(cohort, config.calibration, config.seed)
        mine = [name for name in cohort.ids("train") if name not in aside]
        read = read_fields(scans, [*mine, *aside])
        stacks = [stack for name in mine for stack in read[name]]
        stacks += phantom_fields(config.phantoms, config.seed)
        self.slices = [(stack, plane) for stack in stacks for plane in range(len(stack.label))]
        self.shown = self._central([stack for name in aside for stack in read[name]] or stacks[:_SHOWN])
        self.modules: dict[str, nn.Module] = {"model": self.model, "average": self.average}
        adam = torch.optim.AdamW(self.model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        self.optimizers: dict[str, Optimizer] = {"adam": adam}

    @property
    def result(self) -> nn.Module:
        return self.average

    def plan(self) -> Plan:
        return epochs_plan(len(self.slices), self.config)

    def batch(self, indices: NDArray[Any], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Patches and their labels. Every process draws all and keeps its share, so that a batch means the same."""
        config = self.config
        seeds = torch.randint(2**62, (len(indices),), generator=rng)
        mine = self.hardware.share(len(indices))
        drawn = []
        for seed, item in zip(seeds[mine].tolist(), indices[mine], strict=True):
            own = torch.Generator().manual_seed(seed)
            stack, plane = self.slices[item]
            drawn.append(draw_patch(stack, plane, config.augmentation, config.patch_px, config.model, own))
        images, labels = (torch.stack(parts).to(self.device) for parts in zip(*drawn, strict=True))
        return labels, images.contiguous(memory_format=torch.channels_last)

    def step(self, step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        labels, images = batch
        self.model.train()
        with self.hardware.autocast():
            logits = self.model(images).float()
        terms = {"cross_entropy": F.cross_entropy(logits, labels), "soft_dice": soft_dice_loss(logits, labels)}
        total = terms["cross_entropy"] + terms["soft_dice"]
        self.hardware.descend(self.optimizers["adam"], total)
        self._follow(min(self.config.averaging, (1.0 + step) / (10.0 + step)))
        return {"loss": total, **terms}

    @torch.no_grad()
    def _follow(self, kept: float) -> None:
        """The average moves towards the model, faster while it is young."""
        for average, value in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1.0 - kept)
            else:
                average.copy_(value)

    def _central(self, stacks: list[FieldStack]) -> tuple[Tensor, Tensor]:
        """What is around the hearts, unchanged but for the pixel size: labels (n, size, size) and images."""
        still = FieldAugmentationConfig(
            elsewhere=0, shift_mm=0, scale=1, bend_px=0, gamma=1, contrast=1, brightness=0, coil=0, noise=0,
            coarsening=1, alone=0,
        )  # fmt: skip
        rng, config = torch.Generator().manual_seed(self.config.seed), self.config
        drawn = [
            draw_patch(stack, plane, still, config.patch_px, config.model, rng)
            for stack in stacks
            for plane in range(len(stack.label))
        ]
        images, labels = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return labels, images

    @torch.inference_mode()
    def _segmented(self, images: Tensor) -> Tensor:
        self.average.eval()
        with self.hardware.autocast():
            return torch.cat([self.average(part.to(self.device)).argmax(dim=1).cpu() for part in images.split(16)])

    def evaluate(self) -> dict[str, float]:
        """Dice over all slices of the patients set aside together, by structure, and their mean."""
        labels, images = self.shown
        return pooled_dice(labels, self._segmented(images), self.config.model.classes)

    def histograms(self) -> dict[str, Tensor]:
        return weights(self.average)

    def picture(self) -> NDArray[Any]:
        chosen = torch.linspace(0, len(self.shown[0]) - 1, _SHOWN).long()
        labels, images = (part[chosen] for part in self.shown)
        return label_sheet([labels.numpy().astype(np.uint8), self._segmented(images).numpy()])


def train_field_segmenter(
    cohort: Path,
    scans: Path,
    output: Path,
    *,
    preset: str = "small",
    config: FieldSegmenterTrainingConfig | None = None,
    changes: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains a segmenter of whole fields of view on the training split of a prepared cohort.

    Args:
        scans: the data set that the cohort was prepared from: a cohort keeps crops only.
        Others as in `train_shape`.

    Returns:
        What metrics.json holds: Dice on the patients set aside, seconds, steps.

    Raises:
        CardiomorphError: bad cohort, scans, preset, configuration or device; a diverged training.
    """
    chosen = config or configured(FIELD_SEGMENTER_PRESETS, preset, changes)
    source, hardware = Cohort(cohort), this_process(device, chosen.precision)
    task = FieldSegmenterTask(chosen, source, Path(scans), hardware)
    return fit("field_segmenter", task, chosen, source, output, resume=resume)
