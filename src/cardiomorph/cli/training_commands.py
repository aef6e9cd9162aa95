"""`train shape`, `train image`, `train segmenter`, `train field-segmenter`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cardiomorph.cli.parameters import Flattened, Output
from cardiomorph.training.options import SegmenterOptions, TrainingOptions


def train_shape(
    cohort: Path, /, *, output: Output, options: Annotated[TrainingOptions, Flattened] = TrainingOptions()
) -> None:
    """Train the shape model, a 2D variational autoencoder of label slices.

    The run folder holds log.jsonl, tensorboard/, checkpoints, curves.png, samples.png, metrics.json and the model.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort.
    output:
        Run folder.
    """
    from cardiomorph.training import shape

    shape.train_shape(cohort, output, **options.arguments())


def train_image(
    cohort: Path, /, *, output: Output, options: Annotated[TrainingOptions, Flattened] = TrainingOptions()
) -> None:
    """Train the image model, a SPADE generator with a style encoder, against a multi-scale discriminator.

    The run folder is like the shape model's.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort, with images.
    output:
        Run folder.
    """
    from cardiomorph.training import image

    image.train_image(cohort, output, **options.arguments())


def train_segmenter(
    cohort: Path, /, *, output: Output, options: Annotated[SegmenterOptions, Flattened] = SegmenterOptions()
) -> None:
    """Train the referee of `evaluate --segmenter`: a U-Net that labels real images.

    The run folder is like the shape model's.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort, with images.
    output:
        Run folder.
    """
    from cardiomorph.training import segmenter

    segmenter.train_segmenter(cohort, output, **options.arguments())


def train_field_segmenter(
    cohort: Path,
    /,
    *,
    scans: Path,
    output: Output,
    options: Annotated[SegmenterOptions, Flattened] = SegmenterOptions(),
) -> None:
    """Train a segmenter of whole fields of view, for `segment --segmenter OUTPUT/segmenter`.

    An eighth of the training patients is set aside: on them the segmenter learns to say how sure it is.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort.
    scans:
        The data set that the cohort was prepared from: a cohort keeps crops, no whole images.
    output:
        Run folder.
    """
    from cardiomorph.segmentation.calibration import make_ready
    from cardiomorph.training import field_segmenter

    field_segmenter.train_field_segmenter(cohort, scans, output, **options.arguments())
    make_ready(output, cohort, scans)
