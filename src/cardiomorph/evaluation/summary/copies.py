"""Metrics of memorisation, from the descriptors that records keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation.examination import Record
from cardiomorph.evaluation.memorisation import image_distances, label_distances, memorisation
from cardiomorph.evaluation.summary.common import Summary


def summarise_memorisation(
    summary: Summary,
    synthetic: Sequence[Record],
    training: Sequence[Record],
    heldout: Sequence[Record],
    rng: np.random.Generator,
) -> None:
    kinds: tuple[tuple[str, str, Callable[..., NDArray[np.float64]]], ...] = (
        ("label", "label_bits", label_distances),
        ("image", "image_vector", image_distances),
    )
    summary.training = [r.id for r in training]
    for kind, array, distance in kinds:
        ours, known, unseen = ([r for r in rs if array in r.arrays] for rs in (synthetic, training, heldout))
        if not ours or len(known) < 3 or len(known) < len(training):
            summary.missing[f"memorisation.{kind}"] = "needs hearts of two phases" + " with images" * (kind == "image")
            continue
        known_vectors, unseen_vectors = (_vectors(rs, array) for rs in (known, unseen))
        found = memorisation(
            _chunked(partial(distance, b=known_vectors), ours, array),
            distance(known_vectors, known_vectors),
            _chunked(partial(distance, b=unseen_vectors), ours, array) if unseen else np.empty((len(ours), 0)),
            rng,
        )
        summary.memorised[kind] = found
        summary.metrics[f"memorisation.{kind}_share_too_close"] = found.share_too_close
        summary.metrics[f"memorisation.{kind}_threshold"] = found.threshold
        summary.metrics[f"memorisation.{kind}_to_training"] = found.to_training
        if found.to_heldout is not None and found.membership_auc is not None:
            summary.metrics[f"memorisation.{kind}_to_heldout"] = found.to_heldout
            summary.metrics[f"memorisation.{kind}_membership_auc"] = found.membership_auc
    if not heldout:
        summary.missing["memorisation.membership_auc"] = "no real heart is held out"


def _vectors(records: Sequence[Record], array: str) -> NDArray[np.generic]:
    stored = [record.array(array) for record in records]
    if array == "label_bits":
        return np.stack([np.unpackbits(bits).astype(bool) for bits in stored]) if stored else np.empty((0, 0), bool)
    return np.stack(stored) if stored else np.empty((0, 0), np.float16)


def _chunked(
    to: Callable[[NDArray[np.generic]], NDArray[np.float64]], records: Sequence[Record], array: str, size: int = 32
) -> NDArray[np.float64]:
    """Distances of many hearts, a few of them in memory at a time."""
    return np.concatenate([to(_vectors(records[i : i + size], array)) for i in range(0, len(records), size)])
