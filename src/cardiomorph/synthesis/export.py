"""Synthetic hearts as training data: nnU-Net's raw layout with splits, or one flat ACDC tree, real ones beside them.

In nnU-Net's splits validation is real patients only, and the children of a validation patient train in no fold of his.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from cardiomorph.anatomy import PHASES
from cardiomorph.data.entry import Entry
from cardiomorph.data.sources import acdc, find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import copy_folder, ensure_folder, folder_in_place, refuse_unless_empty
from cardiomorph.progress import track
from cardiomorph.synthesis.nnunet_export import as_stored, write_nnunet
from cardiomorph.synthesis.nnunet_planning import install_splits

_log = logging.getLogger(__name__)


def export(
    synth: Path | None,
    output: Path,
    *,
    layout: str = "nnunet",
    real: Path | None = None,
    seed: int = 0,
    keep_slices: bool = False,
    any_spacing: bool = False,
) -> Path:
    """Writes synthetic hearts, and real ones if given, as training-ready data.

    Args:
        synth: folder of `synthesize`; None for the real data alone.
        output: a new folder; for nnU-Net name it ``Dataset501_Name``.
        layout: "nnunet" or "acdc".
        real: folder of the real data set the parents came from, in any known layout.
        seed: of the folds.
        keep_slices, any_spacing: of nnU-Net's layout, as in `write_nnunet`.

    Raises:
        CardiomorphError: nothing to export, output not empty, hearts without images (nnU-Net), clashing names,
            unreadable subjects, slices that would change nnU-Net's plan.
    """
    if layout not in ("nnunet", "acdc"):
        raise CardiomorphError(f"there is no export format {layout!r}", fix="Choose nnunet or acdc")
    if synth is None and real is None:
        raise CardiomorphError("there is nothing to export", fix="Name a folder of 'cardiomorph synthesize', or --real")
    output = Path(output)
    refuse_unless_empty(output)
    synthetic = find_subjects(Path(synth), "acdc")[1] if synth else []
    originals = find_subjects(Path(real))[1] if real else []
    clash = {entry.id for entry in synthetic} & {entry.id for entry in originals}
    if clash:
        raise CardiomorphError(f"real and synthetic subjects share names ({sorted(clash)[0]}, ...)", where=real)
    with folder_in_place(output) as folder:
        if layout == "acdc":
            _write_acdc(originals, synthetic, folder)
        else:
            name = output.resolve().name
            write_nnunet(originals, synthetic, folder, name, seed, keep_slices=keep_slices, any_spacing=any_spacing)
    _log.info(f"{len(originals)} real and {len(synthetic)} synthetic hearts in {output}")
    if (installed := install_splits(output)) is not None:
        _log.info(f"splits, where nnU-Net reads them: {installed}")
    return output


def _write_acdc(originals: Sequence[Entry], synthetic: Sequence[Entry], folder: Path) -> None:
    """Real patients in ACDC's layout and codes, whatever theirs is; synthetic hearts as they are."""
    for entry in track([*originals, *synthetic], "exporting"):
        subject = entry.load()  # raises where it is not whole
        if entry in synthetic:
            copy_folder(entry.folder, folder / entry.id)
            continue
        frames = {phase: subject.stored(phase) for phase in PHASES}
        images = {phase: as_stored(frame.image) for phase, frame in frames.items() if frame.image is not None}
        labels = {phase: frame.label for phase, frame in frames.items()}
        place = ensure_folder(folder / entry.id)
        acdc.write(place, entry.id, subject.group, labels, images, (subject.height_cm, subject.weight_kg))
