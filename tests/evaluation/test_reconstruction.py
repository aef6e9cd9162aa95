"""What survives the shape model, measured with models that lose nothing or say nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt as distance
from torch import nn

from cardiomorph.anatomy import PHASES, STRUCTURES
from cardiomorph.data.prepare import PreparationConfig, prepare_subject
from cardiomorph.evaluation.latent_space import latent_report
from cardiomorph.evaluation.reconstruction import reconstruction_report
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, Posterior
from conftest import analytic_subject, hearts_of

SIZE = 64
CONFIG = PreparationConfig(spacing_mm=3, size=SIZE)
NAMES = {label.name.lower() for label in STRUCTURES}


class Lossless(nn.Module):
    """The code of a slice is the slice, as signed distances of its classes: argmax gives it back."""

    config = LabelVAEConfig()

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, one_hot):
        inside = one_hot.numpy() > 0
        codes = np.stack(
            [
                np.stack([distance(c) - distance(~c) if c.any() else np.full(c.shape, -SIZE) for c in slices])
                for slices in inside
            ]
        )
        mean = torch.from_numpy(codes.astype(np.float32)).flatten(1)
        return Posterior(mean, torch.zeros_like(mean))

    def decode(self, code):
        return code.unflatten(1, (4, SIZE, SIZE))


class Told(nn.Module):
    """A posterior of given mean and log-variance, whatever the slice."""

    config = LabelVAEConfig()

    def __init__(self, mean, log_variance):
        super().__init__()
        self.mean, self.log_variance = torch.tensor(mean), torch.tensor(log_variance)

    def encode(self, one_hot):
        return Posterior(self.mean.repeat(len(one_hot), 1), self.log_variance.repeat(len(one_hot), 1))


@pytest.fixture(scope="module")
def subjects():
    return [
        prepare_subject(analytic_subject(hearts_of(group), name=group, group=group), CONFIG) for group in ("NOR", "HCM")
    ]


def without(subject, label):
    frames = {
        phase: replace(frame, label=np.where(frame.label == label, 0, frame.label).astype(np.uint8))
        for phase, frame in subject.frames.items()
    }
    return replace(subject, frames=frames)


def test_a_lossless_model_loses_nothing_and_equalising_shifts_no_volume(subjects):
    report = reconstruction_report(Lossless(), subjects)
    assert report["subjects"] == 2
    for part in ("dice", "dice_base", "dice_middle", "dice_apex"):
        assert report[part] == dict.fromkeys([*NAMES, "mean"], 1.0)
    assert set(report["volume_bias_pct"]) == NAMES
    assert max(abs(bias) for bias in report["volume_bias_pct"].values()) < 1.5
    assert report["invalid_slices_pct"]["rebuilt"] == report["invalid_slices_pct"]["real"] < 50


def test_an_untrained_model_is_measured_too(subjects):
    torch.manual_seed(0)
    model = LabelVAE(LabelVAEConfig(width=2, latent_dims=3, bottleneck=4, size=SIZE)).eval()
    report = reconstruction_report(model, subjects)
    assert all(0 <= value < 0.5 for value in report["dice"].values())
    assert latent_report(model, subjects)["dimensions"] == 3


def test_a_structure_that_no_heart_has_counts_for_nothing(subjects):
    bare = [without(subject, STRUCTURES[0]) for subject in subjects]
    report = reconstruction_report(Lossless(), bare)
    assert report["dice"] == dict.fromkeys([*(NAMES - {"rv"}), "mean"], 1.0)
    assert set(report["volume_bias_pct"]) == NAMES - {"rv"}
    json.dumps(report, allow_nan=False)


def test_active_dimensions_are_those_with_more_than_005_nats(subjects):
    # KL of N(m, 1) is m^2 / 2; of N(0, e) it is (e - 2) / 2.
    report = latent_report(Told([0.0, 0.3, 0.33, 0.0], [0.0, 0.0, 0.0, 1.0]), subjects)
    assert report["kl_nats"] == pytest.approx([0, 0.045, 0.0544, (np.e - 2) / 2], abs=1e-4)
    assert (report["active"], report["dimensions"]) == (2, 4)
    assert report["sd_of_means"] == [0.0] * 4


def test_the_spread_is_over_all_slices_of_both_phases(subjects):
    class Area(Told):
        config = LabelVAEConfig()

        def encode(self, one_hot):
            area = one_hot[:, 3].mean(dim=(1, 2))[:, None]
            return Posterior(area, torch.zeros_like(area))

    areas = np.concatenate([(s.frames[p].label == 3).mean(axis=(1, 2)) for s in subjects for p in PHASES])
    report = latent_report(Area([0.0], [0.0]), subjects)
    assert report["sd_of_means"] == pytest.approx([areas.std()], abs=1e-4)
