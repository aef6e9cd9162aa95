"""Trains the referee: a segmenter of real slices, for `cardiomorph evaluate` (label match, own features)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from cardiomorph.checks import MAX_SEED
from cardiomorph.data.cohort import Cohort
from cardiomorph.models.label_vae import one_hot
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.training.augmentation import AugmentationConfig, draw_motions, move, move_labels
from cardiomorph.training.configuration import configured
from cardiomorph.training.hardware import Hardware, Precision, this_process
from cardiomorph.training.image import heldout_tensors, shown_slices
from cardiomorph.training.loop import Plan, epochs_plan, fit, weights
from cardiomorph.training.pictures import label_sheet
from cardiomorph.training.run import check_slices
from cardiomorph.training.shape import pooled_dice


class SegmenterTrainingConfig(BaseModel):
    """A segmenter and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: SegmenterConfig = SegmenterConfig()
    epochs: int = Field(30, ge=1, le=10**9)
    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(1e-3, gt=0, le=100)
    learning_rate_floor: float = Field(0.01, gt=0, le=1)
    contrast: float = Field(0.3, ge=0, lt=1, description="0.3 draws factors in 0.7..1.3 on the image's contrast")
    brightness: float = Field(0.2, ge=0, le=100, description="largest shift of the image's intensities, which span 2")
    augmentation: AugmentationConfig = AugmentationConfig(rotation_deg=20, scale=0.15, shift_px=6)
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, le=MAX_SEED)


_BASE = SegmenterTrainingConfig(model=SegmenterConfig(width=12), epochs=12, learning_rate=2e-3)
SEGMENTER_PRESETS: dict[str, SegmenterTrainingConfig] = {
    "tiny": _BASE.model_copy(update={"model": SegmenterConfig(width=6), "epochs": 4, "learning_rate": 3e-3}),
    "small": _BASE,
    "base": SegmenterTrainingConfig(model=SegmenterConfig(width=32), epochs=100),
}


def soft_dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - mean soft Dice of the three structures over the batch (Milletari et al., 3DV 2016)."""
    probability = logits.softmax(dim=1)[:, 1:]
    truth = one_hot(labels, logits.shape[1])[:, 1:]
    overlap = (probability * truth).sum(dim=(0, 2, 3))
    total = probability.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    return 1.0 - ((2.0 * overlap + 1.0) / (total + 1.0)).mean()


class SegmenterTask:
    """The segmenter with its optimiser and slices."""

    def __init__(self, config: SegmenterTrainingConfig, cohort: Cohort, hardware: Hardware | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.hardware = config, hardware or Hardware()
        self.device = device = self.hardware.device
        self.model = Segmenter(config.model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.slices = cohort.slices("train", images=True)
        self.heldout = heldout_tensors(cohort)
        self.modules: dict[str, nn.Module] = {"model": self.model}
        self.optimizers: dict[str, Optimizer] = {
            "adam": torch.optim.Adam(self.model.parameters(), config.learning_rate)
        }

    @property
    def result(self) -> nn.Module:
        return self.model

    def plan(self) -> Plan:
        return epochs_plan(len(self.slices), self.config)

    def batch(self, indices: NDArray[Any], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Labels and images, moved, their contrast and brightness changed."""
        config, mine = self.config, self.hardware.share(len(indices))
        labels = torch.from_numpy(self.slices.labels(indices[mine])).to(self.device)
        images = torch.from_numpy(self.slices.images(indices[mine])).to(self.device, torch.float32)[:, None]
        motions = draw_motions(config.augmentation, len(indices), labels.shape[-1], rng)[mine]
        encoded = one_hot(labels, len(config.model.classes))
        labels, images = move_labels(encoded, motions), move(images, motions, outside=-1.0)
        drawn = 2.0 * torch.rand((2, len(indices), 1, 1, 1), generator=rng)[:, mine].to(images) - 1.0
        images = images * (1.0 + config.contrast * drawn[0]) + config.brightness * drawn[1]
        return labels, images.contiguous(memory_format=torch.channels_last)

    def step(self, step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        labels, images = batch
        self.model.train()
        with self.hardware.autocast():
            logits = self.model(images).float()
        terms = {"cross_entropy": F.cross_entropy(logits, labels.long()), "soft_dice": soft_dice_loss(logits, labels)}
        total = terms["cross_entropy"] + terms["soft_dice"]
        self.hardware.descend(self.optimizers["adam"], total)
        return {"loss": total, **terms}

    @torch.inference_mode()
    def _segmented(self, images: Tensor) -> Tensor:
        self.model.eval()
        batches = [self.model.judge(i.to(self.device))[0].cpu() for i in images.float()[:, None].split(32)]
        return torch.cat(batches)

    def evaluate(self) -> dict[str, float]:
        """Dice over all held-out slices together, by structure, and their mean."""
        labels, images = self.heldout
        return pooled_dice(labels, self._segmented(images), self.config.model.classes) if len(labels) else {}

    def histograms(self) -> dict[str, Tensor]:
        return weights(self.model)

    def picture(self) -> NDArray[Any]:
        labels, images = shown_slices(self.heldout, self.slices, 12)
        return label_sheet([labels.numpy(), self._segmented(images).numpy()])


def train_segmenter(
    cohort: Path,
    output: Path,
    *,
    preset: str = "small",
    config: SegmenterTrainingConfig | None = None,
    changes: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains a segmenter on the training split of a prepared cohort. Arguments as in `train_shape`.

    Returns:
        What metrics.json holds: held-out Dice, seconds, steps.

    Raises:
        CardiomorphError: bad cohort, preset, configuration or device; subjects without images; a diverged training.
    """
    chosen = config or configured(SEGMENTER_PRESETS, preset, changes)
    source, hardware = Cohort(cohort), this_process(device, chosen.precision)
    check_slices(source, chosen.model.size, chosen.model.classes)
    return fit("segmenter", SegmenterTask(chosen, source, hardware), chosen, source, output, resume=resume)
