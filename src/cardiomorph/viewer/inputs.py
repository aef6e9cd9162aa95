"""What `view` was given: an atlas, a synthesis, a report, a folder of them, or nothing; all come to an atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json, read_record
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import default_atlas, find_atlas, shipped_atlases
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.synthesis.request import HeartJob
from cardiomorph.viewer.session import Choice

REPORT_PAGE = "report.html"


@dataclass(frozen=True)
class ViewerInputs:
    """An atlas to morph with, hearts to begin with by name, a report to read, a cohort to see on the map."""

    atlas: Atlas
    hearts: Mapping[str, Choice] = field(default_factory=dict)
    report: Path | None = None
    cohort: Path | None = None


def find_inputs(given: str | Path | None) -> ViewerInputs:
    """Finds out what was given.

    Raises:
        CardiomorphError: nothing that can be shown, or a synthesis whose atlas has gone.
    """
    if given is None or (not Path(given).is_dir() and str(given) in shipped_atlases()):
        return ViewerInputs(Atlas(find_atlas(given or default_atlas())))
    folder = Path(given)
    if (folder / "atlas.json").is_file():
        return ViewerInputs(Atlas(folder))
    if (folder / "synthesis.json").is_file():
        return _synthesis(folder)
    if (folder / REPORT_PAGE).is_file():
        return ViewerInputs(Atlas(find_atlas(default_atlas())), report=folder / REPORT_PAGE)
    parts = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    reports = [path / REPORT_PAGE for path in parts if (path / REPORT_PAGE).is_file()]
    cohorts = [path for path in parts if (path / "cohort.json").is_file()]
    for mark in ("synthesis.json", "atlas.json"):
        for part in parts:
            if (part / mark).is_file():
                return replace(find_inputs(part), report=next(iter(reports), None), cohort=next(iter(cohorts), None))
    raise CardiomorphError(
        "is no atlas, no synthesis and no report",
        where=folder,
        fix="Give a folder of 'cardiomorph atlas', 'synthesize', 'evaluate' or 'demo', or nothing",
    )


def _synthesis(folder: Path) -> ViewerInputs:
    facts = read_record(folder / "synthesis.json", "atlas", "atlas_folder")
    place = Path(facts["atlas_folder"])
    candidates = [place, folder.parent / place.name, *shipped_atlases().values()]
    for candidate in candidates:
        if _identity(candidate) == facts["atlas"]:
            return ViewerInputs(Atlas(candidate), _hearts(folder))
    raise CardiomorphError(
        f"its atlas ({place}) is not there any more", where=folder, fix="Give the atlas itself to view it"
    )


def _identity(folder: Path) -> str | None:
    """None where there is no atlas that this version reads."""
    try:
        return Atlas(folder).identity
    except CardiomorphError:
        return None


def _hearts(folder: Path) -> dict[str, Choice]:
    """Hearts that a choice can say; one drawn by a sampler with settings of its own is left out."""
    found = {}
    for path in sorted(folder.glob("*/provenance.json")):
        try:
            job = HeartJob.model_validate(read_json(path)["job"])
        except (KeyError, TypeError, ValidationError) as error:
            raise CardiomorphError(f"is not a provenance file ({error})", where=path) from error
        if job.sampler == sampler_named(job.sampler.name):
            found[path.parent.name] = Choice(
                source=job.source,
                target=job.target,
                sampler=job.sampler.name,
                seed=job.seed,
                version=job.version,
                severity=job.severity,
                slices=job.slices,
                styles=job.styles,
                field=job.field,
            )
    return found
