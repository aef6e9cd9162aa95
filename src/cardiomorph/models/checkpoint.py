"""Weights on disk: ``model.safetensors`` with ``model.json`` beside it. No pickle is ever read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import digest, read_json, write_bytes, write_json
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.models.spade import ImageModel, ImageModelConfig

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
_KINDS: dict[str, tuple[type[BaseModel], type[nn.Module]]] = {
    "shape": (LabelVAEConfig, LabelVAE),
    "image": (ImageModelConfig, ImageModel),
    "segmenter": (SegmenterConfig, Segmenter),
}


def tensors_to_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors as safetensors bytes, on the CPU and contiguous."""
    plain = {key: value.detach().to("cpu", copy=False).contiguous() for key, value in tensors.items()}
    return save(plain, metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file. Raises `CardiomorphError` where it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CardiomorphError("this file is missing", where=path) from error
    except (SafetensorError, OSError) as error:
        raise CardiomorphError(f"is not a readable safetensors file ({error})", where=path) from error


def save_model(folder: Path, kind: str, model: nn.Module, *, half: bool = False, **facts: Any) -> None:
    """Writes a model: weights, then the description that makes the folder a model.

    Args:
        kind: "shape", "image" or "segmenter".
        half: store floating-point weights as fp16.
        facts: whatever else belongs in model.json (where it was trained, how).
    """
    state = model.state_dict()
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    write_bytes(folder / WEIGHTS, tensors_to_bytes(state))
    config = model.config
    assert isinstance(config, BaseModel), "models keep their configuration"
    write_json(folder / DESCRIPTION, {"kind": kind, "config": config.model_dump(), **facts})


def model_digest(folder: Path) -> str:
    """What identifies a model: SHA-256 of its weights file."""
    return digest(folder / WEIGHTS)


def _load(folder: Path, kind: str, device: str) -> nn.Module:
    if not (folder / DESCRIPTION).is_file():
        raise CardiomorphError(
            f"holds no trained {kind} model (no {DESCRIPTION})",
            where=folder,
            fix=f"Train one with 'cardiomorph train {kind} COHORT -o RUN'",
        )
    description = read_json(folder / DESCRIPTION)
    if not isinstance(description, dict) or description.get("kind") != kind:
        raise CardiomorphError(f"is not the folder of the {kind} model that was expected", where=folder)
    config_type, model_type = _KINDS[kind]
    try:
        model = model_type(config_type.model_validate(description["config"]))
        state = read_tensors(folder / WEIGHTS)
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (ValidationError, KeyError, RuntimeError) as error:
        raise CardiomorphError(
            f"weights and description do not fit each other ({error})", where=folder, fix="Copy the model again"
        ) from error
    return model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def load_shape_model(folder: Path, device: str = "cpu") -> LabelVAE:
    """The shape model of a run or atlas folder, in evaluation mode. Raises `CardiomorphError`."""
    model = _load(Path(folder), "shape", device)
    assert isinstance(model, LabelVAE)
    return model


def load_image_model(folder: Path, device: str = "cpu") -> ImageModel:
    """The image model of a run or atlas folder, in evaluation mode. Raises `CardiomorphError`."""
    model = _load(Path(folder), "image", device)
    assert isinstance(model, ImageModel)
    return model


def load_segmenter(folder: Path, device: str = "cpu") -> Segmenter:
    """The segmenter of a run folder, in evaluation mode. Raises `CardiomorphError`."""
    model = _load(Path(folder), "segmenter", device)
    assert isinstance(model, Segmenter)
    return model
