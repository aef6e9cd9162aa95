from __future__ import annotations

import numpy as np
import pytest
import torch

from cardiomorph.models.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
)

CONFIG = DiscriminatorConfig(width=2, layers=3, scales=2)


def outputs(seed):
    rng = torch.Generator().manual_seed(seed)
    return [[2 * torch.randn(2, channels, n, n, generator=rng) for channels in (3, 4, 1)] for n in (6, 4)]


def judged(image, label=None):
    torch.manual_seed(0)
    model = Discriminator(CONFIG).eval()
    return model(image, torch.zeros(len(image), 4, *image.shape[2:]) if label is None else label)


def test_every_scale_gives_every_layer_and_a_verdict_of_one_channel():
    result = judged(torch.randn(2, 1, 64, 64))
    assert len(result) == 2
    assert [len(layers) for layers in result] == [4, 4]
    assert all(layers[-1].shape[:2] == (2, 1) for layers in result)
    full, half = (layers[0].shape[-1] for layers in result)
    assert full == pytest.approx(2 * half, abs=1)


def test_the_verdict_depends_on_image_and_label():
    image, label = torch.randn(1, 1, 32, 32), torch.ones(1, 4, 32, 32)
    assert not torch.allclose(judged(image)[0][-1], judged(-image)[0][-1])
    assert not torch.allclose(judged(image)[0][-1], judged(image, label)[0][-1])


def test_the_verdict_is_local():
    image = torch.zeros(1, 1, 128, 128)
    torch.manual_seed(0)
    model = Discriminator(CONFIG.model_copy(update={"scales": 1}))
    patch = model.scales[0]
    for index, stage in enumerate(patch.stages):
        if isinstance(stage, torch.nn.Sequential):
            # Instance norm alone looks at the whole image.
            patch.stages[index] = torch.nn.Sequential(*(m for m in stage if not isinstance(m, torch.nn.InstanceNorm2d)))
    model.eval()
    label = torch.zeros(1, 4, 128, 128)
    changed = image.clone()
    changed[..., :8, :8] = 1
    moved = (model(changed, label)[0][-1] - model(image, label)[0][-1]).abs() > 1e-7
    assert moved[..., 0, 0]
    assert not moved[..., moved.shape[-1] // 2 :, :].any()


def test_hinge_losses_are_the_written_formulas():
    real, fake = outputs(0), outputs(1)
    terms = [
        np.maximum(0, 1 - r[-1].numpy()).mean() + np.maximum(0, 1 + f[-1].numpy()).mean()
        for r, f in zip(real, fake, strict=True)
    ]
    assert float(discriminator_hinge(real, fake)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(generator_hinge(fake)) == pytest.approx(np.mean([-f[-1].numpy().mean() for f in fake]), rel=1e-5)


def test_a_sure_discriminator_has_no_loss():
    sure = [[torch.full((1, 1, 3, 3), 1.5)]]
    unsure = [[torch.zeros(1, 1, 3, 3)]]
    assert float(discriminator_hinge(sure, [[-sure[0][0]]])) == 0
    assert float(discriminator_hinge(unsure, unsure)) == 2


def test_feature_matching_is_the_mean_difference_without_the_verdict():
    real, fake = outputs(0), outputs(1)
    expected = np.mean(
        [
            sum(np.abs(r.numpy() - f.numpy()).mean() for r, f in zip(rs[:-1], fs[:-1], strict=True))
            for rs, fs in zip(real, fake, strict=True)
        ]
    )
    assert float(feature_matching(real, fake)) == pytest.approx(expected, rel=1e-5)
    assert float(feature_matching(real, real)) == 0


def test_no_gradient_flows_into_real_features():
    real, fake = ([[t.requires_grad_() for t in layers] for layers in outputs(seed)] for seed in (0, 1))
    feature_matching(real, fake).backward()
    assert all(t.grad is None for layers in real for t in layers)
    assert all(t.grad is not None for layers in fake for t in layers[:-1])
