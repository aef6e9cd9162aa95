"""A small world to disturb: a cohort, models, an atlas, hearts, and the commands that make one from the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from cardiomorph.anatomy import GROUPS
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.phantom import write_phantom_cohort
from cardiomorph.evaluation.heart_files import cohort_hearts
from cardiomorph.evaluation.measurement import MeasurementConfig, Record, measure_all
from cardiomorph.files import digest, write_json, write_text
from cardiomorph.files.leftovers import is_leftover
from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.checkpoint import save_model
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig
from cardiomorph.report.card import pack
from cardiomorph.report.evaluation import evaluate
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import recreate, synthesize
from cardiomorph.synthesis.export import export
from cardiomorph.synthesis.reconstruct import reconstruct
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.training.augmentation import AugmentationConfig
from cardiomorph.training.shape import ShapeTrainingConfig, train_shape
from conftest import hearts_of, write_acdc_subject

REQUEST = SynthesisRequest(sources=("virtual",), parents=2, targets=("DCM",), images=False, seed=3)
TRAINING = ShapeTrainingConfig(
    model=LabelVAEConfig(width=2, latent_dims=4, bottleneck=8),
    epochs=2,
    batch_size=16,
    learning_rate=1e-3,
    augmentation=AugmentationConfig(),
)
FACTS = {
    "name": "tiny", "licence": "CC0-1.0", "data": "Phantoms.", "use": "For tests.", "attribution": "",
    "commands": ["make"], "limits": ["none"], "patients": False,
}  # fmt: skip
_MEMORISATION = ("share_too_close", "to_training", "to_heldout", "membership_auc")


@dataclass(frozen=True)
class World:
    """Folders that are whole, each made of those before it."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        return self.root / name


def make_world(root: Path) -> World:
    """Everything that the commands below read, in ``root``: an atlas of labels only, so that it is quick."""
    world = World(root)
    for number, (group, variant) in enumerate(((g, v) for g in GROUPS for v in range(3)), start=1):
        write_acdc_subject(world.dataset / f"patient{number:03d}", group, hearts_of(group, variant), seed=number)
    prepare_cohort(world.dataset, world.cohort, workers=1)
    torch.manual_seed(0)
    save_model(world.shape, "shape", LabelVAE(LabelVAEConfig(width=2, latent_dims=4, bottleneck=8)))
    build_atlas(world.cohort, world.atlas, shape=world.shape)
    build_atlas(world.cohort, world.shared, shape=world.shape, share=True)
    synthesize(Atlas(world.atlas), world.hearts, REQUEST)
    for folder in (world.root, world.papers):
        write_json(folder / "facts.json", FACTS)
        write_text(folder / "LICENCE", "free\n")
    write_json(world.report / "metrics.json", {f"memorisation.label_{key}": 0.05 for key in _MEMORISATION})
    wrote = {"metrics.json": digest(world.report / "metrics.json")}
    told = {"synthesis": {"atlas": Atlas(world.shared).identity}, "files": wrote}
    write_json(world.report / "evaluation.json", told, seal=True)
    examined(Cohort(world.cohort), world.records)
    train_shape(world.cohort, world.run, config=TRAINING)
    return world


def examined(cohort: Cohort, folder: Path) -> tuple[list[Record], dict[str, str]]:
    """Records of two hearts."""
    config = MeasurementConfig(slice_spacing_mm=10.0)
    return measure_all(cohort_hearts(cohort, cohort.ids()[:2]), folder / "own", config, workers=1)


@dataclass(frozen=True)
class Command:
    """A command that makes ``output`` from a world.

    Attributes:
        run: called with the world and the output.
        same: files of the output that have the same bytes in every run; all if empty.
        before: puts what the command replaces in the output's place.
    """

    run: Callable[[World, Path], object]
    same: tuple[str, ...] = ()
    before: Callable[[World, Path], object] = lambda world, output: None

    def result(self, output: Path) -> Mapping[str, bytes]:
        """The bytes of an output that are the same in every run; what is not in place yet is no part of it."""
        files = {
            str(path.relative_to(output)): path.read_bytes()
            for path in sorted(output.rglob("*"))
            if path.is_file() and not any(is_leftover(part) for part in (path, *path.parents))
        }
        return {name: files[name] for name in self.same if name in files} if self.same else files


def _provenance(world: World) -> Path:
    return next(iter(sorted(world.hearts.glob("*/provenance.json"))))


COMMANDS: dict[str, Command] = {
    "synthesize": Command(lambda w, out: synthesize(Atlas(w.atlas), out, REQUEST)),
    "synthesize, hearts damaged": Command(
        lambda w, out: synthesize(Atlas(w.atlas), out, REQUEST), before=lambda w, out: _damaged(w.hearts, out)
    ),
    "synthesize --recreate": Command(lambda w, out: recreate(_provenance(w), Atlas(w.atlas), out)),
    "synthesize --recreate, one there": Command(
        lambda w, out: recreate(_provenance(w), Atlas(w.atlas), out),
        before=lambda w, out: shutil.copytree(w.hearts, out),
    ),
    "atlas": Command(lambda w, out: build_atlas(w.cohort, out, shape=w.shape)),
    "atlas, one there": Command(
        lambda w, out: build_atlas(w.cohort, out, shape=w.shape), before=lambda w, out: shutil.copytree(w.shared, out)
    ),
    "models pack": Command(lambda w, out: pack(w.shared, out, facts=w.root / "facts.json", licence=w.root / "LICENCE")),
    "reconstruct": Command(lambda w, out: reconstruct(w.cohort, out, shape=w.shape, split="heldout")),
    "export": Command(lambda w, out: export(w.hearts, out, layout="acdc")),
    "train": Command(
        lambda w, out: train_shape(w.cohort, out, config=TRAINING, resume=True),
        same=("model.safetensors", "model.json", "log.jsonl", "samples.png"),
    ),
    "evaluate": Command(
        lambda w, out: evaluate(w.hearts, out, against=w.cohort, workers=1),
        same=("metrics.json", "measures.csv", "groups.csv", "comparison.csv", "evaluation.json"),
    ),
    "phantom": Command(lambda w, out: write_phantom_cohort(out, 2, seed=2, workers=1)),
    "prepare": Command(lambda w, out: prepare_cohort(w.dataset, out, workers=1)),
}


def _damaged(hearts: Path, output: Path) -> None:
    """Hearts as a disk may give them back: one has no voxels, one no provenance."""
    shutil.copytree(hearts, output)
    first, second = sorted(path for path in output.iterdir() if path.is_dir())[:2]
    next(first.glob("*_gt.nii.gz")).write_bytes(b"")
    (second / "provenance.json").write_text(json.dumps({}))
