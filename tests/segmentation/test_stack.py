"""Windows, turns and finding: what must hold whatever a network has learned."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.models.field_segmenter import (
    FieldSegmenter,
    FieldSegmenterConfig,
    Window,
    sampled,
    standardised,
    with_neighbours,
)
from cardiomorph.segmentation.stack import TURNS, _back, _tiles, _turned, find_heart, label_stack

SMALL = FieldSegmenterConfig(widths=(4, 4, 4, 4, 4))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return FieldSegmenter(SMALL).eval()


@given(st.integers(30, 60), st.integers(30, 60), st.floats(0.8, 2.5), st.floats(0.8, 2.5))
def test_what_is_cut_and_put_back_lies_where_it_lay(nx, ny, dx, dy):
    x, y = torch.meshgrid(torch.arange(nx).float(), torch.arange(ny).float(), indexing="ij")
    plane = (3 * x + 2 * y + 5)[None, None]
    window = Window((nx / 2, ny / 2), 16, 1.0, (dx, dy))
    back = window.put_back(window.cut(plane), (nx, ny))
    inside = window.put_back(torch.ones(1, 1, 16, 16), (nx, ny)) > 0.999
    # Linear interpolation keeps a plane exactly.
    torch.testing.assert_close(back[inside], plane[inside], rtol=1e-3, atol=1e-2)
    assert (back[window.put_back(torch.ones(1, 1, 16, 16), (nx, ny)) == 0] == 0).all()


def test_sampling_takes_voxels_at_whole_positions_and_zero_outside():
    plane = torch.arange(12.0).view(1, 1, 3, 4)
    u, v = torch.tensor([[0.0, 2.0, -5.0]]), torch.tensor([[0.0, 3.0, 1.0]])
    torch.testing.assert_close(sampled(plane, u, v), torch.tensor([[[[0.0, 11.0, 0.0]]]]))


@pytest.mark.parametrize("way", TURNS)
def test_every_way_of_looking_is_taken_back(way):
    patches = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(_back(_turned(patches, *way), *way), patches)


def test_the_eight_ways_differ():
    patch = torch.arange(16.0).view(1, 1, 4, 4)
    seen = {tuple(_turned(patch, *way).flatten().tolist()) for way in TURNS}
    assert len(seen) == 8


@given(st.integers(30, 400), st.integers(30, 400), st.floats(0.7, 2.5))
def test_tiles_cover_the_slice(nx, ny, mm):
    seen = torch.zeros(nx, ny)
    for window in _tiles((nx, ny), (mm, mm), 1.5):
        seen += window.put_back(torch.ones(1, 1, window.size, window.size), (nx, ny))[0, 0]
    # The outermost pixels' far halves may lie beyond a window's outermost pixels' middles.
    assert (seen[2:-2, 2:-2] > 0).all()


@given(st.floats(0.01, 50), st.floats(-1000, 1000))
def test_a_scanners_scale_does_not_matter(gain, offset):
    patches = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(standardised(gain * patches + offset), standardised(patches), rtol=1e-4, atol=1e-4)


def test_neighbours_stand_in_order_and_ends_are_seen_again():
    stack = torch.arange(4.0)[:, None, None].expand(4, 2, 2)
    near = with_neighbours(stack, 1)[:, :, 0, 0]
    assert near.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]


def test_probabilities_are_ones_and_outside_is_background(model):
    stack = np.random.default_rng(0).normal(size=(3, 90, 80)).astype(np.float32)
    window = Window((45, 40), 32, 1.5, (1.5, 1.5))
    found = label_stack(model, stack, window)
    np.testing.assert_allclose(found.probability.sum(axis=0), 1.0, atol=1e-5)
    assert (found.label[:, :20] == 0).all()
    assert found.label.shape == stack.shape
    assert all(0 <= value <= 1 for value in found.overlap.values())


def test_one_look_agrees_with_itself(model):
    stack = np.random.default_rng(0).normal(size=(3, 90, 80)).astype(np.float32)
    found = label_stack(model, stack, Window((45, 40), 32, 1.5, (1.5, 1.5)), ways=TURNS[:1])
    assert set(found.overlap.values()) == {1.0}


class Brightness(FieldSegmenter):
    """Labels what is brighter than two SDs as LV: a network whose heart is known."""

    def forward(self, images):
        bright = 20 * (images[:, images.shape[1] // 2] - 2)
        nothing = torch.zeros_like(bright)
        return torch.stack([nothing, nothing - 50, nothing - 50, bright], dim=1)


@pytest.mark.parametrize("centre", [(60, 150), (200, 60), (128, 128), (30, 30)])
def test_the_heart_is_found_wherever_it_lies(centre):
    x, y = np.ogrid[:256, :240]
    blob = (np.hypot(x - centre[0], y - centre[1]) < 15).astype(np.float32)
    noise = 0.1 * np.random.default_rng(0).normal(size=(6, 256, 240)).astype(np.float32)
    window = find_heart(Brightness(SMALL).eval(), 10 * blob + noise, (1.5, 1.5))
    assert np.hypot(window.centre_px[0] - centre[0], window.centre_px[1] - centre[1]) < 3


def test_of_two_bodies_the_larger_is_the_heart_and_of_none_nothing():
    x, y = np.ogrid[:200, :200]
    small, large = (np.hypot(x - c, y - c) < r for c, r in ((40, 6), (140, 18)))
    stack = np.repeat((10.0 * (small | large))[None], 4, axis=0).astype(np.float32)
    window = find_heart(Brightness(SMALL).eval(), stack, (1.5, 1.5))
    assert abs(window.centre_px[0] - 140) < 3
    assert find_heart(Brightness(SMALL).eval(), np.zeros((4, 200, 200), np.float32), (1.5, 1.5)) is None


def test_a_heart_that_does_not_fit_gets_a_larger_window():
    x, y = np.ogrid[:256, :256]
    stack = np.repeat((10.0 * (np.hypot(x - 128, y - 128) < 62))[None], 3, axis=0).astype(np.float32)

    class Large(Brightness):
        def forward(self, images):
            return super().forward(images + 1.5)

    assert find_heart(Large(SMALL).eval(), stack, (1.5, 1.5)).size > 128
