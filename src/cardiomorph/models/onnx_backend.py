"""ONNX Runtime in place of PyTorch for the convolutions of a synthesis: the same outputs, another engine.

An option (extra ``onnx``). The graphs are made from the models in memory when first needed; nothing is stored. The
painter's tables of label neighbourhoods stay where they are and enter its graph as inputs, so it is exact in the same
way; labels too noisy for tables are painted by PyTorch.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiomorph.errors import CardiomorphError
from cardiomorph.models.label_vae import LabelVAE
from cardiomorph.models.neighbourhoods import neighbourhood_codes
from cardiomorph.models.painter import Painter
from cardiomorph.models.spade import SLOPE, ImageModel


class _Session:
    """A module as an ONNX Runtime session; every input's first axis may have any length."""

    def __init__(self, module: nn.Module, example: Sequence[Tensor], names: Sequence[str]) -> None:
        try:
            import onnxruntime
            import onnxscript  # noqa: F401
        except ModuleNotFoundError as error:
            raise CardiomorphError(
                f"the ONNX backend needs {error.name}, which is not installed", fix="pip install 'cardiomorph[onnx]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        graph = _graph(module, example, names)
        self.names = list(names)
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, *inputs: Tensor) -> Tensor:
        given = {name: one.contiguous().numpy() for name, one in zip(self.names, inputs, strict=True)}
        return torch.from_numpy(self.session.run(None, given)[0])


def _graph(module: nn.Module, example: Sequence[Tensor], names: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    # The exporter warns of packages that these models do not need.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(example),
            input_names=list(names),
            output_names=["output"],
            dynamic_shapes=_any_length(module, len(example)),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(cast(Any, buffer))
    return buffer.getvalue()


def _any_length(module: nn.Module, count: int) -> tuple[Any, ...]:
    """Free first axes, in the shape of the module's arguments: its last one may be a tuple of many."""
    free = {0: torch.export.Dim.DYNAMIC}
    named = module.forward.__code__.co_argcount - 1
    return (*[free] * named, *([tuple([free] * (count - named))] if count > named else []))


class _Decoder(nn.Module):
    def __init__(self, model: LabelVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, code: Tensor) -> Tensor:
        return self.model.decode(code)


class OnnxLabelVAE(LabelVAE):
    """A shape model, its weights shared, whose decoder runs in ONNX Runtime."""

    def __init__(self, model: LabelVAE) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(model.__dict__)
        self.session = _Session(_Decoder(model), [torch.zeros(3, model.config.latent_dims)], ["code"])

    def decode(self, code: Tensor) -> Tensor:
        return self.session(code)


class _Canvas(nn.Module):
    """The painter from the rows on: style, then noise and rows by block, then scales and shifts by layer -> image."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, style: Tensor, noise: Tensor, *rows_and_tables: Tensor) -> Tensor:
        blocks = self.painter.blocks
        rows, tables = rows_and_tables[: len(blocks)], iter(rows_and_tables[len(blocks) :])
        grid = self.painter.config.size // 16
        x = self.painter.from_style(style).unflatten(1, (-1, grid, grid))
        for index, (block, row) in enumerate(zip(blocks, rows, strict=True)):
            if index:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            layers = [(next(tables), next(tables)) for _ in block.spades]
            shortcut = x if block.conv_s is None else block.conv_s(_placed(x, row, layers[2]))
            y = block.conv_0(F.leaky_relu(_placed(x, row, layers[0]), SLOPE))
            if block.grain is not None:
                step = noise.shape[-1] // y.shape[-1]
                y = y + block.grain * noise[..., ::step, ::step]
            x = block.conv_1(F.leaky_relu(_placed(y, row, layers[1]), SLOPE)) + shortcut
        return torch.tanh(self.painter.to_image(F.leaky_relu(x, SLOPE)))


def _placed(x: Tensor, row: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    scale, shift = (F.embedding(row, part).permute(0, 3, 1, 2) for part in table)
    return x * scale + shift


class OnnxPainter(Painter):
    """Paints as `Painter` does."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__(model)
        self.session: _Session | None = None

    @torch.inference_mode()
    def paint(self, style: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        inputs = self._inputs(style, labels, noise)
        if inputs is None:
            return super().paint(style, labels, noise)
        if self.session is None:
            self.session = self._made(inputs)
        return self.session(*inputs)

    def _inputs(self, style: Tensor, labels: Tensor, noise: Tensor | None) -> list[Tensor] | None:
        size, grid = labels.shape[-1], self.config.size // 16
        rows, tables = [], []
        if self.blocks[-1].tables.index(neighbourhood_codes(labels)) is None:
            return None
        for index, block in enumerate(self.blocks):
            step = size // (grid * 2**index)
            here = labels[:, ::step, ::step]
            row = block.tables.index(neighbourhood_codes(here), always=True)
            assert row is not None, "asked for always"
            rows.append(row.view(here.shape))
            for scale, shift in zip(block.tables.scales, block.tables.shifts, strict=True):
                tables += [scale, shift]
        quiet = torch.zeros(len(labels), 1, size, size)
        return [style, quiet if noise is None else noise, *rows, *tables]

    def _made(self, inputs: Sequence[Tensor]) -> _Session:
        names = ["style", "noise"] + [f"input_{number}" for number in range(len(inputs) - 2)]
        with torch.inference_mode(False):
            example: list[Any] = [one.clone() for one in inputs]
            return _Session(_Canvas(self), example, names)
