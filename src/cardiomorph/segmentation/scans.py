"""Unlabelled scans on disk: a stack, a cine, or folders of them, in the layouts that people have.

A cine (four axes) has its phases found. Of single stacks ED and ES are known where Info.cfg (ACDC) names frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.checks import checked_name
from cardiomorph.data.heart_file import label_ending
from cardiomorph.data.sources.clinical import body, frame_number, read_pairs, visible
from cardiomorph.data.sources.images import SUFFIXES, stem_of, stored
from cardiomorph.errors import CardiomorphError

_CINE_ENDINGS = ("_4d", "_sa", "_cine")
_CHANNEL = "_0000"
_INFO = "Info.cfg"


@dataclass(frozen=True)
class Scan:
    """One person's images.

    Attributes:
        files: one file; or one for each phase in ``numbers``.
        numbers: by phase, its frame in the heartbeat, where every file is a phase.
        n_frames: of the heartbeat.
        group, height_cm, weight_kg: as Info.cfg states them.
    """

    id: str
    files: tuple[Path, ...]
    numbers: Mapping[Phase, int] = field(default_factory=dict)
    n_frames: int = 1
    group: str = ""
    height_cm: float | None = None
    weight_kg: float | None = None


def find_scans(path: Path) -> list[Scan]:
    """The scans of a file or folder, in order of name; label files are passed over.

    A folder with Info.cfg or with a cine named like those of ACDC and M&Ms is one person; any other folder holds a scan
    in each file (nnU-Net's imagesTr, for instance) and a person, or more, in each folder.

    Raises:
        CardiomorphError: nothing there, a name that no file can have, or two scans of one name.
    """
    if path.is_file():
        scans = [Scan(scan_name(path), (path,))]
    elif path.is_dir():
        scans = list(_in_folder(path.absolute()))
    else:
        raise CardiomorphError("is neither a folder nor a file", where=path)
    if not scans:
        raise CardiomorphError(
            "no NIfTI image was found here", where=path, fix="Give a .nii.gz file, or a folder of some"
        )
    for scan in scans:
        checked_name(scan.id, scan.files[0])
        twin = next((other for other in scans if other.id == scan.id and other is not scan), None)
        if twin:
            raise CardiomorphError(
                f"two scans are called {scan.id!r}, here and in {twin.files[0]}", where=scan.files[0], fix="Rename one"
            )
    return scans


def scan_name(path: Path) -> str:
    """What a scan is called by its file: without the ending of a cine or of nnU-Net's channel."""
    stem = stem_of(path).removesuffix(_CHANNEL)
    ending = next((ending for ending in _CINE_ENDINGS if stem.endswith(ending)), "")
    return stem.removesuffix(ending)


def _in_folder(folder: Path) -> Iterator[Scan]:
    files = [p for p in visible(folder.glob("*.nii*"), folder) if p.name.endswith(SUFFIXES) and not label_ending(p)]
    cines = [p for p in files if any(stem_of(p).endswith(ending) for ending in _CINE_ENDINGS)]
    if (folder / _INFO).is_file():
        yield _person(folder, cines)
        return
    yield from (Scan(scan_name(path), (path,)) for path in (cines or files))
    for child in visible(folder.iterdir(), folder):
        if child.is_dir():
            yield from _in_folder(child)


def _person(folder: Path, cines: list[Path]) -> Scan:
    """A folder of ACDC's layout, with or without labels."""
    path = folder / _INFO
    info = read_pairs(path)
    size = body(info, ("Height",), ("Weight",))
    facts = (info.get("Group", ""), size.height_cm, size.weight_kg)
    if len(cines) == 1:
        return Scan(folder.name, (cines[0],), {}, 1, *facts)
    numbers = {phase: frame_number(info.get(phase), phase, path, first=0) for phase in PHASES if info.get(phase)}
    found = {phase: stored(folder, f"{folder.name}_frame{number:02d}") for phase, number in numbers.items()}
    there: dict[Phase, Path] = {phase: file for phase, file in found.items() if file is not None}
    if not there:
        raise CardiomorphError(
            "has neither a cine nor the frames that Info.cfg names", where=folder, fix="Give the image file itself"
        )
    total = int(info["NbFrame"]) if info.get("NbFrame", "").isdecimal() else len(there)
    return Scan(folder.name, tuple(there.values()), {p: numbers[p] for p in there}, total, *facts)
