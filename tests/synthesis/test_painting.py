"""Grain against painters whose noise is known, and in the hearts that a real atlas makes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import PHASES
from cardiomorph.evaluation.fidelity import noise_level
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import shipped_atlases
from cardiomorph.synthesis.heart_synthesis import draw_heart, image_slices, label_slices
from cardiomorph.synthesis.jobs import jobs
from cardiomorph.synthesis.painting import MAX_STRENGTH, NOISE_SHARE, noise_strength, paint, strength_for
from cardiomorph.synthesis.request import SynthesisRequest

SHAPE = (6, 96, 96)


class Painter:
    """Paints a brightness, a fixed texture and white noise."""

    def __init__(self, noise=0.1, texture=0.0, noisy=True):
        self.noise, self.config = noise, SimpleNamespace(noise=noisy)
        self.texture = texture * torch.randn((1, *SHAPE[1:]), generator=torch.Generator().manual_seed(5))

    def paint(self, style, labels, noise=None):
        base = style[:, :, None, None] + self.texture
        return base if noise is None else base + self.noise * noise


def strength(painter, noise):
    return strength_for(painter, np.zeros((SHAPE[0], 1), np.float32), np.zeros(SHAPE, np.uint8), noise)


@given(st.floats(0.02, 0.19))
def test_painted_images_are_as_noisy_as_was_asked(noise):
    assert strength(Painter(0.1), noise) == pytest.approx(noise / 0.1, rel=0.02)


def test_texture_that_the_model_paints_anyway_counts():
    found = strength(Painter(0.1, texture=0.15), 0.21)
    assert found == pytest.approx(np.sqrt(0.21**2 - 0.15**2) / 0.1, rel=0.05)


def test_a_model_noisier_than_the_image_without_its_noise_paints_without():
    assert strength(Painter(0.1, texture=0.3), 0.1) == 0.0


def test_no_strength_beyond_what_was_tried():
    assert strength(Painter(0.1), 2.0) == MAX_STRENGTH


@pytest.mark.parametrize("painter", [Painter(noisy=False), Painter(noise=0.0)])
def test_models_without_noise_are_left_alone(painter):
    assert strength(painter, 0.2) == 1.0


def test_every_slice_may_have_a_strength_of_its_own():
    strengths = np.array([0.5, 1, 2, 3, 0, 1.5], np.float32)
    style, labels = np.zeros((6, 1), np.float32), np.zeros(SHAPE, np.uint8)
    images = paint(Painter(0.1), style, labels, np.random.default_rng(3), strengths)
    np.testing.assert_allclose(images.std(axis=(1, 2)), 0.1 * strengths, rtol=0.05)
    again = paint(Painter(0.1), style, labels, np.random.default_rng(3))
    np.testing.assert_allclose(images, again * strengths[:, None, None], rtol=1e-5)


def test_a_heart_is_as_noisy_as_was_drawn_for_its_parent():
    atlas = Atlas(shipped_atlases()["phantom-small"])
    request = SynthesisRequest(targets=("DCM",), sources=("virtual",), parents=2, versions=1)
    tried = 0
    for job in jobs(request, atlas):
        drawn = draw_heart(atlas, job.model_copy(update={"severity": 0.0}))
        strength = noise_strength(atlas, job.source, job.seed)
        images = [image_slices(atlas, drawn, phase, label_slices(atlas, drawn, phase)) for phase in PHASES]
        found = np.mean([noise_level(image) for image in np.concatenate(images)])
        wanted = NOISE_SHARE * drawn.parent.noise
        if 0 < strength < MAX_STRENGTH:
            tried += 1
            assert found == pytest.approx(wanted, rel=0.1)
        else:
            assert (found > 0.9 * wanted) == (strength == 0)
    assert tried
