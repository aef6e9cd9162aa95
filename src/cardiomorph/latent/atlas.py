"""The latent atlas: group statistics, healthy parents and the models they belong to, in one folder.

What its files hold stands in `atlas_files`. Nothing of it is used before it was checked against its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES
from cardiomorph.checks import check_same_classes
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import digest, settle
from cardiomorph.latent.appearance import AppearanceStatistics
from cardiomorph.latent.atlas_files import (
    ATLAS,
    PARENTS,
    STATISTICS,
    Diagnostics,
    Parent,
    Sizes,
    TypicalSubject,
    read_appearance,
    read_description,
    read_groups,
    read_parents,
)
from cardiomorph.latent.statistics import GroupStatistics
from cardiomorph.models.checkpoint import load_image_model, load_shape_model, model_config, model_digest
from cardiomorph.models.image_generator import ImageGenerator, ImagePainter
from cardiomorph.models.label_vae import LabelVAE, fold_batch_norms


class Atlas:
    """An atlas folder that exists.

    Raises:
        CardiomorphError: not an atlas, damaged, or made with other models than those in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.noise_strengths: LRUCache[tuple[str, int], float] = LRUCache(1024)
        self.adopted: set[str] = set()
        settle(self.folder.parent)
        if not (self.folder / ATLAS).is_file():
            raise CardiomorphError(
                "is not an atlas (no atlas.json)",
                where=self.folder,
                fix="Make one with 'cardiomorph atlas COHORT --shape RUN -o ATLAS'",
            )
        self.description: dict[str, Any] = read_description(self.folder / ATLAS)
        for kind, wanted in self.description["models"].items():
            found = model_digest(self.folder / kind) if (self.folder / kind).is_dir() else None
            if found != wanted:
                raise CardiomorphError(
                    f"the atlas was made with another {kind} model (sha256 {wanted[:12]}) than the one in "
                    f"{kind}/ ({found[:12] if found else 'missing'}): its codes mean nothing to it",
                    where=self.folder,
                    fix="Make the atlas again with 'cardiomorph atlas'",
                )

    @cached_property
    def identity(self) -> str:
        """SHA-256 over everything a synthesis depends on."""
        names = (STATISTICS,) if self.description.get("shared") else (STATISTICS, PARENTS)
        parts = [digest(self._checked(name)) for name in names]
        return hashlib.sha256("".join([*parts, *self.description["models"].values()]).encode()).hexdigest()

    def _checked(self, name: str) -> Path:
        """The path of a file, whose content is that with which the atlas was made."""
        path, wanted = self.folder / name, self.description["digests"].get(name)
        if wanted is None or digest(path) != wanted:
            raise CardiomorphError(
                "is not the file that the atlas was made with" if wanted else "is not described in atlas.json",
                where=path,
                fix="Copy the atlas again, or make it again with 'cardiomorph atlas'",
            )
        return path

    @cached_property
    def sizes(self) -> Sizes:
        """Lengths that arrays must have to be the models'."""
        models = self.description["models"]
        shape = model_config(self.folder / "shape", "shape") if "shape" in models else None
        image = model_config(self.folder / "image", "image") if "image" in models else None
        for name, config in (("shape", shape), ("image", image)):
            if config is not None:
                theirs = getattr(config, "classes", ())
                check_same_classes(self.description["classes"], "the atlas", theirs, f"its {name} model", self.folder)
        return Sizes(
            latent=getattr(shape, "latent_dims", None),
            style=getattr(image, "style_dims", None),
            pixels=getattr(shape, "size", None),
        )

    @property
    def has_images(self) -> bool:
        """Whether it holds an image model."""
        return "image" in self.description["models"]

    @cached_property
    def shape_model(self) -> LabelVAE:
        """The shape model, its batch norms folded into its convolutions."""
        return fold_batch_norms(load_shape_model(self.folder / "shape"))

    @cached_property
    def image_model(self) -> ImageGenerator:
        """The image model, as it was trained. Raises `CardiomorphError` where there is none."""
        return load_image_model(self.folder / "image")

    @cached_property
    def painter(self) -> ImagePainter:
        """The image model, ready to paint; it remembers what it has learnt of label neighbourhoods."""
        return self.image_model.painter()

    @cached_property
    def groups(self) -> dict[str, GroupStatistics]:
        """Statistics by group. Raises `CardiomorphError` where they are damaged, or not of the models' sizes."""
        return read_groups(self._checked(STATISTICS), self.description["groups"], self.sizes)

    def group(self, name: str) -> GroupStatistics:
        """Statistics of a group. Raises `CardiomorphError` where the atlas has none."""
        if name not in self.groups:
            raise CardiomorphError(f"has no group {name!r}; it has {', '.join(self.groups)}", where=self.folder)
        return self.groups[name]

    @cached_property
    def appearance(self) -> AppearanceStatistics | None:
        """How the cohort's images look; None in an atlas without image model."""
        return read_appearance(self._checked(STATISTICS), self.sizes)

    @property
    def diagnostics(self) -> Diagnostics:
        """How well the models do on real hearts. Raises `CardiomorphError` where the atlas does not say."""
        if self.description["diagnostics"] is None:
            raise CardiomorphError("holds no diagnostics", where=self.folder / ATLAS, fix="Make the atlas again")
        return Diagnostics.model_validate(self.description["diagnostics"])

    @property
    def trained_on(self) -> frozenset[str] | None:
        """`PreparedSubject.labels_digest` of every heart that made it; None in an atlas that does not say."""
        told = self.description["trained_on"]
        return None if told is None else frozenset(told)

    @cached_property
    def surroundings(self) -> TypicalSubject | None:
        """What virtual parents are set into; None in an atlas older than they are."""
        found = self.description["surroundings"]
        if found is None:
            return None
        surroundings = TypicalSubject.model_validate(found)
        self.sizes.check_pixels(surroundings.size, self.folder / ATLAS)
        return surroundings

    @cached_property
    def parents(self) -> dict[str, Parent]:
        """The healthy subjects by name; none in an atlas to share."""
        if self.description["shared"]:
            return {}
        return read_parents(self._checked(PARENTS), self.sizes)

    def adopt(self, parents: Mapping[str, Parent]) -> None:
        """Adds hearts to morph from for as long as this object lives; the folder stays as it is.

        A heart that the atlas holds itself stays the atlas's own, with the scan that is given.

        Raises:
            CardiomorphError: another heart of that name is there, the atlas's own or one that was added before.
        """
        for name, parent in parents.items():
            if name in self.parents and not _is_same(self.parents[name], parent):
                raise CardiomorphError(
                    f"holds another heart with the name {name!r}",
                    where=self.folder,
                    fix="Use the cohort that the atlas was made of, or give one of the two another name",
                )
            if name in self.parents and name not in self.adopted:
                if parent.scan is not None:
                    self.parents[name] = replace(self.parents[name], scan=parent.scan)
                continue
            self.adopted.add(name)
            self.parents[name] = parent

    def parent(self, name: str) -> Parent:
        """A healthy parent by its subject. Raises `CardiomorphError` where the atlas has no such one."""
        if name not in self.parents:
            some = f"it has {', '.join(list(self.parents)[:5])}, ..." if self.parents else "it has none at all"
            raise CardiomorphError(
                f"has no healthy subject {name!r}; {some}",
                where=self.folder,
                fix="--source virtual draws healthy hearts from the group's statistics",
            )
        return self.parents[name]


def _is_same(one: Parent, other: Parent) -> bool:
    """Whether two encodings are of one heart: equal but for the last bits."""
    codes = [(one.trajectory.codes[phase], other.trajectory.codes[phase]) for phase in PHASES]
    return all(_is_close(a, b) for a, b in codes)


def _is_close(a: NDArray[np.floating], b: NDArray[np.floating]) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-3, atol=1e-3))
