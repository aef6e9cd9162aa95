"""A patient of the user's own in the viewer: offered first, morphed like any other, and made again from the recipe."""

import json
import shlex

import numpy as np
import pytest
from fastapi.testclient import TestClient

from cardiomorph.anatomy import PHASES
from cardiomorph.cli import app
from cardiomorph.evaluation.function import measure_heart
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.viewer.inputs import find_inputs
from cardiomorph.viewer.launch import _shown
from cardiomorph.viewer.recipe import recipe
from cardiomorph.viewer.schemas import atlas_facts, latent_facts
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Choice, Session
from cardiomorph.viewer.stage import turn_of
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


@pytest.fixture
def hearts(session, patient, tmp_path):
    """A synthesis of the patient's heart and of a virtual one."""
    request = SynthesisRequest(sources=(str(patient), "virtual002"), targets=("HCM",), versions=1)
    return synthesize(Atlas(session.atlas.folder), tmp_path / "made", request)


def test_a_full_field_opens_as_it_was_made(session, hearts, tmp_path, monkeypatch):
    choice = find_inputs(hearts).hearts["anna_HCM_v01"]
    assert (choice.field, choice.slices) == ("full", "native")
    name = choice.job().name
    for phase, number in (("ED", 1), ("ES", 2)):
        for kind, end in (("label", "_gt"), ("image", "")):
            shown = session.volume(choice, phase, kind)
            written = read_nifti(hearts / name / f"{name}_frame{number:02d}{end}.nii.gz")
            np.testing.assert_array_equal(shown.array, written.array)
            np.testing.assert_allclose(shown.affine, written.affine, atol=1e-4)
    found = recipe(session, choice)
    monkeypatch.chdir(tmp_path)
    app(shlex.split(found.command)[1:], result_action="return_value")
    for path in (hearts / name).glob("*.nii.gz"):
        assert (tmp_path / "hearts" / name / path.name).read_bytes() == path.read_bytes()


def test_hearts_of_a_patient_who_is_not_there_are_left_out_and_that_is_said(session, hearts, caplog):
    found = find_inputs(hearts)
    assert set(_shown(found, Session(found.atlas))) == {"virtual002_HCM_v01"}
    assert "1 hearts are of patients whom the atlas does not hold" in caplog.text
    assert set(_shown(found, session)) == {"anna_HCM_v01", "virtual002_HCM_v01"}


def test_the_command_opens_a_patient_with_an_atlas(session, patient, tmp_path):
    words = ["view", str(session.atlas.folder), "--patient", str(patient), "--export", str(tmp_path / "page.html")]
    app(words, result_action="return_value")
    assert '"sources":["anna"]' in (tmp_path / "page.html").read_text()
    assert Atlas(session.atlas.folder).parents == {}


class TestOnTheStage:
    """The whole field of view goes to the screen as it lies in the scan."""

    CHOICE = Choice(source="anna", target="HCM", severity=0.5, field="full", slices="native")

    def test_labels_and_image_are_those_that_synthesize_writes(self, session):
        for phase in PHASES:
            for kind in ("label", "image"):
                volume, seen = session.volume(self.CHOICE, phase, kind), session.on_stage(self.CHOICE, phase, kind)
                turned = turn_of(volume).array(volume.array)
                assert seen.array.shape == (turned.shape[2], *turned.shape[:2])
                if kind == "label":
                    np.testing.assert_array_equal(np.moveaxis(seen.array, 0, 2), turned)
                else:
                    assert seen.array.dtype == np.uint8
                    assert np.corrcoef(np.moveaxis(seen.array, 0, 2).ravel(), turned.ravel())[0, 1] > 0.95

    def test_the_wire_names_the_worlds_directions(self, session):
        client = TestClient(create_app(session))
        choice = self.CHOICE.model_dump()
        phases = client.post("/api/labels", json=choice).json()["phases"]
        assert all(len(ends) == 2 for ends in phases["ED"]["world"])
        assert (
            client.post("/api/labels", json=choice | {"field": "heart", "slices": "32"}).json()["phases"]["ED"]["world"]
            is None
        )
        images = client.post("/api/images", json=choice).text.splitlines()
        assert [json.loads(line)["shape"] for line in images] == [phases[p]["shape"] for p in PHASES]

    def test_the_scans_own_numbers_stand_beside_the_hearts(self, session):
        client = TestClient(create_app(session))
        scene = client.post("/api/scene", json=self.CHOICE.model_dump()).json()
        labels = {phase: frame.label for phase, frame in session.atlas.parents["anna"].scan.items()}
        assert scene["scan"]["lv_edv_ml"] == pytest.approx(measure_heart(labels)["lv_edv_ml"])
        virtual = self.CHOICE.model_dump() | {"source": "virtual001", "field": "heart", "slices": "32"}
        assert client.post("/api/scene", json=virtual).json()["scan"] is None

    def test_a_parent_without_a_scan_has_no_full_field(self, session):
        client = TestClient(create_app(session))
        answer = client.post("/api/labels", json=self.CHOICE.model_dump() | {"source": "virtual001"})
        assert answer.status_code == 422
        assert "no whole image" in answer.json()["detail"]
