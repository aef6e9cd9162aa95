"""Synthetic hearts as training data: nnU-Net's raw layout with splits, or one flat ACDC tree, real ones beside them.

In nnU-Net's splits validation is real patients only, and the children of a validation patient train in no fold of his.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import PHASES, Label
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources import acdc, find_subjects
from cardiomorph.data.sources.nnunet import SUBJECTS
from cardiomorph.data.subject import Subject
from cardiomorph.data.twins import find_twins, fingerprint
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    copy_folder,
    ensure_folder,
    folder_in_place,
    read_record,
    refuse_unless_empty,
    write_csv,
    write_json,
)
from cardiomorph.progress import track
from cardiomorph.volume import Volume, write_nifti

_log = logging.getLogger(__name__)

N_FOLDS = 5


def export(synth: Path, output: Path, *, layout: str = "nnunet", real: Path | None = None, seed: int = 0) -> Path:
    """Writes synthetic hearts, and real ones if given, as training-ready data.

    Args:
        synth: folder of `synthesize`.
        output: a new folder; for nnU-Net name it ``Dataset501_Name``.
        layout: "nnunet" or "acdc".
        real: folder of the real data set the parents came from, in any known layout.
        seed: of the folds.

    Raises:
        CardiomorphError: output not empty, hearts without images (nnU-Net), clashing names, unreadable subjects.
    """
    if layout not in ("nnunet", "acdc"):
        raise CardiomorphError(f"there is no export format {layout!r}", fix="Choose nnunet or acdc")
    output = Path(output)
    refuse_unless_empty(output)
    synthetic = find_subjects(Path(synth), "acdc")[1]
    originals = find_subjects(Path(real))[1] if real else []
    clash = {entry.id for entry in synthetic} & {entry.id for entry in originals}
    if clash:
        raise CardiomorphError(f"real and synthetic subjects share names ({sorted(clash)[0]}, ...)", where=real)
    with folder_in_place(output) as folder:
        if layout == "acdc":
            _write_acdc(originals, synthetic, folder)
        else:
            _write_nnunet(originals, synthetic, folder, seed)
    _log.info(f"{len(originals)} real and {len(synthetic)} synthetic hearts in {output}")
    return output


def _write_acdc(originals: Sequence[Entry], synthetic: Sequence[Entry], folder: Path) -> None:
    """Real patients in ACDC's layout and codes, whatever theirs is; synthetic hearts as they are."""
    for entry in track([*originals, *synthetic], "exporting"):
        subject = entry.load()  # raises where it is not whole
        if entry in synthetic:
            copy_folder(entry.folder, folder / entry.id)
            continue
        frames = {phase: subject.stored(phase) for phase in PHASES}
        images = {phase: _as_stored(frame.image) for phase, frame in frames.items() if frame.image is not None}
        labels = {phase: frame.label for phase, frame in frames.items()}
        place = ensure_folder(folder / entry.id)
        acdc.write(place, entry.id, subject.group, labels, images, (subject.height_cm, subject.weight_kg))


def _as_stored(image: Volume) -> Volume:
    """Whole numbers as whole numbers, as scanners store them."""
    small = np.abs(image.array).max() < np.iinfo(np.int16).max
    return image.with_array(image.array.astype(np.int16)) if small and (image.array % 1 == 0).all() else image


def _write_nnunet(originals: Sequence[Entry], synthetic: Sequence[Entry], folder: Path, seed: int) -> None:
    groups: dict[str, str] = {}
    bodies: dict[str, dict[str, float | None]] = {}
    prints = {}
    cases = 0
    for entry in track([*originals, *synthetic], "exporting"):
        subject = entry.load()
        cases += _write_cases(subject, entry, folder)
        groups[subject.id] = subject.group
        bodies[subject.id] = {"height_cm": subject.height_cm, "weight_kg": subject.weight_kg}
        if entry in originals:
            prints[subject.id] = fingerprint(subject)
    write_json(
        folder / "dataset.json",
        {
            "channel_names": {"0": "cineMRI"},
            "labels": {label.name.lower(): int(label) for label in Label},
            "numTraining": cases,
            "file_ending": ".nii.gz",
        },
    )
    parents = {entry.id: read_record(entry.folder / "provenance.json", "parent")["parent"] for entry in synthetic}
    rows = [
        {"subject": name, "group": group, "synthetic": "yes" if name in parents else "no", "parent": parents.get(name)}
        | bodies[name]
        for name, group in groups.items()
    ]
    write_csv(folder / SUBJECTS, rows)
    real = {entry.id: groups[entry.id] for entry in originals}
    splits = folds(real, parents, find_twins(prints), seed)
    if splits:
        write_json(folder / "splits_final.json", splits)
    if len(splits) < N_FOLDS:
        said = (
            f"{len(splits)} folds, one for each patient" if splits else "no splits written: they take two real patients"
        )
        _log.warning(f"{said} (--real names their data set)")


def _write_cases(subject: Subject, entry: Entry, folder: Path) -> int:
    for phase in PHASES:
        frame = subject.stored(phase)
        if frame.image is None:
            raise CardiomorphError(
                "has labels only, but nnU-Net trains on images",
                where=entry.folder,
                fix="Synthesize with an atlas that has an image model",
            )
        image = frame.image.with_array(frame.image.array.astype(np.float32))
        write_nifti(folder / "imagesTr" / f"{subject.id}_{phase}_0000.nii.gz", image)
        write_nifti(folder / "labelsTr" / f"{subject.id}_{phase}.nii.gz", frame.label)
    return len(PHASES)


def folds(
    real: dict[str, str], parents: dict[str, str], twins: Sequence[Sequence[str]], seed: int
) -> list[dict[str, list[str]]]:
    """nnU-Net's ``splits_final``: five folds of real patients, stratified by group, twins together.

    Folds are equal in number to within one set of twins. Fewer patients than five make as many folds; one makes none.

    Args:
        real: patient -> group.
        parents: synthetic subject -> the patient it was morphed from.

    Returns:
        For each fold ``train`` and ``val`` case names. No synthetic case is ever in ``val``; the children of a
        validation patient, or of his twin, are in neither.
    """
    set_of = {name: tuple(sorted(members)) for members in twins for name in members}
    units = sorted({set_of.get(name, (name,)) for name in real}, key=lambda unit: (real[unit[0]], unit))
    if len(units) < 2:
        return []
    rng = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    count = min(N_FOLDS, len(units))
    # Dealt round the table, group after group, so that no fold is left without a patient.
    order, dealt = rng.permutation(count), 0
    for group in sorted(set(real.values())):
        mine = [unit for unit in units if real[unit[0]] == group]
        for index in rng.permutation(len(mine)):
            fold_of.update(dict.fromkeys(mine[index], int(order[dealt % count])))
            dealt += 1
    result = []
    for fold in range(count):
        validation = [name for name in sorted(real) if fold_of[name] == fold]
        train = [name for name in sorted(real) if fold_of[name] != fold]
        train += [child for child, parent in sorted(parents.items()) if parent not in validation]
        result.append({"train": _cases(train), "val": _cases(validation)})
    return result


def _cases(subjects: Sequence[str]) -> list[str]:
    return [f"{subject}_{phase}" for subject in subjects for phase in PHASES]
