"""What synthetic hearts are good for: `utility`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from cardiomorph.cli.parameters import Count, Output, Seed, Switch
from cardiomorph.errors import CardiomorphError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
Several = Parameter(consume_multiple=True, negative=())


def utility(
    cohort: Path,
    /,
    *,
    scans: Path,
    output: Output,
    atlas: str | None = None,
    test: Path | None = None,
    test_scans: Path | None = None,
    scenario: Annotated[list[str] | None, Several] = None,
    arm: Annotated[list[str] | None, Several] = None,
    dose: Annotated[list[float] | None, Several, Parameter(validator=Number(gt=0))] = None,
    mode: Annotated[list[Literal["mix", "pretrain", "only"]] | None, Several] = None,
    seeds: Count | None = None,
    preset: Literal["tiny", "small", "base"] = "small",
    config: Path | None = None,
    budget: str | None = None,
    dry_run: Switch = False,
    seed: Seed = 0,
    workers: Count = 2,
    device: str = "auto",
) -> None:
    """Do synthetic hearts make a segmentation network better, and when? Trains with and without, says how sure it is.

    In every scenario each arm trains the same network (MONAI's DynUNet, planned once of the real patients) for the same
    steps, and is measured on patients that trained neither it nor the atlas. Writes report.html, utility.json and
    rows.csv (a row a patient). A study that is given again trains only what is new.

    Parameters
    ----------
    cohort:
        Prepared cohort: its training split are the patients that scenarios draw from, its held-out ones the test.
    scans:
        The data set that it was prepared from: networks see whole fields of view at their own spacing.
    output:
        Study folder.
    atlas:
        Atlas folder, or the name of one that ships; the default atlas without.
    test:
        Another prepared cohort to test on, as of another scanner; then the whole first one may train.
    test_scans:
        The data set of --test.
    scenario:
        few:N (N patients of all groups), healthy:N (N healthy ones), missing:GROUP, rare:GROUP (one patient of it),
        errors:PERCENT (of the slices wrongly labelled), all; by default healthy:8 and few:8.
    arm:
        nothing, strong (augmentation), oversampling, healthy (virtual healthy hearts), independent, copula, paper,
        virtual, own (your own healthy patients morphed), own-full (in their whole images).
    dose:
        Synthetic hearts in per cent of the real ones; 100 by default. At most half of a batch is synthetic.
    mode:
        mix: both in every batch. pretrain: synthetic hearts for half of the steps, then real ones. only: no real ones.
    seeds:
        Repeats of every arm, each with a seed and, where patients are drawn, a draw of its own; by default 5 where they
        are drawn, else 3.
    preset:
        tiny, small (two cores), base (GPU).
    config:
        JSON file with settings to change.
    budget:
        Begin no further row after such a time: 90m, 2h, 600s. The same command goes on.
    dry_run:
        Say what would be trained, and in which order; train nothing.
    seed:
        Seed of draws, hearts and networks.
    workers:
        Processes that make hearts.
    device:
        auto, cpu, cuda or cuda:N.
    """
    from cardiomorph.latent.library import default_atlas, find_atlas

    try:
        from cardiomorph.utility import study
    except ModuleNotFoundError as error:
        raise CardiomorphError(
            f"the study needs {error.name}, which is not installed", fix="pip install 'cardiomorph[utility]'"
        ) from error

    doses = [value / 100 for value in dose or (100.0,)]
    scenarios, arms, modes = scenario or study.DEFAULT_SCENARIOS, arm or study.DEFAULT_ARMS, mode or ["mix"]
    if dry_run:
        for line in study.planned_lines(study.rows_of(scenarios, arms, doses, modes, seeds)):
            print(line)
        return
    study.utility(
        cohort,
        scans,
        output,
        atlas=find_atlas(atlas or default_atlas()),
        test=test,
        test_scans=test_scans,
        scenarios=scenarios,
        arms=arms,
        doses=doses,
        modes=modes,
        seeds=seeds,
        preset=preset,
        changes=config,
        budget_s=_seconds(budget),
        seed=seed,
        workers=workers,
        device=device,
    )


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match:
        raise CardiomorphError(f"{text!r} is no time", fix="Give one like 600s, 90m or 2h")
    return float(match[1]) * _UNITS[match[2]]
