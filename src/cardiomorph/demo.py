"""The main job on the embedded phantom, end to end, in a few minutes on two cores.

Stages that are finished are kept, so a demo that was interrupted goes on. Its models are those that ship
(`phantom-small`), or `tiny` ones trained on the spot for about a minute each: these show that everything works, not how
good it can get.
"""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.phantom import write_phantom_cohort
from cardiomorph.files import claim, ensure_folder
from cardiomorph.latent.library import shipped_atlases
from cardiomorph.models.checkpoint import DESCRIPTION
from cardiomorph.progress import console
from cardiomorph.report.evaluation import evaluate
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.training.image import IMAGE_PRESETS, train_image
from cardiomorph.training.segmenter import SEGMENTER_PRESETS, train_segmenter
from cardiomorph.training.shape import SHAPE_PRESETS, train_shape

_log = logging.getLogger(__name__)

SUBJECTS_PER_GROUP = 10
_PARTS = ("cohort", "shape", "image", "segmenter", "atlas", "hearts", "report")
MODELS = "phantom-small"


def run_demo(output: Path, *, seed: int = 0, train: bool = False) -> Path:
    """Phantom, preparation, models, atlas, synthesis and report under ``output``. Returns the report page.

    Args:
        train: train `tiny` models instead of using those that ship.

    Raises:
        CardiomorphError: an unwritable output, one that holds other things or a demo of another seed, a full disk.
    """
    checked_seed(seed)
    output = Path(output)
    claim(output, "phantom", _PARTS)
    ensure_folder(output)
    console.rule("phantom")
    write_phantom_cohort(output / "phantom", SUBJECTS_PER_GROUP, seed)
    console.rule("preparation")
    cohort = output / "cohort"
    prepare_cohort(output / "phantom", cohort, seed=seed)
    console.rule("models")
    shipped = None if train else shipped_atlases().get(MODELS)
    if shipped is None:
        _train_tiny(cohort, output, seed)
    else:
        _log.info(f"{MODELS}, which ships: cardiomorph models show {MODELS}")
    judge = SEGMENTER_PRESETS["tiny"].model_copy(update={"seed": seed})
    if not (output / "segmenter" / DESCRIPTION).exists():
        train_segmenter(cohort, output / "segmenter", config=judge, resume=True)
    console.rule("atlas")
    models = shipped or output
    atlas = build_atlas(cohort, output / "atlas", shape=models / "shape", image=models / "image")
    console.rule("synthesis")
    request = SynthesisRequest(sources=tuple(list(atlas.parents)[:3]), versions=2, seed=seed)
    synthesize(atlas, output / "hearts", request)
    console.rule("report")
    page = evaluate(output / "hearts", output / "report", against=cohort, segmenter=output / "segmenter").page
    _log.info(f"\nThe report is {page}, the hearts are in {output / 'hearts'}. To turn them under your hand:")
    _log.info(f"  {_command()} view {output}")
    return page


def _command() -> str:
    """How this program was called, so that the advice works outside its environment too."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "cardiomorph" and not shutil.which("cardiomorph") else "cardiomorph"


def _train_tiny(cohort: Path, output: Path, seed: int) -> None:
    shape = SHAPE_PRESETS["tiny"].model_copy(update={"seed": seed})
    if not (output / "shape" / DESCRIPTION).exists():
        train_shape(cohort, output / "shape", config=shape, resume=True)
    image = IMAGE_PRESETS["tiny"].model_copy(update={"seed": seed})
    if not (output / "image" / DESCRIPTION).exists():
        train_image(cohort, output / "image", config=image, resume=True)
