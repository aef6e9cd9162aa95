"""The latent space's measures against spaces whose answers are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.evaluation.latent_space import area_effects, interpolation_report, separability, traversal
from cardiomorph.latent.trajectory import Trajectory
from cardiomorph.models.label_vae import LabelVAEConfig


class Disc(torch.nn.Module):
    """Decodes to an LV disc of radius 20 + 4 z0 at column 64 + 8 z1; with ``jump`` the radius is a step of z0."""

    config = LabelVAEConfig(width=1, latent_dims=2, bottleneck=1)

    def __init__(self, jump=False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.jump = jump

    def decode(self, code):
        x, y = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
        change = 4 * code[:, 0]
        if self.jump:
            change = 8 * torch.sign(change)
        radius = (20 + change)[:, None, None]
        inside = (x - 64) ** 2 + (y - 64 - 8 * code[:, 1, None, None]) ** 2 < radius**2
        logits = torch.zeros(len(code), 4, 128, 128)
        logits[:, 3] = 2.0 * inside - 1.0
        return logits


def constant(z, noise=0.0, rng=None, length=80.0):
    codes = np.broadcast_to(np.asarray(z, float), (32, len(z)))
    if rng is not None:
        codes = codes + noise * rng.normal(size=(1, len(z)))
    return Trajectory({"ED": codes, "ES": codes}, {"ED": length, "ES": length})


def test_a_dimension_does_what_it_does():
    slices = traversal(Disc(), np.zeros(2), np.array([0.5, 1.0]), (-2, 0, 2))
    assert slices.shape == (2, 3, 128, 128)
    effects = area_effects(slices)
    areas = [np.pi * r**2 for r in (16, 20, 24)]
    assert effects[0, 2] == pytest.approx(100 * (areas[2] - areas[0]) / np.mean(areas), rel=0.02)
    assert effects[1, 2] == pytest.approx(0, abs=1)
    np.testing.assert_array_equal(effects[:, :2], 0)


def test_an_even_way_and_a_jump():
    groups = {"NOR": [constant([-1, 0])], "DCM": [constant([1, 0])]}
    even, jump = interpolation_report(Disc(), groups), interpolation_report(Disc(jump=True), groups)
    assert even["largest_step"] == pytest.approx(0.1, abs=0.04)
    assert even["detour"] == pytest.approx(1, abs=0.1)
    assert jump["largest_step"] > 0.45
    assert interpolation_report(Disc(), {"NOR": [constant([0, 0])], "DCM": []}) == {}


def clouds(distance, n, seed):
    rng = np.random.default_rng(seed)
    return {
        "NOR": [constant([0, 0, 0], 1.0, rng) for _ in range(n)],
        "DCM": [constant([distance, 0, 0], 1.0, rng) for _ in range(n)],
    }


def test_the_discriminant_reaches_the_bayes_accuracy():
    """Two normal clouds two SD apart: Phi(1) = 84 % is the best there is."""
    found = separability(clouds(2.0, 200, 0), clouds(2.0, 400, 1))
    assert found["accuracy"] == pytest.approx(0.841, abs=0.03)
    assert (found["chance"], found["subjects"]) == (0.5, 800)


@given(st.integers(0, 1000))
def test_far_clouds_are_told_apart_and_equal_ones_are_not(seed):
    assert separability(clouds(20.0, 10, seed), clouds(20.0, 10, seed + 1))["accuracy"] == 1
    assert separability(clouds(0.0, 10, seed), clouds(0.0, 200, seed + 1))["accuracy"] == pytest.approx(0.5, abs=0.12)


def test_without_held_out_hearts_nothing_is_said():
    assert separability(clouds(1.0, 5, 0), {}) == {}
    assert separability({"NOR": [constant([0, 0])] * 3}, {"NOR": [constant([0, 0])]}) == {}
