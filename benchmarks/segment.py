"""The segmenter of whole fields of view on patients whom nobody trained or tuned on, and on scans made worse.

    python benchmarks/segment.py DATA_SET COHORT [SEGMENTER]

DATA_SET is in a known layout, COHORT prepared from it with the split of the segmenter's training: its held-out subjects
are labelled and compared with their experts' labels, whatever their group. SEGMENTER is RUN/segmenter of `cardiomorph
train field-segmenter`; by default the one that ships.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.evaluation.overlap import agreement
from cardiomorph.models.field_segmenter import FieldSegmenter
from cardiomorph.segmentation.batch import Segmenter
from cardiomorph.segmentation.calibration import WORSE
from cardiomorph.segmentation.heart import segment_volume
from cardiomorph.segmentation.quality import Signs, verdict

STORED = {
    "as stored": lambda array: array,
    "mirrored left to right": lambda array: array[::-1],
    "mirrored top to bottom": lambda array: array[:, ::-1],
    "turned by 90 degrees": lambda array: np.swapaxes(array, 0, 1)[::-1],
    "slices the other way round": lambda array: array[:, :, ::-1],
}
NAMES = ("rv", "myocardium", "lv")


def labelled(model: FieldSegmenter, frame: Frame, where: Path) -> tuple[dict[str, float], Frame | None, Signs | None]:
    """Dice with the frame's own labels; 0 where no heart was found."""
    try:
        made, signs = segment_volume(model, frame.image, where)
    except CardiomorphError:
        return dict.fromkeys(NAMES, 0.0), None, None
    return agreement(made.label.array, frame.label.array), made, signs


def changed(frame: Frame, change) -> Frame:
    return Frame(*(v.with_array(np.ascontiguousarray(change(v.array))) for v in (frame.label, frame.image)))


def row(name: str, dice: list[dict[str, float]]) -> str:
    found = sum(d["lv"] > 0 for d in dice)
    means = [np.mean([d[key] for d in dice]) for key in NAMES]
    return f"| {name} | {found} of {len(dice)} | {' | '.join(f'{m:.3f}' for m in means)} | {np.mean(means):.3f} |"


HEAD = ["| | heart found | RV | myocardium | LV | mean |", "|---|---|---|---|---|---|"]


def volumes(subjects: list[Subject], made: list[dict[Phase, Frame]]) -> Iterator[str]:
    yield "| | bias | mean absolute error | limits of agreement |"
    yield "|---|---|---|---|"
    measures = [
        (measure_heart({p: f.label for p, f in s.frames.items()}), measure_heart({p: f.label for p, f in m.items()}))
        for s, m in zip(subjects, made, strict=True)
    ]
    for key, unit in (("lv_ef_pct", "points"), ("lv_edv_ml", "%"), ("lv_esv_ml", "%"), ("rv_ef_pct", "points"),
                      ("rv_edv_ml", "%"), ("lv_mass_g", "%")):  # fmt: skip
        true, read = (np.array([pair[k][key] for pair in measures], float) for k in (0, 1))
        error = read - true if unit == "points" else 100 * (read - true) / true
        low, high = error.mean() - 1.96 * error.std(ddof=1), error.mean() + 1.96 * error.std(ddof=1)
        yield f"| {key} ({unit}) | {error.mean():+.1f} | {np.abs(error).mean():.1f} | {low:+.1f} to {high:+.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("segmenter", nargs="?")
    given = parser.parse_args()
    chosen, held = Segmenter.load(given.segmenter, "cpu"), set(Cohort(given.cohort).ids("heldout"))
    entries = [entry for entry in find_subjects(given.data_set)[1] if entry.id in held]
    subjects = [entry.load() for entry in entries]
    print(f"{len(subjects)} held-out patients, ED and ES, whole fields of view, native grids\n")
    by_phase: dict[str, list[dict[str, float]]] = {phase: [] for phase in PHASES}
    made: list[dict[Phase, Frame]] = []
    seconds = []
    for subject, entry in zip(subjects, entries, strict=True):
        made.append({})
        for phase in PHASES:
            began = time.monotonic()
            dice, frame, _ = labelled(chosen.model, subject.frames[phase], entry.folder)
            seconds.append(time.monotonic() - began)
            by_phase[phase].append(dice)
            if frame is not None:
                made[-1][phase] = frame
    print("\n".join([*HEAD, *(row(phase, dice) for phase, dice in by_phase.items())]))
    print(row("both", [*by_phase["ED"], *by_phase["ES"]]))
    print(f"\n{np.median(seconds):.1f} s a stack (median)\n")
    whole = [index for index, frames in enumerate(made) if len(frames) == len(PHASES)]
    print("\n".join(volumes([subjects[i] for i in whole], [made[i] for i in whole])))
    print("\nStored in other ways (ED):\n\n" + "\n".join(HEAD))
    for name, change in STORED.items():
        pairs = zip(subjects, entries, strict=True)
        print(row(name, [labelled(chosen.model, changed(s.frames["ED"], change), e.folder)[0] for s, e in pairs]))
    print("\nMade worse (ED and ES), and the Dice that it predicts of itself:\n\n" + "\n".join(HEAD))
    predicted, true, words = [], [], []
    for name, change in WORSE.items():
        dice = []
        for subject, entry in zip(subjects, entries, strict=True):
            for index, phase in enumerate(PHASES):
                frame = subject.frames[phase]
                image = change(frame.image.array.astype(np.float32), np.random.default_rng([index, 7]))
                found, _, signs = labelled(
                    chosen.model, Frame(frame.label, frame.image.with_array(image)), entry.folder
                )
                dice.append(found)
                if signs is not None and chosen.calibration is not None:
                    guess = chosen.calibration.predicted(signs)
                    ends = chosen.calibration.range90(signs)
                    predicted.append(np.mean(list(guess.values())))
                    true.append(np.mean(list(found.values())))
                    words.append((verdict(guess), [ends[k][0] <= found[k] <= ends[k][1] for k in NAMES]))
        print(row(name, dice))
    if predicted:
        error = np.abs(np.array(predicted) - np.array(true))
        inside = np.mean([flag for _, flags in words for flag in flags])
        print(
            f"\npredicted and true mean Dice of {len(true)} labelled stacks: mean absolute error {error.mean():.3f}, "
            f"rank correlation {spearmanr(predicted, true).statistic:.2f}; "
            f"{inside:.0%} of the true Dice lie in the 90 % range"
        )
        for word in ("good", "doubtful", "poor"):
            mine = [t for t, (w, _) in zip(true, words, strict=True) if w == word]
            if mine:
                print(f"{word}: {len(mine)} stacks, true Dice {np.mean(mine):.3f} ({min(mine):.3f} to {max(mine):.3f})")


if __name__ == "__main__":
    main()
