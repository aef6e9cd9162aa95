"""Real hearts through the shape model and back, as hearts on disk: the control beside every sampler.

What an evaluation finds wrong with these, no sampler can mend; what it finds wrong with drawn hearts and not with
these is the sampler's.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.checks import checked_name
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.prepare import PreparedSubject
from cardiomorph.data.sources import acdc
from cardiomorph.data.splits import Split
from cardiomorph.evaluation.reconstruction import decoded_volume
from cardiomorph.files import ensure_folder, new_folder, write_json
from cardiomorph.latent.trajectory import encode_subject
from cardiomorph.models.checkpoint import load_shape_model
from cardiomorph.progress import track
from cardiomorph.volume import Volume

_log = logging.getLogger(__name__)


def reconstruct(cohort: Path, output: Path, *, shape: Path, split: Split | None = None) -> Path:
    """Encodes every subject, equalises to 32 slices, decodes, and writes the labels in ACDC's layout.

    Args:
        cohort: folder of the prepared cohort.
        output: a new folder.
        shape: run folder of the shape model.
        split: "train" or "heldout" subjects only.

    Raises:
        CardiomorphError: bad cohort or model, an output that is not empty.
    """
    source, output = Cohort(cohort), Path(output)
    model = load_shape_model(shape)
    ids = source.ids(split)
    with new_folder(output) as folder:
        for subject in track((source.load(name) for name in ids), "reconstructing", len(ids)):
            trajectory = encode_subject(model, subject)
            labels = {
                p: _placed(decoded_volume(model, trajectory, p, subject.geometry.spacing_mm), subject, p)
                for p in PHASES
            }
            place = ensure_folder(folder / checked_name(subject.id, source.folder))
            body = (subject.height_cm, subject.weight_kg)
            acdc.write(place, subject.id, subject.group, labels, {}, body)
            write_json(place / "provenance.json", {"synthetic": True, "reconstruction_of": subject.id})
    _log.info(f"{len(ids)} reconstructed hearts in {output}")
    return output


def _placed(label: Volume, subject: PreparedSubject, phase: Phase) -> Volume:
    """The rebuilt stack where the subject's heart lies."""
    affine = subject.geometry.crop_affine(phase, label.n_slices, label.n_slices * label.spacing_mm[2])
    return replace(label, affine=affine, code=subject.geometry.code)
