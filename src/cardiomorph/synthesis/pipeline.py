"""A request becomes subjects on disk: heart by heart, in constant memory, resumable, each with its provenance.

Every subject is a folder in ACDC's layout, so that the output is itself a source; it appears whole or not at all.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from cardiomorph.allocator import keep_freed_memory
from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import MEASURE_COLUMNS, Measures
from cardiomorph.files import ensure_folder, folder_in_place, read_json, read_record, write_csv, write_json, write_text
from cardiomorph.latent.atlas import Atlas
from cardiomorph.progress import console, track
from cardiomorph.synthesis.engine import Drawn, Heart, synthesize_heart
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest, jobs
from cardiomorph.volume import Volume, write_nifti
from cardiomorph.workers import worker_pool

_REQUEST = "synthesis.json"
_FRAME: dict[Phase, int] = {"ED": 1, "ES": 2}


def write_acdc_files(
    place: Path,
    name: str,
    group: str,
    labels: Mapping[Phase, Volume],
    images: Mapping[Phase, Volume],
    body: tuple[float | None, float | None],
) -> None:
    """Writes a subject's NIfTI files and Info.cfg as ACDC has them. ``body`` is height in cm and weight in kg."""
    for phase in PHASES:
        stem = f"{name}_frame{_FRAME[phase]:02d}"
        write_nifti(place / f"{stem}_gt.nii.gz", labels[phase])
        if phase in images:
            write_nifti(place / f"{stem}.nii.gz", images[phase])
    info = {"ED": _FRAME["ED"], "ES": _FRAME["ES"], "Group": group, "NbFrame": 2}
    info |= {key: value for key, value in zip(("Height", "Weight"), body, strict=True) if value}
    write_text(place / "Info.cfg", "".join(f"{key}: {value}\n" for key, value in info.items()))


def write_heart(heart: Heart, atlas: Atlas, output: Path) -> Path:
    """Writes one heart's folder: NIfTI images and labels, Info.cfg, measures.json, provenance.json."""
    job, parent = heart.job, heart.parent
    folder = output / job.name
    body = (parent.height_cm, parent.weight_kg)
    with folder_in_place(folder) as place:
        write_acdc_files(place, job.name, job.target, heart.labels, heart.images, body)
        write_json(place / "measures.json", {"subject": job.name, "group": job.target, **heart.measures})
        write_json(place / "provenance.json", provenance_of(heart, atlas))
    return folder


def provenance_of(heart: Heart | Drawn, atlas: Atlas) -> dict[str, Any]:
    """What makes a heart again."""
    return {
        "cardiomorph": importlib.metadata.version("cardiomorph"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "synthetic": True,
        "parent": heart.job.source,
        "parent_split": heart.parent.split,
        "job": heart.job.model_dump(mode="json"),
        "atlas": atlas.identity,
        "models": atlas.description["models"],
        "draw": dict(heart.diagnostics),
    }


def synthesize(atlas: Path | Atlas, output: Path, request: SynthesisRequest | None = None, *, workers: int = 1) -> Path:
    """Runs a request. Finished hearts of an interrupted run with the same request are kept.

    Args:
        workers: processes, one thread each; 1 is this process with all its threads. The hearts are the same but for
            the last bits of their images, and each provenance names the threads that give its very bytes.

    Returns:
        The output folder, with ``synthesis.json``, ``measures.csv`` and a folder a heart.

    Raises:
        CardiomorphError: bad atlas, unknown source or target, an output of another request, a full disk.
    """
    source = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    request, output = request or SynthesisRequest(), Path(output)
    wanted = jobs(request, source)
    _claim(output, request, source)
    missing = [job for job in wanted if not (output / job.name / "provenance.json").exists()]
    for _ in track(_made(missing, source, output, workers), "hearts", len(missing)):
        pass
    draws: list[Measures] = [read_json(output / job.name / "measures.json") for job in wanted]
    write_csv(output / "measures.csv", draws, ("subject", "group", *MEASURE_COLUMNS))
    console.print(f"{len(wanted)} hearts in {output}")
    return output


def _made(missing: Sequence[HeartJob], atlas: Atlas, output: Path, workers: int) -> Iterator[str]:
    """Makes hearts and yields their names, in order."""
    if workers <= 1 or len(missing) <= 1:
        keep_freed_memory()
        for job in missing:
            yield write_heart(synthesize_heart(atlas, job), atlas, output).name
        return
    with worker_pool(workers, len(missing), _begin, atlas.folder, output) as pool:
        try:
            yield from pool.map(_make, missing)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_here: dict[str, Any] = {}


def _begin(atlas: Path, output: Path) -> None:
    """Readies a worker: the atlas is read once."""
    torch.set_num_threads(1)
    keep_freed_memory()
    _here.update(atlas=Atlas(atlas), output=output)


def _make(job: HeartJob) -> str:
    return write_heart(synthesize_heart(_here["atlas"], job), _here["atlas"], _here["output"]).name


def _claim(output: Path, request: SynthesisRequest, atlas: Atlas) -> None:
    """Marks the folder as this request's. Raises where it is another's."""
    mark = {
        "request": request.model_dump(mode="json"),
        "atlas": atlas.identity,
        "atlas_folder": str(atlas.folder.resolve()),
    }
    path = output / _REQUEST
    if path.exists():
        before = read_record(path)
        if any(before.get(key) != mark[key] for key in ("request", "atlas")):
            raise CardiomorphError(
                "holds the hearts of another request", where=output, fix="Choose another output folder"
            )
    elif output.exists() and any(output.iterdir()):
        raise CardiomorphError("is not empty", where=output, fix="Choose an empty output folder")
    ensure_folder(output)
    write_json(path, mark)


def recreate(provenance: Path, atlas: Path | Atlas, output: Path) -> Path:
    """Makes the heart of a provenance.json again, byte for byte, in ``output``.

    Raises:
        CardiomorphError: not a provenance file, or another atlas than the heart came from.
    """
    source = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    facts = read_json(Path(provenance))
    try:
        job, wanted = HeartJob.model_validate(facts["job"]), facts["atlas"]
    except (KeyError, TypeError, ValidationError) as error:
        raise CardiomorphError(f"is not a provenance file ({error})", where=provenance) from error
    if wanted != source.identity:
        raise CardiomorphError(
            f"the heart came from the atlas {wanted[:12]}, this is {source.identity[:12]}", where=source.folder
        )
    before = torch.get_num_threads()
    torch.set_num_threads(int(facts.get("threads", before)))
    try:
        return write_heart(synthesize_heart(source, job), source, Path(output))
    finally:
        torch.set_num_threads(before)
