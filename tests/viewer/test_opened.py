"""Files that a person opens in the page: bounded, read, labelled where needed, and gone."""

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from cardiomorph.data.phantom import make_subject
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.viewer import opened
from cardiomorph.viewer.access import LARGER
from cardiomorph.viewer.opened import MAX_FILES, MAX_OPENED, files_of
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Session
from cardiomorph.volume import write_nifti, write_series
from conftest import hearts_of, save_nifti, write_acdc_subject


@pytest.fixture(scope="module")
def shipped():
    return Atlas(find_atlas("acdc-small"))


@pytest.fixture
def session(shipped):
    return Session(Atlas(shipped.folder))


@pytest.fixture
def client(session):
    return TestClient(create_app(session))


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where files lie while they are read."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def send(client, *paths, parts=None):
    body = b"".join(path.read_bytes() for path in paths)
    parts = parts or [(path.name, path.stat().st_size) for path in paths]
    answer = client.post("/api/patient", params={"files": json.dumps(parts)}, content=body)
    lines = [json.loads(line) for line in answer.text.splitlines()] if answer.status_code == 200 else []
    return answer, lines


def test_image_and_labels_of_both_phases_are_a_patient(client, session, scratch, tmp_path):
    folder = write_acdc_subject(tmp_path / "anna", "NOR", hearts_of("NOR"))
    answer, lines = send(client, *sorted(folder.iterdir()))
    assert answer.status_code == 200
    assert lines[-1]["patient"] == "anna"
    assert "Dice" in lines[-1]["said"][0]
    facts = client.get("/api/atlas").json()
    assert facts["sources"][0] == "anna"
    assert facts["scanned"] == ["anna"]
    assert list(scratch.iterdir()) == []


def test_a_cine_alone_is_labelled_with_progress(client, scratch, tmp_path):
    phantom = make_subject("NOR", np.random.default_rng([992, 0, 0]), field="chest", frames=5)
    write_series(tmp_path / "bert_4d.nii.gz", phantom.cine, 0.1)
    answer, lines = send(client, tmp_path / "bert_4d.nii.gz")
    assert answer.status_code == 200, answer.text
    assert [line["words"] for line in lines].count("looking for ED and ES") == 5
    assert lines[-1]["patient"] == "bert"
    assert all(0 <= line["done"] <= line["of"] for line in lines)
    assert list(scratch.iterdir()) == []


def test_two_patients_of_one_name_are_two(client, tmp_path):
    names = []
    for group in ("NOR", "DCM"):
        folder = write_acdc_subject(tmp_path / group / "anna", group, hearts_of(group))
        names.append(send(client, *sorted(folder.iterdir()))[1][-1]["patient"])
    assert names == ["anna", "anna-2"]


def test_an_image_without_a_heart_is_said_in_the_last_line(client, scratch, tmp_path):
    noise = np.random.default_rng(0).normal(100, 5, (128, 128, 6)).astype(np.float32)
    save_nifti(tmp_path / "secret name.nii.gz", noise)
    answer, lines = send(client, tmp_path / "secret name.nii.gz")
    assert answer.status_code == 200
    assert lines[-1]["patient"] is None
    assert "no heart" in lines[-1]["words"]
    assert str(scratch) not in answer.text
    assert list(scratch.iterdir()) == []


def test_one_stack_is_not_enough_and_that_is_said(client, tmp_path):
    phantom = make_subject("NOR", np.random.default_rng([992, 0, 1]), field="chest")
    write_nifti(tmp_path / "x.nii.gz", phantom.images["ED"])
    assert "no ES" in send(client, tmp_path / "x.nii.gz")[1][-1]["words"]


class TestBounds:
    @pytest.mark.parametrize(
        "name",
        ["../evil.nii.gz", "/etc/passwd", "a/b.nii.gz", ".hidden.nii.gz", "x.txt", "", "a\0.nii.gz", "Info.cfg.sh"],
    )
    def test_a_name_that_is_no_images_is_refused(self, name, client):
        answer, _ = send(client, parts=[(name, 0)])
        assert answer.status_code == 422
        assert "NIfTI" in answer.json()["detail"]

    @pytest.mark.parametrize("parts", ["{}", "[[1, 2]]", '[["a.nii", "x"]]', "nonsense", "[]", '[["a.nii", -1]]'])
    def test_a_list_that_is_none_is_refused(self, parts, client):
        answer = client.post("/api/patient", params={"files": parts}, content=b"")
        assert answer.status_code == 422

    def test_lengths_must_be_the_bodys(self):
        with pytest.raises(Exception, match="do not make up"):
            files_of([("a.nii", 3)], b"12345")
        assert files_of([("a.nii", 2), ("b.nii", 3)], b"12345") == {"a.nii": b"12", "b.nii": b"345"}

    def test_too_many_files_are_refused(self):
        with pytest.raises(Exception, match="expected 1 to"):
            files_of([(f"{n}.nii", 0) for n in range(MAX_FILES + 1)], b"")

    def test_a_body_beyond_the_limit_is_refused_unread(self, client):
        answer = client.post(
            "/api/patient",
            params={"files": "[]"},
            content=b"",
            headers={"content-length": str(LARGER["/api/patient"] + 1)},
        )
        assert answer.status_code == 413

    def test_voxels_beyond_the_limit_are_refused(self, client, tmp_path, monkeypatch):
        monkeypatch.setattr(opened, "MAX_UNFOLDED", 1000)
        save_nifti(tmp_path / "x.nii.gz", np.zeros((40, 40, 5), np.int16))
        answer, _ = send(client, tmp_path / "x.nii.gz")
        assert answer.status_code == 422
        assert "MB of voxels" in answer.json()["detail"]

    def test_patients_have_an_end(self, client, session, tmp_path):
        session.patients |= {f"p{n}": Path("x") for n in range(MAX_OPENED)}
        folder = write_acdc_subject(tmp_path / "anna", "NOR", hearts_of("NOR"))
        answer, _ = send(client, *sorted(folder.iterdir()))
        assert answer.status_code == 422
        assert "Start the viewer again" in answer.json()["detail"]

    def test_damaged_files_are_said(self, client, scratch, tmp_path):
        (tmp_path / "x.nii.gz").write_bytes(b"\x1f\x8bnonsense")
        answer, _ = send(client, tmp_path / "x.nii.gz")
        assert answer.status_code == 422
        assert list(scratch.iterdir()) == []

    def test_labels_of_which_nobody_says_what_they_are(self, client, tmp_path):
        folder = write_acdc_subject(tmp_path / "anna", "NOR", hearts_of("NOR"))
        _, lines = send(client, *sorted(folder.glob("*_gt.nii.gz")))
        assert "Info.cfg" in lines[-1]["words"]


def test_the_token_is_asked_for(session):
    guarded = TestClient(create_app(session, token="secret"))
    assert guarded.post("/api/patient", params={"files": "[]"}, content=b"").status_code == 401
