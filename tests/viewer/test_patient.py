"""A patient of the user's own in the viewer: offered first, morphed like any other, and made again from the recipe."""

import shlex

import numpy as np
import pytest

from cardiomorph.cli import app
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.viewer.recipe import recipe
from cardiomorph.viewer.schemas import atlas_facts, latent_facts
from cardiomorph.viewer.session import Choice, Session
from cardiomorph.volume import read_nifti
from conftest import hearts_of, write_acdc_subject


@pytest.fixture
def patient(tmp_path):
    return write_acdc_subject(tmp_path / "scans" / "anna", "AMYLOID", hearts_of("NOR", 1), seed=9)


@pytest.fixture
def session(cohort, model_folders, patient, tmp_path):
    models = {"shape": model_folders / "shape", "image": model_folders / "image"}
    session = Session(build_atlas(cohort.folder, tmp_path / "atlas", share=True, **models))
    session.adopt_patients(patients_at(patient, session.atlas), patient)
    return session


def test_the_patient_is_offered_first_and_stands_on_the_map(session):
    assert atlas_facts(session, {}, report=False).sources[:2] == ["anna", "virtual001"]
    assert [subject.id for subject in latent_facts(session).subjects] == ["anna"]


def test_command_and_python_make_the_same_heart_again(session, patient, tmp_path, monkeypatch):
    choice = Choice(source="anna", target="RV", severity=0.5)
    found, shown = recipe(session, choice), session.volume(choice, "ES", "label")
    monkeypatch.chdir(tmp_path)
    assert str(patient) in found.command
    app(shlex.split(found.command)[1:], result_action="return_value")
    made = read_nifti(tmp_path / "hearts" / choice.job().name / f"{choice.job().name}_frame02_gt.nii.gz")
    np.testing.assert_array_equal(made.array, shown.array)
    np.testing.assert_allclose(made.affine, shown.affine, atol=1e-3)
    exec(compile(found.python, "recipe", "exec"), {})
    np.testing.assert_array_equal(read_nifti(tmp_path / "heart_ES_label.nii.gz").array, shown.array)
    assert found.provenance["parent_sha256"] == session.atlas.parents["anna"].digest()


def test_the_command_opens_a_patient_with_an_atlas(session, patient, tmp_path):
    words = ["view", str(session.atlas.folder), "--patient", str(patient), "--export", str(tmp_path / "page.html")]
    app(words, result_action="return_value")
    assert '"sources":["anna"]' in (tmp_path / "page.html").read_text()
    assert Atlas(session.atlas.folder).parents == {}
