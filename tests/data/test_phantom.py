"""The phantom: the right hearts, the right signal, the same bytes."""

import json

import numpy as np
import pytest

from cardiomorph.anatomy import GROUPS, PHASES, Label
from cardiomorph.data.phantom import make_subject, write_phantom_cohort
from cardiomorph.data.phantom.geometry import end_diastole, end_systole
from cardiomorph.data.phantom.parameters import draw_parameters
from cardiomorph.data.phantom.signal import RELAXATION, Tissue, steady_state
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.function import measure_heart

# Mean and SD of 20 ACDC patients a group, expert labels.
REAL = {
    "NOR": {"lv_edv_ml": (130, 26), "lv_ef_pct": (60.3, 5.1), "rv_edv_ml": (153, 37), "rv_ef_pct": (55.1, 8.2),
            "lv_mass_g": (102, 26), "wall_max_mm": (8.3, 1.1)},
    "DCM": {"lv_edv_ml": (285, 48), "lv_ef_pct": (18.4, 6.7), "rv_edv_ml": (178, 67), "rv_ef_pct": (31.8, 17.8),
            "lv_mass_g": (170, 32), "wall_max_mm": (8.6, 1.2)},
    "HCM": {"lv_edv_ml": (129, 35), "lv_ef_pct": (67.4, 8.9), "rv_edv_ml": (118, 34), "rv_ef_pct": (59.8, 11.2),
            "lv_mass_g": (177, 55), "wall_max_mm": (12.9, 2.0)},
    "MINF": {"lv_edv_ml": (172, 43), "lv_ef_pct": (31.0, 8.1), "rv_edv_ml": (119, 36), "rv_ef_pct": (55.5, 10.5),
             "lv_mass_g": (123, 19), "wall_max_mm": (9.1, 1.2)},
    "RV": {"lv_edv_ml": (107, 38), "lv_ef_pct": (54.7, 6.1), "rv_edv_ml": (196, 49), "rv_ef_pct": (31.4, 15.1),
           "lv_mass_g": (77, 26), "wall_max_mm": (7.4, 1.5)},
}  # fmt: skip


def rng(*key):
    return np.random.default_rng([0, *key])


@pytest.mark.parametrize("group", GROUPS)
def test_group_means_lie_within_one_real_sd(group):
    hearts = [make_subject(group, rng(GROUPS.index(group), n), images=False) for n in range(20)]
    rows = [measure_heart(heart.labels) for heart in hearts]
    for measure, (mean, sd) in REAL[group].items():
        found = np.mean([row[measure] for row in rows])
        assert abs(found - mean) < sd, measure


@pytest.mark.parametrize("group", GROUPS)
def test_the_surfaces_enclose_what_was_drawn(group):
    p = draw_parameters(group, rng(7))
    ed = end_diastole(p)
    es = end_systole(p, ed)
    assert ed.volumes_ml()[Label.LV] == pytest.approx(p.lv_edv_ml, rel=1e-3)
    assert ed.volumes_ml()[Label.RV] == pytest.approx(p.rv_edv_ml, rel=1e-3)
    assert ed.volumes_ml()[Label.MYOCARDIUM] * 1.05 == pytest.approx(p.lv_mass_g, rel=1e-3)
    assert es.volumes_ml()[Label.LV] == pytest.approx(p.lv_edv_ml * (1 - p.lv_ef_pct / 100), rel=1e-3)
    assert es.base_mm + es.length_mm == pytest.approx(ed.base_mm + ed.length_mm)


def test_slabs_measure_what_the_surfaces_enclose():
    ratios = []
    for n in range(12):
        heart = make_subject("NOR", rng(n), images=False)
        ratios.append(measure_heart(heart.labels)["lv_edv_ml"] / heart.truth["lv_edv_ml"])
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


def test_the_septum_is_thick_in_hypertrophy_and_the_infarct_thin_and_still():
    hcm = end_diastole(draw_parameters("HCM", rng(1)))
    level = np.full((1, 1), 0.35)
    walls = hcm.radii(level, np.array([[hcm.parameters.rv_deg, hcm.parameters.rv_deg + 180]]))
    septum, lateral = (walls.epicardium - walls.endocardium)[0]
    assert septum > 1.25 * lateral
    p = draw_parameters("MINF", rng(1))
    ed = end_diastole(p)
    es = end_systole(p, ed)
    level, angles = np.full((1, 1), p.infarct_level), np.array([[p.infarct_deg, p.infarct_deg + 180]])
    before, after = ed.radii(level, angles), es.radii(level * 1.0, angles)
    dead, alive = (before.epicardium - before.endocardium)[0]
    assert dead < 0.85 * alive
    moved = (before.endocardium - after.endocardium)[0]
    assert abs(moved[0]) < 0.4 * abs(moved[1])


@pytest.mark.parametrize("group", GROUPS)
def test_the_rv_lies_on_the_lv_and_the_cavity_is_closed_by_muscle(group):
    label = make_subject(group, rng(3), images=False).labels["ED"].array
    for index in range(label.shape[2]):
        plane = label[:, :, index]
        cavity = plane == Label.LV
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            assert np.isin(plane[np.roll(cavity, step, axis)], (Label.LV, Label.MYOCARDIUM)).all()
        if (plane == Label.RV).any():
            near = np.zeros_like(cavity)
            for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
                near |= np.roll(plane == Label.RV, step, axis)
            assert (near & (plane == Label.MYOCARDIUM)).any()


def test_papillary_muscles_are_in_the_image_and_not_in_the_label():
    heart = make_subject("DCM", rng(4))
    image, label = heart.images["ED"].array.astype(float), heart.labels["ED"].array
    middle = label.shape[2] // 2
    cavity = label[:, :, middle] == Label.LV
    wall = np.median(image[:, :, middle][label[:, :, middle] == Label.MYOCARDIUM])
    blood = np.median(image[:, :, middle][cavity])
    dark = (image[:, :, middle] < 0.5 * (wall + blood)) & cavity
    assert blood > 1.5 * wall
    assert 0.01 < dark.sum() / cavity.sum() < 0.4


def test_slices_shift_with_the_breath():
    heart = make_subject("NOR", rng(5), images=False)
    shifts = np.array(heart.truth["acquisition"]["shifts_mm"])
    assert shifts.shape == (heart.labels["ED"].n_slices, 2)
    assert 0.3 < shifts.std() < 1.6


@pytest.mark.parametrize("tissue", [Tissue.BLOOD, Tissue.MYOCARDIUM, Tissue.FAT, Tissue.LIVER])
def test_bssfp_equals_a_simulated_pulse_train(tissue):
    density, t1, t2 = RELAXATION[tissue]
    flip, tr = 50.0, 3.0
    e1, e2 = np.exp(-tr / t1), np.exp(-tr / t2)
    magnetisation = np.array([0.0, density])  # transverse (along the alternating pulse's axis), longitudinal
    for pulse in range(6000):
        angle = np.radians(flip) * (1 if pulse % 2 else -1)
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        after_pulse = rotation @ magnetisation
        magnetisation = np.array([e2 * after_pulse[0], density + (after_pulse[1] - density) * e1])
    echo = abs(after_pulse[0]) * np.exp(-0.5 * tr / t2)
    assert steady_state(RELAXATION[tissue], flip, tr) == pytest.approx(echo, rel=1e-4)


def test_the_same_seed_gives_the_same_bytes_however_many_are_made(tmp_path):
    few = write_phantom_cohort(tmp_path / "few", 2, seed=5)
    same = write_phantom_cohort(tmp_path / "same", 2, seed=5, workers=1)
    for path in few.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (same / path.relative_to(few)).read_bytes()
    name, entries = find_subjects(few)
    assert (name, len(entries)) == ("acdc", 10)
    subject = entries[0].load()
    truth = json.loads((few / subject.id / "truth.json").read_text())
    assert measure_heart({p: subject.frames[p].label for p in PHASES})["lv_edv_ml"] == pytest.approx(
        truth["lv_edv_ml"], rel=0.2
    )
    first = make_subject("NOR", np.random.default_rng([5, 0, 0]))
    assert np.array_equal(first.images["ED"].array, subject.frames["ED"].image.array)


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(CardiomorphError, match="two or more"):
        write_phantom_cohort(tmp_path / "x", 1)
    (tmp_path / "mine").write_text("x")
    with pytest.raises(CardiomorphError, match="is not empty"):
        write_phantom_cohort(tmp_path, 2)
