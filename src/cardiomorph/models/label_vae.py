"""The shape model: a 2D variational autoencoder of label maps (the paper, section 2.3 and its Fig. 1).

What the text leaves open is filled as follows. The "four fully connected layers" run flattened features -> 256 -> 256
-> 256 -> (mean, log-variance), with LeakyReLU between them. The decoder starts with one linear layer from the latent
code to 8 x 8 features and mirrors the encoder's widths. The configuration offers what the authors' public script does
instead: linear layers without activations, three of them in the decoder, LeakyReLU of slope 0.01, and batch norms that
stay in training mode when they decode. (Its parallel heads of mean and log-variance are the same function as one.)
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cardiomorph.anatomy import CLASS_NAMES, N_CLASSES


class LabelVAEConfig(BaseModel):
    """Size of the shape model. The paper's: width 64, 16 latent dimensions, bottleneck 256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(64, ge=1, le=8192, description="channels of the first encoder block; doubles three times")
    latent_dims: int = Field(16, ge=1, le=8192, description="n_z, dimensions of a slice's code")
    bottleneck: int = Field(256, ge=1, le=8192, description="units of the fully connected layers")
    size: int = Field(128, ge=32, le=4096, multiple_of=16, description="pixels along each side of a slice")
    classes: tuple[str, ...] = Field(CLASS_NAMES, min_length=2, description="names of the label codes 0, 1, ...")
    negative_slope: float = Field(0.2, ge=0, lt=1, description="of every LeakyReLU")
    linear_activations: bool = Field(True, description="LeakyReLU between fully connected layers")
    decoder_linear_layers: int = Field(1, ge=1, le=16, description="fully connected layers between code and features")
    decoding_norm: Literal["running", "batch"] = Field(
        "running",
        description="what the decoder's batch norms use of a trained model: running statistics, or those of the slices "
        "that are decoded together, as in a script that never leaves training mode",
    )


class Posterior(NamedTuple):
    """Diagonal Gaussian over the codes of a batch of slices: mean and log-variance, each (batch, n_z)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Reparameterised draw with standard normal ``noise`` of the same shape."""
        return self.mean + noise * torch.exp(0.5 * self.log_variance)

    def kl_per_dimension(self) -> Tensor:
        """Kullback-Leibler divergence to the standard normal, (batch, n_z), in nats."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)


def _convolution(channels_in: int, channels_out: int, slope: float, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.LeakyReLU(slope),
    )


def _fully_connected(widths: list[int], slope: float | None) -> list[nn.Module]:
    """Linear layers from width to width, with activations between them where a slope is given."""
    layers: list[nn.Module] = []
    for index, (a, b) in enumerate(pairwise(widths)):
        if index and slope is not None:
            layers.append(nn.LeakyReLU(slope))
        layers.append(nn.Linear(a, b))
    return layers


class LabelVAE(nn.Module):
    """Encodes a label slice to a Gaussian and decodes a code to label logits."""

    def __init__(self, config: LabelVAEConfig) -> None:
        super().__init__()
        self.config = config
        slope = config.negative_slope
        widths = [config.width * 2**level for level in range(4)]
        ins = [len(config.classes), *widths[:-1]]
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(_convolution(a, b, slope, 2), _convolution(b, b, slope), _convolution(b, b, slope))
                for a, b in zip(ins, widths, strict=True)
            )
        )
        self._grid = config.size // 16
        features = widths[-1] * self._grid**2
        units, between = [config.bottleneck], slope if config.linear_activations else None
        self.to_posterior = nn.Sequential(
            *_fully_connected([features, *units * 3, 2 * config.latent_dims], between),
        )
        down = _fully_connected([config.latent_dims, *units * (config.decoder_linear_layers - 1), features], between)
        self.from_code = nn.Sequential(*down) if len(down) > 1 else down[0]
        outs = [*widths[-2::-1], widths[0]]
        self.decoder = nn.ModuleList(
            nn.Sequential(_convolution(a, b, slope), _convolution(b, b, slope))
            for a, b in zip(widths[::-1], outs, strict=True)
        )
        self.head = nn.Sequential(
            nn.Conv2d(widths[0], widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.Conv2d(widths[0], len(config.classes), 3, 1, 1),
        )

    def encode(self, one_hot: Tensor) -> Posterior:
        """(batch, classes, size, size) one-hot labels -> posterior over their codes."""
        mean, log_variance = self.to_posterior(self.encoder(one_hot).flatten(1)).chunk(2, dim=1)
        return Posterior(mean, log_variance)

    def decode(self, code: Tensor) -> Tensor:
        """(batch, n_z) codes -> (batch, classes, size, size) logits; softmax over axis 1 gives class probabilities."""
        x = self.from_code(code).unflatten(1, (-1, self._grid, self._grid))
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.decoder:
            x = block(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        return self.head(x)


def use_batch_statistics(model: LabelVAE) -> LabelVAE:
    """Takes the running statistics off the decoder's batch norms: slices decoded together are their batch from now on.

    For use, not for training or saving.
    """
    for part in (model.decoder, model.head):
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
    return model


def fold_batch_norms(model: LabelVAE) -> LabelVAE:
    """A copy for use, not for training: every batch norm is part of the convolution before it. Same results.

    Batch norms without running statistics stay.
    """
    ready = copy.deepcopy(model).eval()
    for module in ready.modules():
        if isinstance(module, nn.Sequential):
            for first, second in pairwise(range(len(module))):
                convolution, norm = module[first], module[second]
                if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                    continue
                if norm.running_mean is not None:
                    module[first], module[second] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return ready.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def one_hot(labels: Tensor, classes: int = N_CLASSES) -> Tensor:
    """(batch, size, size) integer labels -> (batch, classes, size, size) float, channels last in memory."""
    encoded = F.one_hot(labels.long(), classes).movedim(-1, 1).float()
    return encoded.contiguous(memory_format=torch.channels_last)


class VAELoss(NamedTuple):
    """The terms of the objective, each a scalar in nats a slice; ``total`` is what is minimised."""

    total: Tensor
    cross_entropy: Tensor
    kl: Tensor


def vae_loss(
    logits: Tensor,
    labels: Tensor,
    posterior: Posterior,
    beta: float,
    free_nats: float = 0.0,
    heart_weight: float = 1.0,
) -> VAELoss:
    """Cross-entropy summed over pixels plus beta times KL summed over dimensions, both mean over the batch.

    Source: the paper, section 2.3 (beta = 15, no free nats, all pixels alike).

    Args:
        logits: (batch, classes, size, size).
        labels: (batch, size, size) integers.
        free_nats: KL a dimension may hold (mean over the batch) before it is charged.
        heart_weight: weight of the heart's pixels; the background's have 1.
    """
    weights = None if heart_weight == 1.0 else logits.new_tensor([1.0] + [heart_weight] * (logits.shape[1] - 1))
    cross_entropy = F.cross_entropy(logits, labels.long(), weights, reduction="sum") / logits.shape[0]
    per_dimension = posterior.kl_per_dimension().mean(dim=0)
    charged = torch.clamp(per_dimension - free_nats, min=0.0).sum()
    return VAELoss(cross_entropy + beta * charged, cross_entropy, per_dimension.sum())
