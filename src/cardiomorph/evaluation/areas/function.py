"""Function: volumes, ejection fractions, mass and walls, and their correlations, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import GROUPS
from cardiomorph.evaluation.comparison import Comparison, distances
from cardiomorph.evaluation.distances import correlation_floor, correlation_gap, correlations
from cardiomorph.evaluation.function import MEASURE_COLUMNS, measure_heart
from cardiomorph.evaluation.heart_files import UNKNOWN_GROUP
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import (
    NONE,
    REAL,
    CorrelationMatrices,
    DistancesBesideFloors,
    FigureData,
    GroupDistributions,
    Presentation,
    Side,
    Table,
)
from cardiomorph.evaluation.record import Measured, Record, known_values
from cardiomorph.evaluation.segments import segment_thickness_mm
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict, judged, not_measured

HEADLINE = {
    "lv_edv_ml": "LVEDV, mL",
    "lv_ef_pct": "LV ejection fraction, %",
    "rv_edv_ml": "RVEDV, mL",
    "rv_ef_pct": "RV ejection fraction, %",
    "lv_mass_g": "LV mass, g",
}
"""The five measures whose distances decide the verdict, with their titles."""
COMPARED = (
    *MEASURE_COLUMNS,
    "lv_mass_es_g",
    "sphericity",
    "rv_lv_edv_ratio",
    "wall_basal_mean_mm",
    "wall_middle_mean_mm",
    "wall_apical_mean_mm",
)
_RANDOM_STREAM = 1


class Function:
    """Distances of every measure between synthetic and real hearts of a group."""

    name = "function"
    version = 1
    column_prefix = ""

    def measure(self, view: HeartView) -> Measured:
        heart = view.heart
        walls = segment_thickness_mm(heart.labels["ED"]) if "ED" in heart.labels else {}
        return Measured({**measure_heart(heart.labels, heart.height_cm, heart.weight_kg), **walls}, {})

    def summarise(self, hearts: Populations) -> Summary:
        rng = hearts.rng(_RANDOM_STREAM)
        found: list[Comparison] = []
        missing: dict[tuple[str, ...], str] = {}
        for group, (ours, theirs) in hearts.by_group().items():
            found.append(Comparison(("n",), (group,), len(ours), real=len(theirs)))
            if not theirs:
                missing[group,] = "the cohort has no real heart of this group"
                continue
            for measure in COMPARED:
                a, b = known_values(ours, self.name, measure), known_values(theirs, self.name, measure)
                if not a or not b:
                    side = "synthetic" if not a else "real"
                    missing[group, measure] = f"no {side} heart of {group} has it"
                    continue
                found.append(Comparison(("mean",), (group, measure), float(np.mean(a)), real=float(np.mean(b))))
                found.append(Comparison(("sd",), (group, measure), _sd(a), real=_sd(b)))
                found += distances((group, measure), a, b, rng)
            gaps = _correlation_gaps(group, _complete(ours), _complete(theirs), rng)
            if not gaps:
                missing["correlation", group] = "fewer than four hearts have every measure"
            found += gaps
        found += _headline(found)
        found.append(
            Comparison(("negative_ef",), value=_negative(hearts.synthetic), real=_negative(hearts.real)),
        )
        return Summary(tuple(found), missing)

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        share, count, compared = (
            summary.get(name).value for name in ("inside_floor", "inside_floor_count", "compared")
        )
        if share is None or count is None or compared is None:
            return [not_measured(self.name)]
        negative = summary.get("negative_ef").value or 0.0
        reason = (
            f"{count:.0f} of {compared:.0f} distances (LVEDV, LVEF, RVEDV, RVEF, LV mass by group) within the 95 % "
            f"floor of real halves; {negative:.0f} hearts with a negative ejection fraction"
        )
        return [judged(self.name, share, 0.88, 0.6, reason)]

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation:
        first = sides[0]
        groups = [g for g in GROUPS if any(record.group == g for record in [*first.records, *real])]
        figures: dict[str, FigureData] = {
            "function": GroupDistributions(_rows(real), _rows(first.records), HEADLINE, groups)
        }
        names = {f"{group} {measure}": (group, measure) for group in groups for measure in HEADLINE}
        floors = {
            name: floor for name, of in names.items() if (floor := first.summary.get("wasserstein", of=of).floor95)
        }
        if floors:
            by_set = {
                side.name: {
                    name: value
                    for name, of in names.items()
                    if (value := side.summary.get("wasserstein", of=of).value) is not None
                }
                for side in sides
            }
            title = "1-Wasserstein distance to the real hearts"
            figures["distances"] = DistancesBesideFloors(by_set, floors, title)
        complete = {REAL: _complete(real), first.name: _complete(first.records)}
        matrices = {name: correlations(table, ranks=True) for name, table in complete.items() if len(table) > 3}
        if matrices:
            title = "Spearman, " + ", ".join(MEASURE_COLUMNS)
            figures["measure_correlations"] = CorrelationMatrices(matrices, title)
        return Presentation(
            "Function",
            "Mean ± SD over hearts; every point of the first figure is a heart (the paper's Fig. 3 are the ejection "
            "fractions). Slab volumes; papillary muscles count to the cavity; mass at ED with 1.05 g/mL; wall_max_mm "
            "is the thickest slice's mean. The floor is the distance between random halves of the real hearts of a "
            "group: its 95th percentile is one in the second figure.",
            [Table(["group", "", "n", *MEASURE_COLUMNS], _group_rows(sides, groups))],
            figures,
        )


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _complete(records: Iterable[Record]) -> NDArray[np.float64]:
    """(hearts, measures) of the hearts that have every one of `MEASURE_COLUMNS`."""
    rows = [[r.of(Function.name).get(measure) for measure in MEASURE_COLUMNS] for r in records]
    return np.array([row for row in rows if None not in row], np.float64).reshape(-1, len(MEASURE_COLUMNS))


def _correlation_gaps(
    group: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], rng: np.random.Generator
) -> list[Comparison]:
    """How far the correlations of (hearts, measures) tables are apart; empty for fewer than four hearts."""
    if min(len(ours), len(theirs)) < 4:
        return []
    found = []
    for kind, ranks in (("spearman_gap", True), ("pearson_gap", False)):
        floor = correlation_floor(theirs, rng, ranks=ranks)
        gap = correlation_gap(ours, theirs, ranks=ranks)
        found.append(Comparison((kind,), (group,), gap, floor95=None if floor is None else floor.p95))
    return found


def _headline(found: Iterable[Comparison]) -> list[Comparison]:
    """How many of the headline distances that have a floor are within it."""
    inside = [
        c.value <= c.floor95
        for c in found
        if c.path == ("wasserstein",) and c.of[-1] in HEADLINE and c.value is not None and c.floor95 is not None
    ]
    if not inside:
        return []
    counts = {"inside_floor": float(np.mean(inside)), "inside_floor_count": sum(inside), "compared": len(inside)}
    return [Comparison((name,), value=value) for name, value in counts.items()]


def _negative(records: Iterable[Record]) -> float | None:
    """Hearts with a negative ejection fraction of either ventricle; None where no heart has one."""
    known = [
        values
        for r in records
        if (values := [*known_values([r], Function.name, "lv_ef_pct"), *known_values([r], Function.name, "rv_ef_pct")])
    ]
    return sum(min(values) < 0 for values in known) if known else None


def _rows(records: Sequence[Record]) -> list[dict[str, object]]:
    return [{"group": record.group, **record.of(Function.name)} for record in records]


def _group_rows(sides: Sequence[Side], groups: Sequence[str]) -> list[list[str]]:
    """Rows of the table: of every group the real hearts, then every set's."""
    rows = []
    for group in [*groups, UNKNOWN_GROUP]:
        if count := sides[0].summary.get("n", of=(group,)).real:
            cells = []
            for measure in MEASURE_COLUMNS:
                mean, sd = (sides[0].summary.get(name, of=(group, measure)).real for name in ("mean", "sd"))
                cells.append(_mean_sd(mean, sd))
            rows.append([group, REAL, f"{count:.0f}", *cells])
        for side in sides:
            if count := side.summary.get("n", of=(group,)).value:
                cells = []
                for measure in MEASURE_COLUMNS:
                    mean, sd = (side.summary.get(name, of=(group, measure)).value for name in ("mean", "sd"))
                    cells.append(_mean_sd(mean, sd))
                rows.append([group, side.name, f"{count:.0f}", *cells])
    return rows


def _mean_sd(mean: float | None, sd: float | None) -> str:
    return NONE if mean is None or sd is None else f"{mean:.1f} ± {sd:.1f}"
