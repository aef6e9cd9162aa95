"""ONNX Runtime gives what PyTorch gives."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.onnx_backend import OnnxPainter
from cardiomorph.models.painter import Painter
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.synthesis.engine import synthesize_heart
from cardiomorph.synthesis.pipeline import recreate, synthesize
from cardiomorph.synthesis.request import SynthesisRequest, jobs

SIZE = 32


@pytest.fixture(scope="module")
def painters():
    torch.manual_seed(0)
    model = ImageModel(ImageModelConfig(width=2, hidden=4, style_dims=4, noise=True, size=SIZE)).eval()
    for block in model.generator.blocks:
        block.grain.data.normal_()
        for spade in (block.spade_0, block.spade_1):
            spade.norm.running_mean.normal_()
            spade.norm.running_var.uniform_(0.5, 2)
    return Painter(model), OnnxPainter(model)


def disc(radius, shift=0):
    axis = torch.arange(SIZE) - SIZE / 2
    distance = torch.hypot(axis[:, None] - shift, axis[None] * 1.1)
    return (distance < radius).long() + (distance < 0.6 * radius).long()


def test_images_are_the_same_with_and_without_noise_whatever_the_batch(painters):
    plain, onnx = painters
    generator = torch.Generator().manual_seed(1)
    for labels in ([disc(9)], [disc(7), disc(10, 2), disc(12, -3)]):
        labels = torch.stack(labels)
        style = torch.randn(len(labels), 4, generator=generator)
        noise = torch.randn(len(labels), 1, SIZE, SIZE, generator=generator)
        for grain in (None, noise):
            torch.testing.assert_close(
                onnx.paint(style, labels, grain), plain.paint(style, labels, grain), atol=1e-5, rtol=0
            )
    assert onnx.session is not None


def test_labels_without_any_order_are_painted_too(painters):
    plain, onnx = painters
    labels = torch.randint(0, 4, (2, SIZE, SIZE), generator=torch.Generator().manual_seed(2))
    style = torch.ones(2, 4)
    torch.testing.assert_close(onnx.paint(style, labels), plain.paint(style, labels), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_synthesis_by_onnx_is_that_of_torch_and_says_so(atlas, tmp_path):
    request = SynthesisRequest(targets=("HCM",), sources=("virtual",), parents=1, versions=1, seed=4)
    job = jobs(request, atlas)[0]
    folder = synthesize(Atlas(atlas.folder, backend="onnx"), tmp_path / "hearts", request) / job.name
    expected = synthesize_heart(atlas, job)
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts["backend"] == "onnx"
    for number, phase in enumerate(("ED", "ES"), 1):
        label = np.asarray(nib.load(folder / f"{job.name}_frame0{number}_gt.nii.gz").dataobj)
        # Untrained logits lie close together: a last bit may choose another label here and there.
        assert (label != expected.labels[phase].array).mean() < 1e-4
    again = recreate(folder / "provenance.json", atlas, tmp_path / "again")
    name = f"{job.name}_frame01.nii.gz"
    assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert json.loads((again / "provenance.json").read_text()) == facts
