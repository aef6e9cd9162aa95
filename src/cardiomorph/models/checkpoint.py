"""Weights on disk: ``model.safetensors`` with ``model.json`` beside it, which holds their digest. No pickle is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import checked_tensors, digest, read_record, validated, write_bytes, write_json
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.models.spade import ImageModel, ImageModelConfig

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
_COPY_AGAIN = "Copy the model again"
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
    return read_tensors_and_facts(path)[0]


def read_tensors_and_facts(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises `CardiomorphError` where it is missing or damaged."""
    content, facts = checked_tensors(path)
    try:
        return load(content), facts
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
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
    config = model.config
    assert isinstance(config, BaseModel), "models keep their configuration"
    # In a folder where a model lies already the old description must not vouch for new weights.
    (folder / DESCRIPTION).unlink(missing_ok=True)
    write_bytes(folder / WEIGHTS, tensors_to_bytes(state))
    described = {"kind": kind, "config": config.model_dump(), "sha256": model_digest(folder), **facts}
    write_json(folder / DESCRIPTION, described, seal=True)


def model_digest(folder: Path) -> str:
    """What identifies a model: SHA-256 of its weights file."""
    return digest(folder / WEIGHTS)


def _described(folder: Path, kind: str) -> tuple[BaseModel, str | None]:
    """A model's configuration, and the digest of its weights where the description is young enough to hold one."""
    if not (folder / DESCRIPTION).is_file():
        raise CardiomorphError(
            f"holds no trained {kind} model (no {DESCRIPTION})",
            where=folder,
            fix=f"Train one with 'cardiomorph train {kind} COHORT -o RUN'",
        )
    description = read_record(folder / DESCRIPTION)
    if description.get("kind") != kind:
        raise CardiomorphError(f"is not the folder of the {kind} model that was expected", where=folder)
    config = validated(_KINDS[kind][0], description.get("config"), folder / DESCRIPTION, _COPY_AGAIN)
    return config, description.get("sha256")


def model_config(folder: Path, kind: str) -> BaseModel:
    """How large a model is, without its weights. Raises `CardiomorphError` where there is no such model."""
    return _described(Path(folder), kind)[0]


def _layout(kind: type[nn.Module], config: BaseModel, folder: Path) -> dict[str, tuple[torch.Size, bool]]:
    """Shapes of a network's tensors, and which are floating-point numbers, without memory: it may be of any size."""
    try:
        with torch.device("meta"):
            state = kind(config).state_dict()
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise CardiomorphError(
            "describes a network that no computer holds", where=folder / DESCRIPTION, fix=_COPY_AGAIN
        ) from error
    return {key: (value.shape, value.is_floating_point()) for key, value in state.items()}


def _load(folder: Path, kind: str, device: str) -> nn.Module:
    config, wanted = _described(folder, kind)
    weights = folder / WEIGHTS
    state = read_tensors(weights)
    if wanted is not None and digest(weights) != wanted:
        raise CardiomorphError("are not the weights that model.json describes", where=weights, fix=_COPY_AGAIN)
    model_type = _KINDS[kind][1]
    empty = _layout(model_type, config, folder)
    found = {key: (value.shape, value.is_floating_point()) for key, value in state.items()}
    if found != empty:
        first = next(key for key in {**empty, **found} if empty.get(key) != found.get(key))
        raise CardiomorphError(
            f"weights and description do not fit each other (at {first})", where=folder, fix=_COPY_AGAIN
        )
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise CardiomorphError("holds weights that are not finite", where=weights, fix="Train the model again")
    model = model_type(config)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
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
