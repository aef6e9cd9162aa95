"""The network that has seen photographs: the package's own features, frozen, and a loss that knows what differs."""

import pytest
import torch

from cardiomorph.models.imagenet import ImageNetFeatures, imagenet_available, perceptual_loss

pytestmark = pytest.mark.skipif(not imagenet_available(), reason="the extra 'features' is not installed")


@pytest.fixture(scope="module")
def features():
    return ImageNetFeatures()


def pictures(n=2, size=96):
    x, y = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    return torch.stack([torch.sin((4 + 3 * k) * x) * torch.cos(5 * y) for k in range(n)])[:, None]


@torch.inference_mode()
def test_the_last_map_is_the_packages_own(features):
    maps = features(pictures())
    torch.testing.assert_close(maps[-1], features.network.extract_features(pictures().expand(-1, 3, -1, -1)))
    sides = [m.shape[-1] for m in maps]
    assert sides == sorted(set(sides), reverse=True)


def test_it_never_trains(features):
    assert not features.train().training
    assert not any(module.training for module in features.modules())
    assert not any(p.requires_grad for p in features.parameters())


def test_the_loss_is_zero_for_the_same_and_grows_with_what_differs(features):
    real = pictures()
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    losses = [float(perceptual_loss(features, real + s * noise, real)) for s in (0.0, 0.05, 0.2, 0.6)]
    assert losses[0] == 0
    assert losses == sorted(losses)


def test_the_loss_reaches_the_painted_picture(features):
    painted = pictures().requires_grad_()
    perceptual_loss(features, painted, pictures().flip(0)).backward()
    assert painted.grad.abs().sum() > 0
