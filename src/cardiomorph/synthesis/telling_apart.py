"""Can a small network tell hearts that were set into scans from the scans, and by what?

Slices around the heart, cut from the whole image at its own pixels; five folds by patient, so that no patient's scan
and hearts made from it are on both sides; the area under the curve of scores on patients that it did not see. The
network averages a map of evidence over the picture, so that the map itself says where it looked (class activation
mapping, Zhou et al., CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cardiomorph.data.subject import Frame
from cardiomorph.evaluation.two_samples import area_under_curve
from cardiomorph.models.field_segmenter import standardised
from cardiomorph.progress import track
from cardiomorph.synthesis.full_field import distance_in_plane_mm
from cardiomorph.synthesis.surroundings import RIM_MM

SIDE_PX = 80
FOLDS = 5
STEPS, _BATCH = 150, 32
_RESAMPLES = 500
LEAST_PATIENTS = 4


@dataclass(frozen=True)
class Cutout:
    """A slice around a heart.

    Attributes:
        image: (80, 80) intensities.
        place: (80, 80): 2 on the heart, 1 within a seam's width of it, 0 elsewhere.
        patient: whose scan it is, or whose scan the heart was set into.
        made: whether a heart was set into it.
    """

    image: NDArray[np.float32]
    place: NDArray[np.uint8]
    patient: str
    made: bool


def cutouts(frame: Frame, patient: str, *, made: bool, every: int = 1) -> list[Cutout]:
    """Every slice of a phase that has a heart (or every second, third ...), around the heart's middle in the stack."""
    assert frame.image is not None, "there is an image to cut from"
    heart = frame.label.array > 0
    x, y, z = np.nonzero(heart)
    centre = (round(float(x.mean())), round(float(y.mean())))
    near = distance_in_plane_mm(heart, frame.label.spacing_mm[:2]) < RIM_MM
    place = np.where(heart, 2, near.astype(int)).astype(np.uint8)
    image = frame.image.array.astype(np.float32)
    return [
        Cutout(_around(image[..., index], centre), _around(place[..., index], centre), patient, made)
        for index in np.unique(z)[::every]
    ]


def _around(plane: NDArray[Any], centre: tuple[int, int]) -> NDArray[Any]:
    half = SIDE_PX // 2
    padded = np.pad(plane, half)
    return padded[centre[0] : centre[0] + SIDE_PX, centre[1] : centre[1] + SIDE_PX]


@dataclass(frozen=True)
class ToldApart:
    """What a classifier made of it.

    Attributes:
        auc: area under the curve, 0.5 where it can only guess; ``low`` and ``high`` its 95 % interval over patients.
        looked: share of the evidence for "made" that lies on the heart, on the seam and elsewhere, by what share of the
            picture these are: 1 is no more than anywhere.
        patients, slices: how many it was asked about.
    """

    auc: float
    low: float
    high: float
    looked: dict[str, float]
    patients: int
    slices: int


def tell_apart(cut: Sequence[Cutout], seed: int = 0, steps: int = STEPS) -> ToldApart:
    """Trains and asks the classifier. At least `LEAST_PATIENTS` patients, with and without a made heart, are needed.

    Args:
        steps: of the training in each fold.
    """
    patients = sorted({one.patient for one in cut})
    rng = np.random.default_rng(seed)
    fold_of = {name: int(k) % FOLDS for name, k in zip(patients, rng.permutation(len(patients)), strict=True)}
    folds = np.array([fold_of[one.patient] for one in cut])
    images = standardised(torch.from_numpy(np.stack([one.image for one in cut]))[:, None])
    truth = torch.tensor([float(one.made) for one in cut])
    scores, evidence = np.zeros(len(cut)), torch.zeros(len(cut), SIDE_PX, SIDE_PX)
    for fold in track(sorted(set(fold_of.values())), "telling scans from made hearts"):
        seen, asked = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        network = _trained(images[seen], truth[seen], seed + fold, steps)
        with torch.inference_mode():
            maps = network.evidence(images[asked])
        scores[asked] = maps.mean(dim=(1, 2)).numpy()
        evidence[asked] = F.interpolate(maps[:, None], size=(SIDE_PX, SIDE_PX), mode="bilinear")[:, 0]
    made = truth.numpy() > 0
    names = np.array([one.patient for one in cut])
    low, high = _interval(scores, made, names, rng)
    places = np.stack([one.place for one in cut])
    return ToldApart(
        area_under_curve(scores, made), low, high, _looked(evidence.numpy(), places, made), len(patients), len(cut)
    )


class _Network(nn.Module):
    """Four convolutions and a map of evidence, whose mean is the score."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b, stride in ((1, 16, 1), (16, 32, 2), (32, 48, 2), (48, 48, 1)):
            layers += [nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, nn.Conv2d(48, 1, 1))

    def evidence(self, images: Tensor) -> Tensor:
        """(n, 1, h, w) -> (n, h / 4, w / 4)."""
        return torch.cat([self.body(part)[:, 0] for part in images.split(64)])


def _trained(images: Tensor, truth: Tensor, seed: int, steps: int) -> _Network:
    """As many made as real ones in every batch; turned by quarters and mirrored."""
    torch.manual_seed(seed)
    network = _Network()
    adam = torch.optim.Adam(network.parameters(), 2e-3, weight_decay=1e-3)
    rng = torch.Generator().manual_seed(seed)
    sides = [torch.nonzero(truth == kind)[:, 0] for kind in (0.0, 1.0)]
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = 2e-3 * (1.0 - step / steps)
        chosen = torch.cat([side[torch.randint(len(side), (_BATCH // 2,), generator=rng)] for side in sides])
        turns = int(torch.randint(8, (), generator=rng))
        batch = torch.rot90(images[chosen], turns % 4, (2, 3))
        batch = batch.flip(3) if turns > 3 else batch
        loss = F.binary_cross_entropy_with_logits(network.body(batch).mean(dim=(1, 2, 3)), truth[chosen])
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    return network.eval()


def _interval(
    scores: NDArray[np.float64], made: NDArray[np.bool_], patients: NDArray[np.str_], rng: np.random.Generator
) -> tuple[float, float]:
    """95 % interval over patients drawn again with replacement: slices of one patient are not independent."""
    of = {name: np.flatnonzero(patients == name) for name in np.unique(patients)}
    names = sorted(of)
    found = []
    for _ in range(_RESAMPLES):
        chosen = np.concatenate([of[name] for name in rng.choice(names, len(names))])
        if made[chosen].any() and not made[chosen].all():
            found.append(area_under_curve(scores[chosen], made[chosen]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def _looked(evidence: NDArray[np.float32], places: NDArray[np.uint8], made: NDArray[np.bool_]) -> dict[str, float]:
    """Density of the evidence for "made" on made hearts, by place; 1 is the picture's mean."""
    positive, where = np.clip(evidence[made], 0.0, None), places[made]
    total = float(positive.mean())
    names = {"heart": 2, "seam": 1, "elsewhere": 0}
    return {n: float(positive[where == k].mean() / total) for n, k in names.items() if total > 0 and (where == k).any()}
