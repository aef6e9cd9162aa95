"""An atlas's card for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from cardiomorph.anatomy import STRUCTURES
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.atlas_files import Attacks


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


_STRUCTURES = [label.name.lower() for label in STRUCTURES]
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
_ATTACKS = {
    "span": "what of a heart lies outside the modes",
    "distance": "distance to the group's mean",
    "likelihood": "likelihood",
}


_TEMPLATE = """\
# {{ facts.name }}

{{ facts.data }} {{ facts.use }}

Licence: {{ facts.licence }} (see LICENSE). {{ facts.attribution }}

No subject's codes travel with it: group statistics of latent codes and of appearance codes only, few numbers of many
subjects. How far these tell whose hearts made them is measured below. Its healthy parents are virtual, drawn from the
healthy group's statistics.

## Training

Training subjects by group: {{ groups }}.

```
{% for command in facts.commands %}
{{ command }}
{% endfor %}
```

| model | seed | steps | minutes | precision | device |
|---|---|---|---|---|---|
{% for row in training %}
| {{ row | join(" | ") }} |
{% endfor %}

## Quality

| measure | value |
|---|---|
{% for text, value in quality %}
| {{ text }} | {{ value }} |
{% endfor %}

## Memorisation

{% if memorisation %}
Hearts of virtual parents, healthy and diseased, against the training hearts and held-out ones.

| measure | {{ memorisation[0] | join(" | ") }} |
|---|{% for _ in memorisation[0] %}---|{% endfor %}

{% for text, values in memorisation[1] %}
| {{ text }} | {{ values | join(" | ") }} |
{% endfor %}
{% else %}
Not measured: the training data are no patients.
{% endif %}

## Attacks

{% if attacks %}
Whoever has this atlas and a patient's heart asks whether that patient is among the training subjects. Area under the
curve, 0.5 is guessing; "statistics alone" leaves out that the shape model knows its own training hearts.

| attack | held-out hearts as strangers | statistics alone |
|---|---|---|
{% for row in attacks %}
| {{ row | join(" | ") }} |
{% endfor %}
{% else %}
Not measured: nobody was held out.
{% endif %}
{% if told %}

Whoever has a patient's very labels need not attack: atlas.json holds digests of the labels that made it, so that a
study refuses to test on them.
{% endif %}

## Limits

{% for limit in facts.limits %}
- {{ limit }}
{% endfor %}
"""


def _as_text(value: Any) -> Any:
    """What a card quotes is never markup, whoever wrote it."""
    return value.replace("<", "&lt;") if isinstance(value, str) else value


# Markdown's own escaping: only what would open an HTML tag is one.
_TEMPLATES = Environment(
    autoescape=False, finalize=_as_text, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
)


def card_page(facts: CardFacts, atlas: Atlas, training: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card.

    Args:
        training: by model, what its run says of settings, environment and metrics.
        metrics: entries of a report's metrics.json; empty where memorisation was not measured.
    """
    groups = ", ".join(f"{name} {count}" for name, count in atlas.description["groups"].items())
    return _TEMPLATES.from_string(_TEMPLATE).render(
        facts=facts,
        groups=groups,
        training=[_training_row(kind, run) for kind, run in training.items()],
        quality=_quality_rows(atlas, metrics),
        memorisation=_memorisation_table(metrics) if metrics else None,
        attacks=_attack_rows(atlas.diagnostics.attacks),
        told=bool(atlas.trained_on),
    )


def _attack_rows(found: Attacks | None) -> list[list[str]]:
    """Name, area against held-out hearts, area of the statistics alone."""
    if found is None or found.membership is None:
        return []
    alone = found.statistics_alone or {}
    rows = [
        [_ATTACKS.get(name, name), f"{value:.2f}", f"{alone[name]:.2f}" if name in alone else "–"]
        for name, value in found.membership.items()
    ]
    if found.reconstruction is None:
        return rows
    dice = f"Dice {found.reconstruction_dice:.3f}, of held-out hearts {found.reconstruction_dice_heldout:.3f}"
    return [*rows, [f"nearest heart that it can make ({dice})", f"{found.reconstruction:.2f}", "–"]]


def _training_row(kind: str, run: Mapping[str, Any]) -> list[str]:
    config, found = run.get("settings", {}).get("config", {}), run.get("metrics", {})
    where = run.get("environment", {})
    device = f"{where.get('device', '?')}, {where.get('threads', '?')} threads, torch {where.get('torch', '?')}"
    minutes = f"{found['seconds'] / 60:.0f}" if "seconds" in found else "?"
    facts = (kind, config.get("seed", "?"), found.get("steps", "?"), minutes, config.get("precision", "?"), device)
    return [str(fact) for fact in facts]


def _quality_rows(atlas: Atlas, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    told = atlas.diagnostics
    rebuilt, split = told.reconstruction, told.reconstruction_split
    return [
        (f"Dice of rebuilt {split} hearts: RV, myocardium, LV", _by_structure(rebuilt, "dice", "{:.3f}")),
        (
            "volume bias of rebuilt hearts, %: RV, myocardium, LV",
            _by_structure(rebuilt, "volume_bias_pct", "{:+.1f}"),
        ),
        ("active latent dimensions", f"{told.latent.active} of {told.latent.dimensions}"),
        *((text, form.format(metrics[key])) for key, text, form in _ROWS if key in metrics),
    ]


def _by_structure(rebuilt: Mapping[str, Any], key: str, form: str) -> str:
    """A measure of the three structures; a dash for one that no heart has."""
    found = rebuilt.get(key, {})
    return ", ".join(form.format(found[name]) if found.get(name) is not None else "–" for name in _STRUCTURES)


def _memorisation_table(metrics: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Heading and rows, a column for labels and one for images."""
    kinds = [kind for kind in ("label", "image") if f"memorisation.{kind}_to_heldout" in metrics]
    rows = [
        (text, [form.format(metrics[f"memorisation.{kind}_{key}"]) for kind in kinds])
        for key, text, form in _MEMORISATION
    ]
    return [f"{kind}s" for kind in kinds], rows
