"""What cannot be a heart is refused; what looks odd is said, and used."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import Label
from cardiomorph.data.heart_check import base_first, doubts, refusals
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.volume import Volume
from conftest import ED, SHAPE, SPACING_MM, analytic_subject, heart_label, hearts_of


def subject_of(change, group="NOR", spacing_mm=SPACING_MM):
    frames = {p: Frame(Volume(change(heart_label(h)), spacing_mm)) for p, h in hearts_of(group).items()}
    return Subject("p", group, frames)


def recode(*ours):
    """RV, myocardium and LV get these codes."""
    return lambda label: np.array([0, *ours], np.uint8)[label]


@pytest.mark.parametrize("group", ED)
def test_a_heart_is_not_refused(group):
    assert list(refusals(analytic_subject(hearts_of(group)))) == []


@pytest.mark.parametrize("codes", [p for p in permutations((1, 2, 3)) if p != (1, 2, 3)])
@pytest.mark.parametrize("group", ["NOR", "RV", "HCM"])
def test_chambers_under_other_codes_are_refused_with_advice(codes, group):
    reason, *_ = refusals(subject_of(recode(*codes), group))
    assert "of the border of the cavity of code 3" in reason
    assert "--labels" in reason


@pytest.mark.parametrize(
    "kept, missing", [((1,), "myocardium (2) and no voxel is LV cavity"), ((2, 3), "RV cavity (1)")]
)
def test_a_heart_without_a_structure_is_refused_unless_the_codes_were_stated(kept, missing):
    subject = subject_of(lambda label: np.where(np.isin(label, kept), label, 0))
    assert missing in next(refusals(subject))
    if kept == (2, 3):
        assert list(refusals(subject, partial=True)) == []


def test_a_lone_cavity_is_allowed_where_it_was_stated():
    subject = subject_of(lambda label: np.where(label == 3, 3, 0))
    assert list(refusals(subject, partial=True)) == []
    assert {"no RV cavity is labelled at ED and ES", "no LV myocardium is labelled at ED and ES"} <= set(
        doubts(subject)
    )


@pytest.mark.parametrize(
    "spacing_mm, reason",
    [
        ((0.0016, 0.0016, 0.01), "pixels of 0.0016"),
        ((1600.0, 1600.0, 10000.0), "pixels of 1600"),
        ((0.16, 0.16, 1.0), "pixels of 0.16"),
        ((1.6, 1.6, 100_000.0), "slices 1e+05 mm apart"),
        ((1.6, 1.6, 0.01), "slices 0.01 mm apart"),
        ((1.6, 1.6, 0.5), "the LV cavity holds 4"),
        ((5.0, 5.0, 29.0), "the LV cavity holds"),
    ],
)
def test_a_heart_of_no_human_size_is_refused(spacing_mm, reason):
    assert reason in next(refusals(subject_of(lambda label: label, spacing_mm=spacing_mm)))


def test_one_frame_named_twice_is_refused():
    frame = analytic_subject(hearts_of("NOR")).frames["ED"]
    assert "one and the same label map" in next(refusals(Subject("p", "NOR", {"ED": frame, "ES": frame})))


def test_exchanged_phases_are_said_and_not_exchanged():
    subject = analytic_subject(hearts_of("NOR"))
    swapped = replace(subject, frames={"ED": subject.frames["ES"], "ES": subject.frames["ED"]})
    assert list(refusals(swapped)) == []
    assert any("LV cavity is larger at ES" in doubt for doubt in doubts(swapped))
    assert not any("larger at ES" in doubt for doubt in doubts(subject))


def test_a_slice_without_a_label_between_two_is_said():
    def gap(label):
        label[:, :, 3] = 0
        return label

    assert "1 of the slices between labelled ones have no label at ED" in set(doubts(subject_of(gap)))


def test_a_rare_size_is_said():
    assert any(
        "rare in people" in doubt for doubt in doubts(subject_of(lambda label: label, spacing_mm=(1.0, 1.0, 4.0)))
    )


@given(st.sampled_from(sorted(ED)), st.booleans())
def test_stacks_run_from_base_to_apex_whichever_way_they_are_stored(group, apex_first):
    subject = analytic_subject(hearts_of(group))
    stored = replace(subject, frames={p: f.turned() for p, f in subject.frames.items()}) if apex_first else subject
    ordered = base_first(stored)
    assert ordered.apex_first == apex_first
    for phase in subject.frames:
        np.testing.assert_array_equal(ordered.frames[phase].label.array, subject.frames[phase].label.array)
        np.testing.assert_array_equal(ordered.frames[phase].image.array, subject.frames[phase].image.array)
        np.testing.assert_array_equal(ordered.stored(phase).label.array, stored.frames[phase].label.array)


def test_the_wall_encloses_the_lv_in_every_analytic_heart():
    label = heart_label(ED["NOR"], SHAPE)
    assert (label == Label.LV).any()
    assert list(refusals(subject_of(lambda _: label, "DCM"))) == [
        "ED and ES have one and the same label map: is one frame named twice?"
    ]


@pytest.mark.parametrize("codes", [p for p in permutations((1, 2, 3)) if p != (1, 2, 3)])
@pytest.mark.parametrize("phase", ["ED", "ES"])
def test_other_codes_in_one_phase_only_are_refused(codes, phase):
    subject = analytic_subject(hearts_of("NOR"))
    frame = subject.frames[phase]
    wrong = Frame(frame.label.with_array(recode(*codes)(frame.label.array)), frame.image)
    reasons = list(refusals(replace(subject, frames={**subject.frames, phase: wrong})))
    assert any(reason.startswith(f"at {phase} myocardium") for reason in reasons)


@pytest.mark.parametrize("phase", ["ED", "ES"])
def test_phases_that_run_opposite_ways_are_refused(phase):
    subject = analytic_subject(hearts_of("NOR"))
    frames = {**subject.frames, phase: subject.frames[phase].turned()}
    assert "one way and ES the other" in next(refusals(replace(subject, frames=frames)))


def test_phases_with_other_pixels_are_refused():
    subject = analytic_subject(hearts_of("NOR"))
    es = replace(subject.frames["ES"].label, spacing_mm=(1.0, 1.0, 10.0))
    found = refusals(replace(subject, frames={"ED": subject.frames["ED"], "ES": Frame(es)}))
    assert any("1.6 x 1.6 mm and 1 x 1 mm" in reason for reason in found)


def test_phases_apart_in_the_world_are_said():
    subject = analytic_subject(hearts_of("NOR"))
    affine = np.diag([1.6, 1.6, 10.0, 1.0])
    moved = affine.copy()
    moved[0, 3] = 200.0
    frames = {
        phase: Frame(replace(frame.label, affine=where, code=1))
        for (phase, frame), where in zip(subject.frames.items(), (affine, moved), strict=True)
    }
    assert any("apart in the world" in doubt for doubt in doubts(replace(subject, frames=frames)))
