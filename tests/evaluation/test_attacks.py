"""Attacks whose answers are known: an atlas that keeps its subjects is found out, one that knows nobody is not."""

from dataclasses import replace

import numpy as np
import pytest

from cardiomorph.evaluation.attacks import ATTACKS, attack_report, scores
from cardiomorph.latent.joint import joint_statistics, pack
from cardiomorph.latent.trajectory import N_SLICES, Trajectory
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig

DIMS = 4
SHAPE = (N_SLICES, DIMS)


def hearts(rng, n):
    def heart():
        wave = np.linspace(0, 3, N_SLICES)[:, None]
        codes = [a + b * np.sin(wave) + 0.02 * rng.normal(size=SHAPE) for a, b in rng.normal(size=(2, 2, DIMS))]
        return Trajectory({"ED": codes[0], "ES": codes[1]}, {"ED": 80 * np.exp(0.1 * rng.normal()), "ES": 70.0})

    return [heart() for _ in range(n)]


@pytest.fixture(scope="module")
def told():
    rng = np.random.default_rng(0)
    training, heldout = ({"NOR": hearts(rng, 30), "DCM": hearts(rng, 30)} for _ in range(2))
    vectors = {name: np.stack([pack(heart) for heart in found]) for name, found in training.items()}
    joint = joint_statistics(vectors, SHAPE, "NOR")
    model = LabelVAE(LabelVAEConfig(width=4, latent_dims=DIMS, bottleneck=8, size=32)).eval()
    return model, joint, training, heldout


def test_few_numbers_of_many_hearts_tell_little(told):
    model, joint, training, heldout = told
    found = attack_report(model, joint, training, heldout)
    for name in ATTACKS:
        assert 0.4 < found["membership"][name] < 0.75
        assert 0.4 < found["statistics_alone"][name] < 0.75
    assert 0 <= found["reconstruction_dice"] <= 1
    assert 0.2 < found["reconstruction"] < 0.8


def test_an_atlas_that_holds_its_subjects_is_found_out(told):
    """With as many modes as hearts a subject lies in their span, and whoever asks is told."""
    model, joint, training, heldout = told
    (ours, theirs) = training["NOR"][0], heldout["NOR"][0]
    known = joint["NOR"]
    kept = replace(known, mean=pack(ours))
    assert scores(kept, ours)[1] == pytest.approx(0.0, abs=1e-9)
    assert scores(kept, theirs)[1] < -1
    found = attack_report(model, {"NOR": kept}, {"NOR": [ours] * 5}, {"NOR": heldout["NOR"]})
    assert found["membership"]["distance"] == 1.0


def test_without_enough_hearts_nothing_is_told(told):
    model, joint, training, _ = told
    found = attack_report(model, joint, {"NOR": training["NOR"][:2]}, {})
    assert found == {}
