"""A heart as a curve through latent space: one code a slice, base to apex, at a common number of slices.

The paper, section 2.2: a subject's n slices become n_s = 32 by interpolation along the slice axis; that it is cubic is
ours. Slices are slabs: n of spacing d cover n d, and so do the 32, at spacing n d / 32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.models.label_vae import LabelVAE, one_hot

N_SLICES = 32
LatentCodes = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """One heart in latent space.

    Attributes:
        codes: by phase, (32, n_z), slices base to apex.
        length_mm: by phase, how far the slices reach along the long axis.
    """

    codes: Mapping[Phase, LatentCodes]
    length_mm: Mapping[Phase, float]


def slab_centres(n: int) -> NDArray[np.float64]:
    """Centres of n equal slabs that fill [0, 1]."""
    return (np.arange(n) + 0.5) / n


def equalise(values: NDArray[np.floating], n: int = N_SLICES) -> NDArray[np.float64]:
    """Resamples (m, ...) slices to (n, ...) along the first axis by a cubic spline through the slab centres.

    Beyond the first and last centre the end value is kept: half a slice of extrapolated cubic would leave the
    anatomy. Fewer than four slices lower the degree.
    """
    m = len(values)
    if m == n:
        return np.asarray(values, np.float64)
    if m == 1:
        return np.repeat(np.asarray(values, np.float64), n, axis=0)
    centres = slab_centres(m)
    spline = make_interp_spline(centres, np.asarray(values, np.float64), k=min(3, m - 1), axis=0)
    return np.asarray(spline(np.clip(slab_centres(n), centres[0], centres[-1])))


@torch.inference_mode()
def encode_labels(model: LabelVAE, labels: NDArray[np.uint8]) -> LatentCodes:
    """Posterior means of (n, size, size) label slices, (n, n_z)."""
    device = next(model.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
    return model.encode(one_hot(tensor, len(model.config.classes))).mean.cpu().numpy().astype(np.float64)


@torch.inference_mode()
def decode_labels(model: LabelVAE, codes: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Most probable labels of (n, n_z) codes, (n, size, size)."""
    device = next(model.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(codes, np.float32)).to(device)
    return model.decode(tensor).argmax(dim=1).to(torch.uint8).cpu().numpy()


def encode_subject(model: LabelVAE, subject: PreparedSubject, n: int = N_SLICES) -> Trajectory:
    """The trajectory of a prepared subject."""
    return Trajectory(
        codes={p: equalise(encode_labels(model, subject.frames[p].label), n) for p in PHASES},
        length_mm={p: subject.length_mm(p) for p in PHASES},
    )


def morph(parent: Trajectory, target: Trajectory, severity: float) -> Trajectory:
    """z(a) = (1 - a) z_parent + a z_target, and the long-axis lengths likewise (the paper).

    Args:
        severity: a in [0, 1]; 0 is the parent, 1 the target.
    """
    a = severity
    return Trajectory(
        codes={p: (1.0 - a) * parent.codes[p] + a * target.codes[p] for p in PHASES},
        length_mm={p: (1.0 - a) * parent.length_mm[p] + a * target.length_mm[p] for p in PHASES},
    )
