"""An atlas to give away, with its card: what it was trained on, how well it does, how near it comes to its patients.

The card refuses to be written where the memorisation measures say that patients would travel with the weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import folder_in_place, read_json, read_record, write_json, write_text
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import CARD
from cardiomorph.progress import console

MAX_TOO_CLOSE = 0.10
"""Largest share of hearts nearer to a training heart than the training hearts' own 5th percentile."""
MAX_NEARER = 1.10
"""Largest ratio of the median distance to held-out hearts and to as many training hearts."""


class CardFacts(BaseModel):
    """What only people know of an atlas: a JSON file beside the training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    data: str
    use: str
    attribution: str
    commands: tuple[str, ...]
    limits: tuple[str, ...]
    patients: bool = Field(True, description="whether the training hearts are people's: if so, memorisation is a gate")


def pack(atlas: Path, output: Path, *, facts: Path, licence: Path, report: Path | None = None) -> Path:
    """Writes an atlas folder to give away: the atlas, card.json, README.md, LICENSE, metrics.json.

    Args:
        atlas: made with ``cardiomorph atlas --share``.
        output: new folder.
        facts: JSON with the keys of `CardFacts`.
        licence: text of the licence.
        report: report folder of ``cardiomorph evaluate`` on hearts of virtual parents of this very atlas.

    Raises:
        CardiomorphError: the atlas holds subjects, the report is of another atlas or has no memorisation measures,
            or these say that hearts come too near to those of the training patients.
    """
    source = Atlas(atlas)
    if source.parents:
        raise CardiomorphError(
            "holds its subjects' own codes", where=source.folder, fix="Make it with 'cardiomorph atlas --share'"
        )
    try:
        given = CardFacts.model_validate(read_json(Path(facts)))
    except ValidationError as error:
        first = error.errors()[0]
        raise CardiomorphError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=facts) from error
    metrics = _report_metrics(source, Path(report)) if report else {}
    for kind in ("label", "image") if given.patients else ():
        _check_memorisation(metrics, kind)
    card = {**given.model_dump(mode="json"), "training": _training(source), "atlas": source.identity}
    with folder_in_place(Path(output)) as folder:
        shutil.copytree(source.folder, folder, dirs_exist_ok=True)
        shutil.copyfile(licence, folder / "LICENSE")
        write_json(folder / "metrics.json", metrics)
        write_json(folder / CARD, card)
        write_text(folder / "README.md", _page(given, source, card["training"], metrics))
    size = sum(path.stat().st_size for path in Path(output).rglob("*") if path.is_file())
    console.print(f"{given.name} in {output}: {size / 1e6:.1f} MB")
    return Path(output)


def summary(folder: Path) -> str:
    """One line on an atlas: name, groups, size, licence, data."""
    atlas, card = Atlas(folder), read_json(folder / CARD) if (folder / CARD).is_file() else {}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    what = "labels and images" if atlas.has_images else "labels"
    told = "; ".join(str(card[key]) for key in ("licence", "data") if key in card)
    return f"{folder.name}  {size / 1e6:.0f} MB, {', '.join(atlas.description['groups'])}, {what}. {told}".rstrip()


def shown(folder: Path) -> str:
    """The card of an atlas folder, or what can be said of one that has none."""
    page = folder / "README.md"
    return page.read_text() if page.is_file() else f"{summary(Path(folder))}\nThis folder has no card."


def _report_metrics(atlas: Atlas, report: Path) -> dict[str, Any]:
    of = read_record(report / "evaluation.json", "synthesis")["synthesis"].get("atlas")
    if of != atlas.identity:
        raise CardiomorphError(
            f"is of the atlas {str(of)[:12]}, not of {atlas.identity[:12]}",
            where=report,
            fix="Synthesize from virtual parents of this atlas, and evaluate them",
        )
    metrics: dict[str, Any] = read_json(report / "metrics.json")
    if "memorisation.label_to_heldout" not in metrics:
        raise CardiomorphError("does not measure memorisation against held-out hearts", where=report)
    return metrics


def _check_memorisation(metrics: Mapping[str, Any], kind: str) -> None:
    key = f"memorisation.{kind}"
    if f"{key}_to_heldout" not in metrics:
        return
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


_ROWS = (
    ("function.inside_floor_count", "of 25 distances of volumes and function, within the real floor", "{:.0f}"),
    ("validity.invalid_slices", "invalid slices", "{:.3f}"),
    ("validity.invalid_slices_real", "the same of the real hearts", "{:.3f}"),
    ("label_match.dice", "Dice of the labels and what a segmenter sees in the images", "{:.3f}"),
    ("label_match.dice_real", "the same of real held-out hearts", "{:.3f}"),
    ("fidelity.frechet.own", "Frechet distance of the images, the segmenter's features", "{:.1f}"),
    ("fidelity.frechet_floor.own", "the same between halves of the real hearts", "{:.1f}"),
    ("swap.anatomy", "swap test: Dice of what is read and the label painted", "{:.3f}"),
    ("swap.anatomy_of_style", "the same with the label of the style's image", "{:.3f}"),
)
_MEMORISATION = (
    ("share_too_close", "share nearer than the training hearts' own 5th percentile", "{:.3f}"),
    ("to_training", "median distance to the nearest training heart", "{:.3f}"),
    ("to_heldout", "median distance to the nearest of as many held-out hearts", "{:.3f}"),
    ("membership_auc", "AUC of telling members by distance; 0.5 is guessing", "{:.2f}"),
)


def _page(facts: CardFacts, atlas: Atlas, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card for people, as Markdown."""
    rebuilt, latent = atlas.description["diagnostics"]["reconstruction"], atlas.description["diagnostics"]["latent"]
    groups = ", ".join(f"{name} {count}" for name, count in atlas.description["groups"].items())
    lines = [
        f"# {facts.name}",
        "",
        f"{facts.data} {facts.use}",
        "",
        f"Licence: {facts.licence} (see LICENSE). {facts.attribution}",
        "",
        "It holds no subject: group statistics of latent codes and of appearance codes only. Its healthy parents are",
        "virtual, drawn from the healthy group's statistics.",
        "",
        "## Training",
        "",
        f"Training subjects by group: {groups}.",
        "",
        "```",
        *facts.commands,
        "```",
        "",
        "| model | seed | steps | minutes | precision | device |",
        "|---|---|---|---|---|---|",
    ]
    for kind, run in training.items():
        config, found = run.get("settings", {}).get("config", {}), run.get("metrics", {})
        where = run.get("environment", {})
        device = f"{where.get('device', '?')}, {where.get('threads', '?')} threads, torch {where.get('torch', '?')}"
        minutes = f"{found['seconds'] / 60:.0f}" if "seconds" in found else "?"
        lines.append(
            f"| {kind} | {config.get('seed', '?')} | {found.get('steps', '?')} | {minutes} "
            f"| {config.get('precision', '?')} | {device} |"
        )
    lines += [
        "",
        "## Quality",
        "",
        "| measure | value |",
        "|---|---|",
        f"| Dice of rebuilt {atlas.description['diagnostics']['reconstruction_split']} hearts: RV, myocardium, LV | "
        + ", ".join(f"{rebuilt['dice'][key]:.3f}" for key in ("rv", "myocardium", "lv"))
        + " |",
        "| volume bias of rebuilt hearts, %: RV, myocardium, LV | "
        + ", ".join(f"{rebuilt['volume_bias_pct'][key]:+.1f}" for key in ("rv", "myocardium", "lv"))
        + " |",
        f"| active latent dimensions | {latent['active']} of {latent['dimensions']} |",
        *(f"| {text} | {form.format(metrics[key])} |" for key, text, form in _ROWS if key in metrics),
        "",
        "## Memorisation",
        "",
    ]
    if metrics:
        kinds = [kind for kind in ("label", "image") if f"memorisation.{kind}_to_heldout" in metrics]
        lines += [
            "Hearts of virtual parents, healthy and diseased, against the training hearts and held-out ones.",
            "",
            f"| measure | {' | '.join(f'{kind}s' for kind in kinds)} |",
            f"|---|{'---|' * len(kinds)}",
            *(
                f"| {text} | {' | '.join(form.format(metrics[f'memorisation.{kind}_{key}']) for kind in kinds)} |"
                for key, text, form in _MEMORISATION
            ),
        ]
    else:
        lines.append("Not measured: the training data are no patients.")
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in facts.limits), ""]
    return "\n".join(lines)
