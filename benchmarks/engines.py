"""The engines that can run the models' convolutions, on the slices of one heart: eager, compiled, ONNX Runtime.

    python benchmarks/engines.py [ATLAS]

Every figure is a ratio to eager PyTorch in the same run; outputs are compared, and the time to get ready is said.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from results import keep
from torch import Tensor

from cardiomorph.anatomy import PHASES
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.models.onnx_backend import OnnxLabelVAE, OnnxPainter, _Canvas
from cardiomorph.models.painter import Painter
from cardiomorph.viewer.stage import Choice, Stage

BATCHES, ROUNDS = (4, 8, 16, 32, 64), 7


class CompiledPainter(OnnxPainter):
    """The ONNX painter's graph through `torch.compile` instead."""

    def __init__(self, atlas: Atlas) -> None:
        super().__init__(atlas.image_model)
        self.compiled = torch.compile(_Canvas(self), dynamic=True)

    @torch.no_grad()
    def paint(self, style: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        inputs = self._inputs(style, labels, noise)
        assert inputs is not None, "a heart's labels are smooth"
        return self.compiled(*inputs)


def seconds(work: Callable[[], object]) -> float:
    """Median over rounds, after two to warm up."""
    found = []
    for _ in range(ROUNDS + 2):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return float(np.median(found[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("atlas", nargs="?", default="acdc-small")
    atlas = Atlas(find_atlas(parser.parse_args().atlas))
    scene = Stage(atlas).scene(Choice(target="HCM"))
    codes = torch.from_numpy(np.concatenate([scene.drawn.trajectory.codes[p] for p in PHASES]).astype(np.float32))
    labels = torch.from_numpy(np.concatenate([scene.labels[p] for p in PHASES]))
    assert scene.drawn.parent.styles is not None, "the atlas paints"
    style = torch.from_numpy(np.concatenate([scene.drawn.parent.styles[p] for p in PHASES]).astype(np.float32))
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((len(labels), 1, *labels.shape[1:]), np.float32))
    decoders(atlas, codes)
    painters(atlas, style, labels, noise)


def decoders(atlas: Atlas, codes: Tensor) -> None:
    """The VAE decoder on 64 slices."""
    model = atlas.shape_model
    engines: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "eager": lambda: model.decode,
        "compile": lambda: torch.compile(model.decode),
        "onnx": lambda: OnnxLabelVAE(model).decode,
    }
    compare("decoder", engines, lambda run: run(codes))


def painters(atlas: Atlas, style: Tensor, labels: Tensor, noise: Tensor) -> None:
    """The painter on 64 slices, by slices a batch."""
    engines: dict[str, Callable[[], Painter]] = {
        "eager": lambda: Painter(atlas.image_model),
        "compile": lambda: CompiledPainter(atlas),
        "onnx": lambda: OnnxPainter(atlas.image_model),
    }
    for batch in BATCHES:
        parts = [slice(start, start + batch) for start in range(0, len(labels), batch)]
        compare(
            f"painter.batch_{batch}",
            engines if batch == 8 else {"eager": engines["eager"]},
            lambda run, parts=parts: torch.cat([run.paint(style[p], labels[p], noise[p]) for p in parts]),
        )


def compare(name: str, engines: dict, work: Callable) -> None:  # type: ignore[type-arg]
    eager_seconds, eager_output = 0.0, torch.empty(0)
    for engine, make in engines.items():
        start = time.perf_counter()
        with torch.no_grad():
            run = make()
            output = work(run)
            ready = time.perf_counter() - start
            took = seconds(lambda run=run: work(run))
        if engine == "eager":
            eager_seconds, eager_output = took, output
            keep(f"engines.{name}.eager_ms", 1000 * took)
        else:
            keep(f"engines.{name}.{engine}_speedup", eager_seconds / took)
            keep(f"engines.{name}.{engine}_max_abs_diff", float((output - eager_output).abs().max()))
            keep(f"engines.{name}.{engine}_ready_s", ready)
        print(
            f"{name:18} {engine:8} {1000 * took:7.0f} ms  {eager_seconds / took:5.2f}x  ready {ready:5.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
