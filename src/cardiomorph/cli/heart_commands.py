"""Hearts made: `synthesize`, `reconstruct`, `demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cardiomorph.cli.parameters import Count, Flattened, Output, Seed, Switch
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.request import SynthesisRequest


def demo(*, output: Output = Path("out/demo"), seed: Seed = 0, train: Switch = False) -> None:
    """Run the whole pipeline on the built-in phantom: cohort, models, atlas, synthesis, report.

    Takes a few minutes on two cores and needs no data. Open OUTPUT/report/report.html afterwards.

    Parameters
    ----------
    output:
        Folder for everything the demo makes. A demo that was interrupted goes on there.
    seed:
        Seed of the phantom, the trainings and the synthesis.
    train:
        Train small models on the spot, a minute each, instead of using those that ship.
    """
    from cardiomorph.demo import run_demo

    run_demo(output, seed=seed, train=train)


def synthesize(
    *,
    output: Output,
    atlas: str | None = None,
    request: Annotated[SynthesisRequest | None, Flattened] = None,
    patients: Annotated[PatientOptions | None, Flattened] = None,
    workers: Count = 1,
    recreate: Path | None = None,
    cohort: Path | None = None,
) -> None:
    """Morph healthy hearts into diseased ones: ED and ES images and labels as NIfTI, with provenance and measures.

    Without an atlas of your own, one that ships with Cardiomorph is used: `cardiomorph models list`.

    An interrupted synthesis goes on where it stopped when the same command is given again.

    Parameters
    ----------
    output:
        Folder to write; one folder a heart, in ACDC's layout.
    atlas:
        Atlas folder, or the name of one that ships.
    workers:
        Processes of one thread each; 1 is one process with all threads, quickest for a few hearts.
    recreate:
        A provenance.json: make that one heart again and nothing else; of a patient of yours, with the same --source.
    cohort:
        Prepared cohort whose subjects can be sources too, beside those of the atlas.
    """
    from cardiomorph.latent.atlas import Atlas
    from cardiomorph.latent.library import default_atlas, find_atlas, notice
    from cardiomorph.synthesis import batch_synthesis

    chosen = Atlas(find_atlas(atlas or default_atlas()))
    said = notice(chosen.folder)
    if said:
        print(said, file=sys.stderr)
    if recreate is not None:
        source = next(iter(request.sources or ()), None) if request else None
        batch_synthesis.recreate(recreate, chosen, output, cohort=cohort, source=source, patients=patients)
    else:
        batch_synthesis.synthesize(chosen, output, request, workers=workers, cohort=cohort, patients=patients)


def reconstruct(
    cohort: Path, /, *, shape: Path, output: Output, split: Literal["all", "train", "heldout"] = "all"
) -> None:
    """Pass real hearts through the shape model and back: the control beside every sampler.

    The labels are written in ACDC's layout; give the folder to `evaluate --compare`.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort.
    shape:
        Run folder of the shape model.
    output:
        New folder.
    split:
        Which subjects.
    """
    from cardiomorph.synthesis.reconstruct import reconstruct as run

    run(cohort, output, shape=shape, split=None if split == "all" else split)
