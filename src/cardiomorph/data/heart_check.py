"""Is this a heart? What every subject is asked at the door, whatever its source.

What cannot be a human heart with these codes is refused; what can, but looks odd, is doubted: said, and used. The
limits are wide: they are there for wrong units, codes and files, not for rare patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import PHASES, STRUCTURES, Label, Phase
from cardiomorph.data.subject import Subject
from cardiomorph.volume import Volume

NAMES = {Label.RV: "RV cavity", Label.MYOCARDIUM: "LV myocardium", Label.LV: "LV cavity"}
_LABELS_HINT = "if the codes mean something else, say so: --labels theirs:ours, for instance 1:3,2:2,3:1"
# In ACDC's 200 label maps the wall is 99 to 100 % of the LV cavity's border, and at most 44 % of the RV's.
_MIN_ENCLOSED = 0.5
_CLEAR_EXCESS = 0.1
"""Share of the labelled voxels by which one half of a stack must outweigh the other to be its base without a doubt."""
_FAR_MM = 30.0
_LV_ML = (5.0, 1000.0)
_USUAL_LV_ML = (30.0, 500.0)
_LENGTH_MM = (15.0, 250.0)
_USUAL_LENGTH_MM = (40.0, 160.0)
_IN_PLANE_MM = (0.2, 6.0)
_BETWEEN_SLICES_MM = (0.2, 30.0)


def base_first(subject: Subject) -> Subject:
    """The subject with slices from base to apex: the end with the larger heart, over all phases, comes first."""
    if sum(_basal_excess(frame.label) for frame in subject.frames.values()) >= 0:
        return subject
    return replace(subject, frames={p: frame.turned() for p, frame in subject.frames.items()}, apex_first=True)


def _basal_excess(label: Volume) -> float:
    """Labelled voxels in the first half of the labelled slices, less those in the last half."""
    area = (label.array > 0).sum(axis=(0, 1)).astype(float)
    area = area[area > 0]
    half = len(area) // 2
    return float(area[:half].sum() - area[-half:].sum())


def refusals(subject: Subject, *, partial: bool = False) -> Iterator[str]:
    """Why this cannot be a heart, in words; nothing where it can.

    Args:
        partial: the codes were stated by the user, so a structure may be absent.
    """
    labels = {phase: _boxed(frame.label) for phase, frame in subject.frames.items()}
    yield from _absent(labels, partial)
    yield from _opposite(subject)
    yield from _other_pixels(subject)
    for phase, label in labels.items():
        yield from _swapped(phase, label)
    for phase, label in labels.items():
        yield from _spacing(phase, label)
    yield from _size(labels)
    maps = [frame.label.array for frame in subject.frames.values()]
    if len(maps) == len(PHASES) and np.array_equal(maps[0], maps[1]):
        yield "ED and ES have one and the same label map: is one frame named twice?"


def doubts(subject: Subject) -> Iterator[str]:
    """What looks odd in a heart, in words that are the same for every subject that has it, as far as they can be."""
    labels = {phase: _boxed(frame.label) for phase, frame in subject.frames.items()}
    for frame in subject.frames.values():
        yield from frame.label.doubts
        yield from frame.image.doubts if frame.image else ()
    if subject.apex_first:
        yield "its slices run from apex to base: turned"
    yield from _unusual(labels)
    yield from _emptier(labels)
    yield from _unequal(subject)
    for phase, label in labels.items():
        yield from _gaps(phase, label)


def _boxed(label: Volume) -> Volume:
    """The heart's box in plane with a pixel around it: most of a field of view holds none of it."""
    pixels: NDArray[np.bool_] = np.any(label.array > 0, axis=2)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    x, y = (slice(max(0, int(found[0]) - 1), int(found[-1]) + 2) for found in (rows, columns))
    return label.with_array(label.array[x, y])


def _absent(labels: Mapping[Phase, Volume], partial: bool) -> Iterator[str]:
    missing = [s for s in STRUCTURES if not any((label.array == s).any() for label in labels.values())]
    if missing and not partial:
        names = " and no voxel ".join(f"is {NAMES[s]} ({int(s)})" for s in missing)
        yield f"no voxel {names}; {_LABELS_HINT}, or 3:3 where only that is labelled"


def _opposite(subject: Subject) -> Iterator[str]:
    """One phase stored from base to apex and the other from apex to base."""
    labels = [frame.label for frame in subject.frames.values()]
    shares = [_basal_excess(label) / float((label.array > 0).sum()) for label in labels]
    if min(shares) < -_CLEAR_EXCESS and max(shares) > _CLEAR_EXCESS:
        yield "ED runs along its slices one way and ES the other: turn one of them"


def _other_pixels(subject: Subject) -> Iterator[str]:
    pixels = [frame.label.spacing_mm[:2] for frame in subject.frames.values()]
    if not all(np.allclose(found, pixels[0], rtol=0.01, atol=0) for found in pixels):
        shown = " and ".join(f"{x:.4g} x {y:.4g} mm" for x, y in pixels)
        yield f"ED and ES have pixels of {shown}; one of them must be wrong"


def _swapped(phase: Phase, label: Volume) -> Iterator[str]:
    left, right = (_enclosed(label.array, structure) for structure in (Label.LV, Label.RV))
    if np.isnan(left) or not (label.array == Label.MYOCARDIUM).any():
        return
    if left < _MIN_ENCLOSED or right > left:
        other = "" if np.isnan(right) else f", and {right:.0%} of that of code {int(Label.RV)}"
        yield (
            f"at {phase} myocardium ({int(Label.MYOCARDIUM)}) is {left:.0%} of the border of the cavity of code "
            f"{int(Label.LV)}{other}; around an LV cavity it is nearly all, around an RV a third; {_LABELS_HINT}"
        )


def _enclosed(array: NDArray[np.integer], structure: Label) -> float:
    """Share of a structure's in-plane border that touches myocardium; NaN where it is absent."""
    border = touching = 0
    for axis in (0, 1):
        length = array.shape[axis]
        before, after = np.take(array, range(length - 1), axis), np.take(array, range(1, length), axis)
        for inside, outside in ((before, after), (after, before)):
            edge = (inside == structure) & (outside != structure)
            border += int(edge.sum())
            touching += int((edge & (outside == Label.MYOCARDIUM)).sum())
    return touching / border if border else float("nan")


def _spacing(phase: Phase, label: Volume) -> Iterator[str]:
    in_plane, between = label.spacing_mm[:2], label.spacing_mm[2]
    if not all(_IN_PLANE_MM[0] <= d <= _IN_PLANE_MM[1] for d in in_plane):
        yield f"{phase} has pixels of {in_plane[0]:.4g} x {in_plane[1]:.4g} mm; {_expected(_IN_PLANE_MM, 'mm')}"
    if not _BETWEEN_SLICES_MM[0] <= between <= _BETWEEN_SLICES_MM[1]:
        yield f"{phase} has slices {between:.4g} mm apart; {_expected(_BETWEEN_SLICES_MM, 'mm')}"


def _expected(limits: tuple[float, float], unit: str) -> str:
    return f"expected are {limits[0]:g} to {limits[1]:g} {unit} (is the unit of length right?)"


def _size(labels: Mapping[Phase, Volume]) -> Iterator[str]:
    volume, length = _largest_lv_ml(labels), _longest_mm(labels)
    if volume and not _LV_ML[0] <= volume <= _LV_ML[1]:
        yield f"the LV cavity holds {volume:.4g} mL; {_expected(_LV_ML, 'mL')}"
    if not _LENGTH_MM[0] <= length <= _LENGTH_MM[1]:
        yield f"the labelled stack is {length:.4g} mm long; {_expected(_LENGTH_MM, 'mm')}"


def _largest_lv_ml(labels: Mapping[Phase, Volume]) -> float:
    return max(_ml(label, Label.LV) for label in labels.values())


def _longest_mm(labels: Mapping[Phase, Volume]) -> float:
    return max(float((label.array > 0).any(axis=(0, 1)).sum()) * label.spacing_mm[2] for label in labels.values())


def _ml(label: Volume, structure: Label) -> float:
    return float((label.array == structure).sum()) * label.voxel_ml


def _unusual(labels: Mapping[Phase, Volume]) -> Iterator[str]:
    volume, length = _largest_lv_ml(labels), _longest_mm(labels)
    if volume and not _USUAL_LV_ML[0] <= volume <= _USUAL_LV_ML[1]:
        yield f"an LV of {volume:.0f} mL is rare in people"
    if not _USUAL_LENGTH_MM[0] <= length <= _USUAL_LENGTH_MM[1]:
        yield f"a labelled stack of {length:.0f} mm is rare in people"
    for structure in STRUCTURES:
        absent = [phase for phase, label in labels.items() if not (label.array == structure).any()]
        if absent:
            yield f"no {NAMES[structure]} is labelled at {' and '.join(absent)}"


def _emptier(labels: Mapping[Phase, Volume]) -> Iterator[str]:
    if len(labels) < len(PHASES):
        return
    for cavity in (Label.LV, Label.RV):
        full, empty = (_ml(labels[phase], cavity) for phase in PHASES)
        if empty > full:
            yield f"the {NAMES[cavity]} is larger at ES than at ED: are the phases exchanged?"


def _unequal(subject: Subject) -> Iterator[str]:
    """Synthetic hearts shorten in systole at a constant number of slices; scanned stacks do not."""
    between = {frame.label.spacing_mm[2] for frame in subject.frames.values()}
    if not subject.synthetic and len(between) > 1 and max(between) > 1.01 * min(between):
        yield "ED and ES have slices at different distances"
    if len({frame.label.array.shape[:2] for frame in subject.frames.values()}) > 1:
        yield "ED and ES have different numbers of pixels"
    places = [frame.label for frame in subject.frames.values() if frame.label.affine is not None and frame.label.code]
    if len(places) > 1 and np.linalg.norm(_centre(places[0]) - _centre(places[1])) > _FAR_MM:
        yield f"ED and ES lie more than {_FAR_MM:g} mm apart in the world"


def _centre(label: Volume) -> NDArray[np.float64]:
    """The labels' centre in the world, in mm."""
    assert label.affine is not None
    where: NDArray[np.float64] = label.affine @ [*np.argwhere(label.array > 0).mean(axis=0), 1.0]
    return where[:3]


def _gaps(phase: Phase, label: Volume) -> Iterator[str]:
    labelled = np.flatnonzero((label.array > 0).any(axis=(0, 1)))
    missing = set(range(int(labelled[0]), int(labelled[-1]))) - set(labelled.tolist())
    if missing:
        yield f"{len(missing)} of the slices between labelled ones have no label at {phase}"
