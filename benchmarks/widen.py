"""A model of the paper's width that computes what a small one does: what `paper` costs, on real anatomy.

The small model's weights lie in the first channels of the wide one's, zeros in the others. Every convolution is as
large as in a trained model of that width, and its time does not depend on the values; labels and images stay hearts'.
"""

from __future__ import annotations

import torch
from torch import nn


def widened(small: nn.Module, wide: nn.Module) -> nn.Module:
    """Puts the weights of ``small`` into ``wide``, a model of the same kind with no dimension smaller."""
    given = small.state_dict()
    with torch.no_grad():
        for key, target in wide.state_dict().items():
            if target.ndim == 0:
                target.copy_(given[key])
                continue
            target.fill_(1.0 if key.endswith("running_var") else 0.0)
            target[tuple(slice(0, n) for n in given[key].shape)] = given[key]
    return wide.eval()


def padded(codes: torch.Tensor, dims: int) -> torch.Tensor:
    """(n, d) codes with zeros up to (n, dims)."""
    return torch.nn.functional.pad(codes, (0, dims - codes.shape[1]))
