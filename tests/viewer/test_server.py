"""The server's answers: typed, the same hearts as `synthesize` makes, refused where they must be."""

import base64
import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from fastapi.testclient import TestClient

from cardiomorph.synthesis.engine import synthesize_heart
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.stage import Choice, Stage

CHOICE = {"target": "DCM", "severity": 0.7, "seed": 3}


@pytest.fixture(scope="module")
def client(atlas):
    return TestClient(create_app(Stage(atlas)))


def unpacked(text, shape):
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(shape)


def test_the_atlas_says_what_there_is_to_choose_from(client, atlas):
    facts = client.get("/api/atlas").json()
    assert facts["targets"] == ["DCM", "HCM", "MINF", "RV"]
    assert set(atlas.parents) < set(facts["sources"])
    assert "virtual001" in facts["sources"]
    assert facts["reference"]["DCM"]["lv_edv_ml"]["n"] == 2
    assert len(facts["latent_sd"]) == 4


def test_a_scene_is_the_heart_that_synthesize_makes(client, atlas):
    scene, heart = client.post("/api/scene", json=CHOICE).json(), synthesize_heart(atlas, Choice(**CHOICE).job())
    for phase, facts in scene["phases"].items():
        labels = unpacked(facts["labels"], facts["shape"])
        np.testing.assert_array_equal(np.moveaxis(labels, 0, -1), heart.labels[phase].array)
        assert facts["spacing_mm"] == list(heart.labels[phase].spacing_mm)
        assert 0 <= facts["invalid_slices"] <= facts["slices"]
    assert scene["measures"]["lv_ef_pct"] == heart.measures["lv_ef_pct"]


def test_images_come_phase_by_phase(client, atlas):
    lines = [json.loads(line) for line in client.post("/api/images", json=CHOICE).text.splitlines()]
    heart = synthesize_heart(atlas, Choice(**CHOICE).job())
    low, high = heart.parent.geometry.intensity_range
    assert [line["phase"] for line in lines] == ["ED", "ES"]
    for line in lines:
        grey = np.moveaxis(unpacked(line["image"], line["shape"]), 0, -1).astype(float)
        theirs = (heart.images[line["phase"]].array - low) / (high - low) * 255
        assert np.abs(grey - theirs).max() < 2


@pytest.mark.parametrize("kind", ["label", "image"])
def test_a_volume_downloads_as_nifti(kind, client, atlas, tmp_path):
    given = {"choice": json.dumps(CHOICE), "phase": "ES", "kind": kind}
    answer = client.get("/api/volume.nii.gz", params=given)
    assert 'filename="virtual001_DCM_v01_s0700_ES' in answer.headers["content-disposition"]
    (tmp_path / "v.nii.gz").write_bytes(answer.content)
    heart = synthesize_heart(atlas, Choice(**CHOICE).job())
    volume = (heart.labels if kind == "label" else heart.images)["ES"]
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "v.nii.gz").dataobj), volume.array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"severity": 2}, "less than or equal to 1"),
        ({"target": "XYZ"}, "has no group 'XYZ'"),
        ({"source": "../../etc/passwd"}, "no healthy subject '../../etc/passwd'"),
        ({"sampler": "magic"}, "no sampler 'magic'"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_parameter_is_a_422_that_says_why(change, words, client):
    for path in ("/api/scene", "/api/images"):
        answer = client.post(path, json=CHOICE | change)
        assert answer.status_code == 422
        assert words in answer.text
    given = {"choice": json.dumps(CHOICE | change), "phase": "ED", "kind": "label"}
    assert client.get("/api/volume.nii.gz", params=given).status_code == 422


def test_a_server_with_a_token_answers_nobody_without_it(atlas):
    client = TestClient(create_app(Stage(atlas), token="s3cret"))
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert client.get("/api/atlas", headers=headers).status_code == 401
        assert client.post("/api/scene", json=CHOICE, headers=headers).status_code == 401
    assert client.get("/api/atlas", headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_headers_forbid_frames_and_foreign_scripts(client):
    headers = client.get("/api/atlas").headers
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_api_describes_itself(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/api/atlas", "/api/scene", "/api/images", "/api/volume.nii.gz"}
