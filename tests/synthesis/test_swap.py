"""The swap test against painters whose answer is known."""

from types import SimpleNamespace

import pytest
import torch

from cardiomorph.data.cohort import Cohort
from cardiomorph.synthesis.swap import swap_comparisons

TISSUE = torch.tensor([-0.6, 0.5, -0.2, 0.6])


class Painter:
    """Paints tissues by their label, brightened by the style, which is the image's mean; or the style's label."""

    config = SimpleNamespace(noise=False)

    def __init__(self, follows="label"):
        self.follows, self.seen = follows, {}

    def encode_style(self, images):
        styles = images.mean(dim=(1, 2, 3))[:, None]
        self.seen |= {float(s): image for s, image in zip(styles[:, 0], images, strict=True)}
        return styles

    def paint(self, style, labels, noise=None):
        if self.follows == "style":
            return torch.stack([self.seen[float(s)] for s in style[:, 0]])
        return TISSUE[labels.long()][:, None] + style[:, :, None, None]


class Reader:
    """Reads the label that lies nearest in brightness, after the slice's darkest tissue is taken as background."""

    def judge(self, images):
        dark = images.flatten(1).quantile(0.1, dim=1)[:, None, None, None]
        distance = (images - dark - (TISSUE - TISSUE[0])[None, :, None, None]).abs()
        return distance.argmin(dim=1).to(torch.uint8), None


def swapped(painter, cohort):
    return {c.path[0]: c.value for c in swap_comparisons(painter, painter, Reader(), cohort)}


def test_a_painter_that_follows_the_label_passes(cohort):
    found = swapped(Painter(), cohort)
    assert found["anatomy"] == pytest.approx(1, abs=1e-6)
    assert found["anatomy_unswapped"] == pytest.approx(1, abs=1e-6)
    assert found["anatomy_of_style"] < 0.9


def test_a_painter_that_copies_the_styles_image_keeps_its_appearance_and_fails_the_anatomy(cohort):
    copied, painted = swapped(Painter("style"), cohort), swapped(Painter(), cohort)
    assert copied["anatomy"] < painted["anatomy"] - 0.1
    assert set(copied) == {"anatomy", "anatomy_of_style", "anatomy_unswapped", "appearance", "appearance_of_label"}


def test_appearance_is_measured_at_the_tissues(cohort):
    class Same(Painter):
        """Every tissue at 0.25."""

        def paint(self, style, labels, noise=None):
            return torch.full((len(labels), 1, 128, 128), 0.25)

    found = swapped(Same(), cohort)
    assert 0.2 < found["appearance"] < 1.2
    assert found["appearance"] == pytest.approx(found["appearance_of_label"], rel=0.3)


def test_one_subject_has_nobody_to_swap_with(cohort, monkeypatch):
    monkeypatch.setattr(Cohort, "subjects", lambda self, split=None, group=None: iter([self.load(self.ids()[0])]))
    assert swapped(Painter(), cohort) == {}
