from __future__ import annotations

from dataclasses import replace

import numpy as np

from cardiomorph.data.subject import Frame
from cardiomorph.data.twins import find_twins, fingerprint
from conftest import analytic_subject, hearts_of


def fingerprints(**subjects):
    return {name: fingerprint(subject) for name, subject in subjects.items()}


def test_one_image_with_two_annotations_is_one_heart():
    first = analytic_subject(hearts_of("NOR"), seed=1)
    relabelled = replace(
        first,
        frames={
            phase: Frame(analytic_subject(hearts_of("HCM")).frames[phase].label, frame.image)
            for phase, frame in first.frames.items()
        },
    )
    other = analytic_subject(hearts_of("NOR", 1), seed=2)
    assert find_twins(fingerprints(c=first, a=relabelled, b=other)) == [["a", "c"]]


def test_different_images_are_different_hearts():
    subjects = {f"p{seed}": analytic_subject(hearts_of("NOR"), seed=seed) for seed in range(6)}
    assert find_twins(fingerprints(**subjects)) == []


def test_an_image_in_other_units_is_the_same_heart():
    subject = analytic_subject(hearts_of("NOR"))
    scaled = replace(
        subject,
        frames={p: Frame(f.label, f.image.with_array(3 * f.image.array + 50)) for p, f in subject.frames.items()},
    )
    assert find_twins(fingerprints(a=subject, b=scaled)) == [["a", "b"]]


def test_likeness_passes_from_one_to_the_next():
    def at(degrees):
        return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)

    assert find_twins({"a": at(0), "b": at(20), "c": at(10), "d": at(90)}) == [["a", "b", "c"]]


def test_two_pairs_are_two_sets():
    x, y = np.eye(2, dtype=np.float32)
    assert find_twins({"a": x, "b": y, "c": y, "d": x}) == [["a", "d"], ["b", "c"]]


def test_nobody_and_one_alone_have_no_twin():
    assert find_twins({}) == []
    assert find_twins({"a": np.ones(1, np.float32)}) == []


def test_labels_stand_in_for_missing_images():
    subject = analytic_subject(hearts_of("NOR"))
    bare = replace(subject, frames={p: Frame(f.label) for p, f in subject.frames.items()})
    assert find_twins(fingerprints(a=bare, b=bare)) == [["a", "b"]]
