"""Cardiomorph: one healthy heart becomes labelled, 3D-consistent, diseased hearts.

Everything the command line does is one import away, and loaded when first used:

    from cardiomorph import prepare_cohort, train_shape, train_image, build_atlas, synthesize, evaluate
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# OpenMP's threads spin while they wait, and take a processor from whoever works beside them: painting beside one busy
# process was 1.5 times slower so (benchmarks/busy_neighbour.py). It counts only before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOME = {
    "Atlas": "latent.atlas",
    "CardiomorphError": "errors",
    "Cohort": "data.cohort",
    "ImageTrainingConfig": "training.image",
    "PreparationConfig": "data.prepare",
    "ShapeTrainingConfig": "training.shape",
    "SynthesisRequest": "synthesis.request",
    "Volume": "volume",
    "build_atlas": "synthesis.atlas_building",
    "evaluate": "report.evaluation",
    "export": "synthesis.export",
    "measure_folder": "evaluation.table",
    "measure_heart": "evaluation.function",
    "prepare_cohort": "data.cohort_preparation",
    "prepare_subject": "data.prepare",
    "reconstruct": "synthesis.reconstruct",
    "recreate": "synthesis.batch_synthesis",
    "run_demo": "demo",
    "sampler_named": "latent.samplers.choice",
    "synthesize": "synthesis.batch_synthesis",
    "synthesize_heart": "synthesis.heart_synthesis",
    "SegmenterTrainingConfig": "training.segmenter",
    "train_image": "training.image",
    "train_segmenter": "training.segmenter",
    "train_shape": "training.shape",
    "write_measures": "evaluation.table",
    "write_phantom_cohort": "data.phantom",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"cardiomorph.{_HOME[name]}"), name)
    raise AttributeError(f"module 'cardiomorph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
