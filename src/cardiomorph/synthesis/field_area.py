"""The area of evaluation of hearts in patients' whole images: beside the scans that they were set into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from cardiomorph.anatomy import PHASES, STRUCTURES, Phase
from cardiomorph.data.sources import acdc, find_subjects
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.overlap import agreement
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Presentation, Side, values_table
from cardiomorph.evaluation.record import NOTHING, Measured, Record
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured
from cardiomorph.files import read_record
from cardiomorph.models.checkpoint import load_field_segmenter
from cardiomorph.models.field_segmenter import FieldSegmenter
from cardiomorph.progress import track
from cardiomorph.segmentation.heart import segment_volume
from cardiomorph.segmentation.library import find_segmenter
from cardiomorph.synthesis.field_measures import FieldMeasures, field_measures
from cardiomorph.synthesis.telling_apart import LEAST_PATIENTS, Cutout, cutouts, tell_apart

MOST_HEARTS = 100
"""Hearts that are looked at, drawn at random where there are more."""
_NAMES = tuple(structure.name.lower() for structure in STRUCTURES)
_MATCH, _BELOW_REAL, _NEAR_REAL = 0.90, 0.03, 0.10


@dataclass(frozen=True)
class _Made:
    """A heart's frames and those of the scan that it lies in, by phase, both as stored."""

    patient: str
    frames: Mapping[Phase, Frame]
    scan: Mapping[Phase, Frame]


@dataclass(frozen=True)
class FullField:
    """Hearts of a synthesis with ``--field full``.

    Attributes:
        synth: its folder.
        scans: the data set that the patients came from; None where it was not given.
    """

    synth: Path
    scans: Path | None

    name = "full_field"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        return NOTHING

    def summarise(self, hearts: Populations) -> Summary:
        if self.scans is None:
            return Summary(missing={(): "needs the scans that hearts were set into (--scans)"})
        made = list(self._made(hearts.rng(17)))
        if not made:
            return Summary(missing={(): "no heart here lies in the full field of a patient of --scans"})
        found = _beside_scans(made)
        model = load_field_segmenter(find_segmenter())
        found += _label_match(made, model)
        told, missing = _told_apart(made, hearts.seed)
        return Summary((*found, *told), missing)

    def _made(self, rng: np.random.Generator) -> Iterator[_Made]:
        """The hearts in full fields with their scans, in order of name."""
        assert self.scans is not None, "asked before"
        scans = {entry.id: entry for entry in find_subjects(self.scans)[1]}
        read: dict[str, dict[Phase, Frame]] = {}
        chosen = []
        for folder in acdc.subject_folders(self.synth):
            if not (folder / "provenance.json").is_file():
                continue
            facts = read_record(folder / "provenance.json")
            job = facts.get("job")
            if isinstance(job, dict) and job.get("field") == "full" and facts.get("parent") in scans:
                chosen.append((folder, str(facts["parent"])))
        kept = sorted(rng.choice(len(chosen), min(len(chosen), MOST_HEARTS), replace=False)) if chosen else []
        for index in track(kept, "hearts beside scans", len(kept)):
            folder, parent = chosen[int(index)]
            subject = acdc.read(folder)
            if parent not in read:
                scan = scans[parent].load_present()
                read[parent] = {phase: scan.stored(phase) for phase in PHASES}
            stored = read[parent]
            if subject.problems or any(frame.image is None for frame in (*subject.frames.values(), *stored.values())):
                continue
            if any(subject.frames[p].label.array.shape != stored[p].label.array.shape for p in PHASES):
                raise CardiomorphError(
                    f"is not on the grid of {parent} in {self.scans}", where=folder, fix="Name the right --scans"
                )
            yield _Made(parent, subject.frames, stored)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        match = summary.get("label_match")
        if match.value is None or match.real is None:
            return [not_measured("full field")]
        reason = f"Dice of label and segmented full image {match.value:.3f}; on the scans themselves {match.real:.3f}"
        inside = max(_MATCH, match.real - _BELOW_REAL)
        return [judged("full field", match.value, inside, match.real - _NEAR_REAL, reason)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        having = [side for side in sides if side.summary.comparisons]
        if not having:
            return None
        return Presentation(
            "Full field",
            "Hearts that were set into patients' whole images, beside the scans. Ratios are the new image's by the "
            "scan's in the same place. A segmenter of whole images reads both: label_match is the Dice with the label "
            "of each, the scans' with their own. A small network tried to tell hearts from scans of patients it had "
            "not seen: auc, 0.5 where it can only guess; where it looked is the density of its evidence, 1 the "
            "picture's mean. Diseased hearts differ from their scans in shape, too: repaint at severity 0 to ask for "
            "the paint alone.",
            [values_table(self.name, having, "all metrics of full fields")],
        )


def _beside_scans(made: Sequence[_Made]) -> list[Comparison]:
    """Medians over hearts and phases of `FieldMeasures`."""
    rows = [field_measures(one.frames[phase], one.scan[phase]) for one in made for phase in PHASES]
    names = [field.name for field in fields(FieldMeasures)]
    found = [Comparison(("hearts",), value=float(len(made)))]
    for name in names:
        values = np.array([getattr(row, name) for row in rows])
        known = values[~np.isnan(values)]
        if len(known):
            found.append(Comparison((name,), value=float(np.median(known))))
    return found


def _label_match(made: Sequence[_Made], model: FieldSegmenter) -> list[Comparison]:
    """Mean Dice of the segmenter's labels of made images and the labels they were painted from, and of scans."""
    ours = [
        _overlap(one.frames[phase], model) for one in track(made, "segmenting hearts", len(made)) for phase in PHASES
    ]
    scans = {one.patient: one.scan for one in made}
    theirs = [
        _overlap(scan[phase], model)
        for scan in track(scans.values(), "segmenting scans", len(scans))
        for phase in PHASES
    ]
    found = []
    for name in _NAMES:
        a, b = (float(np.mean([row[name] for row in rows])) for rows in (ours, theirs))
        found.append(Comparison(("label_match", name), value=a, real=b))
    a, b = (float(np.mean([np.mean(list(row.values())) for row in rows])) for rows in (ours, theirs))
    return [Comparison(("label_match",), value=a, real=b), *found]


def _overlap(frame: Frame, model: FieldSegmenter) -> dict[str, float]:
    """Dice by structure of a frame's labels and what the segmenter reads off its image; 0 where it finds no heart."""
    assert frame.image is not None, "only hearts with images are here"
    try:
        read = segment_volume(model, frame.image, Path("a heart"))[0].label.array
    except CardiomorphError:
        return dict.fromkeys(_NAMES, 0.0)
    return agreement(frame.label.array, read)


def _told_apart(made: Sequence[_Made], seed: int) -> tuple[list[Comparison], dict[tuple[str, ...], str]]:
    """What a classifier makes of it."""
    scans = {one.patient: one.scan for one in made}
    if len(scans) < LEAST_PATIENTS:
        return [], {("auc",): f"a classifier needs hearts of {LEAST_PATIENTS} patients or more"}
    each = max(1, round(len(made) / len(scans)))
    cut: list[Cutout] = [c for n, s in scans.items() for p in PHASES for c in cutouts(s[p], n, made=False)]
    cut += [c for one in made for p in PHASES for c in cutouts(one.frames[p], one.patient, made=True, every=each)]
    told = tell_apart(cut, seed)
    looked = [Comparison(("looked", name), value=value) for name, value in told.looked.items()]
    return [Comparison(("auc",), value=told.auc, low=told.low, high=told.high), *looked], {}
