"""Analytic hearts on disk: nested discs along slices, in the layouts of ACDC, M&Ms and M&Ms-2."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cardiomorph.anatomy import GROUPS, Label
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.files import digest, read_csv, read_record, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.models.checkpoint import save_model
from cardiomorph.models.label_vae import LabelVAE, LabelVAEConfig
from cardiomorph.models.spade import ImageModel, ImageModelConfig
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.volume import Volume

torch.set_num_threads(1)
settings.register_profile(
    "short", max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("short")

SHAPE, SPACING_MM = (90, 80, 8), (1.6, 1.6, 10.0)


@dataclass(frozen=True)
class Heart:
    """One phase, lengths in mm. The wall is a ring around the LV disc, the RV a disc behind it, towards -x."""

    lv_mm: float
    wall_mm: float
    rv_mm: float
    n_labelled: int = 7
    first: int = 0
    taper: float = 0.5
    centre_mm: tuple[float, float] = (86.0, 64.0)


ED = {
    "NOR": Heart(24, 8, 20),
    "DCM": Heart(30, 8, 20),
    "HCM": Heart(22, 13, 19),
    "MINF": Heart(27, 8, 19),
    "RV": Heart(22, 8, 28),
}
_ES_SHARES = {"NOR": (0.68, 0.75), "DCM": (0.9, 0.88), "HCM": (0.6, 0.7), "MINF": (0.85, 0.75), "RV": (0.7, 0.9)}


def hearts_of(group: str, variant: int = 0) -> dict[str, Heart]:
    ed = replace(ED[group], lv_mm=ED[group].lv_mm + variant, rv_mm=ED[group].rv_mm - 0.7 * variant)
    lv, rv = _ES_SHARES[group]
    es = replace(ed, lv_mm=lv * ed.lv_mm, rv_mm=rv * ed.rv_mm, wall_mm=1.25 * ed.wall_mm, n_labelled=6)
    return {"ED": ed, "ES": es}


def heart_label(
    heart: Heart,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> NDArray[np.uint8]:
    x, y = (np.arange(n) * d for n, d in zip(shape[:2], spacing_mm[:2], strict=True))
    label = np.zeros(shape, np.uint8)
    for k in range(heart.n_labelled):
        share = 1.0 - heart.taper * (k / heart.n_labelled) ** 2
        lv, wall, rv = heart.lv_mm * share, heart.wall_mm, heart.rv_mm * share
        from_lv = np.hypot(x[:, None] - heart.centre_mm[0], y[None] - heart.centre_mm[1])
        rv_x = heart.centre_mm[0] - lv - wall - 0.35 * rv
        plane = label[:, :, heart.first + k]
        plane[np.hypot(x[:, None] - rv_x, y[None] - heart.centre_mm[1]) <= rv] = Label.RV
        plane[from_lv <= lv + wall] = Label.MYOCARDIUM
        plane[from_lv <= lv] = Label.LV
    return label


def textured(label: NDArray[np.integer], seed: int) -> NDArray[np.int16]:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(label.shape), (4, 4, 0.5))
    tissue = np.array([60, 190, 90, 210])[label]
    return np.clip(tissue + 60 * noise / noise.std() + 200, 0, None).astype(np.int16)


def analytic_subject(
    hearts: Mapping[str, Heart],
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    seed: int = 0,
    name: str = "p",
    group: str = "NOR",
) -> Subject:
    frames = {}
    for phase, heart in hearts.items():
        label = heart_label(heart, shape, spacing_mm)
        image = textured(label, seed).astype(np.float32)
        frames[phase] = Frame(Volume(label, spacing_mm), Volume(image, spacing_mm))
    return Subject(name, group, frames)


def save_nifti(
    path: Path, array: NDArray[np.generic], spacing_mm: Sequence[float] = SPACING_MM, wrong_affine: bool = False
) -> None:
    """With ``wrong_affine`` the spacing stands in the header's zooms only, as in ACDC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if wrong_affine else np.diag([*spacing_mm[:3], 1.0])
    image = nib.Nifti1Image(array, affine)
    image.header.set_zooms([*spacing_mm, 1.0][: array.ndim])
    nib.save(image, path)


def write_acdc_subject(
    folder: Path,
    group: str,
    hearts: Mapping[str, Heart] | None = None,
    *,
    seed: int = 0,
    frames: tuple[int, int] = (1, 12),
    images: bool = True,
    height_cm: float = 170.0,
    weight_kg: float = 70.0,
) -> Path:
    """Writes one subject folder; its name is the subject's."""
    folder.mkdir(parents=True, exist_ok=True)
    for (phase, heart), number in zip((hearts or hearts_of(group)).items(), frames, strict=True):
        label = heart_label(heart)
        stem = f"{folder.name}_frame{number:02d}"
        save_nifti(folder / f"{stem}_gt.nii.gz", label, wrong_affine=True)
        if images:
            image = textured(label, 2 * seed + (phase == "ES"))
            save_nifti(folder / f"{stem}.nii.gz", image, wrong_affine=True)
    (folder / "Info.cfg").write_text(
        f"ED: {frames[0]}\nES: {frames[1]}\nGroup: {group}\nHeight: {height_cm}\nNbFrame: 30\nWeight: {weight_kg}\n"
    )
    return folder


def write_mnms_subject(
    folder: Path, hearts: Mapping[str, Heart], *, seed: int = 0, frames: tuple[int, int], apex_first: bool = False
) -> None:
    """4D images and labels in M&Ms' codes; frames that are neither ED nor ES hold no label."""
    labels = np.zeros((*SHAPE, max(frames) + 2), np.uint8)
    for heart, frame in zip(hearts.values(), frames, strict=True):
        labels[..., frame] = heart_label(heart)
    image = np.stack([textured(labels[..., t], seed) for t in range(labels.shape[3])], axis=3)
    if apex_first:
        labels, image = labels[:, :, ::-1], image[:, :, ::-1]
    save_nifti(folder / f"{folder.name}_sa.nii.gz", image)
    save_nifti(folder / f"{folder.name}_sa_gt.nii.gz", to_mnms_codes(labels))


def to_mnms_codes(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array([0, 3, 2, 1], np.uint8)[label]


def write_table(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(line.split(",") for line in (header, *rows))


MNMS_HEADER = "External code,VendorName,Vendor,Centre,ED,ES,Age,Pathology,Sex,Height,Weight"
MNMS2_HEADER = "SUBJECT_CODE,DISEASE,VENDOR,SCANNER,FIELD"


@pytest.fixture(scope="session")
def acdc_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects a group, all different."""
    root = tmp_path_factory.mktemp("acdc")
    numbered = ((group, variant) for group in GROUPS for variant in range(3))
    for number, (group, variant) in enumerate(numbered, start=1):
        folder = root / f"patient{number:03d}"
        write_acdc_subject(folder, group, hearts_of(group, variant), seed=number, frames=(1, 8 + variant))
    return root


@pytest.fixture(scope="session")
def cohort(acdc_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """`acdc_tree`, prepared by two processes: 10 subjects to train, 5 held out."""
    return prepare_cohort(acdc_tree, tmp_path_factory.mktemp("prepared") / "cohort", workers=2)


@pytest.fixture(scope="session")
def mnms_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mnms")
    rows = (
        "A0S9V9,Siemens,A,1,0,3,58,NOR,M,180,81",
        "B1K2L3,Philips,B,2,2,0,40,ARV,F,165,",
        "C3D4E5,Philips,B,2,1,3,40,HCM,F,,",
    )
    write_table(root / "211230_M&Ms_Dataset_information.csv", MNMS_HEADER, *rows)
    write_mnms_subject(root / "Training" / "A0S9V9", hearts_of("NOR"), seed=1, frames=(0, 3))
    write_mnms_subject(root / "Training" / "B1K2L3", hearts_of("RV"), seed=2, frames=(2, 0), apex_first=True)
    return root


@pytest.fixture(scope="session")
def mnms2_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mnms2")
    rows = ("1,NOR,SIEMENS,Symphony,1.5", "12,LV,PHILIPS,Achieva,3.0", "13,TRI,PHILIPS,Achieva,3.0")
    write_table(root / "dataset_information.csv", MNMS2_HEADER, *rows)
    for code, group in (("001", "NOR"), ("012", "DCM"), ("013", "RV")):
        for phase, heart in hearts_of(group).items():
            label = heart_label(heart)
            if code == "012":
                label = label[:, :, ::-1]
            save_nifti(root / "dataset" / code / f"{code}_SA_{phase}.nii.gz", textured(label, int(code)))
            save_nifti(root / "dataset" / code / f"{code}_SA_{phase}_gt.nii.gz", to_mnms_codes(label))
    return root


def resealed(folder: Path) -> Cohort:
    """A cohort whose files were changed on purpose, its settings made to fit them again."""
    settings = read_record(folder / "cohort.json")
    names = [row["subject"] for row in read_csv(folder / "manifest.csv")]
    settings["digests"] = {name: digest(folder / "subjects" / f"{name}.safetensors") for name in names}
    write_json(folder / "cohort.json", settings, seal=True)
    return Cohort(folder)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparation in threads: quicker for small trees, and monkeypatches reach it."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(
        "cardiomorph.data.cohort_preparation.worker_pool", lambda workers, tasks: ThreadPoolExecutor(workers)
    )


@pytest.fixture
def no_space(monkeypatch: pytest.MonkeyPatch):
    """A function that makes every later write find the disk full, half-way through."""
    import errno
    import os

    whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        whole(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return lambda: monkeypatch.setattr(Path, "write_bytes", full)


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained networks: synthesis must be right whatever the weights are."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    save_model(root / "shape", "shape", LabelVAE(LabelVAEConfig(width=2, latent_dims=4, bottleneck=8)))
    save_model(root / "image", "image", ImageModel(ImageModelConfig(width=2, hidden=4, style_dims=4)))
    return root


@pytest.fixture(scope="session")
def atlas(cohort: Cohort, model_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    """The atlas of `cohort` and `model_folders`."""
    output = tmp_path_factory.mktemp("atlas") / "atlas"
    return build_atlas(cohort.folder, output, shape=model_folders / "shape", image=model_folders / "image")
