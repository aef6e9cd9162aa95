"""All figures of docs/performance.md, measured in one run on two threads: results.json, performance.png, a table.

    python benchmarks/run.py ATLAS [--hearts 60] [--only image_model subject morph startup cohort]

ATLAS is a folder of `cardiomorph atlas` or the name of one that ships; its `small` models are measured as they are, and
widened to the paper's width (`widen.py`).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from plain import as_plain
from plain import paint as plain_paint
from results import PATH, keep
from widen import padded, widened

from cardiomorph.allocator import keep_freed_memory
from cardiomorph.anatomy import PHASES
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.trajectory import decode_labels, morph
from cardiomorph.latent.virtual import virtual_parent
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig, fold_batch_norms, one_hot
from cardiomorph.models.painter import Painter
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.synthesis.batch_synthesis import write_heart
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.synthesis.request import HeartJob

BATCH = 8


def best_of(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of some runs, after one that is not counted."""
    work()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def wide_models(atlas: Atlas) -> tuple[LabelVAE, ImageModel]:
    """The atlas's models at the paper's width."""
    from cardiomorph.models.checkpoint import load_shape_model

    shape = widened(load_shape_model(atlas.folder / "shape"), LabelVAE(LabelVAEConfig()))
    small = atlas.image_model.config
    image = widened(atlas.image_model, ImageModel(ImageModelConfig(noise=small.noise, size=small.size)))
    return shape, image.to(memory_format=torch.channels_last)


def job(atlas: Atlas, number: int = 1) -> HeartJob:
    target = next(group for group in ("HCM", *atlas.groups) if group in atlas.groups)
    return HeartJob(
        source=f"virtual{number:03d}",
        target=target,
        version=1,
        severity=1.0,
        sampler=PopulationSampler(),
        slices="32",
        images=True,
        seed=0,
    )


def subject_slices(atlas: Atlas) -> tuple[torch.Tensor, torch.Tensor]:
    """64 label slices of one heart, ED and ES, and their styles."""
    made = synthesize_heart(atlas, job(atlas).model_copy(update={"images": False}))
    labels = np.concatenate([np.moveaxis(made.labels[phase].array, -1, 0) for phase in PHASES])
    styles = np.concatenate([made.parent.styles[phase] for phase in PHASES])
    return torch.from_numpy(labels), torch.from_numpy(styles)


def measure_image_model(atlas: Atlas) -> None:
    """Throughput against the plain implementation, and against what this machine's convolutions can do."""
    labels, styles = subject_slices(atlas)
    _, image = wide_models(atlas)
    styles = padded(styles, image.config.style_dims)
    dense = as_plain(widened(image, ImageModel(image.config)))
    encoded = one_hot(labels).contiguous()
    starts = range(0, len(labels), BATCH)

    @torch.inference_mode()
    def plain() -> torch.Tensor:
        return torch.cat([plain_paint(dense.generator, styles[i : i + BATCH], encoded[i : i + BATCH]) for i in starts])

    plain_s = best_of(plain, 2)
    keep_freed_memory()
    painter = Painter(image)

    def ours() -> torch.Tensor:
        return torch.cat([painter.paint(styles[i : i + BATCH], labels[i : i + BATCH]) for i in starts])

    ours_s = best_of(ours)
    difference = float((plain() - ours()).abs().max())
    ceiling_s = best_of(lambda: convolutions_alone(painter, labels.shape[-1]), 5) * len(labels) / BATCH
    for key, value in {
        "speedup_over_dense": plain_s / ours_s,
        "max_abs_diff": difference,
        "share_of_ceiling": ceiling_s / ours_s,
        "dense_slices_per_second": len(labels) / plain_s,
        "slices_per_second": len(labels) / ours_s,
        "convolution_gflop_per_slice": convolution_flop(painter, labels.shape[-1]) / 1e9,
        "ceiling_gflop_per_second": convolution_flop(painter, labels.shape[-1]) * len(labels) / ceiling_s / 1e9,
    }.items():
        keep(f"image_model.{key}", value)


def _convolutions(painter: Painter, size: int):
    """(convolution, side) of every one that the painter runs."""
    side = size // 16
    for block in painter.generator.spade_blocks:
        yield from ((c, side) for c in (block.conv_0, block.conv_1, *([block.conv_s] if block.learned else [])))
        side *= 2
    yield painter.generator.to_image, size


def convolution_flop(painter: Painter, size: int) -> float:
    """Multiplications and additions of one slice's convolutions."""
    return sum(2.0 * c.weight.numel() * side**2 for c, side in _convolutions(painter, size))


_inputs: dict[tuple[int, ...], torch.Tensor] = {}


@torch.inference_mode()
def convolutions_alone(painter: Painter, size: int) -> None:
    """The same convolutions on a batch of ready inputs, and nothing else: the ceiling."""
    for convolution, side in _convolutions(painter, size):
        shape = (BATCH, convolution.weight.shape[1], side, side)
        if shape not in _inputs:
            _inputs[shape] = torch.randn(shape).contiguous(memory_format=torch.channels_last)
        F.conv2d(_inputs[shape], convolution.weight, convolution.bias, padding=convolution.padding)


def measure_subject(atlas: Atlas) -> None:
    """One labelled ED and ES subject of 32 slices each, from the request to NIfTI on disk."""
    keep_freed_memory()
    shape, image = wide_models(atlas)
    wide = SimpleNamespace(
        folder=atlas.folder,
        parents={},
        adopted=frozenset(),
        identity=atlas.identity,
        description=atlas.description,
        group=atlas.group,
        surroundings=atlas.surroundings,
        appearance=_wide_appearance(atlas, image.config.style_dims),
        shape_model=fold_batch_norms(shape),
        painter=Painter(image),
        noise_strengths={},
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, used in (("small", atlas), ("paper", wide)):
            seconds = best_of(lambda used=used: write_heart(synthesize_heart(used, job(atlas)), used, Path(folder)), 2)
            keep(f"subject.{name}_seconds", seconds)

            def first(used: Any = used) -> None:
                # A parent's noise strength is found with its first heart.
                used.noise_strengths.clear()
                write_heart(synthesize_heart(used, job(atlas)), used, Path(folder))

            keep(f"subject.{name}_first_seconds", best_of(first, 2))


def _wide_appearance(atlas: Atlas, dims: int) -> SimpleNamespace:
    def draw(rng: np.random.Generator):
        styles, noise = atlas.appearance.draw(rng)
        return {p: padded(torch.from_numpy(s), dims).numpy() for p, s in styles.items()}, noise

    return SimpleNamespace(draw=draw)


def measure_morph(atlas: Atlas) -> None:
    """From a change of severity, target or seed to new labels of both phases; and to their images."""
    keep_freed_memory()
    parent, group = virtual_parent(atlas, 1, 0), atlas.group(job(atlas).target)
    seeds = iter(range(10_000))

    def labels() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(next(seeds))
        drawn = PopulationSampler().draw(group, parent.trajectory, rng).trajectory
        codes = morph(parent.trajectory, drawn, 0.7).codes
        return {phase: decode_labels(atlas.shape_model, codes[phase]) for phase in PHASES}

    keep("morph.labels_ms", 1e3 * best_of(labels, 5))
    keep("morph.images_ms", 1e3 * best_of(lambda: synthesize_heart(atlas, job(atlas)), 3))


def measure_startup(atlas: Atlas) -> None:
    """Import of the package, and `--help`, each in a fresh process."""
    commands = {
        "startup.import_seconds": [sys.executable, "-c", "import cardiomorph"],
        "startup.help_seconds": [sys.executable, "-m", "cardiomorph.cli", "synthesize", "--help"],
    }
    for key, command in commands.items():
        keep(key, best_of(lambda command=command: subprocess.run(command, check=True, capture_output=True), 5))


ALONE = 100
_COHORT = """
import json, os, re, sys, time
from pathlib import Path
import torch
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis import pipeline
from cardiomorph.synthesis.request import SynthesisRequest
if __name__ == "__main__":
    torch.set_num_threads(1)
    atlas, output, hearts, workers = Atlas(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    request = SynthesisRequest(sources=("virtual",), parents=hearts, targets=("HCM",), versions=1)
    times, memory, began = [], [], time.perf_counter()
    def largest_mb():
        me = os.getpid()
        pids = Path(f"/proc/{me}/task/{me}/children").read_text().split() if workers > 1 else [me]
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        return max(int(re.search(r"VmRSS:\\s+(\\d+)", text)[1]) / 1024 for text in texts if "VmRSS" in text)
    original = pipeline.track
    def timed(items, title, total):
        for item in original(items, title, total):
            times.append(time.perf_counter() - began)
            memory.append(largest_mb())
            yield item
    pipeline.track = timed
    pipeline.synthesize(atlas, output, request, workers=workers)
    print(json.dumps({"times": times, "memory": memory}))
"""


_SPIN = """
import sys, time
import torch
torch.set_num_threads(1)
layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
x = torch.randn(1, 64, 64, 64).contiguous(memory_format=torch.channels_last)
count = 0
with torch.inference_mode():
    for _ in range(50):
        layer(x)
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.perf_counter() + 8
    while time.perf_counter() < end:
        layer(x)
        count += 1
print(count)
"""


def machine_scaling() -> float:
    """What two processes of one thread do together, by what one does alone: a convolution whose data fit the cache.

    No pair of workers can do better than the machine under them: its two processors may be one core's two threads.
    """

    def done(copies: int) -> int:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running = [subprocess.Popen([sys.executable, "-c", _SPIN], **pipes) for _ in range(copies)]
        for process in running:
            process.stdout.readline()
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(int(process.communicate()[0]) for process in running)

    alone = [done(1), done(1)]
    return done(2) / float(np.mean(alone))


def measure_cohort(atlas: Atlas, hearts: int) -> None:
    """Throughput of one and of two workers of one thread each, after the first heart; memory; time per heart.

    One worker makes no more than `ALONE` hearts: its throughput is known by then.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "cohort.py"
        script.write_text(_COHORT)
        for workers in (1, 2):
            count = hearts if workers > 1 else min(hearts, ALONE)
            arguments = [str(atlas.folder), f"{folder}/{workers}", str(count), str(workers)]
            done = subprocess.run([sys.executable, str(script), *arguments], check=True, capture_output=True, text=True)
            found[workers] = json.loads(done.stdout.splitlines()[-1])
    rates = {w: (len(f["times"]) - w) / (f["times"][-1] - f["times"][w - 1]) for w, f in found.items()}
    keep("cohort.hearts", hearts)
    keep("cohort.machine_scaling", machine_scaling())
    keep("cohort.two_worker_speedup", rates[2] / rates[1])
    keep("cohort.hearts_per_minute", 60 * rates[2])
    keep("cohort.peak_rss_mb", max(max(f["memory"]) for f in found.values()))
    keep("cohort.rss_mb_at_heart_10", found[2]["memory"][min(9, hearts - 1)])
    keep("cohort.rss_mb_at_last_heart", found[2]["memory"][-1])
    halves = np.array_split(np.diff(found[2]["times"]), 2)
    keep("cohort.second_half_over_first", float(halves[1].mean() / halves[0].mean()))
    with PATH.with_name("cohort_times.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["workers", "heart", "seconds", "rss_mb"])
        for workers, run in found.items():
            rows = zip(run["times"], run["memory"], strict=True)
            writer.writerows((workers, k + 1, round(t, 2), round(m)) for k, (t, m) in enumerate(rows))


PARTS = {
    "image_model": measure_image_model,
    "subject": measure_subject,
    "morph": measure_morph,
    "startup": measure_startup,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("atlas")
    parser.add_argument("--hearts", type=int, default=60, help="size of the cohort")
    parser.add_argument("--only", nargs="*", choices=[*PARTS, "cohort"], default=[*PARTS, "cohort"])
    given = parser.parse_args()
    atlas = Atlas(find_atlas(given.atlas))
    for name in given.only:
        # Each part in a process of its own, so that none inherits another's memory.
        if len(given.only) > 1:
            command = [sys.executable, __file__, str(atlas.folder), "--hearts", str(given.hearts), "--only", name]
            subprocess.run(command, check=True)
        elif name == "cohort":
            measure_cohort(atlas, given.hearts)
        else:
            PARTS[name](atlas)
    if len(given.only) > 1:
        print(PATH.read_text())


if __name__ == "__main__":
    main()
