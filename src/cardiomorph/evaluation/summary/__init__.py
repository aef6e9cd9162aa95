"""From records of hearts to flat, named numbers: synthetic beside real, each distance beside its floor.

Every function here takes records and returns entries of ``metrics.json``; what cannot be had is absent, and the reason
stands in ``Summary.missing``. docs/evidence.md lists the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cardiomorph.evaluation.examination import Record
from cardiomorph.evaluation.summary.common import Metrics, Summary, finite
from cardiomorph.evaluation.summary.copies import summarise_memorisation
from cardiomorph.evaluation.summary.images import summarise_fidelity, summarise_label_match
from cardiomorph.evaluation.summary.labels import (
    HEADLINE,
    summarise_consistency,
    summarise_function,
    summarise_plausibility,
    summarise_validity,
)

__all__ = ["HEADLINE", "Metrics", "Summary", "finite", "summarise"]


def summarise(synthetic: Sequence[Record], real: Sequence[Record], split: Mapping[str, str], seed: int = 0) -> Summary:
    """All statistics of one synthetic set against the real one.

    Args:
        split: by real heart, "train" or "heldout".
        seed: of random halves and draws.
    """
    summary = Summary()
    training = [r for r in real if split.get(r.id) != "heldout"]
    heldout = [r for r in real if split.get(r.id) == "heldout"]
    summarise_function(summary, synthetic, real, np.random.default_rng([seed, 1]))
    summarise_plausibility(summary, synthetic, real)
    summarise_validity(summary, synthetic, real)
    summarise_consistency(summary, synthetic, real)
    summarise_fidelity(summary, synthetic, real, np.random.default_rng([seed, 2]))
    summarise_label_match(summary, synthetic, heldout or training, held=bool(heldout))
    summarise_memorisation(summary, synthetic, training, heldout, np.random.default_rng([seed, 3]))
    return summary
