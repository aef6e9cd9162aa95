"""nnU-Net's raw layout: imagesTr, labelsTr, dataset.json, splits, and how to plan with synthetic cases beside real.

ED and ES are separate cases. Real ones are written as their scanner gave them: whole field, spacing, affine, type of
voxels. Synthetic stacks of many thin slices become stacks of the real set's slice distance.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import PHASES, Label
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources.nnunet import SUBJECTS
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.data.twins import Fingerprint as HeartFingerprint
from cardiomorph.data.twins import find_twins, fingerprint
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_record, write_csv, write_json
from cardiomorph.progress import track
from cardiomorph.synthesis.nnunet_planning import SPLITS, Fingerprint, check_slices, write_planning
from cardiomorph.volume import Volume, write_nifti

_log = logging.getLogger(__name__)

N_FOLDS = 5
_THIN = 0.8
"""Share of the real slice distance below which synthetic slices are resampled to it."""


@dataclass
class _Written:
    """What has been written so far."""

    groups: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, dict[str, float | None]] = field(default_factory=dict)
    prints: dict[str, HeartFingerprint] = field(default_factory=dict)
    real: Fingerprint = field(default_factory=Fingerprint)
    synthetic: Fingerprint = field(default_factory=Fingerprint)
    resampled: int = 0
    crops: int = 0

    def note(self, subject: Subject) -> None:
        self.groups[subject.id] = subject.group
        self.bodies[subject.id] = {"height_cm": subject.height_cm, "weight_kg": subject.weight_kg}


def write_nnunet(
    originals: Sequence[Entry],
    synthetic: Sequence[Entry],
    folder: Path,
    name: str,
    seed: int,
    *,
    keep_slices: bool = False,
    any_spacing: bool = False,
) -> None:
    """Writes the data set into an empty folder.

    Args:
        name: of the data set, ``Dataset501_Name``.
        seed: of the folds.
        keep_slices: leave thin synthetic slices as they are.
        any_spacing: write cases even if they change the distance of slices that nnU-Net resamples to.

    Raises:
        CardiomorphError: hearts without images, unreadable ones, a changed distance of slices.
    """
    done = _Written()
    _write_real(originals, folder, done)
    _write_synthetic(synthetic, folder, done, keep_slices)
    if done.real.shapes and done.synthetic.shapes and not any_spacing:
        check_slices(done.real, done.synthetic, name)
    _write_description(folder, len(done.real.shapes) + len(done.synthetic.shapes))
    parents = {entry.id: read_record(entry.folder / "provenance.json", "parent")["parent"] for entry in synthetic}
    rows = [
        {"subject": n, "group": group, "synthetic": "yes" if n in parents else "no", "parent": parents.get(n)}
        | done.bodies[n]
        for n, group in done.groups.items()
    ]
    write_csv(folder / SUBJECTS, rows)
    real = {entry.id: done.groups[entry.id] for entry in originals}
    _write_splits(folder, folds(real, parents, find_twins(done.prints), seed))
    write_planning(folder, name, done.real, done.synthetic)
    _say(done, bool(originals))


def _write_real(originals: Sequence[Entry], folder: Path, done: _Written) -> None:
    for entry in track(originals, "exporting real hearts", len(originals)):
        subject = entry.load()
        done.note(subject)
        done.prints[subject.id] = fingerprint(subject)
        for phase in PHASES:
            frame = subject.stored(phase)
            _write_case(folder, f"{subject.id}_{phase}", frame, entry)
            done.real.add(frame.label.spacing_mm, frame.label.array.shape)


def _write_synthetic(synthetic: Sequence[Entry], folder: Path, done: _Written, keep_slices: bool) -> None:
    wanted_mm = float(np.median([s[2] for s in done.real.spacings_mm])) if done.real.spacings_mm else None
    usual_mm = _usual_width_mm(done.real)
    for entry in track(synthetic, "exporting synthetic hearts", len(synthetic)):
        subject = entry.load()
        done.note(subject)
        for phase in PHASES:
            frame = subject.stored(phase)
            if wanted_mm and not keep_slices and frame.label.spacing_mm[2] < _THIN * wanted_mm:
                frame = with_slices(frame, wanted_mm)
                done.resampled += 1
            _write_case(folder, f"{subject.id}_{phase}", frame, entry)
            done.synthetic.add(frame.label.spacing_mm, frame.label.array.shape)
            done.crops += (
                usual_mm is not None and frame.label.array.shape[0] * frame.label.spacing_mm[0] < _THIN * usual_mm
            )


def _usual_width_mm(real: Fingerprint) -> float | None:
    pairs = zip(real.shapes, real.spacings_mm, strict=True)
    widths = [shape[0] * spacing[0] for shape, spacing in pairs]
    return float(np.median(widths)) if widths else None


def with_slices(frame: Frame, spacing_mm: float) -> Frame:
    """A stack of thin slices as a scanner with that distance of slices would have it.

    The slices nearest to the new ones' middles are taken, image and label alike: each is painted as a slice of a
    scanner's thickness. The stack keeps its middle and its length; a distance that does not fit into it a whole number
    of times is met as nearly as it can be.
    """
    label = frame.label
    length = label.n_slices * label.spacing_mm[2]
    count = max(1, round(length / spacing_mm))
    taken = np.minimum(((np.arange(count) + 0.5) * label.n_slices / count).astype(int), label.n_slices - 1)
    distance = length / count
    return Frame(_taken(label, taken, distance), _taken(frame.image, taken, distance) if frame.image else None)


def _taken(volume: Volume, slices: np.ndarray, distance_mm: float) -> Volume:
    affine = volume.affine
    spacing = (volume.spacing_mm[0], volume.spacing_mm[1], distance_mm)
    if affine is not None:
        affine = affine.copy()
        axis = affine[:3, 2] / volume.spacing_mm[2]
        # The first new slice's middle: half a new slice from the end of the stack, not half an old one.
        affine[:3, 3] += 0.5 * (distance_mm - volume.spacing_mm[2]) * axis
        affine[:3, 2] = axis * distance_mm
    return replace(volume, array=np.ascontiguousarray(volume.array[..., slices]), spacing_mm=spacing, affine=affine)


def _write_case(folder: Path, case: str, frame: Frame, entry: Entry) -> None:
    if frame.image is None:
        raise CardiomorphError(
            "has labels only, but nnU-Net trains on images",
            where=entry.folder,
            fix="Synthesize with an atlas that has an image model",
        )
    write_nifti(folder / "imagesTr" / f"{case}_0000.nii.gz", as_stored(frame.image))
    write_nifti(folder / "labelsTr" / f"{case}.nii.gz", frame.label)


def as_stored(image: Volume) -> Volume:
    """The image in the type that its file had, where its values fit; else float32."""
    kind = np.dtype(image.stored_type or "float32")
    if np.issubdtype(kind, np.integer):
        limits, array = np.iinfo(kind), image.array
        if (array % 1 == 0).all() and limits.min <= array.min() and array.max() <= limits.max:
            return image.with_array(array.astype(kind))
    return image.with_array(image.array.astype(np.float32))


def _write_description(folder: Path, cases: int) -> None:
    labels = {label.name.lower(): int(label) for label in Label}
    described = {"channel_names": {"0": "cineMRI"}, "labels": labels, "numTraining": cases, "file_ending": ".nii.gz"}
    write_json(folder / "dataset.json", described)


def _write_splits(folder: Path, splits: list[dict[str, list[str]]]) -> None:
    if splits:
        write_json(folder / SPLITS, splits)
    if len(splits) < N_FOLDS:
        said = (
            f"{len(splits)} folds, one for each patient" if splits else "no splits written: they take two real patients"
        )
        _log.warning(f"{said} (--real names their data set)")


def _say(done: _Written, with_real: bool) -> None:
    if done.resampled:
        _log.warning(
            f"{done.resampled} synthetic stacks of thin slices were resampled to the real ones' slice distance"
        )
    if done.crops:
        _log.warning(
            f"{done.crops} synthetic cases are crops around the heart; --field full of 'synthesize --source PATIENT' "
            "gives whole fields of view"
        )
    if done.synthetic.shapes:
        what = "PLANNING.md says how" if with_real else "name it with --real"
        _log.warning(f"nnU-Net's plan must come from real data alone; {what}")


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
