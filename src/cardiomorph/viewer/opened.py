"""Files that a person opens in the page: a patient who is read, labelled where labels lack, and kept in memory only.

The bytes lie in a temporary folder while they are read and are gone when that is done; the patient stays until the
server ends. Nothing of them is written anywhere else.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from cardiomorph.checks import is_name
from cardiomorph.data.heart_file import label_ending
from cardiomorph.data.sources.images import SUFFIXES, stem_of
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.virtual import virtual_number
from cardiomorph.segmentation.batch import Segmenter, write_labelled
from cardiomorph.segmentation.heart import SegmentedHeart, Step, segmenting
from cardiomorph.segmentation.scans import find_scans, scan_name
from cardiomorph.synthesis.patients import Patient, patients_at
from cardiomorph.viewer.session import Session
from cardiomorph.volume import read_header

MAX_BYTES = 256 * 2**20
"""Of all files together, as they are sent."""
MAX_UNFOLDED = 768 * 2**20
"""Bytes of one file's voxels."""
MAX_FILES = 8
MAX_OPENED = 12
_INFO = "Info.cfg"


class OpenedLine(BaseModel):
    """How far the opening of files has come; the last line names the patient.

    Attributes:
        done, of: steps.
        patient: source to choose.
        said: what the models make of the patient, and what was doubted.
    """

    words: str
    done: int
    of: int
    patient: str | None = None
    said: list[str] = []


def files_of(parts: Sequence[tuple[str, int]], body: bytes) -> dict[str, bytes]:
    """Files by name out of one body, in which they follow each other.

    Args:
        parts: name and number of bytes of each.

    Raises:
        CardiomorphError: a name that is none or no image's, too many files, lengths that are not the body's.
    """
    if not 1 <= len(parts) <= MAX_FILES:
        raise CardiomorphError(f"{len(parts)} files were sent; expected 1 to {MAX_FILES}")
    for name, size in parts:
        if not is_name(name) or not (name.endswith(SUFFIXES) or name == _INFO):
            raise CardiomorphError(
                "a file is no NIfTI image (.nii or .nii.gz)", fix="Choose an image, with its labels or alone"
            )
        if size < 0:
            raise CardiomorphError("a file has less than no bytes")
    if len({name for name, _ in parts}) < len(parts) or sum(size for _, size in parts) != len(body):
        raise CardiomorphError("the files do not make up what was sent")
    found, start = {}, 0
    for name, size in parts:
        found[name] = body[start : start + size]
        start += size
    return found


def opening(session: Session, files: dict[str, bytes]) -> Iterator[OpenedLine]:
    """Reads a patient from files, labels it where they hold an image alone, and lets the session morph it.

    Raises:
        CardiomorphError: nothing that is a patient, or too many were opened.
    """
    if len(session.patients) >= MAX_OPENED:
        raise CardiomorphError(f"{MAX_OPENED} patients are open", fix="Start the viewer again")
    folder = Path(tempfile.mkdtemp(prefix="cardiomorph-"))
    try:
        place = folder / _common_name(list(files))
        place.mkdir()
        for name, content in files.items():
            (place / name).write_bytes(content)
            if name != _INFO:
                _check_size(place / name)
        yield OpenedLine(words="reading", done=0, of=1)
        doubts: list[str] = []
        where = _labelled(place, list(files))
        if where is None:
            for found in segmenting(Segmenter.load().model, find_scans(place)[0]):
                if isinstance(found, Step):
                    yield OpenedLine(words=found.words, done=found.done, of=found.of)
                else:
                    where, doubts = _written(folder / "labelled" / found.scan.id, found), list(found.doubts)
        assert where is not None, "labelled, or it was before"
        yield OpenedLine(words="the patient in latent space", done=1, of=1)
        patients = [_named(session, patient) for patient in patients_at(where, session.atlas)]
        session.adopt_patients(patients, Path("PATIENT"))
        first = patients[0]
        yield OpenedLine(words="", done=1, of=1, patient=first.parent.id, said=[str(first), *doubts])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_size(path: Path) -> None:
    """Raises `CardiomorphError` where a file would unfold to more than a viewer should hold."""
    if read_header(path).end > MAX_UNFOLDED:
        raise CardiomorphError(
            f"holds more than {MAX_UNFOLDED // 2**20} MB of voxels", where=path, fix="Crop it in time"
        )


def _common_name(names: Sequence[str]) -> str:
    """What a folder of ACDC's layout is called: the files' names before ``_frame01`` and the like."""
    first = next((Path(name) for name in names if name != _INFO), Path("patient"))
    unlabelled = stem_of(first).removesuffix(label_ending(first))
    return re.sub(r"_frame\d+$", "", scan_name(Path(unlabelled))) or "patient"


def _labelled(place: Path, names: Sequence[str]) -> Path | None:
    """Where the labelled patient lies; None where there are images alone.

    Raises:
        CardiomorphError: several labels of which nobody says what they are.
    """
    labels = [name for name in names if label_ending(Path(name))]
    if _INFO in names:
        return place if labels else None
    if len(labels) > 1:
        raise CardiomorphError(
            "there are several label files, and nothing says which is ED",
            fix="Choose Info.cfg, too, or one 4D label file",
        )
    if not labels and len(names) > 1:
        raise CardiomorphError(
            "there are several images without labels", fix="Choose one cine, or one image and its labels"
        )
    return place / labels[0] if labels else None


def _written(place: Path, heart: SegmentedHeart) -> Path:
    place.mkdir(parents=True)
    write_labelled(place, heart)
    return place if len(heart.frames) > 1 else place / f"{heart.scan.id}_gt.nii.gz"


def _named(session: Session, patient: Patient) -> Patient:
    """The patient by a name that nobody has yet: hearts of two patients must not be taken for one another."""
    name, number = patient.parent.id, 2
    known = {*session.sources, *session.subjects}
    while name in known or virtual_number(name) is not None:
        name, number = f"{patient.parent.id}-{number}", number + 1
    return replace(patient, parent=replace(patient.parent, id=name))
