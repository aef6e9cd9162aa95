"""The sections of the report that weigh synthetic hearts against real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cardiomorph.anatomy import GROUPS, PHASES
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation import consistency, fidelity, validity
from cardiomorph.evaluation.distances import correlations
from cardiomorph.evaluation.examination import Record
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.hearts import HeartFile
from cardiomorph.evaluation.plausibility import RULES
from cardiomorph.evaluation.summary import HEADLINE, Summary
from cardiomorph.report import evidence_figures, figures
from cardiomorph.report.figures import Picture
from cardiomorph.report.page import Section, folded, table

_SHOWN_SLICES = 12
_TITLES = {
    "lv_edv_ml": "LVEDV, mL",
    "lv_ef_pct": "LV ejection fraction, %",
    "rv_edv_ml": "RVEDV, mL",
    "rv_ef_pct": "RV ejection fraction, %",
    "lv_mass_g": "LV mass, g",
}


@dataclass(frozen=True)
class HeartSet:
    """A synthetic set, examined: its name, files, records, what could not be read, and its summary."""

    name: str
    files: Mapping[str, HeartFile]
    records: Sequence[Record]
    left_out: Mapping[str, str]
    summary: Summary


def _rows(records: Sequence[Record]) -> list[dict[str, object]]:
    return [{"group": record.group, **record.measures} for record in records]


def function_section(sets: Sequence[HeartSet], real: Sequence[Record]) -> Section:
    """Means, distances and floors of every group and measure."""
    first = sets[0]
    groups = [g for g in GROUPS if any(record.group == g for record in [*first.records, *real])]
    rows = []
    for group in [*groups, "unknown"]:
        for origin, entries in (("real", "_real"), *((s.name, "") for s in sets)):
            metrics = next((s.summary.metrics for s in sets if s.name == origin), first.summary.metrics)
            count = metrics.get(f"function.n{entries}.{group}")
            if count:
                cells = [_mean_sd(metrics, entries, group, column) for column in MEASURE_COLUMNS]
                rows.append([group, origin, f"{count:.0f}", *cells])
    distances = {
        s.name: {
            f"{g} {m}": s.summary.metrics[key]
            for g in groups
            for m in HEADLINE
            if (key := f"function.wasserstein.{g}.{m}") in s.summary.metrics
        }
        for s in sets
    }
    floors = {
        f"{g} {m}": value
        for g in groups
        for m in HEADLINE
        if (value := first.summary.metrics.get(f"function.wasserstein_floor95.{g}.{m}", 0.0)) > 0
    }
    drawn = {"function": figures.measure_distributions(_rows(real), _rows(first.records), _TITLES, groups)}
    if floors:
        drawn["distances"] = evidence_figures.distances_beside_floors(
            distances, floors, "1-Wasserstein distance to the real hearts"
        )
    complete = {"real": real, first.name: first.records}
    matrices = {
        name: correlations(np.array(values), ranks=True)
        for name, records in complete.items()
        if len(values := [v for r in records if None not in (v := [r.measures.get(c) for c in MEASURE_COLUMNS])]) > 3
    }
    if matrices:
        drawn["measure_correlations"] = figures.correlation_matrices(
            matrices, "Spearman, " + ", ".join(MEASURE_COLUMNS)
        )
    return Section(
        "Function",
        "Mean ± SD over hearts; every point of the first figure is a heart (the paper's Fig. 3 are the ejection "
        "fractions). Slab volumes; papillary muscles count to the cavity; mass at ED with 1.05 g/mL; wall_max_mm is "
        "the thickest slice's mean. The floor is the distance between random halves of the real hearts of a group: "
        "its 95th percentile is one in the second figure.",
        drawn,
        table(["group", "", "n", *MEASURE_COLUMNS], rows),
    )


def _mean_sd(metrics: Mapping[str, float], origin: str, group: str, column: str) -> str:
    mean = metrics.get(f"function.mean{origin}.{group}.{column}")
    return "–" if mean is None else f"{mean:.1f} ± {metrics[f'function.sd{origin}.{group}.{column}']:.1f}"


def plausibility_section(sets: Sequence[HeartSet]) -> Section:
    """Rule hit rates, real ones with their interval."""
    rows = []
    for group, rule in RULES.items():
        metrics = sets[0].summary.metrics
        if f"plausibility.rule_hits.{group}" not in metrics:
            continue
        low, high, share = (metrics[f"plausibility.rule_hits_real{part}.{group}"] for part in ("_low", "_high", ""))
        ours = [s.summary.metrics.get(f"plausibility.rule_hits.{group}") for s in sets]
        rows.append(
            [group, rule, f"{share:.0%} ({low:.0%}-{high:.0%})", *("–" if o is None else f"{o:.0%}" for o in ours)]
        )
    return Section(
        "Clinical plausibility",
        "Share of hearts that meet their group's textbook rule, beside the real patients' share with its exact 95 % "
        "binomial interval. The aim is to look like the patients, not like the textbook.",
        table=table(["group", "rule", "real (95 %)", *(s.name for s in sets)], rows),
    )


def validity_section(sets: Sequence[HeartSet]) -> Section:
    """Failure rates of every criterion."""
    sources = [("real", sets[0].summary.metrics, "_real"), *((s.name, s.summary.metrics, "") for s in sets)]
    drawn = {}
    for name, area, criteria in (
        ("validity_slices", "validity.slice", validity.CRITERIA),
        ("validity_hearts", "validity.volume", tuple(validity.VOLUME_CRITERIA)),
    ):
        rates = {
            origin: {c: value for c in criteria if (value := metrics.get(f"{area}.{c}{suffix}")) is not None}
            for origin, metrics, suffix in sources
        }
        title = "slices failing a criterion" if area.endswith("slice") else "hearts failing a criterion over the volume"
        drawn[name] = evidence_figures.failure_rates(rates, title)
    rows = [
        [origin, *(_percent(metrics.get(f"validity.{key}{suffix}")) for key in _VALIDITY_TOTALS)]
        for origin, metrics, suffix in sources
    ]
    explained = {**validity.COUNTED, **validity.BOUNDED, **validity.VOLUME_CRITERIA}
    return Section(
        "Anatomical validity",
        "Criteria of Painchaud et al. (IEEE TMI 2020) slice by slice, and criteria over the volume. Bounds of shape "
        "are the 99th percentile of the real slices, so real slices fail some of them too.",
        drawn,
        table(["", *_VALIDITY_TOTALS.values()], rows)
        + folded("what the criteria mean", table(["criterion", "failing"], [[k, v] for k, v in explained.items()])),
    )


_VALIDITY_TOTALS = {
    "invalid_slices": "slices failing any",
    "invalid_slices_counted": "slices with holes, gaps, pieces, RV apart",
    "hearts_with_invalid_slices": "hearts with such a slice",
}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def consistency_section(sets: Sequence[HeartSet], real: Sequence[Record]) -> Section:
    """Through-plane measures of labels and images."""
    drawn, rows = {}, []
    for part, area, names, title in (
        ("consistency", "consistency", consistency.LABEL_MEASURES, "labels"),
        ("image", "consistency.image", consistency.IMAGE_MEASURES, "images"),
    ):
        metrics = sets[0].summary.metrics
        known = [name for name in names if f"{area}.{name}.inside_real_range" in metrics]
        if not known:
            continue
        values = {
            name: {
                origin: [v for r in records if (v := getattr(r, part).get(name)) is not None]
                for origin, records in (("real", real), *((s.name, s.records) for s in sets))
            }
            for name in known
        }
        drawn[f"consistency_{title}"] = evidence_figures.ranges(values, f"through-plane measures of {title}")
        for name in known:
            key = f"{area}.{name}"
            shares = [s.summary.metrics.get(f"{key}.inside_real_range") for s in sets]
            rows.append(
                [f"{title}: {name}", _percent(metrics[f"{key}.inside_real_range_floor"]), *map(_percent, shares)]
            )
    explained = {**consistency.LABEL_MEASURES, **consistency.IMAGE_MEASURES}
    return Section(
        "Consistency in 3D",
        "Shares of hearts inside the real hearts' 5-95 % range; the column real is each real heart against the range "
        "of the others. All hearts are compared at the cohort's slice spacing. This is the paper's Fig. 4 in numbers.",
        drawn,
        table(["measure", "real", *(s.name for s in sets)], rows)
        + folded("what the measures are", table(["measure", ""], [[k, v] for k, v in explained.items()])),
    )


def fidelity_section(sets: Sequence[HeartSet], real: Sequence[Record]) -> Section | None:
    """Distances of images, their statistics and label match; None where no set has images."""
    having = [s for s in sets if "fidelity.histogram" in s.summary.metrics]
    if not having:
        return None
    rows = []
    for key in sorted({k for s in having for k in s.summary.metrics if k.startswith(("fidelity.", "label_match."))}):
        if not any(mark in key for mark in ("_floor", "_real", "_low", "_high")):
            floor = _reference(having[0].summary.metrics, key)
            ours = [s.summary.metrics.get(key) for s in having]
            rows.append([key, floor, *("–" if o is None else f"{o:.4g}" for o in ours)])
    shares = {
        name: np.mean([r.array("histogram") for r in records if "histogram" in r.arrays], axis=0)
        for name, records in (("real", real), *((s.name, s.records) for s in having))
    }
    drawn = {"histograms": evidence_figures.histograms(shares, fidelity.BINS, "intensities")}
    return Section(
        "Images",
        "Frechet and kernel distances in the features of a segmenter trained on real hearts (own) and of an ImageNet "
        "network (imagenet), on equal numbers of hearts; nothing here is an FID, which only Inception's features give. "
        "Label match: a segmenter trained on real images reads the synthetic ones. The column real is the 95 % floor "
        "of a distance, or the real hearts' own value.",
        drawn,
        folded("all image metrics", table(["metric", "real", *(s.name for s in having)], rows)),
    )


def _reference(metrics: Mapping[str, float], key: str) -> str:
    area, kind, *rest = key.split(".")
    for suffix in ("_floor95", "_real"):
        value = metrics.get(".".join([area, kind + suffix, *rest]))
        if value is not None:
            return f"{value:.4g}"
    return "–"


def memorisation_section(first: HeartSet, real: Sequence[Record]) -> Section | None:
    """Numbers and the nearest pairs side by side; None where nothing was measured."""
    metrics = first.summary.metrics
    keys = [key for key in metrics if key.startswith("memorisation.")]
    if not keys:
        return None
    by_id = {record.id: record for record in real}
    drawn = {}
    for kind, found in first.summary.memorised.items():
        array = "label_bits" if kind == "label" else "image_vector"
        ours = [record for record in first.records if array in record.arrays]
        order = np.argsort([distance for _, distance in found.nearest])[:5]
        shown = []
        for index in order:
            neighbour, distance = found.nearest[index]
            twin = by_id[first.summary.training[neighbour]]
            shown.append((ours[index].id, _picture(ours[index]), f"{twin.id}, distance {distance:.3f}", _picture(twin)))
        drawn[f"nearest_{kind}"] = evidence_figures.pairs(
            shown, f"nearest pairs by {kind}: synthetic above, real below"
        )
    return Section(
        "Memorisation",
        "Distance of every synthetic heart to its nearest training heart: 1 - Dice of labels, 1 - correlation of "
        "images. Too close is nearer than the 5th percentile of the training hearts' distances to each other. The "
        "attack tries to tell training from held-out hearts by their distance to the synthetic ones; 0.5 is guessing.",
        drawn,
        table(["metric", "value"], [[key, f"{metrics[key]:.4g}"] for key in keys]),
    )


def _picture(record: Record) -> Picture:
    image = record.array("picture").astype(np.float32) if "picture" in record.arrays else None
    return figures.overlay(record.array("label"), image)


def cases_section(first: HeartSet) -> Section | None:
    """Worst and best hearts by invalid slices, then by label match: all of a heart, not a chosen slice."""
    match = {r.id: r.match.get("dice") for r in first.records}
    if not first.summary.invalid:
        return None
    order = sorted(
        first.summary.invalid, key=lambda name: (first.summary.invalid[name], -(match.get(name) or 0.0), name)
    )
    chosen = {**{f"worst: {n}": n for n in order[-3:][::-1]}, **{f"best: {n}": n for n in order[:2]}}
    strips = {title: _strip(first.files[name]) for title, name in chosen.items() if name in first.files}
    shown = {title: strip for title, strip in strips.items() if strip}
    if not shown:
        return None
    return Section(
        "Worst and best cases",
        "At end-diastole, base to apex; ordered by the share of slices that break a criterion.",
        {"cases": evidence_figures.stack_strips(shown, "worst and best")},
    )


def _strip(file: HeartFile) -> list[Picture]:
    try:
        heart = file.load()
    except CardiomorphError:
        return []
    phase = next(p for p in PHASES if p in heart.labels)
    label, image = heart.labels[phase].array, heart.images.get(phase)
    chosen = np.unique(np.linspace(0, label.shape[2] - 1, _SHOWN_SLICES).round().astype(int))
    scaled = None
    if image is not None:
        low, high = np.percentile(image.array, [1, 99])
        scaled = np.clip(2.0 * (image.array - low) / max(high - low, 1e-9) - 1.0, -1, 1)
    return [figures.overlay(label[:, :, k], None if scaled is None else scaled[:, :, k]) for k in chosen]


def missing_section(sets: Sequence[HeartSet], real_left_out: Mapping[str, str]) -> Section | None:
    """What could not be read or measured, and why; None where there is nothing to say."""
    rows = [[name, reason] for name, reason in real_left_out.items()]
    for one in sets:
        rows += [[f"{one.name}: {name}", reason] for name, reason in one.left_out.items()]
        rows += [[f"{one.name}: {area}", reason] for area, reason in one.summary.missing.items()]
        rows += [[f"{one.name}: {r.id}", "; ".join(r.problems)] for r in one.records if r.problems]
    if not rows:
        return None
    return Section(
        "Not measured",
        "What could not be read or measured, and why.",
        table=folded(f"{len(rows)} entries", table([], rows, cells="reason")),
    )
