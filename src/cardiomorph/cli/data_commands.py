"""Data sets in, data sets out: `phantom`, `prepare`, `segment`, `measure`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cardiomorph.cli.parameters import Count, NotNegative, Output, Seed, Switch
from cardiomorph.data.label_codes import parsed_codes
from cardiomorph.data.sources import SOURCES

if TYPE_CHECKING:
    SourceName = str
else:
    SourceName = Literal["auto", *SOURCES]


def phantom(
    *,
    output: Output,
    subjects_per_group: Count = 20,
    seed: Seed = 0,
    field: Literal["heart", "chest"] = "heart",
    frames: NotNegative = 0,
    workers: Count = 2,
) -> None:
    """Write a parametric cohort of hearts in ACDC's own folder layout.

    Five groups, ED and ES, images and labels; truth.json in each subject's folder holds every parameter.

    Parameters
    ----------
    output:
        Folder of the data set to write.
    subjects_per_group:
        Hearts in each of NOR, DCM, HCM, MINF and RV; at least 2.
    seed:
        Subjects depend on the seed and their number only.
    field:
        What images show: heart is what touches it, chest a scanner's whole field of view from skin to skin.
    frames:
        Frames of a heartbeat to write as NAME_4d.nii.gz beside ED and ES; 0 for none.
    workers:
        Processes.
    """
    from cardiomorph.data.phantom import write_phantom_cohort

    write_phantom_cohort(output, subjects_per_group, seed, workers, field=field, frames=frames)


def prepare(
    source: Path,
    /,
    *,
    output: Output,
    format: SourceName = "auto",
    labels: str | None = None,
    orientation: Literal["heart", "source", "grid"] = "heart",
    heldout: float = 0.2,
    seed: Seed = 0,
    skip_bad: Switch = False,
    workers: Count = 2,
) -> None:
    """Prepare a data set: 128 x 128 slices at 1.5 mm around each heart, one file a subject, a readable manifest.

    Patients are split into training and held-out ones by group; near-identical hearts stay on one side.

    Parameters
    ----------
    source:
        Folder of the data set, in the layout of ACDC, M&Ms, M&Ms-2 or nnU-Net.
    output:
        Cohort folder to write; a cohort that is there is replaced when the new one is whole.
    format:
        Layout of SOURCE; auto recognises it.
    labels:
        What the label codes mean, theirs:ours by comma, where ours are 1 RV, 2 myocardium, 3 LV; for instance
        85:1,170:2,255:3. By default what the layout (and nnU-Net's dataset.json) says.
    orientation:
        heart turns every heart so that its RV lies the same way; source keeps hearts as scanned, as the paper does,
        with the labels' box in the middle; grid keeps the middle of the field of view.
    heldout:
        Share of each group that no model is trained on.
    seed:
        Seed of the split.
    skip_bad:
        Leave out subjects that cannot be read, and list them, instead of stopping at the first.
    workers:
        Processes.
    """
    from cardiomorph.data.cohort_preparation import prepare_cohort
    from cardiomorph.data.prepare import PreparationConfig

    prepare_cohort(
        source,
        output,
        source_format=format,
        config=PreparationConfig(orientation=orientation),
        codes=parsed_codes(labels),
        heldout=heldout,
        seed=seed,
        skip_bad=skip_bad,
        workers=workers,
    )


def segment(
    scan: Path,
    /,
    *,
    output: Output,
    segmenter: Path | None = None,
    ed: Count | None = None,
    es: Count | None = None,
    skip_bad: Switch = False,
    device: str = "auto",
) -> None:
    """Label unlabelled short-axis scans: RV, myocardium and LV in every slice, ED and ES of a cine, and how sure it is.

    Every scan becomes a folder in ACDC's layout, on the scan's own grid, as `synthesize --source` and `view --patient`
    take one; preview.png in it shows the contours. quality.csv says how good each is likely to be.

    An interrupted run goes on where it stopped.

    Parameters
    ----------
    scan:
        A NIfTI file of one stack or of a cine (four axes), a patient's folder, or a folder of either.
    output:
        Folder to write.
    segmenter:
        Folder of a segmenter of your own, RUN/segmenter of `train field-segmenter`; by default the one that ships.
    ed:
        Frame of end-diastole in a cine, from 1; by default that with the largest LV.
    es:
        Frame of end-systole; by default that with the smallest LV.
    skip_bad:
        List scans that cannot be labelled in failed.csv, instead of stopping at the first.
    device:
        auto, cpu, cuda or cuda:N.
    """
    from cardiomorph.segmentation.batch import segment as run

    run(scan, output, segmenter=segmenter, numbers={"ED": ed, "ES": es}, skip_bad=skip_bad, device=device)


def measure(folder: Path, /, *, output: Output, labels: str | None = None) -> None:
    """Measure volumes, ejection fractions, mass, wall and length of any labelled folder.

    Parameters
    ----------
    folder:
        A data set in a known layout, a prepared cohort, a synthesis, or one label NIfTI.
    output:
        CSV file to write; an empty cell is a measure that cannot be had.
    labels:
        What the label codes mean, theirs:ours by comma, where ours are 1 RV, 2 myocardium, 3 LV; for instance 1:3 for
        masks of the LV cavity alone.
    """
    from cardiomorph.evaluation.table import write_measures

    write_measures(folder, output, parsed_codes(labels))


def export(
    synth: Path | None = None,
    /,
    *,
    output: Output,
    format: Literal["nnunet", "acdc"] = "nnunet",
    real: Path | None = None,
    seed: Seed = 0,
    keep_slices: Switch = False,
    any_spacing: Switch = False,
) -> None:
    """Export hearts as training data, real patients beside them if given.

    In nnU-Net's splits no synthetic case is ever in a validation fold, and a validation patient's children do not
    train in his fold. PLANNING.md in the data set says how to plan on the real cases alone; copy_splits.sh puts the
    splits where nnU-Net reads them (done at once where nnUNet_preprocessed is set).

    Parameters
    ----------
    synth:
        Folder of `cardiomorph synthesize`; without it the real data alone, to plan on.
    output:
        New folder; for nnU-Net name it Dataset501_Name.
    format:
        nnunet (imagesTr, labelsTr, dataset.json, splits_final.json) or acdc (one tree).
    real:
        Folder of the real data set that the parents came from.
    seed:
        Seed of the folds.
    keep_slices:
        Leave stacks of thin slices as they are, instead of resampling them to the real data's slice distance.
    any_spacing:
        Export even where synthetic cases would change the slice distance that nnU-Net resamples everything to.
    """
    from cardiomorph.synthesis.export import export as run

    run(synth, output, layout=format, real=real, seed=seed, keep_slices=keep_slices, any_spacing=any_spacing)
