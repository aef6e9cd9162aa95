"""An atlas to give away, with its card: what it was trained on, how well it does, how near it comes to its patients.

The card refuses to be written where the memorisation measures say that patients would travel with the weights.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, RootModel

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    copy_file,
    digest,
    new_folder,
    read_json,
    read_record,
    read_text,
    refuse_unless_empty,
    validated,
    write_json,
    write_text,
)
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.atlas_files import ATLAS, STATISTICS
from cardiomorph.latent.library import CARD
from cardiomorph.models.checkpoint import DESCRIPTION, WEIGHTS
from cardiomorph.report.card_page import CardFacts, card_page

_log = logging.getLogger(__name__)

_MODEL = (DESCRIPTION, WEIGHTS)
MAX_TOO_CLOSE = 0.10
"""Largest share of hearts nearer to a training heart than the training hearts' own 5th percentile."""
MAX_NEARER = 1.10
"""Largest ratio of the median distance to held-out hearts and to as many training hearts."""
MAX_ATTACK = 0.90
"""Largest area under the curve of an attack that tells training hearts from others; of few hearts chance makes 0.8."""


def pack(atlas: Path, output: Path, *, facts: Path, licence: Path, report: Path | None = None) -> Path:
    """Writes an atlas folder to give away: the atlas, card.json, README.md, LICENSE, metrics.json.

    Args:
        atlas: made with ``cardiomorph atlas --share``.
        output: new folder.
        facts: JSON with the keys of `CardFacts`.
        licence: text of the licence.
        report: report folder of ``cardiomorph evaluate`` on hearts of virtual parents of this very atlas.

    Raises:
        CardiomorphError: an output that is not empty; the atlas holds subjects; its data are patients' and there is no
            report of it with memorisation measures of all that it makes, or these say that hearts come too near to
            those of the training patients, or an attack on the atlas tells these from others.
    """
    refuse_unless_empty(Path(output))
    source = Atlas(atlas)
    if not source.description["shared"]:
        raise CardiomorphError(
            "holds its subjects' own codes", where=source.folder, fix="Make it with 'cardiomorph atlas --share'"
        )
    given = validated(CardFacts, read_json(Path(facts)), facts)
    metrics = _report_metrics(source, Path(report)) if report else {}
    if given.patients:
        for kind in ("label", "image") if source.has_images else ("label",):
            _check_memorisation(metrics, kind, report)
        _check_attacks(source)
    card = {**given.model_dump(mode="json"), "training": _training(source), "atlas": source.identity}
    with new_folder(Path(output)) as folder:
        # What is known to hold no patient, and nothing else that may lie beside it.
        for name in (ATLAS, STATISTICS, *(f"{k}/{n}" for k in source.description["models"] for n in _MODEL)):
            copy_file(source.folder / name, folder / name)
        copy_file(Path(licence), folder / "LICENSE")
        write_json(folder / "metrics.json", metrics)
        write_json(folder / CARD, card)
        write_text(folder / "README.md", card_page(given, source, card["training"], metrics))
    size = sum(path.stat().st_size for path in Path(output).rglob("*") if path.is_file())
    _log.info(f"{given.name} in {output}: {size / 1e6:.1f} MB")
    return Path(output)


def summary(folder: Path) -> str:
    """One line on an atlas: name, groups, size, licence, data."""
    atlas, card = Atlas(folder), read_record(folder / CARD) if (folder / CARD).is_file() else {}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    what = "labels and images" if atlas.has_images else "labels"
    told = "; ".join(str(card[key]) for key in ("licence", "data") if key in card)
    return f"{folder.name}  {size / 1e6:.0f} MB, {', '.join(atlas.description['groups'])}, {what}. {told}".rstrip()


def shown(folder: Path) -> str:
    """The card of an atlas folder, or what can be said of one that has none."""
    page = folder / "README.md"
    return read_text(page) if page.is_file() else f"{summary(Path(folder))}\nThis folder has no card."


def _report_metrics(atlas: Atlas, report: Path) -> dict[str, Any]:
    made = validated(_Made, read_record(report / "evaluation.json"), report / "evaluation.json")
    of = made.synthesis.get("atlas")
    if of != atlas.identity:
        raise CardiomorphError(
            f"is of the atlas {str(of)[:12]}, not of {atlas.identity[:12]}",
            where=report,
            fix="Synthesize from virtual parents of this atlas, and evaluate them",
        )
    path = report / "metrics.json"
    if made.files and made.files.get(path.name) != digest(path):
        raise CardiomorphError("is not what the evaluation wrote", where=path, fix="Evaluate again")
    return validated(_Metrics, read_record(path), path).root


class _Made(BaseModel):
    """What a card needs of evaluation.json."""

    synthesis: dict[str, Any]
    files: dict[str, str] = {}


_Metrics = RootModel[dict[str, Annotated[float, Field(allow_inf_nan=False)]]]


def _check_memorisation(metrics: Mapping[str, float], kind: str, report: Path | None) -> None:
    key = f"memorisation.{kind}"
    needed = [f"{key}_{part}" for part in ("share_too_close", "to_training", "to_heldout")]
    if not all(name in metrics for name in needed) or metrics[needed[1]] <= 0:
        raise CardiomorphError(
            f"memorisation of {kind}s was not measured against held-out hearts, and the training hearts are patients'",
            where=report,
            fix="Give the --report of an evaluation of virtual hearts of this atlas against its cohort, or say "
            '"patients": false where the data are nobody\'s',
        )
    share = metrics[f"{key}_share_too_close"]
    ratio = metrics[f"{key}_to_heldout"] / metrics[f"{key}_to_training"]
    if share > MAX_TOO_CLOSE:
        raise CardiomorphError(
            f"{share:.1%} of the hearts' {kind}s are nearer to a training patient than 95 % of the training patients "
            f"are to each other; at most {MAX_TOO_CLOSE:.0%} may be",
            fix="Train with more augmentation or less capacity, or do not give this atlas away",
        )
    if ratio > MAX_NEARER:
        raise CardiomorphError(
            f"held-out patients are {ratio:.2f} times as far from the hearts' {kind}s as training patients; at most "
            f"{MAX_NEARER} may be",
            fix="Train with more augmentation or less capacity, or do not give this atlas away",
        )


def _check_attacks(atlas: Atlas) -> None:
    found = atlas.diagnostics.attacks
    told = (found.membership, found.statistics_alone) if found else ()
    for name, value in (attack for part in told if part for attack in part.items()):
        if value > MAX_ATTACK:
            raise CardiomorphError(
                f"an attack by {name} tells training patients from others (area under the curve {value:.2f}; at most "
                f"{MAX_ATTACK} may be)",
                where=atlas.folder,
                fix="Make the atlas of more patients, or do not give it away",
            )


def _training(atlas: Atlas) -> dict[str, Any]:
    """Settings, environment and metrics of each model's training, as far as the atlas knows them."""
    return {
        kind: {
            key: value
            for key, value in read_record(atlas.folder / kind / "model.json").items()
            if key in ("settings", "environment", "metrics")
        }
        for kind in atlas.description["models"]
    }
