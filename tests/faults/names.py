"""Names that climb out of a folder, hide, or are obeyed by a terminal, through every door that a name comes in by."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import save_file
from tally import Tally, outcome
from world import REQUEST, World

from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.heart_files import cohort_hearts
from cardiomorph.evaluation.measurement import MeasurementConfig, measure_all
from cardiomorph.files import digest, read_arrays, read_json, validated, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.report.card import pack, summary
from cardiomorph.synthesis.batch_synthesis import recreate, synthesize
from cardiomorph.synthesis.reconstruct import reconstruct
from cardiomorph.synthesis.request import SynthesisRequest

NAMES = (
    "../victim/evil", "../../victim/evil", "/tmp/victim", "..", ".", "", ".hidden", "a/b", "a\\b", "a\0b", "a\nb",
    "o[/b]", "run[red]7", "[/red]", ":smile:", "=1+1", "\x1b[31mred", "x" * 300, "\u202egnp", "<script>", "é", "\udcff",
)  # fmt: skip


def _source(world: World, name: str, place: Path) -> object:
    request = validated(SynthesisRequest, {**dict(REQUEST), "sources": (name,)}, "the request")
    return synthesize(Atlas(world.atlas), place / "out", request)


def _parent(world: World, name: str, place: Path) -> object:
    folder = Path(shutil.copytree(world.atlas, place / "atlas"))
    arrays, facts = read_arrays(folder / "parents.safetensors")
    parents = json.loads(facts["parents"])
    first = next(iter(parents))
    renamed = {
        key.replace(f"{first}/", f"{name}/", 1) if key.startswith(f"{first}/") else key: a for key, a in arrays.items()
    }
    known = {name if key == first else key: fact for key, fact in parents.items()}
    safe = {key.encode(errors="replace").decode(): array for key, array in renamed.items()}
    save_file(safe, folder / "parents.safetensors", metadata={"parents": json.dumps(known)})
    description = read_json(folder / "atlas.json")
    description["digests"]["parents.safetensors"] = digest(folder / "parents.safetensors")
    write_json(folder / "atlas.json", description, seal=True)
    request = REQUEST.model_copy(update={"sources": ("all",), "targets": ("DCM",), "versions": 1})
    return synthesize(Atlas(folder), place / "out", request)


def _provenance(world: World, name: str, place: Path) -> object:
    facts = read_json(sorted(world.hearts.glob("*/provenance.json"))[0])
    facts["job"]["source"] = name
    write_json(place / "provenance.json", facts, seal=True)
    return recreate(place / "provenance.json", Atlas(world.atlas), place / "out")


def _subject(world: World, name: str, place: Path) -> object:
    folder = Path(shutil.copytree(world.cohort, place / "cohort"))
    path = folder / "manifest.csv"
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    before, rows[1][0] = rows[1][0], name
    with path.open("w", newline="", errors="surrogateescape") as stream:
        csv.writer(stream).writerows(rows)
    settings = read_json(folder / "cohort.json")
    settings["digests"] = {name if key == before else key: value for key, value in settings["digests"].items()}
    write_json(folder / "cohort.json", settings)
    reconstruct(folder, place / "out", shape=world.shape)
    config = MeasurementConfig(slice_spacing_mm=10.0)
    return measure_all(cohort_hearts(Cohort(folder))[:1], place / "out" / "records", config, workers=1)


def _output(world: World, name: str, place: Path) -> object:
    """Where a person wants it: any name that the system takes, markup or not."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        name = "out"
    return synthesize(Atlas(world.atlas), place / "out" / name, REQUEST.model_copy(update={"parents": 1}))


def _card(world: World, name: str, place: Path) -> object:
    facts = read_json(world.root / "facts.json") | {"name": name, "data": name, "attribution": name}
    write_json(place / "facts.json", facts)
    return summary(pack(world.shared, place / "out", facts=place / "facts.json", licence=world.root / "LICENCE"))


DOORS: dict[str, Callable[[World, str, Path], object]] = {
    "--source": _source,
    "a parent of an atlas": _parent,
    "a provenance": _provenance,
    "a subject of a cohort": _subject,
    "the output": _output,
    "a card": _card,
}


def hostile_names(world: World, door: str, place: Path) -> Tally:
    """Gives every name to a door; nothing may appear, change or vanish outside the output.

    Args:
        place: an empty folder.
    """
    tally = Tally(f"hostile name: {door}")
    for name in NAMES:
        shutil.rmtree(place)
        (place / "in" / "deep").mkdir(parents=True)
        (place / "victim").mkdir()
        (place / "in" / "victim").mkdir()
        problem = outcome(lambda name=name: DOORS[door](world, name, place / "in" / "deep"))
        victims = [
            *(place / "victim").rglob("*"),
            *(place / "in" / "victim").rglob("*"),
            *Path("/tmp/victim").glob("*"),
        ]
        outside = {entry.name for entry in os.scandir(place)} | {entry.name for entry in os.scandir(place / "in")}
        if victims or outside != {"in", "victim", "deep"}:
            problem = problem or f"wrote outside: {victims or outside}"
        tally.count(problem and f"{name!r}: {problem}")
    return tally
