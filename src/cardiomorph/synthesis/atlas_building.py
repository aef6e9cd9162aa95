"""Builds an atlas from a prepared cohort and its models, and checks what the models keep of real hearts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from cardiomorph.anatomy import GROUPS, HEALTHY, PHASES
from cardiomorph.checks import check_same_classes
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.splits import Split
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.attacks import attack_report
from cardiomorph.evaluation.latent_space import interpolation_report, latent_report, separability
from cardiomorph.evaluation.reconstruction import reconstruction_report
from cardiomorph.evaluation.reference import reference_of
from cardiomorph.files import claim, copy_file, folder_in_place, read_record
from cardiomorph.latent.appearance import appearance_statistics
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.atlas_files import (
    ATLAS,
    NAMES,
    Parent,
    TypicalSubject,
    write_description,
    write_parents,
    write_statistics,
)
from cardiomorph.latent.correlation import kendall_matrix, positive_definite, sine_transform
from cardiomorph.latent.statistics import GroupStatistics, group_statistics, without_subjects
from cardiomorph.latent.trajectory import Trajectory, encode_subject
from cardiomorph.models.checkpoint import (
    DESCRIPTION,
    WEIGHTS,
    load_image_model,
    load_shape_model,
    model_digest,
    save_model,
)
from cardiomorph.models.image_generator import ImageGenerator
from cardiomorph.models.label_vae import LabelVAE
from cardiomorph.progress import track
from cardiomorph.synthesis.parents import Looks, appearance_of, as_parent

_log = logging.getLogger(__name__)

Model = TypeVar("Model", LabelVAE, ImageGenerator)


def build_atlas(cohort: Path, output: Path, *, shape: Path, image: Path | None = None, share: bool = False) -> Atlas:
    """Encodes a cohort and writes its atlas.

    Statistics come from the training split; every healthy subject becomes a parent, marked with its split.

    Args:
        cohort: folder of the prepared cohort.
        output: atlas folder; an existing atlas there is replaced.
        shape: run folder of the shape model.
        image: run folder of the image model; without it hearts have labels only.
        share: an atlas to give away: no subject in it, group statistics only, weights in half precision.

    Raises:
        CardiomorphError: bad cohort or model, a group with fewer than two training subjects, no healthy subject.
    """
    source, output = Cohort(cohort), Path(output)
    claim(output, ATLAS, NAMES)
    if not source.ids("train"):
        raise CardiomorphError(
            "no subject of it trains, so there is nothing to take statistics of",
            where=source.folder,
            fix="Prepare it with a smaller --heldout",
        )
    models = _models_for(source, shape, image, share)
    hearts = _encoded(source, models)
    groups = _statistics(hearts.training, source)
    if share:
        groups = {name: without_subjects(group) for name, group in groups.items()}
    if not hearts.parents:
        raise CardiomorphError(f"has no healthy ({HEALTHY}) subject to morph from", where=source.folder)
    parents = {} if share else hearts.parents
    diagnostics = _diagnostics(source, models.shape, hearts, matrix_report(groups, parents))
    joint = {name: group.joint for name, group in groups.items()}
    diagnostics["attacks"] = attack_report(models.shape, joint, hearts.training, hearts.heldout)
    training = source.ids("train")
    reference = reference_of(track(source.subjects("train"), "measuring", len(training)))
    looks = hearts.looks
    with folder_in_place(output) as folder:
        _put_model(Path(shape), folder / "shape", models.shape, share)
        if image and models.image:
            _put_model(Path(image), folder / "image", cast(nn.Module, models.image), share)
        write_statistics(
            folder, groups, appearance_statistics(*zip(*looks, strict=True), share=share) if looks else None
        )
        if not share:
            write_parents(folder, parents)
        write_description(
            folder,
            groups,
            cohort=source.name,
            classes=source.classes,
            phases=PHASES,
            shared=share,
            surroundings=_typical_subject(source, hearts.parents).model_dump(),
            reference=reference.model_dump(),
            diagnostics=diagnostics,
            trained_on=sorted(subject.labels_digest() for subject in source.subjects("train")),
        )
    _announce(output, diagnostics)
    return Atlas(output)


@dataclass(frozen=True)
class _Models:
    """The models of an atlas; without an image model its hearts have labels only."""

    shape: LabelVAE
    image: ImageGenerator | None


def _models_for(cohort: Cohort, shape: Path, image: Path | None, share: bool) -> _Models:
    """Loads the models. Raises `CardiomorphError` where they do not go with the cohort."""
    shape_model = _rounded(load_shape_model(shape), share)
    if shape_model.config.size != cohort.config.size:
        raise CardiomorphError(
            f"the shape model takes {shape_model.config.size} pixels, the cohort has {cohort.config.size}", where=shape
        )
    check_same_classes(shape_model.config.classes, "the shape model", cohort.classes, "the cohort", shape)
    image_model = _rounded(load_image_model(image), share) if image else None
    if image_model:
        check_same_classes(image_model.config.classes, "the image model", cohort.classes, "the cohort", image)
    return _Models(shape_model, image_model)


@dataclass(frozen=True)
class _Encoded:
    """A cohort in latent space.

    Attributes:
        training, heldout: by group, the hearts of each split.
        parents: healthy subjects of both splits.
        looks: appearance of the training subjects.
    """

    training: dict[str, list[Trajectory]]
    heldout: dict[str, list[Trajectory]]
    parents: dict[str, Parent]
    looks: list[Looks]


def _encoded(cohort: Cohort, models: _Models) -> _Encoded:
    found = _Encoded({group: [] for group in GROUPS}, {group: [] for group in GROUPS}, {}, [])
    training = set(cohort.ids("train"))
    for subject in track(cohort.subjects(), "encoding", len(cohort.ids())):
        trains = subject.id in training
        trajectory = encode_subject(models.shape, subject)
        look = appearance_of(subject, models.image) if models.image else None
        (found.training if trains else found.heldout)[subject.group].append(trajectory)
        if look and trains:
            found.looks.append(look)
        if subject.group == HEALTHY:
            found.parents[subject.id] = as_parent(subject, trajectory, "train" if trains else "heldout", look)
    return found


def _diagnostics(cohort: Cohort, model: LabelVAE, hearts: _Encoded, matrices: dict[str, object]) -> dict[str, Any]:
    """What the models keep of real hearts, held-out ones where there are any."""
    checked: Split = "heldout" if cohort.ids("heldout") else "train"
    return {
        "latent": latent_report(model, cohort.subjects("train")),
        "interpolation": interpolation_report(model, hearts.training),
        "separability": separability(hearts.training, hearts.heldout),
        "reconstruction_split": checked,
        "reconstruction": reconstruction_report(model, cohort.subjects(checked)),
        "matrices": matrices,
    }


def _rounded(model: Model, share: bool) -> Model:
    """With ``share`` the model whose weights half precision holds exactly: codes must be those of the weights given."""
    if share:
        module: nn.Module = cast(nn.Module, model)
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.data.copy_(tensor.data.half())
    return model


def _typical_subject(cohort: Cohort, parents: Mapping[str, Parent]) -> TypicalSubject:
    """Medians over the healthy training subjects; over all healthy ones where none trains."""
    chosen = [p for p in parents.values() if p.split == "train"] or list(parents.values())

    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value]
        return round(float(np.median(known)), 2) if known else None

    ranges = [p.geometry.intensity_range for p in chosen if p.geometry.intensity_range is not None]
    low, high = np.median(ranges, axis=0).round(2).tolist() if ranges else (0.0, 0.0)
    return TypicalSubject(
        size=cohort.config.size,
        spacing_mm=cohort.config.spacing_mm,
        slice_spacing_mm=float(np.median([p.geometry.slice_spacing_mm("ED") for p in chosen])),
        intensity_range=(low, high) if ranges else None,
        height_cm=median([p.height_cm for p in chosen]),
        weight_kg=median([p.weight_kg for p in chosen]),
    )


def _statistics(trajectories: dict[str, list[Trajectory]], cohort: Cohort) -> dict[str, GroupStatistics]:
    present = {group: found for group, found in trajectories.items() if found}
    for group, found in present.items():
        if len(found) < 2:
            raise CardiomorphError(
                f"the group {group} has only {len(found)} training subject; statistics need two or more",
                where=cohort.folder,
                fix="Prepare the cohort with more subjects or a smaller --heldout",
            )
    return group_statistics(present)


def matrix_report(groups: dict[str, GroupStatistics], parents: dict[str, Parent]) -> dict[str, object]:
    """Rank, eigenvalues, condition and repair of every correlation matrix that the samplers use."""

    def both(tau: NDArray[np.float64]) -> dict[str, object]:
        return {
            "kendall": positive_definite(tau)[1].as_dict(),
            "sine": positive_definite(sine_transform(tau))[1].as_dict(),
        }

    return {
        "latent": {
            f"{name}/{phase}": both(group.phases[phase].kendall) for name, group in groups.items() for phase in PHASES
        },
        "slice": {
            f"{name}/{phase}": both(kendall_matrix(parent.trajectory.codes[phase].T))
            for name, parent in parents.items()
            for phase in PHASES
        },
    }


def _put_model(run: Path, folder: Path, model: nn.Module, share: bool) -> None:
    folder.mkdir()
    if share:
        description = read_record(run / DESCRIPTION, "kind")
        facts = {key: value for key, value in description.items() if key not in ("kind", "config", "sha256")}
        if (run / "metrics.json").exists() and (run / "run.json").exists():
            facts["metrics"] = read_record(run / "metrics.json")
            facts["environment"] = read_record(run / "run.json", "environment")["environment"]
        save_model(folder, description["kind"], model, half=True, **facts)
        return
    for name in (DESCRIPTION, WEIGHTS):
        copy_file(run / name, folder / name)
    assert model_digest(run) == model_digest(folder), "a copy has the same bytes"


def _announce(output: Path, diagnostics: dict[str, Any]) -> None:
    latent, rebuilt = diagnostics["latent"], diagnostics["reconstruction"]
    _log.info(
        f"atlas in {output}: {latent['active']} of {latent['dimensions']} latent dimensions active; Dice on "
        f"{diagnostics['reconstruction_split']} hearts {rebuilt['dice']['mean']:.3f}"
    )
