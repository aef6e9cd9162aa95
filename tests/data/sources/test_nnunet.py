from __future__ import annotations

import shutil

import numpy as np
import pytest

from cardiomorph.anatomy import PHASES
from cardiomorph.data.sources import find_subjects, nnunet
from cardiomorph.errors import CardiomorphError
from conftest import (
    SPACING_MM,
    heart_label,
    hearts_of,
    save_nifti,
    textured,
    to_mnms_codes,
    write_acdc_subject,
    write_table,
)

MNMS_CODES = {1: 3, 2: 2, 3: 1}


def write_case(root, case, phase="ED", *, image=True, group="NOR", codes=None):
    label = heart_label(hearts_of(group)[phase])
    save_nifti(root / "labelsTr" / f"{case}.nii.gz", codes(label) if codes else label)
    if image:
        save_nifti(root / "imagesTr" / f"{case}_0000.nii.gz", textured(label, 0))


def entry(root, name):
    return {found.id: found for found in find_subjects(root)[1]}[name]


def read(root, name, codes=None):
    """What its source can read of a subject, before anything is asked of it."""
    return entry(root, name).read(codes)


def load(root, name):
    return entry(root, name).load()


def labels(subject):
    return {phase: frame.label.array for phase, frame in subject.frames.items()}


def assert_is_the_heart(subject, group="NOR"):
    assert tuple(subject.frames) == PHASES
    for phase, heart in hearts_of(group).items():
        np.testing.assert_array_equal(subject.frames[phase].label.array, heart_label(heart))
        assert subject.frames[phase].label.spacing_mm == pytest.approx(SPACING_MM)


@pytest.fixture
def tree(tmp_path):
    """A subject with named phases, one with numbered frames (ES first), both with groups."""
    write_case(tmp_path, "heart_A_ED")
    write_case(tmp_path, "heart_A_ES", "ES")
    write_case(tmp_path, "b_frame01", "ES", group="DCM")
    write_case(tmp_path, "b_frame12", "ED", group="DCM")
    write_table(tmp_path / "subjects.csv", "subject,group", "heart_A,NOR", "b,DCM")
    return tmp_path


def test_the_layout_is_recognised_and_its_subjects_are_found(tree):
    assert nnunet.recognises(tree)
    name, entries = find_subjects(tree)
    assert name == "nnunet"
    assert sorted(entry.id for entry in entries) == ["b", "heart_A"]
    assert not nnunet.recognises(tree / "labelsTr")


def test_named_phases_are_what_they_are_called(tree):
    subject = load(tree, "heart_A")
    assert (subject.id, subject.group) == ("heart_A", "NOR")
    assert_is_the_heart(subject)
    for phase, heart in hearts_of("NOR").items():
        np.testing.assert_array_equal(subject.frames[phase].image.array, textured(heart_label(heart), 0))


def test_of_numbered_frames_the_fuller_lv_is_ed(tree):
    subject = load(tree, "b")
    assert subject.group == "DCM"
    assert_is_the_heart(subject, "DCM")


def test_names_overrule_volumes(tmp_path):
    write_case(tmp_path, "p_ED", "ES")
    write_case(tmp_path, "p_ES", "ED")
    subject = read(tmp_path, "p")
    assert subject.problems == ()
    np.testing.assert_array_equal(subject.frames["ED"].label.array, heart_label(hearts_of("NOR")["ES"]))


def test_the_cases_of_a_subject_are_listed_by_frame(tree):
    write_case(tree, "alone")
    found = nnunet.cases(tree)
    assert {name: sorted(frames) for name, frames in found.items()} == {
        "heart_A": ["ED", "ES"],
        "b": ["frame01", "frame12"],
        "alone": ["ED"],
    }
    assert found["b"]["frame12"] == "b_frame12"


def test_labels_alone_are_enough(tmp_path):
    for phase in PHASES:
        write_case(tmp_path, f"p_{phase}", phase, image=False)
    subject = read(tmp_path, "p")
    assert subject.problems == ()
    assert_is_the_heart(subject)
    assert subject.frames["ED"].image is subject.frames["ES"].image is None


@pytest.mark.parametrize("there, absent", [("ED", "ES"), ("ES", "ED")])
def test_a_missing_phase_leaves_the_other(tmp_path, there, absent):
    write_case(tmp_path, f"p_{there}", there)
    subject = read(tmp_path, "p")
    assert list(subject.frames) == [there]
    assert subject.problems == ()
    with pytest.raises(CardiomorphError, match=f"p has no {absent}") as error:
        load(tmp_path, "p")
    assert str(tmp_path) in str(error.value)


def test_a_file_that_names_no_frame_is_one_phase(tmp_path):
    write_case(tmp_path, "somebody")
    subject = read(tmp_path, "somebody")
    assert list(subject.frames) == ["ED"]


def test_a_broken_phase_is_a_problem_that_names_the_case(tree):
    path = tree / "labelsTr" / "heart_A_ES.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    subject = read(tree, "heart_A")
    assert list(subject.frames) == ["ED"]
    assert len(subject.problems) == 1
    assert str(path) in subject.problems[0]
    with pytest.raises(CardiomorphError, match="heart_A_ES"):
        load(tree, "heart_A")


def test_an_image_on_another_grid_is_a_problem(tree):
    save_nifti(tree / "imagesTr" / "heart_A_ED_0000.nii.gz", np.ones((4, 4, 4), np.int16))
    subject = read(tree, "heart_A")
    assert list(subject.frames) == ["ES"]
    assert "heart_A_ED" in subject.problems[0]
    assert "must agree" in subject.problems[0]


def test_groups_stand_in_the_table_beside(tree):
    table = tree / "subjects.csv"
    write_table(table, "subject,group", "heart_A,HCM")
    assert load(tree, "heart_A").group == "HCM"
    assert read(tree, "b").group == ""
    with pytest.raises(CardiomorphError, match="expected one of NOR") as error:
        load(tree, "b")
    assert str(table) in str(error.value)
    table.unlink()
    assert read(tree, "heart_A").group == ""
    with pytest.raises(CardiomorphError, match="heart_A has no group"):
        load(tree, "heart_A")


def test_other_codes_are_translated_all_at_once(tmp_path):
    for phase in PHASES:
        write_case(tmp_path, f"p_{phase}", phase, codes=to_mnms_codes)
    assert_is_the_heart(read(tmp_path, "p", MNMS_CODES))


def test_the_fuller_lv_is_found_in_our_codes(tmp_path):
    """In M&Ms' codes the frame with the larger RV would look like the one with the larger LV."""
    ed, es = (heart_label(hearts_of("NOR")[phase]) for phase in PHASES)
    ed[ed == 1], es[:, :, :4] = 0, np.where(es[:, :, :4] == 0, 1, es[:, :, :4])
    ed[:3, :3, :3] = 1
    save_nifti(tmp_path / "labelsTr" / "p_frame03.nii.gz", to_mnms_codes(es))
    save_nifti(tmp_path / "labelsTr" / "p_frame09.nii.gz", to_mnms_codes(ed))
    subject = read(tmp_path, "p", MNMS_CODES)
    assert subject.problems == ()
    np.testing.assert_array_equal(subject.frames["ED"].label.array, ed)
    np.testing.assert_array_equal(subject.frames["ES"].label.array, es)


def test_codes_outside_ours_need_a_translation(tmp_path):
    for phase in PHASES:
        write_case(tmp_path, f"p_{phase}", phase, codes=lambda label: (label * 50).astype(np.uint8))
    subject = read(tmp_path, "p")
    assert not subject.frames
    assert ["p_ED" in subject.problems[0], "p_ES" in subject.problems[1]] == [True, True]
    assert "--labels" in subject.problems[0]
    assert_is_the_heart(read(tmp_path, "p", {50: 1, 100: 2, 150: 3}))


def test_a_whole_acdc_folder_reads_partly_as_it_reads_whole(tmp_path):
    folder = write_acdc_subject(tmp_path / "patient001", "HCM", height_cm=181, weight_kg=77)
    subject = read(folder, folder.name)
    whole = load(folder, folder.name)
    assert subject.problems == ()
    assert_is_the_heart(subject, "HCM")
    assert (subject.id, subject.group, subject.height_cm, subject.weight_kg) == ("patient001", "HCM", 181, 77)
    assert (whole.id, whole.group, whole.height_cm, whole.weight_kg) == ("patient001", "HCM", 181, 77)
    np.testing.assert_array_equal(subject.frames["ES"].image.array, whole.frames["ES"].image.array)


def test_an_acdc_folder_without_one_phase_keeps_the_other(tmp_path):
    folder = write_acdc_subject(tmp_path / "p", "NOR")
    (folder / "p_frame12_gt.nii.gz").unlink()
    subject = read(folder, folder.name)
    assert list(subject.frames) == ["ED"]
    assert len(subject.problems) == 1
    assert "p_frame12_gt.nii.gz" in subject.problems[0]


@pytest.mark.parametrize(
    "line, problem", [("ES: twelve", "a frame number was expected"), ("", "the key 'ES' is missing")]
)
def test_an_acdc_phase_that_info_does_not_number_is_a_problem(tmp_path, line, problem):
    folder = write_acdc_subject(tmp_path / "p", "NOR")
    (folder / "Info.cfg").write_text(f"ED: 1\n{line}\nHeight: tall\n")
    subject = read(folder, folder.name)
    assert list(subject.frames) == ["ED"]
    assert (subject.group, subject.height_cm) == ("", None)
    assert problem in subject.problems[0]


def test_an_acdc_folder_without_info_has_no_phase(tmp_path):
    folder = write_acdc_subject(tmp_path / "p", "NOR")
    (folder / "Info.cfg").unlink()
    subject = read(folder, folder.name)
    assert (subject.id, subject.group, dict(subject.frames)) == ("p", "", {})
    assert len(subject.problems) == 1
    assert "Info.cfg" in subject.problems[0]


def test_acdc_codes_are_translated_too(tmp_path):
    folder = write_acdc_subject(tmp_path / "p", "NOR")
    for number, phase in ((1, "ED"), (12, "ES")):
        save_nifti(folder / f"p_frame{number:02d}_gt.nii.gz", to_mnms_codes(heart_label(hearts_of("NOR")[phase])))
    assert_is_the_heart(read(folder, folder.name, MNMS_CODES))
    assert (labels(read(folder, folder.name))["ED"] == 3).sum() == (heart_label(hearts_of("NOR")["ED"]) == 1).sum()


def test_nothing_is_left_of_a_subject_whose_labels_are_gone(tree):
    shutil.rmtree(tree / "labelsTr")
    assert nnunet.find(tree) == []
    assert not nnunet.recognises(tree)
