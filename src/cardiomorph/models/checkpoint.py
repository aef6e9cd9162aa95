"""Weights on disk: ``model.safetensors`` with ``model.json`` beside it, which holds their digest. No pickle is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import checked_tensors, digest, read_record, validated, write_bytes, write_json
from cardiomorph.models.field_segmenter import FieldSegmenter, FieldSegmenterConfig
from cardiomorph.models.image_generator import IMAGE_GENERATORS, ImageGenerator, generator_type
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, use_batch_statistics
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
_COPY_AGAIN = "Copy the model again"
_SHAPE, _SEGMENTER, _FIELD_SEGMENTER, _IMAGE = "shape", "segmenter", "field_segmenter", "image"


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
        kind: "shape", "segmenter", "field_segmenter" or a key of `IMAGE_GENERATORS`.
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


@dataclass(frozen=True)
class _Described:
    """What model.json says: the network's class, its configuration, and its weights' digest where it holds one."""

    model_type: Callable[[Any], nn.Module]
    config: BaseModel
    sha256: str | None


def _described(folder: Path, role: str) -> _Described:
    """Reads model.json. ``role`` is "shape", "segmenter" or "image", which any kind of generator can play."""
    if not (folder / DESCRIPTION).is_file():
        raise CardiomorphError(
            f"holds no trained {role} model (no {DESCRIPTION})",
            where=folder,
            fix=f"Train one with 'cardiomorph train {role.replace('_', '-')} COHORT -o RUN'",
        )
    description = read_record(folder / DESCRIPTION)
    kind = str(description.get("kind"))
    if kind not in (IMAGE_GENERATORS if role == _IMAGE else (role,)):
        what = role.replace("_", " ")
        raise CardiomorphError(f"is not the folder of the {what} model that was expected", where=folder)
    model_type, config_type = _types(kind)
    config = validated(config_type, description.get("config"), folder / DESCRIPTION, _COPY_AGAIN)
    return _Described(model_type, config, description.get("sha256"))


def _types(kind: str) -> tuple[Callable[[Any], nn.Module], type[BaseModel]]:
    if kind == _SHAPE:
        return LabelVAE, LabelVAEConfig
    if kind == _SEGMENTER:
        return Segmenter, SegmenterConfig
    if kind == _FIELD_SEGMENTER:
        return FieldSegmenter, FieldSegmenterConfig
    found: Any = generator_type(kind)
    return found, found.Config


def model_config(folder: Path, role: str) -> BaseModel:
    """How large a model is, without its weights. Raises `CardiomorphError` where there is no such model."""
    return _described(Path(folder), role).config


def _layout(described: _Described, folder: Path) -> dict[str, tuple[torch.Size, bool]]:
    """Shapes of a network's tensors, and which are floating-point numbers, without memory: it may be of any size."""
    try:
        with torch.device("meta"):
            state = described.model_type(described.config).state_dict()
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise CardiomorphError(
            "describes a network that no computer holds", where=folder / DESCRIPTION, fix=_COPY_AGAIN
        ) from error
    return {key: (value.shape, value.is_floating_point()) for key, value in state.items()}


def _load(folder: Path, role: str, device: str) -> nn.Module:
    described = _described(folder, role)
    weights = folder / WEIGHTS
    state = read_tensors(weights)
    if described.sha256 is not None and digest(weights) != described.sha256:
        raise CardiomorphError("are not the weights that model.json describes", where=weights, fix=_COPY_AGAIN)
    empty = _layout(described, folder)
    found = {key: (value.shape, value.is_floating_point()) for key, value in state.items()}
    if found != empty:
        first = next(key for key in {**empty, **found} if empty.get(key) != found.get(key))
        raise CardiomorphError(
            f"weights and description do not fit each other (at {first})", where=folder, fix=_COPY_AGAIN
        )
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise CardiomorphError("holds weights that are not finite", where=weights, fix="Train the model again")
    model = described.model_type(described.config)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def load_shape_model(folder: Path, device: str = "cpu") -> LabelVAE:
    """The shape model of a run or atlas folder, in evaluation mode. Raises `CardiomorphError`."""
    model = _load(Path(folder), _SHAPE, device)
    assert isinstance(model, LabelVAE)
    return use_batch_statistics(model) if model.config.decoding_norm == "batch" else model


def load_image_model(folder: Path, device: str = "cpu") -> ImageGenerator:
    """The image generator of a run or atlas folder, in evaluation mode. Raises `CardiomorphError`."""
    return cast(ImageGenerator, _load(Path(folder), _IMAGE, device))


def load_segmenter(folder: Path, device: str = "cpu") -> Segmenter:
    """The segmenter of a run folder, in evaluation mode. Raises `CardiomorphError`."""
    model = _load(Path(folder), _SEGMENTER, device)
    assert isinstance(model, Segmenter)
    return model


def load_field_segmenter(folder: Path, device: str = "cpu") -> FieldSegmenter:
    """The segmenter of whole fields of view in a folder, in evaluation mode. Raises `CardiomorphError`."""
    model = _load(Path(folder), _FIELD_SEGMENTER, device)
    assert isinstance(model, FieldSegmenter)
    return model
