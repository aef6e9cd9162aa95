"""Trains the shape model on a cohort's label slices (the paper, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from cardiomorph.anatomy import CLASS_NAMES
from cardiomorph.checks import MAX_SEED
from cardiomorph.data.cohort import Cohort
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, Posterior, one_hot, vae_loss
from cardiomorph.training.augmentation import AugmentationConfig, draw_motions, move_labels
from cardiomorph.training.configuration import configured
from cardiomorph.training.hardware import Hardware, Precision, this_process
from cardiomorph.training.loop import Plan, epochs_plan, fit, weights
from cardiomorph.training.pictures import label_sheet
from cardiomorph.training.run import check_slices


class ShapeTrainingConfig(BaseModel):
    """A shape model and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: LabelVAEConfig = LabelVAEConfig()
    epochs: int = Field(300, ge=1, le=10**9)
    batch_size: int = Field(20, ge=2)
    learning_rate: float = Field(2e-5, gt=0, le=100)
    learning_rate_floor: float = Field(1.0, gt=0, le=1, description="share of it left after cosine decay")
    learning_rate_decay: float = Field(1.0, gt=0, le=1, description="factor on it an epoch, after the constant ones")
    constant_epochs: int = Field(0, ge=0, le=10**9, description="epochs before that decay begins")
    beta: float = Field(15.0, ge=0, le=1e6, description="weight of the KL divergence")
    beta_warmup_epochs: float = Field(0.0, ge=0, le=1e9, description="epochs over which beta rises from 0")
    free_nats: float = Field(0.0, ge=0, le=1e6, description="KL per dimension that costs nothing")
    heart_weight: float = Field(1.0, gt=0, description="weight of the heart's pixels; the background's have 1")
    augmentation: AugmentationConfig = AugmentationConfig()
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, le=MAX_SEED)


_GENTLE = AugmentationConfig(rotation_deg=10, scale=0.08, shift_px=3)
SHAPE_PRESETS: dict[str, ShapeTrainingConfig] = {
    "tiny": ShapeTrainingConfig(
        model=LabelVAEConfig(width=8, bottleneck=64),
        epochs=16,
        batch_size=16,
        learning_rate=3e-3,
        learning_rate_floor=0.02,
        beta=1.0,
        beta_warmup_epochs=4,
    ),
    "small": ShapeTrainingConfig(
        model=LabelVAEConfig(width=16),
        epochs=80,
        learning_rate=1e-3,
        learning_rate_floor=0.01,
        beta=2.0,
        beta_warmup_epochs=10,
        augmentation=_GENTLE,
    ),
    "base": ShapeTrainingConfig(
        model=LabelVAEConfig(width=48),
        epochs=200,
        learning_rate=5e-4,
        learning_rate_floor=0.01,
        beta=2.0,
        beta_warmup_epochs=20,
        augmentation=_GENTLE,
    ),
    # The text's; where it is silent, what the authors' public script does.
    "paper": ShapeTrainingConfig(
        model=LabelVAEConfig(negative_slope=0.01, linear_activations=False, decoder_linear_layers=3),
        learning_rate_decay=0.96,
        constant_epochs=150,
        augmentation=AugmentationConfig(quarter_turns=0.7),
    ),
}


class ShapeTask:
    """The shape model with its optimiser and slices."""

    def __init__(self, config: ShapeTrainingConfig, cohort: Cohort, hardware: Hardware | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.hardware = config, hardware or Hardware()
        self.device = device = self.hardware.device
        self.model = LabelVAE(config.model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.slices = cohort.slices("train", images=False)
        held = cohort.slices("heldout", images=False).labels() if cohort.ids("heldout") else self.slices.labels()[:0]
        self.heldout = torch.from_numpy(held)
        self.modules: dict[str, nn.Module] = {"model": self.model}
        self.optimizers: dict[str, Optimizer] = {
            "adam": torch.optim.Adam(self.model.parameters(), config.learning_rate)
        }

    @property
    def result(self) -> nn.Module:
        return self.model

    def plan(self) -> Plan:
        config = self.config
        plan = epochs_plan(len(self.slices), config)
        return replace(plan, decay=config.learning_rate_decay, decay_after=config.constant_epochs)

    def beta_at(self, step: int) -> float:
        """The KL weight at a step, after warm-up."""
        warmup = self.config.beta_warmup_epochs * max(1, len(self.slices) // self.config.batch_size)
        return self.config.beta * min(1.0, (step + 1) / warmup if warmup else 1.0)

    def batch(self, indices: NDArray[np.intp], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Labels and the noise of their codes."""
        mine = self.hardware.share(len(indices))
        labels = torch.from_numpy(self.slices.labels(indices[mine])).to(self.device)
        if self.config.augmentation.active:
            motions = draw_motions(self.config.augmentation, len(indices), labels.shape[-1], rng)[mine]
            labels = move_labels(self._one_hot(labels), motions)
        noise = torch.randn((len(indices), self.config.model.latent_dims), generator=rng)[mine]
        return labels, noise.to(self.device)

    def _one_hot(self, labels: Tensor) -> Tensor:
        return one_hot(labels, len(self.config.model.classes))

    def step(self, step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        labels, noise = batch
        self.model.train()
        with self.hardware.autocast():
            posterior = Posterior(*(part.float() for part in self.model.encode(self._one_hot(labels))))
            logits = self.model.decode(posterior.sample(noise)).float()
        config = self.config
        loss = vae_loss(logits, labels, posterior, self.beta_at(step), config.free_nats, config.heart_weight)
        self.hardware.descend(self.optimizers["adam"], loss.total)
        return {"loss": loss.total, "cross_entropy": loss.cross_entropy, "kl": loss.kl}

    @torch.inference_mode()
    def _reconstructed(self, labels: Tensor) -> Tensor:
        self.model.eval()
        batches = [
            self.model.decode(self.model.encode(self._one_hot(b.to(self.device))).mean).argmax(1).cpu()
            for b in labels.split(64)
        ]
        return torch.cat(batches)

    def evaluate(self) -> dict[str, float]:
        """Dice over all held-out slices together, by structure, and their mean."""
        if not len(self.heldout):
            return {}
        return pooled_dice(self.heldout, self._reconstructed(self.heldout), self.config.model.classes)

    def _shown(self, count: int) -> Tensor:
        """That many slices evenly taken from the held-out ones, or from the training ones where none are held out."""
        if len(self.heldout):
            return self.heldout[torch.linspace(0, len(self.heldout) - 1, count).long()]
        return torch.from_numpy(self.slices.labels(np.linspace(0, len(self.slices) - 1, count).astype(int)))

    def histograms(self) -> dict[str, Tensor]:
        """Posterior means of 256 held-out slices, and the weights."""
        with torch.inference_mode():
            codes = self.model.encode(self._one_hot(self._shown(256).to(self.device))).mean
        return {"codes": codes, **weights(self.model)}

    def picture(self) -> NDArray[np.float32]:
        shown = self._shown(12)
        return label_sheet([shown.numpy(), self._reconstructed(shown).numpy()])


def pooled_dice(truth: Tensor, predicted: Tensor, classes: Sequence[str] = CLASS_NAMES) -> dict[str, float]:
    """Dice over all slices together, (n, size, size) integers each: ``dice_rv`` and so on, and their mean ``dice``.

    A structure that neither has is left out; without any there is no Dice.

    Args:
        classes: names of the codes, the background first.
    """
    count = len(classes)
    confusion = torch.bincount((truth.long() * count + predicted).flatten(), minlength=count**2).view(count, count)
    sizes = {code: confusion[code].sum() + confusion[:, code].sum() for code in range(1, count)}
    scores = {f"dice_{classes[c]}": float(2 * confusion[c, c] / size) for c, size in sizes.items() if size}
    return {"dice": sum(scores.values()) / len(scores), **scores} if scores else {}


def train_shape(
    cohort: Path,
    output: Path,
    *,
    preset: str = "small",
    config: ShapeTrainingConfig | None = None,
    changes: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains a shape model on the training split of a prepared cohort.

    Args:
        cohort: folder of the prepared cohort.
        output: run folder.
        preset: "tiny", "small", "base" or "paper"; ``config`` overrides it whole, ``changes`` (a JSON file) in part.
        resume: go on from the run's last checkpoint.
        device: "auto", "cpu", "cuda".

    Returns:
        What metrics.json holds: held-out Dice, seconds, steps.

    Raises:
        CardiomorphError: bad cohort, preset, configuration or device; a diverged training.
    """
    chosen = config or configured(SHAPE_PRESETS, preset, changes)
    source, hardware = Cohort(cohort), this_process(device, chosen.precision)
    check_slices(source, chosen.model.size, chosen.model.classes)
    return fit("shape", ShapeTask(chosen, source, hardware), chosen, source, output, resume=resume)
