"""MONAI's DynUNet, set once from the settings of a study: the kind of network that nnU-Net plans."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from torch import Tensor, nn

from cardiomorph.anatomy import N_CLASSES
from cardiomorph.utility.settings import NetworkSettings


def made(settings: NetworkSettings, seed: int) -> nn.Module:
    """An untrained network. In three dimensions the slices, which are far apart, are never halved."""
    torch.manual_seed(seed)
    levels, flat = len(settings.filters), settings.dimensions == 2
    kernel: Any = [3] * levels if flat else [(3, 3, 1)] * 2 + [(3, 3, 3)] * (levels - 2)
    stride: Any = [1] + [2] * (levels - 1) if flat else [(1, 1, 1)] + [(2, 2, 1)] * (levels - 1)
    return DynUNet(
        spatial_dims=settings.dimensions,
        in_channels=1,
        out_channels=N_CLASSES,
        kernel_size=kernel,
        strides=stride,
        upsample_kernel_size=stride[1:],
        filters=list(settings.filters),
        norm_name=("INSTANCE", {"affine": True}),
        deep_supervision=settings.deep_supervision > 0,
        deep_supr_num=min(settings.deep_supervision, levels - 2) or 1,
    )


class SupervisedLoss(nn.Module):
    """Dice and cross entropy of the output and of the coarser levels, each with half the weight of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (batch, [levels,] classes, ...) and labels (batch, ...)."""
        heads = logits.unbind(dim=1) if logits.ndim == labels.ndim + 2 else (logits,)
        weights = [0.5**level for level in range(len(heads))]
        terms = [w * self.loss(head, labels[:, None]) for w, head in zip(weights, heads, strict=True)]
        return torch.stack(terms).sum() / sum(weights)


@torch.inference_mode()
def logits_of(network: nn.Module, images: Tensor, settings: NetworkSettings, device: str) -> Tensor:
    """(n, h, w) slices of a whole field of view -> (n, classes, h, w), by windows that overlap by a quarter."""
    network.eval()
    side = settings.patch_px
    flat = settings.dimensions == 2
    window = (side, side) if flat else (side, side, settings.patch_slices)
    inferer: Any = SlidingWindowInferer(window, sw_batch_size=8 if flat else 2, overlap=0.25, mode="gaussian")
    if flat:
        found: Tensor = inferer(images[:, None].to(device), network)
        return found.float().cpu()
    found = inferer(images.movedim(0, -1)[None, None].to(device), network)
    return found.float().cpu()[0].movedim(-1, 0)
