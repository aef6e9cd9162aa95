"""A request becomes subjects on disk: heart by heart, in constant memory, resumable, each with its provenance.

Every subject is a folder in ACDC's layout, so that the output is itself a source; it appears whole or not at all.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.allocator import keep_freed_memory
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.sources import acdc
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import MEASURE_COLUMNS, Measures
from cardiomorph.files import (
    claim,
    digest,
    ensure_folder,
    folder_in_place,
    json_text,
    read_json,
    read_record,
    read_text,
    settle,
    unsealed,
    validated,
    write_csv,
    write_json,
)
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.models.threads import threads
from cardiomorph.progress import track
from cardiomorph.synthesis.heart_synthesis import DrawnHeart, SyntheticHeart, synthesize_heart
from cardiomorph.synthesis.jobs import jobs
from cardiomorph.synthesis.parents import parents_of
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.patients import adopt_patients
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest
from cardiomorph.workers import worker_pool

_log = logging.getLogger(__name__)

_REQUEST = "synthesis.json"
_PROVENANCE, _MEASURES = "provenance.json", "measures.json"


class Provenance(BaseModel):
    """What a heart is made again from, and by what its files are known; more may stand in a provenance.json."""

    model_config = ConfigDict(extra="ignore")

    job: HeartJob
    atlas: str
    threads: int | None = Field(None, ge=1, le=4096)
    backend: Literal["torch"] = "torch"
    parent_sha256: str | None = None
    files: dict[str, str] | None = None


class _Measured(BaseModel):
    """A heart's measures.json: its name, its group, and numbers."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[float, Field(allow_inf_nan=False)] | None]

    subject: str
    group: str


def write_heart(heart: SyntheticHeart, atlas: Atlas, output: Path) -> Path:
    """Writes one heart's folder: NIfTI images and labels, Info.cfg, measures.json, provenance.json."""
    job, parent = heart.job, heart.parent
    folder = output / job.name
    body = (parent.height_cm, parent.weight_kg)
    with folder_in_place(folder) as place:
        acdc.write(place, job.name, job.target, heart.labels, heart.images, body)
        write_json(place / _MEASURES, {"subject": job.name, "group": job.target, **heart.measures})
        files = {path.name: digest(path) for path in sorted(place.iterdir())}
        write_json(place / _PROVENANCE, {**provenance_of(heart, atlas), "files": files}, seal=True)
    return folder


def provenance_of(heart: SyntheticHeart | DrawnHeart, atlas: Atlas) -> dict[str, Any]:
    """What makes a heart again. Of a parent that the atlas does not hold it has the digest."""
    adopted = heart.job.source in atlas.adopted
    return {
        "cardiomorph": importlib.metadata.version("cardiomorph"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "synthetic": True,
        "parent": heart.job.source,
        "parent_split": heart.parent.split,
        **({"parent_sha256": heart.parent.digest()} if adopted else {}),
        "job": heart.job.model_dump(mode="json"),
        "atlas": atlas.identity,
        "models": atlas.description["models"],
        "draw": dict(heart.diagnostics),
    }


def synthesize(
    atlas: Path | Atlas,
    output: Path,
    request: SynthesisRequest | None = None,
    *,
    workers: int = 1,
    cohort: Path | None = None,
    patients: PatientOptions | None = None,
) -> Path:
    """Runs a request. Finished hearts of an interrupted run with the same request are kept if they are whole.

    Args:
        workers: processes, one thread each; 1 is this process with all its threads. The hearts are the same but for
            the last bits of their images, and each provenance names the threads that give its very bytes.
        cohort: prepared cohort whose subjects can be sources too, beside the atlas's own.
        patients: how sources that are folders or files are read.

    Returns:
        The output folder, with ``synthesis.json``, ``measures.csv`` and a folder a heart.

    Raises:
        CardiomorphError: bad atlas, unknown source or target, an output of another request, a full disk.
    """
    source = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    request = (request or SynthesisRequest()).resolved(with_subjects=bool(source.parents))
    output = Path(output)
    _adopt(source, request.sources or (), cohort)
    names = adopt_patients(request.sources or (), source, patients)
    request = request.model_copy(update={"sources": names})
    wanted = jobs(request, source)
    _claim(output, request, source)
    missing = _missing(wanted, source, output)
    for _ in track(_made(missing, len(wanted), source, output, workers), "hearts", len(wanted)):
        pass
    rows = [_measures(output / job.name / _MEASURES) for job in wanted]
    write_csv(output / "measures.csv", rows, ("subject", "group", *MEASURE_COLUMNS))
    _log.info(f"{len(wanted)} hearts in {output}")
    return output


def _adopt(atlas: Atlas, sources: Iterable[str], cohort: Path | None) -> None:
    """Lets the atlas morph those subjects of a cohort that are named and that it does not hold."""
    if cohort is None:
        return
    given = Cohort(cohort)
    wanted = sorted(set(sources) & set(given.ids()) - atlas.parents.keys())
    atlas.adopt({name: parent for name, (_, parent) in parents_of(given, atlas, wanted).items()})


def _measures(path: Path) -> Measures:
    return validated(_Measured, read_record(path), path).model_dump()


def _missing(wanted: Sequence[HeartJob], atlas: Atlas, output: Path) -> Iterator[HeartJob | None]:
    """The hearts that are not there, or not whole; None for each that is."""
    for job in wanted:
        folder = output / job.name
        problem = _problem(folder, job, atlas) if folder.exists() else "is missing"
        if problem and folder.exists():
            _log.warning(f"{folder}: {problem}; it is made again")
        yield job if problem else None


def _problem(folder: Path, job: HeartJob, atlas: Atlas) -> str | None:
    """Why a heart on disk is not what it should be; None where it is."""
    try:
        facts = read_record(folder / _PROVENANCE)
        known = validated(Provenance, facts, folder / _PROVENANCE)
        if read_text(folder / _PROVENANCE) != json_text(facts, seal=True):
            return f"is damaged ({_PROVENANCE})"
        if known.job != job or known.atlas != atlas.identity:
            return "is another heart"
        if job.source in atlas.adopted and known.parent_sha256 != atlas.parents[job.source].digest():
            return "was made from another parent of that name"
        if known.files is None:
            return "does not say what it holds"
        names = {path.name for path in folder.iterdir()}
        damaged = [name for name, wanted in known.files.items() if name not in names or digest(folder / name) != wanted]
    except CardiomorphError as error:
        return f"is damaged ({error})"
    return f"is damaged ({damaged[0]})" if damaged else None


def _made(
    missing: Iterable[HeartJob | None], count: int, atlas: Atlas, output: Path, workers: int
) -> Iterator[str | None]:
    """Makes hearts and yields their names, in order; None for what is there already."""
    if workers <= 1 or count <= 1:
        keep_freed_memory()
        for job in missing:
            yield write_heart(synthesize_heart(atlas, job), atlas, output).name if job else None
        return
    given = (atlas.folder, output, {name: atlas.parents[name] for name in sorted(atlas.adopted)})
    with worker_pool(workers, count, _begin, *given) as pool:
        yield from pool.map(_make, missing)


_here: dict[str, Any] = {}


def _begin(atlas: Path, output: Path, adopted: Mapping[str, Parent]) -> None:
    """Readies a worker: the atlas is read once."""
    torch.set_num_threads(1)
    keep_freed_memory()
    here = Atlas(atlas)
    here.adopt(adopted)
    _here.update(atlas=here, output=output)


def _make(job: HeartJob | None) -> str | None:
    if job is None:
        return None
    return write_heart(synthesize_heart(_here["atlas"], job), _here["atlas"], _here["output"]).name


def _claim(output: Path, request: SynthesisRequest, atlas: Atlas) -> None:
    """Marks the folder as this request's. Raises where it is another's."""
    mark = {
        "request": request.model_dump(mode="json"),
        "atlas": atlas.identity,
        "atlas_folder": str(atlas.folder.resolve()),
    }
    claim(output, _REQUEST)
    path = output / _REQUEST
    if path.exists():
        before = read_record(path)
        if any(before.get(key) != mark[key] for key in ("request", "atlas")):
            raise CardiomorphError(
                "holds the hearts of another request", where=output, fix="Choose another output folder"
            )
    ensure_folder(output)
    write_json(path, mark, seal=True)


def recreate(
    provenance: Path,
    atlas: Path | Atlas,
    output: Path,
    *,
    cohort: Path | None = None,
    source: str | None = None,
    patients: PatientOptions | None = None,
) -> Path:
    """Makes the heart of a provenance.json again, byte for byte, in ``output``.

    Args:
        cohort: prepared cohort that holds the heart's parent, where the atlas does not.
        source: folder or file of the patient whose heart it was, and how it is read (``patients``).

    Raises:
        CardiomorphError: not a provenance file, another atlas than the heart came from, or another parent.
    """
    chosen = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    path = Path(provenance)
    facts = read_json(path)
    known = validated(Provenance, facts, f"{path}: is not a provenance file")
    job = known.job
    if known.atlas != chosen.identity:
        raise CardiomorphError(
            f"the heart came from the atlas {known.atlas[:12]}, this is {chosen.identity[:12]}", where=chosen.folder
        )
    unsealed(facts, path)
    _adopt(chosen, (job.source,), cohort)
    adopt_patients((source,) if source else (), chosen, patients)
    if known.parent_sha256 is not None:
        _check_parent(chosen, job.source, known.parent_sha256)
    settle(Path(output))
    with threads(known.threads or torch.get_num_threads()):
        return write_heart(synthesize_heart(chosen, job), chosen, Path(output))


def _check_parent(atlas: Atlas, name: str, wanted: str) -> None:
    if name not in atlas.parents:
        raise CardiomorphError(
            f"the heart's parent {name!r} is a patient or a cohort's subject, whom the atlas does not hold",
            where=atlas.folder,
            fix="Name the patient's folder or file with --source, or the cohort with --cohort",
        )
    if atlas.parents[name].digest() != wanted:
        raise CardiomorphError(f"the subject {name!r} is not the one that the heart was made from", where=atlas.folder)
