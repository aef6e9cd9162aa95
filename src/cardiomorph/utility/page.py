"""What a study found: tables by scenario with intervals and corrected tests, a page, utility.json and rows.csv."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from cardiomorph.files import write_bytes, write_csv, write_json, write_text
from cardiomorph.report.figures import as_png, new_figure
from cardiomorph.report.page import Section, page, preformatted, table
from cardiomorph.utility.significance import Gain, gain, holm

if TYPE_CHECKING:
    from cardiomorph.utility.study import Measured

_log = logging.getLogger(__name__)

MEASURES: dict[str, tuple[str, float]] = {
    "dice": ("Dice, points", 100.0),
    "hd95_mm": ("95 % Hausdorff distance, mm", 1.0),
    "ef_error": ("LVEF error, points", 1.0),
    "edv_error": ("LVEDV error, mL", 1.0),
}
"""Words and scale."""
_TAUGHT = ("real_on_test", "synthetic_on_test", "both_on_test")
ValuesByPatient = dict[str, list[float]]


def values_of(rows: Iterable[Measured], measure: str, patients: Iterable[str]) -> ValuesByPatient:
    """By patient, a value a repeat."""
    key, absolute = {"ef_error": ("error.lv_ef_pct", True), "edv_error": ("error.lv_edv_ml", True)}.get(
        measure, (measure, False)
    )
    scale, wanted = MEASURES[measure][1], set(patients)
    found: ValuesByPatient = {}
    for row in rows:
        for name, scores in row.scores.items():
            if name in wanted and key in scores:
                found.setdefault(name, []).append(scale * (abs(scores[key]) if absolute else scores[key]))
    return found


def mean_of(values: ValuesByPatient) -> float | None:
    """Mean over patients of their means over repeats."""
    return float(np.mean([np.mean(v) for v in values.values()])) if values else None


def write_results(
    output: Path, done: Sequence[Measured], groups: Mapping[str, str], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Compares arms and writes everything.

    Args:
        groups: of the test patients.
    """
    scenarios: dict[str, list[Measured]] = {}
    for row in done:
        scenarios.setdefault(row.row.scenario.name, []).append(row)
    found = {name: _compared(rows, groups) for name, rows in scenarios.items()}
    facts = {**about, "scenarios": found}
    write_csv(output / "rows.csv", [line for row in done for line in _lines(row, groups)])
    sections = [_section(name, one) for name, one in found.items()]
    pictures = {name: as_png(figure) for s in sections for name, figure in s.figures.items()}
    for name, content in pictures.items():
        write_bytes(output / "figures" / f"{name}.png", content)
    shown = preformatted("\n".join(f"{key}: {value}" for key, value in about.items() if key != "network"))
    title = (
        f"What synthetic hearts are good for: {about['test']['patients']} test patients of {about['test']['cohort']}"
    )
    write_text(output / "report.html", page(title, shown, sections, pictures))
    write_json(output / "utility.json", facts, seal=True)
    for name, one in found.items():
        _log.info(f"{name}: {one['verdict']}")
    _log.info(f"report: {output / 'report.html'}")
    return facts


def _lines(row: Measured, groups: Mapping[str, str]) -> list[dict[str, Any]]:
    of = {"scenario": row.row.scenario.name, "arm": row.row.arm_name, "repeat": row.row.repeat}
    keys = sorted({key for scores in row.scores.values() for key in scores})
    return [
        {**of, "subject": name, "group": groups[name], **{key: scores.get(key) for key in keys}}
        for name, scores in row.scores.items()
    ]


def _compared(rows: Sequence[Measured], groups: Mapping[str, str]) -> dict[str, Any]:
    """Of one scenario: what each arm reaches, and what it gains over the best arm that knows no disease."""
    about = rows[0].row.scenario
    judged = [name for name, group in groups.items() if group in about.judged_on]
    by_arm: dict[str, list[Measured]] = {}
    for row in rows:
        by_arm.setdefault(row.row.arm_name, []).append(row)
    means = {name: mean_of(values_of(mine, "dice", judged)) for name, mine in by_arm.items()}
    baselines = [n for n, mine in by_arm.items() if not mine[0].row.arm.knows_disease and means[n] is not None]
    best = max(baselines, key=lambda n: means[n] or 0.0) if baselines else None
    arms = {name: _arm(mine, judged, groups) for name, mine in by_arm.items()}
    if best is not None:
        for measure in MEASURES:
            _add_gains(arms, by_arm, best, measure, judged)
    return {"judged_on": list(about.judged_on), "patients": len(judged), "best_baseline": best, "arms": arms,
            "verdict": _verdict(arms, best)}  # fmt: skip


def _arm(mine: Sequence[Measured], judged: Sequence[str], groups: Mapping[str, str]) -> dict[str, Any]:
    by_group = {g: [n for n in groups if groups[n] == g] for g in sorted(set(groups.values()))}
    return {
        "repeats": len(mine),
        "training_patients": len(mine[0].patients),
        "hearts": mine[0].hearts,
        "seconds": float(np.mean([row.seconds for row in mine])),
        "diagnosis": {key: _mean([row.diagnosis.get(key) for row in mine]) for key in mine[0].diagnosis},
        "knows_disease": mine[0].row.arm.knows_disease,
        "mean": {m: mean_of(values_of(mine, m, judged)) for m in MEASURES},
        "dice_everyone": mean_of(values_of(mine, "dice", groups)),
        "dice_by_group": {g: mean_of(values_of(mine, "dice", names)) for g, names in by_group.items()},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _add_gains(
    arms: dict[str, dict[str, Any]],
    by_arm: Mapping[str, Sequence[Measured]],
    best: str,
    measure: str,
    judged: Sequence[str],
) -> None:
    baseline = values_of(by_arm[best], measure, judged)
    found: dict[str, Gain] = {}
    for name, mine in by_arm.items():
        if name != best and (one := gain(values_of(mine, measure, judged), baseline)) is not None:
            found[name] = one
    corrected = holm({name: one.p for name, one in found.items()})
    for name, one in found.items():
        arms[name].setdefault("gain", {})[measure] = {
            "mean": one.mean, "low": one.low, "high": one.high, "p": one.p, "p_holm": corrected[name],
        }  # fmt: skip


def _verdict(arms: Mapping[str, Mapping[str, Any]], best: str | None) -> str:
    """One sentence, losses as loudly as gains."""
    knowing = {name: arm["gain"]["dice"] for name, arm in arms.items() if arm["knows_disease"] and "gain" in arm}
    if best is None or not knowing:
        return "nothing to compare"
    name = max(knowing, key=lambda n: knowing[n]["mean"])
    one = knowing[name]
    sure = "" if one["p_holm"] < 0.05 else ", which may be chance"
    word = "gains" if one["mean"] > 0 else "loses"
    interval = f"{one['low']:+.1f} to {one['high']:+.1f}"
    return (
        f"{name} {word} {abs(one['mean']):.1f} Dice points over {best}, the best without knowledge of disease "
        f"({interval}; p {one['p_holm']:.3f} by Holm){sure}"
    )


def _section(name: str, found: Mapping[str, Any]) -> Section:
    header = [
        *("arm", "patients", "hearts", "repeats"),
        *(words for words, _ in MEASURES.values()),
        "Dice, all groups",
        *("groups named after: patients", "synthetic hearts", "both"),
        *("gain, Dice points (95 %)", "p, Holm", "seconds"),
    ]
    rows = []
    for arm, one in found["arms"].items():
        gained = one.get("gain", {}).get("dice")
        rows.append(
            [
                arm + (" (best baseline)" if arm == found["best_baseline"] else ""),
                str(one["training_patients"]),
                str(one["hearts"]),
                str(one["repeats"]),
                *(_digits(one["mean"][m]) for m in MEASURES),
                _digits(one["dice_everyone"]),
                *(_percent(one["diagnosis"].get(key)) for key in _TAUGHT),
                f"{gained['mean']:+.1f} ({gained['low']:+.1f} to {gained['high']:+.1f})" if gained else "–",
                f"{gained['p_holm']:.3f}" if gained else "–",
                f"{one['seconds']:.0f}",
            ]
        )
    text = (
        f"{found['verdict']}. Test patients of {', '.join(found['judged_on'])}: {found['patients']}. Intervals are "
        "bootstrapped over patients, each the mean of its repeats; Wilcoxon's signed-rank test, corrected over arms. "
        "Groups are named from measures by a linear discriminant; chance is one in five."
    )
    markup: Markup = table(header, rows)
    return Section(name, text, {f"dice_{name.replace(':', '_')}": _figure(found)}, markup)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _figure(found: Mapping[str, Any]) -> Figure:
    """Dice by group of test patients, a line an arm."""
    figure = new_figure(8, 3.4)
    axis = figure.add_subplot()
    for arm, one in found["arms"].items():
        values = {g: v for g, v in one["dice_by_group"].items() if v is not None}
        axis.plot(list(values), list(values.values()), ".-" if one["knows_disease"] else "x:", label=arm)
    axis.set_ylabel("Dice, points")
    axis.legend(fontsize=7, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
