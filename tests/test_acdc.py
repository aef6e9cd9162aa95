"""On the real ACDC training set, where its folder is named in CARDIOMORPH_ACDC: aggregates against published ones."""

import os
from pathlib import Path

import numpy as np
import pytest

from cardiomorph.anatomy import PHASES, STRUCTURES
from cardiomorph.data.prepare import prepare_subject, to_source_grid
from cardiomorph.data.sources import find_subjects
from cardiomorph.data.twins import find_twins, fingerprint
from cardiomorph.evaluation.function import structure_volume_ml
from cardiomorph.evaluation.overlap import dice
from cardiomorph.evaluation.table import group_summary, subject_row

FOLDER = os.environ.get("CARDIOMORPH_ACDC")
pytestmark = [
    pytest.mark.acdc,
    pytest.mark.skipif(not FOLDER, reason="CARDIOMORPH_ACDC does not name ACDC's training folder"),
]

# Means of 20 patients a group, expert labels (Bernard et al. 2018, measured again by several groups).
PUBLISHED = {
    "NOR": {"lv_edv_ml": 130.1, "lv_ef_pct": 60.3, "rv_edv_ml": 153.2, "rv_ef_pct": 55.1, "lv_mass_g": 102.4},
    "DCM": {"lv_edv_ml": 284.6, "lv_ef_pct": 18.4, "rv_edv_ml": 178.1, "rv_ef_pct": 31.8, "lv_mass_g": 170.2},
    "HCM": {"lv_edv_ml": 129.1, "lv_ef_pct": 67.4, "rv_edv_ml": 118.3, "rv_ef_pct": 59.8, "lv_mass_g": 177.1},
    "MINF": {"lv_edv_ml": 172.2, "lv_ef_pct": 31.0, "rv_edv_ml": 119.1, "rv_ef_pct": 55.5, "lv_mass_g": 123.0},
    "RV": {"lv_edv_ml": 107.1, "lv_ef_pct": 54.7, "rv_edv_ml": 196.3, "rv_ef_pct": 31.4, "lv_mass_g": 77.2},
}
WALL_MM = {"NOR": 8.3, "DCM": 8.6, "HCM": 12.9, "MINF": 9.1, "RV": 7.4}


@pytest.fixture(scope="module")
def subjects():
    return [entry.load() for entry in find_subjects(Path(FOLDER))[1]]


def test_group_means_are_the_published_ones(subjects):
    summary = group_summary([subject_row(subject) for subject in subjects])
    for group, measures in PUBLISHED.items():
        for measure, mean in measures.items():
            assert summary[group][measure]["mean"] == pytest.approx(mean, abs=0.1)
        assert summary[group]["wall_max_mm"]["mean"] == pytest.approx(WALL_MM[group], abs=0.25)


def test_the_one_pair_of_twins_is_found(subjects):
    assert find_twins({s.id: fingerprint(s) for s in subjects}) == [["patient074", "patient076"]]


def test_preparation_keeps_volumes_and_comes_back(subjects):
    ratios, overlaps = [], []
    for subject in subjects:
        prepared = prepare_subject(subject)
        for phase in PHASES:
            before, after = subject.frames[phase].label, prepared.label_volume(phase)
            back = to_source_grid(prepared.frames[phase].label, "label", prepared.geometry, phase)
            for label in STRUCTURES:
                ratios.append(structure_volume_ml(after, label) / structure_volume_ml(before, label))
                overlaps.append(dice(back.array, before.array, label))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.01)
    assert np.percentile(np.abs(np.array(ratios) - 1), 95) < 0.03
    assert np.mean(overlaps) > 0.98
