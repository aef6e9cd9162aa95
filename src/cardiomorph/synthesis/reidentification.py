"""Is a diseased heart still its parent's? Of many parents, whose is it?

By shape, the child's labels are encoded anew and compared, as deviations from its group's mean, with the parents'
deviations from the healthy mean: what the disease does to all its hearts is no one's. By appearance, the style codes of
its painted image are compared with the parents' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cardiomorph.anatomy import DISEASES, HEALTHY, PHASES, Phase
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.identity import position_drift_mm, reidentified
from cardiomorph.evaluation.reconstruction import decoded_volume
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.joint import standardised
from cardiomorph.latent.samplers.choice import Sampler
from cardiomorph.latent.trajectory import decode_labels, encode_labels
from cardiomorph.latent.virtual import parent_named
from cardiomorph.progress import track
from cardiomorph.synthesis.painting import paint

SHAPE, APPEARANCE = "reidentified_shape", "reidentified_appearance"
_PAINTED = 6


def reidentification(atlas: Atlas, names: Sequence[str], sampler: Sampler, seed: int = 0) -> tuple[Comparison, ...]:
    """Shares of diseased hearts whose own parent is the most similar of all, with chance as their real counterpart.

    Also how far hearts drift from their own parent (``drift_mm``, in plane, by the LV's centroid) beside how far they
    lie from the others.
    """
    targets = [target for target in DISEASES if target in atlas.groups]
    if len(names) < 2 or not targets:
        return ()
    parents = [parent_named(atlas, name, seed) for name in names]
    children: list[NDArray[np.float64]] = []
    looks: list[NDArray[np.float64]] = []
    drifts: list[NDArray[np.float64]] = []
    at_zero = [decoded_volume(atlas.shape_model, p.trajectory, "ED", p.geometry.spacing_mm) for p in parents]
    for position, parent in enumerate(track(parents, "re-identifying")):
        for number, target in enumerate(targets):
            rng = np.random.default_rng([seed, position, number, 1])
            child = sampler.draw(atlas.group(target), parent.trajectory, rng).trajectory
            labels = {p: decode_labels(atlas.shape_model, child.codes[p]) for p in PHASES}
            children.append(_deviation(atlas, target, {p: encode_labels(atlas.shape_model, labels[p]) for p in PHASES}))
            here = at_zero[position].with_array(np.moveaxis(labels["ED"], 0, -1))
            drifts.append(np.array([position_drift_mm(one, here) for one in at_zero], float))
            if parent.styles is not None:
                looks.append(_style_of(atlas, parent, labels["ED"]))
    own = np.repeat(np.arange(len(parents)), len(targets))
    chance = 1.0 / len(parents)
    forms = np.stack([_deviation(atlas, HEALTHY, p.trajectory.codes) for p in parents])
    found = [Comparison((SHAPE,), value=reidentified(np.stack(children), forms, own), real=chance)]
    if looks:
        styles = np.stack([p.styles["ED"][painted_slices(len(p.styles["ED"]))].ravel() for p in parents if p.styles])
        typical = styles.mean(axis=0)
        share = reidentified(np.stack(looks) - typical, (styles - typical).astype(float), own)
        found.append(Comparison((APPEARANCE,), value=share, real=chance))
    apart = np.stack(drifts)
    is_own = np.arange(len(parents)) == own[:, None]
    mine, others = (part[~np.isnan(part)] for part in (apart[is_own], apart[~is_own]))
    if len(mine) and len(others):
        found.append(Comparison(("drift_mm",), value=float(mine.mean()), real=float(others.mean())))
    return tuple(found)


def _deviation(atlas: Atlas, group: str, codes: Mapping[Phase, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of a heart from its group's mean, in standard deviations."""
    joint = atlas.group(group).joint
    vector = np.concatenate([codes[phase].ravel() for phase in PHASES])
    return standardised(vector - joint.mean[: len(vector)], joint.sd[: len(vector)])


def painted_slices(count: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, _PAINTED + 2).astype(int)[1:-1]


def _style_of(atlas: Atlas, parent: Parent, labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Style codes of a heart's painted slices, read by the image model's own encoder."""
    assert parent.styles is not None, "asked for above"
    chosen = painted_slices(len(labels))
    painted = paint(atlas.painter, parent.styles["ED"][chosen], labels[chosen])
    with torch.inference_mode():
        return atlas.image_model.encode_style(torch.from_numpy(painted)[:, None]).numpy().ravel().astype(float)
