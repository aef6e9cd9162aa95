"""The study: scenarios, arms, doses and repeats as rows, each trained once, measured, kept and compared.

A row is known by the digest of everything that decides it, so that a study that is asked for more trains only what is
new, and one that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel
from torch import nn

from cardiomorph.anatomy import HEALTHY
from cardiomorph.checks import checked_seed
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import Measures
from cardiomorph.files import claim, ensure_folder, read_record, validated, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.progress import track
from cardiomorph.training.configuration import configured
from cardiomorph.training.hardware import Hardware, this_process
from cardiomorph.utility.arms import ARMS, Arm, arm_named, hearts_of, make_hearts
from cardiomorph.utility.cases import Case, read_cases
from cardiomorph.utility.diagnosis import Features, diagnosis, features_of, measured_case, measured_hearts
from cardiomorph.utility.leaks import check_leaks
from cardiomorph.utility.page import write_results
from cardiomorph.utility.plan import Plan, Planned, plan_of, planned, with_errors
from cardiomorph.utility.scenarios import Scenario, scenario
from cardiomorph.utility.scoring import Scores, scored
from cardiomorph.utility.settings import STRONG, UTILITY_PRESETS, NetworkSettings
from cardiomorph.utility.task import Pool, UtilityTask, trained

_log = logging.getLogger(__name__)

Mode = Literal["mix", "pretrain", "only"]
ROWS, HEARTS, RESULT = "rows", "hearts", "utility.json"
_FORMAT = 1
_DRAWN_REPEATS, _REPEATS = 5, 3
DEFAULT_SCENARIOS = ("healthy:8", "few:8")
DEFAULT_ARMS = ("nothing", "strong", "healthy", "deformation", "independent", "virtual", "own-full")


@dataclass(frozen=True)
class Row:
    """One training of a study.

    Attributes:
        dose: synthetic hearts by real patients.
        mode: mix (both in every batch), pretrain (synthetic for half of the steps, then real), only (no real heart).
        repeat: decides the seed, and the draw of patients where a scenario draws them.
    """

    scenario: Scenario
    arm: Arm
    dose: float
    mode: Mode
    repeat: int

    @property
    def arm_name(self) -> str:
        """The arm with its dose and mode, as tables name it."""
        if not self.arm.makes_hearts:
            return self.arm.name
        return f"{self.arm.name}@{100 * self.dose:.0f}" + ("" if self.mode == "mix" else f"+{self.mode}")

    @property
    def share(self) -> float:
        """Of a batch that is synthetic: the dose's, and never more than half."""
        if not self.arm.makes_hearts:
            return 0.0
        return 1.0 if self.mode == "only" else min(0.5, self.dose / (1.0 + self.dose))

    def __str__(self) -> str:
        return f"{self.scenario.name}, {self.arm_name}, repeat {self.repeat}"


@dataclass(frozen=True)
class Measured:
    """A row with what its network did to every test patient."""

    row: Row
    scores: Mapping[str, Scores]
    seconds: float
    patients: Sequence[str]
    hearts: int
    diagnosis: Mapping[str, float | None]


class _Kept(BaseModel):
    """What a row's scores.json holds."""

    scores: dict[str, dict[str, float]]
    seconds: float
    hearts: int
    diagnosis: dict[str, float | None] = {}


@dataclass(frozen=True)
class Study:
    """Everything that rows share.

    Attributes:
        cohorts: digests of the cohorts that train and test, subjects' bytes and all.
        groups, cases: of those who may train, by name.
    """

    output: Path
    atlas: Atlas
    scans: Path
    cohorts: Sequence[str]
    groups: Mapping[str, str]
    cases: Mapping[str, Case]
    test: Mapping[str, Case]
    plan: Plan
    settings: NetworkSettings
    seed: int
    workers: int
    hardware: Hardware
    _planned: dict[str, list[Planned]] = field(default_factory=dict)
    _taught: dict[str, Measures] = field(default_factory=dict)

    @cached_property
    def folders(self) -> dict[str, Path]:
        """Where the training patients lie."""
        return {entry.id: entry.folder for entry in find_subjects(self.scans)[1]}

    @cached_property
    def asked(self) -> Features:
        """Measures of the test patients."""
        return features_of((case.group, measured_case(case)) for case in self.test.values())

    def real(self, names: Sequence[str]) -> Pool:
        """Training patients on the plan's grid, kept for the next row."""
        for name in names:
            if name not in self._planned:
                self._planned[name] = self._on_plan(self.cases[name])
        return Pool(_by_group((self.groups[name], self._planned[name]) for name in names))

    def _on_plan(self, case: Case) -> list[Planned]:
        return [planned(stack, self.plan) for stack in case.stacks.values()]

    def measured(self, row: Row) -> Measured:
        """Trains and measures a row, or finds it."""
        names = row.scenario.patients(self.groups, row.repeat, self.seed)
        hearts = self._hearts(row, names)
        settings = replace_strength(self.settings, row.arm)
        facts = {
            "format": _FORMAT,
            "row": {**asdict(row), "arm": row.arm_name},
            "patients": names,
            "test": sorted(self.test),
            "cohorts": self.cohorts,
            "plan": self.plan.model_dump(),
            "network": settings.model_dump(mode="json"),
            "precision": self.hardware.precision,
            "hearts": hearts,
            "atlas": self.atlas.identity,
            "seed": self.seed,
        }
        facts = json.loads(json.dumps(facts))
        folder = self.output / ROWS / _digest(facts)
        path = folder / "scores.json"
        if not path.is_file():
            self._train(row, names, hearts, settings, facts, folder)
        kept = validated(_Kept, read_record(path), path)
        return Measured(row, kept.scores, kept.seconds, names, kept.hearts, kept.diagnosis)

    def _hearts(self, row: Row, names: Sequence[str]) -> dict[str, Any] | None:
        healthy = [name for name in names if self.groups[name] == HEALTHY]
        count = max(1, round(row.dose * len(names)))
        return hearts_of(row.arm, row.scenario.targets, count, names, healthy, self.seed + row.repeat)

    def _train(
        self,
        row: Row,
        names: Sequence[str],
        hearts: dict[str, Any] | None,
        settings: NetworkSettings,
        facts: Any,
        folder: Path,
    ) -> None:
        real = self.real(names)
        synthetic, count, drawn = Pool({}), 0, Features()
        if hearts is not None:
            made = ensure_folder(self.output / HEARTS) / _digest([hearts, self.atlas.identity])
            cases = read_cases(make_hearts(self.atlas, hearts, self.folders, made, self.workers))
            count, drawn = len(cases), features_of(measured_hearts(made))
            synthetic = Pool(_by_group((case.group, self._on_plan(case)) for case in cases.values()))
        if row.scenario.kind == "errors":
            rng = np.random.default_rng([self.seed, row.repeat])
            wrong = {
                g: [with_errors(s, row.scenario.count / 100, rng) for s in mine] for g, mine in real.hearts.items()
            }
            real = Pool(wrong)
        if row.arm.balanced:
            real = replace(real, balanced=True)
        network, seconds = self._trained(row, real, synthetic, settings, facts, folder)
        scores = scored(network, self.test, self.plan, settings, self.hardware.device)
        told = diagnosis(self._features(names), drawn, self.asked)
        kept = {"scores": scores, "seconds": seconds, "hearts": count, "diagnosis": told}
        write_json(folder / "scores.json", kept, seal=True)

    def _features(self, names: Sequence[str]) -> Features:
        for name in names:
            if name not in self._taught:
                self._taught[name] = measured_case(self.cases[name])
        return features_of((self.groups[name], self._taught[name]) for name in names)

    def _trained(
        self, row: Row, real: Pool, synthetic: Pool, settings: NetworkSettings, facts: Any, folder: Path
    ) -> tuple[nn.Module, float]:
        stages = [("network", row.share, settings.steps)]
        if row.mode == "pretrain" and row.arm.makes_hearts:
            half = max(1, settings.steps // 2)
            stages = [("pretrained", 1.0, half), ("network", 0.0, max(1, settings.steps - half))]
        network, total = None, 0.0
        for name, share, steps in stages:
            own = settings.model_copy(update={"steps": steps})
            task = UtilityTask(own, real, synthetic, share, self.seed + row.repeat, self.hardware)
            network, seconds = trained(task, folder / name, {**facts, "stage": name}, network)
            total += seconds
        assert network is not None, "there is a stage"
        return network, total


def replace_strength(settings: NetworkSettings, arm: Arm) -> NetworkSettings:
    """The settings of an arm: all the same but for one that is about augmentation."""
    return settings.model_copy(update={"augmentation": STRONG}) if arm.strong else settings


def _by_group(hearts: Iterable[tuple[str, list[Planned]]]) -> dict[str, list[Planned]]:
    found: dict[str, list[Planned]] = {}
    for group, stacks in hearts:
        found.setdefault(group, []).extend(stacks)
    return found


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def rows_of(
    scenarios: Sequence[str], arms: Sequence[str], doses: Sequence[float], modes: Sequence[Mode], seeds: int | None
) -> list[Row]:
    """All rows, the most telling first: scenario by scenario, and in each every arm once before any is repeated.

    Raises:
        CardiomorphError: an unknown scenario or arm; a dose that is not positive.
    """
    for dose in doses:
        if not 0 < dose <= 100:
            raise CardiomorphError(f"a dose of {100 * dose:g} % cannot be", fix="Doses lie above 0 and up to 10,000 %")
    found: list[Row] = []
    for name in dict.fromkeys(scenarios):
        situation = scenario(name)
        repeats = seeds or (_DRAWN_REPEATS if situation.draws else _REPEATS)
        for repeat in range(repeats):
            for arm in map(arm_named, dict.fromkeys(arms)):
                if arm.makes_hearts:
                    found += [Row(situation, arm, dose, mode, repeat) for mode in modes for dose in doses]
                else:
                    found.append(Row(situation, arm, 0.0, "mix", repeat))
    return found


def utility(
    cohort: Path,
    scans: Path,
    output: Path,
    *,
    atlas: Path,
    test: Path | None = None,
    test_scans: Path | None = None,
    scenarios: Sequence[str] = DEFAULT_SCENARIOS,
    arms: Sequence[str] = DEFAULT_ARMS,
    doses: Sequence[float] = (1.0,),
    modes: Sequence[Mode] = ("mix",),
    seeds: int | None = None,
    preset: str = "small",
    changes: Path | None = None,
    budget_s: float | None = None,
    seed: int = 0,
    workers: int = 2,
    device: str = "auto",
) -> dict[str, Any]:
    """Trains and measures every row, and compares arms.

    Args:
        cohort: prepared cohort; its training split are the patients that a scenario draws from.
        scans: the data set that it was prepared from: networks see whole fields of view.
        output: study folder; one from before is continued.
        atlas: of the synthetic hearts; none of the test patients may have made it.
        test: prepared cohort of the test patients; by default the cohort's held-out ones. ``test_scans`` its data set.
        doses: synthetic hearts by real patients.
        seeds: repeats of every arm; by default 5 where patients are drawn, else 3.
        preset, changes: of `UTILITY_PRESETS`, with the keys of a JSON file laid over.
        budget_s: seconds after which no further row is begun, judged by those before.

    Returns:
        What utility.json holds.

    Raises:
        CardiomorphError: bad cohort, scans, atlas, scenario, arm or settings; a test patient who trained anything.
    """
    checked_seed(seed)
    rows = rows_of(scenarios, arms, doses, modes, seeds)
    settings = configured(UTILITY_PRESETS, preset, changes)
    pool, tested = Cohort(cohort), Cohort(test or cohort)
    names = pool.ids("train") if test is None else pool.ids()
    test_names = pool.ids("heldout") if test is None else tested.ids()
    if not test_names:
        raise CardiomorphError(
            "holds nobody out to test on", where=pool.folder, fix="Prepare it with --heldout 0.2, or give --test"
        )
    if test is not None and test_scans is None:
        raise CardiomorphError("--test needs the data set that it was prepared from", fix="Give --test-scans")
    groups = {row["subject"]: row["group"] for row in pool.rows if row["subject"] in set(names)}
    for row in rows:
        row.scenario.patients(groups, row.repeat, seed)
    source = Atlas(atlas)
    check_leaks(source, pool, names, tested, test_names)
    claim(Path(output), ROWS, (ROWS, HEARTS, RESULT, "rows.csv", "report.html", "figures"))
    ensure_folder(Path(output) / ROWS)
    cases = read_cases(scans, names)
    study = Study(
        output=Path(output),
        atlas=source,
        scans=Path(scans),
        cohorts=(pool.identity, tested.identity),
        groups=groups,
        cases=cases,
        test=read_cases(test_scans or scans, test_names),
        plan=plan_of(cases.values()),
        settings=settings,
        seed=seed,
        workers=workers,
        hardware=this_process(device, settings.precision),
    )
    done, left = _within(study, rows, budget_s)
    about = {
        "cohort": pool.name,
        "test": {"cohort": tested.name, "patients": len(test_names)},
        "atlas": source.identity,
        "plan": study.plan.model_dump(),
        "network": settings.model_dump(mode="json"),
        "preset": preset,
        "seed": seed,
        "left_out": [str(row) for row in left],
    }
    return write_results(Path(output), done, {n: c.group for n, c in study.test.items()}, about)


def _within(study: Study, rows: Sequence[Row], budget_s: float | None) -> tuple[list[Measured], list[Row]]:
    """Rows that were measured, and those for which there was no time."""
    began = time.monotonic()
    longest, done = 0.0, list[Measured]()
    for number, row in enumerate(track(rows, "rows", len(rows))):
        row_began = time.monotonic()
        # By the longest, for a row that was there already took no time.
        if budget_s is not None and number and row_began - began + longest > budget_s:
            left = list(rows[number:])
            _log.warning(f"{len(left)} rows are left for another time; the first is {left[0]}")
            return done, left
        _log.info(f"row {number + 1} of {len(rows)}: {row}")
        done.append(study.measured(row))
        longest = max(longest, time.monotonic() - row_began)
    return done, []


def planned_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What would be done, for a dry run."""
    for row in rows:
        yield f"{row}: {ARMS[row.arm.name].words}"
