"""Many scans become labelled hearts on disk: one folder each, in ACDC's layout, resumable, each with how sure it is.

A folder holds the images of ED and ES as they were, their labels on the same grid, Info.cfg, segmentation.json (the
frames, predicted Dice, doubts, digests of scan and segmenter) and preview.png. A single stack becomes NAME.nii.gz with
NAME_gt.nii.gz. Beside the folders stand quality.csv and, where scans could not be labelled, failed.csv.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.data.sources import acdc
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.files import claim, digest, ensure_folder, folder_in_place, read_record, write_csv, write_json
from cardiomorph.models.checkpoint import load_field_segmenter, model_digest
from cardiomorph.models.field_segmenter import FieldSegmenter
from cardiomorph.progress import track
from cardiomorph.segmentation.heart import SegmentedHeart, segment_scan
from cardiomorph.segmentation.library import find_segmenter
from cardiomorph.segmentation.preview import write_preview
from cardiomorph.segmentation.quality import Calibration, read_calibration
from cardiomorph.segmentation.scans import Scan, find_scans
from cardiomorph.training.hardware import pick_device
from cardiomorph.volume import write_nifti

_log = logging.getLogger(__name__)

_MARK, _FACTS = "segment.json", "segmentation.json"
_QUALITY = "quality.csv"
_COLUMNS = ("subject", "verdict", "ed_frame", "es_frame", "dice_ed", "dice_es", *MEASURE_COLUMNS, "doubts")


@dataclass(frozen=True)
class Segmenter:
    """A network with its calibration."""

    folder: Path
    model: FieldSegmenter
    calibration: Calibration | None

    @staticmethod
    def load(name: str | Path | None = None, device: str = "auto") -> Segmenter:
        """The segmenter that ships, or one of a folder. Raises `CardiomorphError` where there is none."""
        folder = find_segmenter(name)
        return Segmenter(folder, load_field_segmenter(folder, pick_device(device)), read_calibration(folder))


def segment(
    source: Path,
    output: Path,
    *,
    segmenter: str | Path | None = None,
    numbers: Mapping[Phase, int | None] | None = None,
    device: str = "auto",
    skip_bad: bool = False,
) -> Path:
    """Labels every scan of a file or folder. Finished ones of an interrupted run are kept.

    Args:
        source: as `find_scans` takes it.
        segmenter: folder of a trained one; the one that ships by default.
        numbers: frames of ED and ES in a cine, from 1, where they are known.
        skip_bad: list scans that cannot be labelled in failed.csv and go on, instead of stopping at the first.

    Returns:
        The output folder.

    Raises:
        CardiomorphError: nothing to label, a bad scan (unless ``skip_bad``), an output that holds other things.
    """
    output = Path(output)
    scans = find_scans(Path(source))
    chosen = Segmenter.load(segmenter, device)
    claim(output, _MARK)
    ensure_folder(output)
    write_json(output / _MARK, {"segmenter": model_digest(chosen.folder)}, seal=True)
    rows, failed = [], []
    for scan in track(scans, "segmenting", len(scans)):
        try:
            rows.append(_row(_labelled(chosen, scan, output, dict(numbers or {}))))
        except CardiomorphError as error:
            if not skip_bad:
                raise
            _log.warning(f"left out: {error}")
            failed.append({"subject": scan.id, "reason": str(error)})
    write_csv(output / _QUALITY, rows, _COLUMNS)
    if failed:
        write_csv(output / "failed.csv", failed, ("subject", "reason"))
    if not rows:
        raise CardiomorphError("none of its scans could be labelled", where=source)
    _announce(rows, failed, output)
    return output


def _labelled(chosen: Segmenter, scan: Scan, output: Path, numbers: dict[Phase, int | None]) -> dict[str, Any]:
    """The facts of a scan's folder, made now or before."""
    wanted = {
        "files": {file.name: digest(file) for file in scan.files},
        "segmenter": model_digest(chosen.folder),
        "asked": {phase: number for phase, number in numbers.items() if number is not None},
    }
    folder = output / scan.id
    if (before := _finished(folder, wanted)) is not None:
        return before
    heart = segment_scan(chosen.model, scan, numbers)
    with folder_in_place(folder) as place:
        write_labelled(place, heart)
        write_preview(place / "preview.png", heart)
        facts = _facts(heart, chosen, wanted)
        facts["made"] = {path.name: digest(path) for path in sorted(place.iterdir())}
        write_json(place / _FACTS, facts, seal=True)
    return facts


def _finished(folder: Path, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a folder says of itself, if it is whole and of the same scan, segmenter and request."""
    if not (folder / _FACTS).is_file():
        return None
    try:
        facts = read_record(folder / _FACTS, "made", "source")
        whole = all(digest(folder / name) == found for name, found in facts["made"].items())
    except CardiomorphError:
        return None
    return facts if whole and facts["source"] == wanted else None


def write_labelled(place: Path, heart: SegmentedHeart) -> None:
    """Images and labels into a folder: ACDC's layout, or a stack with its label beside it."""
    name, scan = heart.scan.id, heart.scan
    images = {phase: frame.image for phase, frame in heart.frames.items() if frame.image is not None}
    if len(heart.frames) < len(PHASES):
        write_nifti(place / f"{name}.nii.gz", images["ED"])
        write_nifti(place / f"{name}_gt.nii.gz", heart.labels["ED"])
        return
    size = (scan.height_cm, scan.weight_kg)
    numbers = (heart.numbers["ED"], heart.numbers["ES"])
    acdc.write(place, name, scan.group, heart.labels, images, size, frames=numbers, n_frames=heart.n_frames)


def _facts(heart: SegmentedHeart, chosen: Segmenter, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subject": heart.scan.id,
        "cardiomorph": importlib.metadata.version("cardiomorph"),
        "torch": torch.__version__,
        "source": wanted,
        "frames": heart.numbers,
        "n_frames": heart.n_frames,
        "quality": heart.quality(chosen.calibration) if chosen.calibration else None,
        "measures": heart.measures(),
        "lv_ml": [round(value, 2) for value in heart.lv_ml],
        "doubts": list(heart.doubts),
    }


def _row(facts: Mapping[str, Any]) -> dict[str, Any]:
    quality = facts["quality"] or {}
    order = ("poor", "doubtful", "good")
    verdicts = [found["verdict"] for found in quality.values()]
    return {
        "subject": facts["subject"],
        "verdict": min(verdicts, key=order.index) if verdicts else "",
        "ed_frame": facts["frames"].get("ED"),
        "es_frame": facts["frames"].get("ES"),
        **{f"dice_{p.lower()}": round(float(np.mean(list(q["dice"].values()))), 4) for p, q in quality.items()},
        **facts["measures"],
        "doubts": "; ".join(facts["doubts"]),
    }


def _announce(rows: Sequence[Mapping[str, Any]], failed: Sequence[Any], output: Path) -> None:
    for row in rows:
        if row["verdict"] in ("doubtful", "poor"):
            _log.warning(f"{row['subject']}: the labels look {row['verdict']}; see {row['subject']}/preview.png")
        for doubt in filter(None, row["doubts"].split("; ")):
            _log.warning(f"{row['subject']}: {doubt}")
    left = f", {len(failed)} left out (failed.csv)" if failed else ""
    _log.info(f"{len(rows)} labelled hearts in {output}{left}; how sure each is: {output / _QUALITY}")
