"""Every area of evaluation keeps the protocol, on hearts of every kind and on none."""

import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from cardiomorph.evaluation.areas import AREAS
from cardiomorph.evaluation.comparison import Comparison
from cardiomorph.evaluation.heart_files import HeartFile, cohort_hearts, folder_hearts
from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.measurement import MeasurementConfig, Referees, measure_all, measure_areas
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Side
from cardiomorph.evaluation.record import Measured
from cardiomorph.evaluation.summary import Summary, metrics_of
from cardiomorph.evaluation.verdict import Condition, Verdict
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.report.evidence_figures import drawn
from cardiomorph.synthesis.morph_series import Identity
from cardiomorph.synthesis.swap import Swap
from conftest import hearts_of, write_acdc_subject

OF_SYNTHESIS = [Identity(None, "no atlas", None, PopulationSampler()), Swap(None, None, None)]
EVERY = [*AREAS, *OF_SYNTHESIS]
each = pytest.mark.parametrize("area", EVERY, ids=[area.name for area in EVERY])


@pytest.fixture(scope="module")
def populations(cohort, tmp_path_factory):
    """The real hearts, beside synthetic ones of which one has one phase, one no images and one no group."""
    root = tmp_path_factory.mktemp("areas")
    for number, group in enumerate(["NOR", "DCM", "HCM", "NOR", "RV"]):
        write_acdc_subject(root / "made" / f"s{number}", group, hearts_of(group, number), images=number != 1)
    (root / "made" / "s0" / "s0_frame12_gt.nii.gz").unlink()
    (root / "made" / "s2" / "Info.cfg").write_text("ED: 1\nES: 12\nNbFrame: 30\n")
    config = MeasurementConfig(slice_spacing_mm=10.0)
    real, _ = measure_all(cohort_hearts(cohort), root / "real", config, workers=1)
    made, left_out = measure_all(folder_hearts(root / "made", cohort.config), root / "records", config, workers=1)
    assert not left_out
    return Populations(made, real, {row["subject"]: row["split"] for row in cohort.rows}, seed=1)


@pytest.fixture(scope="module")
def summaries(populations):
    return {area.name: area.summarise(populations) for area in EVERY}


def test_names_are_all_different_and_can_stand_in_a_condition():
    assert len({area.name for area in EVERY}) == len(EVERY)
    for area in EVERY:
        assert Condition.parse(f"{area.name}.x > 1").key == f"{area.name}.x"


def test_columns_of_measures_are_all_different(populations):
    columns = [f"{a.column_prefix}{name}" for a in AREAS for name in populations.real[0].of(a.name)]
    assert len(columns) == len(set(columns)) > 40


@pytest.mark.parametrize("area", AREAS, ids=[area.name for area in AREAS])
def test_another_process_can_measure_it(area):
    assert type(pickle.loads(pickle.dumps(area))) is type(area)
    assert isinstance(area.version, int)


@each
@pytest.mark.parametrize("phases", [("ED",), ("ES",), ("ED", "ES")])
@pytest.mark.parametrize("images", [False, True])
def test_whatever_a_heart_lacks_it_is_measured(area, phases, images, cohort):
    heart = cohort_hearts(cohort, cohort.ids()[:1])[0].load()
    part = replace(
        heart,
        labels={phase: heart.labels[phase] for phase in phases},
        images={phase: heart.images[phase] for phase in phases} if images else {},
        prepared=heart.prepared if images and len(phases) == 2 else None,
    )
    found = area.measure(HeartView(part, 10.0, None, None))
    assert json.loads(json.dumps(dict(found.scalars), allow_nan=False)) == found.scalars
    assert all(isinstance(array, np.ndarray) for array in found.arrays.values())


@each
def test_what_it_finds_has_names_of_its_own(area, summaries):
    found = summaries[area.name]
    assert found.comparisons or found.missing
    assert all(re.fullmatch(r"[A-Za-z0-9_.]+", key) for key in metrics_of({area.name: found}))
    assert found.by_heart.keys() <= {"invalid_slices"}
    for values in found.by_heart.values():
        assert values.keys() == {"s0", "s1", "s2", "s3", "s4"}


def test_no_areas_draws_depend_on_the_others(populations):
    forward = [area.summarise(populations).comparisons for area in EVERY]
    backward = [area.summarise(populations).comparisons for area in reversed(EVERY)]
    assert forward == backward[::-1]


@each
def test_its_verdicts_are_always_of_the_same_areas(area, summaries):
    nothing, something = area.judge(Summary()), area.judge(summaries[area.name])
    assert [one.area for one in nothing] == [one.area for one in something]
    assert all(one == Verdict(one.area, "not measured", "") for one in nothing)
    assert all((one.word == "not measured") is (one.reason == "") for one in something)


@each
@pytest.mark.parametrize("sets", [1, 2])
def test_what_it_shows_is_text_and_can_be_drawn(area, sets, populations, summaries):
    summary = summaries[area.name]
    sides = [Side(name, populations.synthetic, summary) for name in ("made", "again")[:sets]]
    shown = area.show(sides, populations.real)
    if shown is None:
        return
    assert shown.title and shown.text
    for table in shown.tables:
        assert all(len(row) == len(table.header) for row in table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
    for data in shown.figures.values():
        assert drawn(data).axes


@each
def test_nothing_measured_is_nothing_wrong(area, populations):
    empty = Populations([], [], {})
    assert all(c.value is None or c.value == 0 for c in area.summarise(empty).comparisons)
    shown = area.show([Side("made", populations.synthetic, Summary())], populations.real)
    for data in shown.figures.values() if shown else ():
        drawn(data)


def test_a_figure_that_nothing_draws_is_named():
    with pytest.raises(TypeError, match="nothing draws Comparison"):
        drawn(Comparison(("a",)))


def test_records_of_another_version_are_made_again(cohort, tmp_path):
    class Counted:
        name, version, column_prefix = "counted", 1, ""
        seen = 0

        def measure(self, view):
            self.seen += 1
            return Measured({"version": float(self.version)}, {})

    area, config = Counted(), MeasurementConfig(slice_spacing_mm=10.0)
    files: list[HeartFile] = cohort_hearts(cohort, cohort.ids()[:1])
    for version, seen in ((1, 1), (1, 1), (2, 2)):
        area.version = version
        records, _ = measure_all(files, tmp_path, config, areas=[area], workers=1)
        assert area.seen == seen
        assert records[0].of("counted") == {"version": version}
    assert measure_areas(files[0].load(), config, Referees(config), [area])[0]["scalars"] == {
        "counted": {"version": 2.0}
    }
