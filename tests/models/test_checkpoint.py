from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json, write_json
from cardiomorph.models.checkpoint import (
    load_image_model,
    load_shape_model,
    model_digest,
    read_tensors,
    save_model,
)
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, one_hot
from cardiomorph.models.spade import ImageModel, ImageModelConfig

LABELS = torch.randint(0, 4, (2, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def shape_model():
    torch.manual_seed(0)
    model = LabelVAE(LabelVAEConfig(width=2, bottleneck=8, size=32))
    model.encode(one_hot(LABELS))
    return model.eval()


@pytest.fixture
def saved(shape_model, tmp_path):
    save_model(tmp_path / "m", "shape", shape_model)
    return tmp_path / "m"


@torch.inference_mode()
def test_a_shape_model_comes_back_as_it_was(shape_model, saved):
    loaded = load_shape_model(saved)
    assert not loaded.training
    assert loaded.config == shape_model.config
    code, again = shape_model.encode(one_hot(LABELS)), loaded.encode(one_hot(LABELS))
    torch.testing.assert_close(again.mean, code.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loaded.decode(code.mean), shape_model.decode(code.mean), rtol=1e-5, atol=1e-5)
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, shape_model.state_dict()[key])


@torch.inference_mode()
def test_an_image_model_comes_back_as_it_was(tmp_path):
    torch.manual_seed(0)
    model = ImageModel(ImageModelConfig(width=2, hidden=4, style_dims=6, size=32)).eval()
    save_model(tmp_path, "image", model)
    loaded, style = load_image_model(tmp_path), torch.randn(2, 6)
    torch.testing.assert_close(loaded.paint(style, LABELS), model.paint(style, LABELS), rtol=1e-5, atol=1e-5)


def test_half_precision_is_close_and_smaller(shape_model, saved, tmp_path):
    save_model(tmp_path / "h", "shape", shape_model, half=True)
    whole, half = ((folder / "model.safetensors").stat().st_size for folder in (saved, tmp_path / "h"))
    assert half < 0.75 * whole
    for key, value in load_shape_model(tmp_path / "h").state_dict().items():
        torch.testing.assert_close(value, shape_model.state_dict()[key], rtol=1e-3, atol=1e-3)


def test_weights_are_safetensors_and_no_pickle(saved):
    content = (saved / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert set(load(content)) == set(header) - {"__metadata__"}
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]


def test_the_same_weights_are_the_same_bytes(shape_model, saved, tmp_path):
    save_model(tmp_path / "again", "shape", shape_model)
    assert model_digest(saved) == model_digest(tmp_path / "again")


def test_facts_stand_in_the_description(shape_model, tmp_path):
    save_model(tmp_path, "shape", shape_model, trained_on="acdc")
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["kind"] == "shape"
    assert description["trained_on"] == "acdc"
    assert description["config"]["width"] == 2


def test_another_kind_is_an_error(saved):
    with pytest.raises(CardiomorphError, match="is not the folder of the image model"):
        load_image_model(saved)


def test_a_folder_without_model_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match=r"holds no trained shape model.*cardiomorph train shape") as error:
        load_shape_model(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_missing_weights_are_an_error(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(CardiomorphError, match=r"model.safetensors: this file is missing"):
        load_shape_model(saved)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04K\x01."], ids=["empty", "text", "pickle"])
def test_damaged_weights_are_an_error(content, saved):
    (saved / "model.safetensors").write_bytes(content)
    with pytest.raises(CardiomorphError, match=r"model.safetensors: is not a readable safetensors file"):
        load_shape_model(saved)


def test_truncated_weights_are_an_error(saved):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CardiomorphError, match="is not a readable safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("change", [{"width": 3}, {"breadth": 3}])
def test_a_description_of_other_weights_is_an_error(change, saved):
    description = json.loads((saved / "model.json").read_text())
    description["config"] |= change
    write_json(saved / "model.json", description, seal=True)
    with pytest.raises(CardiomorphError, match=r"weights and description do not fit|breadth: Extra inputs"):
        load_shape_model(saved)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"shape"', "{}"])
def test_a_description_that_is_none_is_an_error(content, saved):
    (saved / "model.json").write_text(content)
    with pytest.raises(CardiomorphError, match=r"is not the folder of the shape model|does not hold an object"):
        load_shape_model(saved)


def test_a_single_flipped_bit_is_never_loaded(saved):
    for name in ("model.safetensors", "model.json"):
        content = (saved / name).read_bytes()
        for place in range(len(content) // 30, len(content), len(content) // 15):
            (saved / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            if name == "model.json" and says_the_same(saved / name, json.loads(content)):
                continue  # a blank became another, or the name of the digest alone is hit
            with pytest.raises(CardiomorphError):
                load_shape_model(saved)
        (saved / name).write_bytes(content)
    load_shape_model(saved)


def says_the_same(path, description):
    try:
        return read_json(path).items() >= {k: v for k, v in description.items() if k != "content_sha256"}.items()
    except CardiomorphError:
        return False


def test_a_description_of_any_size_takes_no_memory(saved):
    description = read_json(saved / "model.json")
    description["config"] |= {"width": 10**6, "size": 2**20}
    write_json(saved / "model.json", description, seal=True)
    with pytest.raises(CardiomorphError, match=r"weights and description do not fit|less than or equal to 8192"):
        load_shape_model(saved)


def test_weights_that_are_not_finite_are_refused(shape_model, tmp_path):
    next(shape_model.parameters()).data.fill_(float("nan"))
    save_model(tmp_path, "shape", shape_model)
    with pytest.raises(CardiomorphError, match=r"model\.safetensors: holds weights that are not finite"):
        load_shape_model(tmp_path)


def test_a_model_from_before_digests_is_still_read(saved):
    description = {key: value for key, value in read_json(saved / "model.json").items() if "sha256" not in key}
    write_json(saved / "model.json", description)
    load_shape_model(saved)
