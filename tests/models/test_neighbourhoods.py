"""One evaluation for each distinct neighbourhood computes what the dense convolutions compute."""

import pytest
import torch
import torch.nn.functional as F

from cardiomorph.models import neighbourhoods
from cardiomorph.models.neighbourhoods import LabelMap, codes_fit, neighbourhood_codes
from cardiomorph.models.spade import ImageModel, ImageModelConfig, Spade


def blobs():
    labels = torch.zeros(3, 32, 32, dtype=torch.long)
    labels[:, :14, :9] = 2
    labels[:, 3:10, 0:5] = 3
    labels[1:, 20:, 20:] = 1
    return labels


def noise():
    return torch.randint(0, 4, (2, 16, 16), generator=torch.Generator().manual_seed(0))


def modulation_and_gradients(spade, labels, monkeypatch, dense_above):
    monkeypatch.setattr(neighbourhoods, "DENSE_ABOVE", dense_above)
    label = LabelMap(labels)
    assert (label.table is None) == (dense_above < 0)
    spade.zero_grad()
    result = spade.modulation(label)
    result.square().sum().backward()
    used = [p for p in spade.parameters() if p.grad is not None]
    return result.detach(), [p.grad.clone() for p in used]


@pytest.mark.parametrize("labels", [blobs(), noise()], ids=["blobs", "noise"])
def test_the_table_gives_the_dense_modulation_and_gradients(labels, monkeypatch):
    torch.manual_seed(0)
    spade = Spade(6, 5)
    table, table_gradients = modulation_and_gradients(spade, labels, monkeypatch, 2.0)
    dense, dense_gradients = modulation_and_gradients(spade, labels, monkeypatch, -1.0)
    assert (table - dense).abs().max() < 1e-5
    assert len(table_gradients) == len(dense_gradients) == 4
    for a, b in zip(table_gradients, dense_gradients, strict=True):
        assert (a - b).abs().max() < 1e-4 * b.abs().max()


def test_the_whole_generator_paints_the_same_image(monkeypatch):
    torch.manual_seed(0)
    model = ImageModel(ImageModelConfig(width=2, hidden=4, style_dims=3, size=32)).eval()
    style = torch.randn(3, 3)
    with torch.inference_mode():
        fast = model.paint(style, blobs())
        monkeypatch.setattr(neighbourhoods, "DENSE_ABOVE", -1.0)
        assert (fast - model.paint(style, blobs())).abs().max() < 1e-5


def test_noisy_labels_fall_back_to_the_dense_way():
    assert LabelMap(noise()).table is None
    assert LabelMap(blobs()).table is not None


def test_a_lower_resolution_is_the_nearest_neighbours():
    labels = noise()
    expected = F.interpolate(labels[:, None].float(), size=(4, 4), mode="nearest")[:, 0].long()
    assert torch.equal(LabelMap(labels).at(4).labels, expected)


@pytest.mark.parametrize("label", [4, 5, 255])
def test_a_label_that_is_no_class_is_refused_and_not_taken_for_another(label):
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels[0, 3, 3] = label
    with pytest.raises(ValueError, match=f"labels run from 0 to {label}"):
        neighbourhood_codes(labels)


def test_more_classes_than_fit_have_no_codes_and_are_painted_pixel_by_pixel():
    assert codes_fit(4)
    assert not codes_fit(5)
    with pytest.raises(ValueError, match="neighbourhoods of 5 classes do not fit"):
        neighbourhood_codes(blobs(), 5)
    config = ImageModelConfig(width=2, hidden=4, style_dims=3, size=32, classes=("background", "a", "b", "c", "d"))
    model = ImageModel(config).eval()
    labels = blobs()
    labels[:, 26:, :5] = 4
    assert labels.max() == 4
    assert LabelMap(labels, 5).table is None
    style = torch.randn(3, 3)
    with torch.inference_mode():
        torch.testing.assert_close(model.painter().paint(style, labels), model.paint(style, labels), rtol=0, atol=1e-6)
