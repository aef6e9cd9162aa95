"""Trains the image model on a cohort's slices (the paper, section 2.3; SPADE: Park et al., CVPR 2019).

The style encoder and the generator rebuild a slice from its image's style code and its label; a discriminator
judges. Losses: hinge, feature matching, L1. The paper's perceptual loss needs downloaded weights and is not used.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from cardiomorph.data.cohort import Cohort
from cardiomorph.data.splits import Split
from cardiomorph.models.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
)
from cardiomorph.models.label_vae import one_hot
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.training.augmentation import AugmentationConfig, draw_motions, move, move_labels
from cardiomorph.training.loop import Plan, check_plan, train
from cardiomorph.training.pictures import image_sheet
from cardiomorph.training.presets import configured
from cardiomorph.training.run import RunFolder, check_slice_size, cohort_fingerprint, pick_device


class ImageTrainingConfig(BaseModel):
    """An image model and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ImageModelConfig = ImageModelConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    steps: int = Field(60_000, ge=1)
    batch_size: int = Field(16, ge=2)
    generator_rate: float = Field(1e-4, gt=0, description="learning rate of encoder and generator")
    discriminator_rate: float = Field(4e-4, gt=0)
    learning_rate_floor: float = Field(0.05, gt=0, le=1)
    feature_matching: float = Field(10.0, ge=0)
    l1: float = Field(0.0, ge=0)
    average_decay: float = Field(0.999, ge=0, lt=1, description="exponential moving average of the weights; 0: none")
    augmentation: AugmentationConfig = AugmentationConfig()
    seed: int = Field(0, ge=0)


IMAGE_PRESETS: dict[str, ImageTrainingConfig] = {
    "tiny": ImageTrainingConfig(
        model=ImageModelConfig(width=6, hidden=16, style_dims=32),
        discriminator=DiscriminatorConfig(width=12, layers=3),
        steps=240,
        batch_size=8,
        generator_rate=1e-3,
        discriminator_rate=5e-4,
        l1=20.0,
        average_decay=0.97,
    ),
    "small": ImageTrainingConfig(
        model=ImageModelConfig(width=16, hidden=32, style_dims=128),
        discriminator=DiscriminatorConfig(width=32),
        steps=6_000,
        batch_size=8,
        generator_rate=2e-4,
        l1=10.0,
        average_decay=0.995,
        augmentation=AugmentationConfig(rotation_deg=10, scale=0.08, shift_px=3),
    ),
    "base": ImageTrainingConfig(l1=10.0, augmentation=AugmentationConfig(rotation_deg=10, scale=0.08, shift_px=3)),
    "paper": ImageTrainingConfig(average_decay=0.0, learning_rate_floor=1.0),
}


class ImageTask:
    """Generator, discriminator, their optimisers and the slices."""

    def __init__(self, config: ImageTrainingConfig, cohort: Cohort, device: str) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.model = ImageModel(config.model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judge = Discriminator(config.discriminator).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.labels, self.images = cohort_tensors(cohort, "train")
        held = cohort.ids("heldout")
        self.heldout = cohort_tensors(cohort, "heldout") if held else (self.labels[:0], self.images[:0])
        self.modules: dict[str, nn.Module] = {
            "model": self.model,
            "discriminator": self.judge,
            "average": self.average,
        }
        betas = (0.0, 0.9)
        self.optimizers = {
            "generator": torch.optim.Adam(self.model.parameters(), config.generator_rate, betas),
            "discriminator": torch.optim.Adam(self.judge.parameters(), config.discriminator_rate, betas),
        }

    def plan(self) -> Plan:
        return Plan(
            n_items=len(self.labels),
            batch_size=self.config.batch_size,
            steps=self.config.steps,
            learning_rate_floor=self.config.learning_rate_floor,
            seed=self.config.seed,
            evaluate_every=max(100, self.config.steps // 20),
            checkpoint_every=100,
        )

    def _batch(self, indices: NDArray[Any], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = self.labels[indices].to(self.device)
        images = self.images[indices].to(self.device, torch.float32)[:, None]
        if self.config.augmentation.active:
            motions = draw_motions(self.config.augmentation, len(labels), labels.shape[-1], rng)
            labels = move_labels(one_hot(labels), motions)
            images = move(images, motions, outside=-1.0)
        return labels, images.contiguous(memory_format=torch.channels_last)

    def step(self, step: int, indices: NDArray[Any], rng: torch.Generator) -> dict[str, Tensor]:
        labels, images = self._batch(indices, rng)
        encoded = one_hot(labels)
        self.model.train()
        self.judge.train()
        fake = self.model.paint(self.model.encode_style(images), labels)
        judged = self._update_discriminator(images, fake.detach(), encoded)
        losses = self._update_generator(images, fake, encoded)
        self._update_average(step)
        return {**losses, **judged}

    def _update_discriminator(self, real: Tensor, fake: Tensor, label: Tensor) -> dict[str, Tensor]:
        on_real, on_fake = self.judge(real, label), self.judge(fake, label)
        loss = discriminator_hinge(on_real, on_fake)
        self.optimizers["discriminator"].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers["discriminator"].step()
        return {
            "discriminator": loss,
            "verdict_real": torch.stack([scale[-1].mean() for scale in on_real]).mean(),
            "verdict_fake": torch.stack([scale[-1].mean() for scale in on_fake]).mean(),
        }

    def _update_generator(self, real: Tensor, fake: Tensor, label: Tensor) -> dict[str, Tensor]:
        # The discriminator only carries the gradient through here; its own is not wanted.
        self.judge.requires_grad_(False)
        on_fake = self.judge(fake, label)
        with torch.no_grad():
            on_real = self.judge(real, label)
        terms = {
            "adversarial": generator_hinge(on_fake),
            "feature_matching": feature_matching(on_real, on_fake),
            "l1": F.l1_loss(fake, real),
        }
        config = self.config
        total = terms["adversarial"] + config.feature_matching * terms["feature_matching"] + config.l1 * terms["l1"]
        self.optimizers["generator"].zero_grad(set_to_none=True)
        total.backward()
        self.optimizers["generator"].step()
        self.judge.requires_grad_(True)
        return {"generator": total, **terms}

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # A young average follows closely, or the initial weights would linger in it.
        decay = min(self.config.average_decay, (step + 1) / (step + 10))
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, 1.0 - decay)
        for mean, now in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mean.copy_(now)

    @torch.inference_mode()
    def _repainted(self, labels: Tensor, images: Tensor) -> Tensor:
        self.average.eval()
        batches = [
            self.average.paint(self.average.encode_style(i.to(self.device)), b.to(self.device)).cpu()
            for b, i in zip(labels.split(16), images.float()[:, None].split(16), strict=True)
        ]
        return torch.cat(batches)[:, 0]

    def evaluate(self) -> dict[str, float]:
        """Mean absolute error of repainted held-out slices (at most 160, evenly taken), in [-1, 1] units."""
        labels, images = self.heldout
        if not len(labels):
            return {}
        chosen = torch.linspace(0, len(labels) - 1, min(160, len(labels))).long()
        repainted = self._repainted(labels[chosen], images[chosen])
        return {"l1": float((repainted - images[chosen].float()).abs().mean())}

    def picture(self) -> NDArray[Any]:
        labels, images = self.heldout if len(self.heldout[0]) else (self.labels, self.images)
        chosen = torch.linspace(0, len(labels) - 1, 10).long()
        repainted = self._repainted(labels[chosen], images[chosen])
        return image_sheet([images[chosen].float().numpy(), repainted.numpy()])


def cohort_tensors(cohort: Cohort, split: Split) -> tuple[Tensor, Tensor]:
    """Labels (n, size, size) uint8 and images (n, size, size) float16 of a split's slices."""
    slices = cohort.slices(split, images=True)
    assert slices.images is not None, "asked for above"
    return torch.from_numpy(slices.labels), torch.from_numpy(slices.images)


def train_image(
    cohort: Path,
    output: Path,
    *,
    preset: str = "small",
    config: ImageTrainingConfig | None = None,
    changes: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains an image model on the training split of a prepared cohort. Arguments as in `train_shape`.

    Returns:
        What metrics.json holds: held-out mean absolute error, seconds, steps.

    Raises:
        CardiomorphError: bad cohort, preset, configuration or device; subjects without images; a diverged training.
    """
    chosen = config or configured(IMAGE_PRESETS, preset, changes)
    source, device = Cohort(cohort), pick_device(device)
    check_slice_size(source, chosen.model.size)
    settings = {"kind": "image", "config": chosen.model_dump(), "cohort": cohort_fingerprint(source)}
    task = ImageTask(chosen, source, device)
    plan = task.plan()
    check_plan(plan)
    run = RunFolder(output, settings, resume=resume, device=device)
    seconds = train(run, task, plan, "image model")
    metrics = {**task.evaluate(), "steps": plan.steps, "slices": plan.n_items, "seconds": round(seconds, 1)}
    run.finish("image", task.average, metrics, task.picture())
    return metrics
