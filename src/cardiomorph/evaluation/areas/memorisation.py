"""Memorisation: are synthetic hearts copies of training patients, in their labels or in their images?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.evaluation import memorisation
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Pairs, Picture, Presentation, Side, Table, number
from cardiomorph.evaluation.record import NOTHING, Measured, Record
from cardiomorph.evaluation.summary import Neighbour, Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured

Vectors = NDArray[Any]
_RANDOM_STREAM = 3
_SHOWN_PAIRS = 5


def _unpacked(bits: Vectors) -> Vectors:
    return np.unpackbits(bits).astype(bool)


def _as_stored(vector: Vectors) -> Vectors:
    return vector


@dataclass(frozen=True)
class Kind:
    """What hearts are compared in.

    Attributes:
        name: in keys, before a quantity's.
        array: the descriptor in a record, and ``unpacked`` from it.
        distance: of (n, d) and (m, d) descriptors, (n, m).
        needs: what a heart must have.
    """

    name: str
    array: str
    unpacked: Callable[[Vectors], Vectors]
    distance: Callable[..., NDArray[np.float64]]
    needs: str

    def quantity(self, of: str) -> str:
        """A quantity's name in this kind."""
        return f"{self.name}_{of}"


LABELS = Kind("label", "label_bits", _unpacked, memorisation.label_distances, "needs hearts of two phases")
IMAGES = Kind(
    "image", "image_vector", _as_stored, memorisation.image_distances, "needs hearts of two phases with images"
)
_KINDS = (LABELS, IMAGES)
SHARE, AUC = "share_too_close", "membership_auc"


class Memorisation:
    """Distances to the nearest training heart, and an attack that tells training from held-out hearts by them."""

    name = "memorisation"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        subject = view.heart.prepared
        if subject is None:
            return NOTHING
        arrays: dict[str, Vectors] = {LABELS.array: np.packbits(memorisation.label_descriptor(subject))}
        vector = memorisation.image_descriptor(subject)
        if vector is not None:
            arrays[IMAGES.array] = vector
        return Measured({}, arrays)

    def summarise(self, hearts: Populations) -> Summary:
        rng = hearts.rng(_RANDOM_STREAM)
        training, held_out = hearts.training, hearts.heldout
        found: list[Comparison] = []
        neighbours: dict[str, Sequence[Neighbour]] = {}
        missing: dict[tuple[str, ...], str] = {}
        for kind in _KINDS:
            ours, known, unseen = (
                [r for r in records if r.has(self.name, kind.array)]
                for records in (hearts.synthetic, training, held_out)
            )
            if not ours or len(known) < 3 or len(known) < len(training):
                missing[kind.name,] = kind.needs
                continue
            nearness = _nearness(kind, ours, known, unseen, rng)
            found += _comparisons(kind, nearness)
            pairs = zip(ours, nearness.nearest, strict=True)
            neighbours[kind.name] = [Neighbour(r.id, known[index].id, distance) for r, (index, distance) in pairs]
        if not held_out:
            missing[AUC,] = "no real heart is held out"
        return Summary(tuple(found), missing, neighbours=neighbours)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        shares = {k: v for k in _KINDS if (v := summary.get(k.quantity(SHARE)).value) is not None}
        if LABELS not in shares:
            return [not_measured(self.name)]
        parts = [f"{share:.1%} of hearts too close to a training {kind.name}" for kind, share in shares.items()]
        attacks = [v for k in shares if (v := summary.get(k.quantity(AUC)).value) is not None]
        if attacks:
            parts.append(f"membership attack AUC {', '.join(f'{attack:.2f}' for attack in attacks)}")
        return [judged(self.name, max(shares.values()), 0.05, 0.1, "; ".join(parts), less=True)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        first = sides[0]
        rows = [[c.key(self.name), number(c.value)] for c in first.summary.comparisons if c.value is not None]
        if not rows:
            return None
        ours, theirs = ({record.id: record for record in records} for records in (first.records, real))
        figures = {}
        for kind, neighbours in first.summary.neighbours.items():
            nearest = [neighbours[i] for i in np.argsort([n.distance for n in neighbours])[:_SHOWN_PAIRS]]
            pictures = [
                (
                    Picture.of(ours[n.synthetic], n.synthetic),
                    Picture.of(theirs[n.real], f"{n.real}, distance {n.distance:.3f}"),
                )
                for n in nearest
            ]
            figures[f"nearest_{kind}"] = Pairs(pictures, f"nearest pairs by {kind}: synthetic above, real below")
        return Presentation(
            "Memorisation",
            "Distance of every synthetic heart to its nearest training heart: 1 - Dice of labels, 1 - correlation of "
            "images. Too close is nearer than the 5th percentile of the training hearts' distances to each other. The "
            "attack tries to tell training from held-out hearts by their distance to the synthetic ones; 0.5 is "
            "guessing.",
            [Table(["metric", "value"], rows)],
            figures,
        )


def _nearness(
    kind: Kind, ours: Sequence[Record], known: Sequence[Record], unseen: Sequence[Record], rng: np.random.Generator
) -> memorisation.Memorisation:
    """How near the synthetic hearts come to the training hearts, and to held-out ones."""
    known_vectors, unseen_vectors = _vectors(known, kind), _vectors(unseen, kind)
    return memorisation.memorisation(
        _chunked(partial(kind.distance, b=known_vectors), ours, kind),
        kind.distance(known_vectors, known_vectors),
        _chunked(partial(kind.distance, b=unseen_vectors), ours, kind) if unseen else np.empty((len(ours), 0)),
        rng,
    )


def _comparisons(kind: Kind, found: memorisation.Memorisation) -> list[Comparison]:
    numbers = {SHARE: found.share_too_close, "threshold": found.threshold, "to_training": found.to_training}
    if found.to_heldout is not None and found.membership_auc is not None:
        numbers |= {"to_heldout": found.to_heldout, AUC: found.membership_auc}
    return [Comparison((kind.quantity(name),), value=value) for name, value in numbers.items()]


def _vectors(records: Sequence[Record], kind: Kind) -> Vectors:
    stored = [kind.unpacked(record.array(Memorisation.name, kind.array)) for record in records]
    return np.stack(stored) if stored else np.empty((0, 0))


def _chunked(
    to: Callable[[Vectors], NDArray[np.float64]], records: Sequence[Record], kind: Kind, size: int = 32
) -> NDArray[np.float64]:
    """Distances of many hearts, a few of them in memory at a time."""
    return np.concatenate([to(_vectors(records[i : i + size], kind)) for i in range(0, len(records), size)])
