"""Every kind of file that is read, and what reading it comes to: a value that two readings of the same file share."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from world import REQUEST, TRAINING, World, examined

from cardiomorph.data.cohort import Cohort
from cardiomorph.latent.atlas import Atlas
from cardiomorph.report.card import pack, shown
from cardiomorph.report.latent_section import latent_section
from cardiomorph.report.paper_sections import draw_section, matrix_sections
from cardiomorph.synthesis.batch_synthesis import recreate, synthesize
from cardiomorph.training.shape import train_shape
from cardiomorph.volume import read_nifti


@dataclass(frozen=True)
class Door:
    """A way in.

    Attributes:
        folder: what of the world holds the files.
        files: a pattern in it.
        read: called with the world and a copy of the folder, which it may change.
    """

    folder: str
    files: str
    read: Callable[[World, Path], object]

    def paths(self, world: World) -> list[Path]:
        """The files, relative to the folder; of many alike the first two."""
        folder = getattr(world, self.folder)
        found = [path.relative_to(folder) for path in sorted(folder.glob(self.files)) if path.is_file()]
        assert found, f"{self.folder} holds no {self.files}"
        return found[:2]

    def copy(self, world: World, place: Path) -> Path:
        return Path(shutil.copytree(getattr(world, self.folder), place / self.folder))


def _bytes(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob(pattern)) if p.is_file()}


def _atlas(world: World, folder: Path) -> object:
    """Everything that draws depend on."""
    atlas = Atlas(folder)
    heard = hashlib.sha256(repr((atlas.identity, atlas.surroundings, atlas.has_images)).encode())
    for group, found in atlas.groups.items():
        heard.update(f"{group} {found.n_subjects}".encode())
        for part in (*found.phases.values(), found.joint):
            for array in vars(part).values():
                heard.update(array.tobytes())
    for parent in atlas.parents.values():
        heard.update(parent.digest().encode())
    for tensor in atlas.shape_model.state_dict().values():
        heard.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    latent_section(atlas)
    matrix_sections(atlas, REQUEST)
    return heard.hexdigest()


def _hearts(world: World, folder: Path) -> object:
    synthesize(Atlas(world.atlas), folder, REQUEST)
    draw_section(folder)
    return _bytes(folder)


def _recreated(world: World, folder: Path) -> object:
    heart = sorted(folder.glob("*/provenance.json"))[0]
    return _bytes(recreate(heart, Atlas(world.atlas), folder / "again"))


def _run(world: World, folder: Path) -> object:
    """A run that stands at its last checkpoint goes on."""
    train_shape(world.cohort, folder, config=TRAINING, resume=True)
    return (folder / "model.safetensors").read_bytes()


def _cohort(world: World, folder: Path) -> object:
    cohort = Cohort(folder)
    arrays = [frame.label.tobytes() for subject in cohort.subjects() for frame in subject.frames.values()]
    slices = cohort.slices("train", images=True)
    arrays += [slices.labels().tobytes(), slices.images(np.arange(3)).tobytes()]
    return cohort.identity, cohort.config, hashlib.sha256(b"".join(arrays)).hexdigest()


def _records(world: World, folder: Path) -> object:
    records, left_out = examined(Cohort(world.cohort), folder)
    arrays = [record.array(name).tobytes() for record in records for name in sorted(record.names)]
    return [record.scalars for record in records], left_out, hashlib.sha256(b"".join(arrays)).hexdigest()


def _packed(world: World, folder: Path) -> object:
    """The report of hearts of an atlas with subjects cannot be packed with it: its own atlas is shared."""
    out = folder / "packed"
    pack(world.shared, out, facts=world.root / "facts.json", licence=world.root / "LICENCE", report=folder)
    return _bytes(out), shown(out)


def _facts(world: World, folder: Path) -> object:
    out = folder / "packed"
    return _bytes(pack(world.shared, out, facts=folder / "facts.json", licence=folder / "LICENCE"))


def _voxels(world: World, folder: Path) -> object:
    return [
        (read_nifti(path).array.tobytes(), read_nifti(path).spacing_mm)
        for path in sorted(folder.rglob("*_gt.nii.gz"))[:2]
    ]


DOORS: dict[str, Door] = {
    "atlas.json": Door("atlas", "atlas.json", _atlas),
    "statistics.safetensors": Door("atlas", "statistics.safetensors", _atlas),
    "parents.safetensors": Door("atlas", "parents.safetensors", _atlas),
    "an atlas's model.json": Door("atlas", "shape/model.json", _atlas),
    "an atlas's weights": Door("atlas", "shape/model.safetensors", _atlas),
    "synthesis.json": Door("hearts", "synthesis.json", _hearts),
    "hearts, NIfTI": Door("hearts", "*/*.nii.gz", _hearts),
    "hearts, Info.cfg": Door("hearts", "*/Info.cfg", _hearts),
    "measures.json": Door("hearts", "*/measures.json", _hearts),
    "provenance.json": Door("hearts", "*/provenance.json", _hearts),
    "provenance.json, to recreate": Door("hearts", "*_DCM_v01/provenance.json", _recreated),
    "run.json": Door("run", "run.json", _run),
    "checkpoint.safetensors": Door("run", "checkpoint.safetensors", _run),
    "log.jsonl": Door("run", "log.jsonl", _run),
    "records": Door("records", "own/*.safetensors", _records),
    "evaluation.json": Door("report", "evaluation.json", _packed),
    "metrics.json": Door("report", "metrics.json", _packed),
    "cohort.json": Door("cohort", "cohort.json", _cohort),
    "manifest.csv": Door("cohort", "manifest.csv", _cohort),
    "prepared subjects": Door("cohort", "subjects/*.safetensors", _cohort),
    "NIfTI of a data set": Door("dataset", "*/*_gt.nii.gz", _voxels),
}
OWN_WORDS: dict[str, Door] = {
    "facts of a card": Door("papers", "facts.json", _facts),
}
"""Files that a person writes: nothing can tell a changed digit in them, but wrong content is one error."""
