"""The server's answers: typed, the same hearts as `synthesize` makes, refused where they must be."""

import base64
import gzip
import hashlib
import json
import re
import shlex

import nibabel as nib
import numpy as np
import pytest
from fastapi.testclient import TestClient

from cardiomorph.cli import app
from cardiomorph.evaluation.function import MEASURE_COLUMNS
from cardiomorph.evaluation.validity import VOLUME_CRITERIA
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import shipped_atlases
from cardiomorph.synthesis.batch_synthesis import recreate
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.viewer.openapi import description
from cardiomorph.viewer.page_files import PAGE
from cardiomorph.viewer.schemas import atlas_facts
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Choice, Session

CHOICE = {"target": "DCM", "severity": 0.7, "seed": 3}


@pytest.fixture(scope="module")
def client(atlas):
    return TestClient(create_app(Session(atlas)))


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
    shape = client.post("/api/labels", json=CHOICE).json()
    assert list(shape["phases"]) == list(scene["phases"]) == ["ED", "ES"]
    for phase, facts in shape["phases"].items():
        labels = unpacked(facts["labels"], facts["shape"])
        np.testing.assert_array_equal(np.moveaxis(labels, 0, -1), heart.labels[phase].array)
        assert facts["spacing_mm"] == list(heart.labels[phase].spacing_mm)
        measured = scene["phases"][phase]
        assert 0 <= measured["invalid_slices"] <= measured["slices"]
        # What has gone once does not go again.
        assert measured.keys() == {"invalid_slices", "slices", "aha_mm"}
    assert scene["measures"]["lv_ef_pct"] == heart.measures["lv_ef_pct"]
    thickest = max((mm for mm in scene["phases"]["ED"]["aha_mm"].values() if mm is not None), default=None)
    assert scene["measures"]["wall_segment_max_mm"] == thickest


def test_everything_that_is_shown_has_a_name(client):
    facts = client.get("/api/atlas").json()
    assert [(s["code"], s["name"]) for s in facts["structures"]] == [(1, "RV"), (2, "Myocardium"), (3, "LV")]
    assert facts["centre"] == 3
    assert next(iter(facts["samplers"])) == "population"
    assert all(facts["samplers"].values())
    scene = client.post("/api/scene", json=CHOICE).json()
    assert {measure["key"] for measure in facts["measures"]} >= {*facts["reference"]["NOR"]} & {*MEASURE_COLUMNS}
    assert scene["failures"].keys() == facts["checks"].keys() == {*VOLUME_CRITERIA}
    assert scene["smooth"].keys() == facts["smooth"].keys()
    assert all(one["name"] != key for key, one in facts["smooth"].items())


def test_the_pages_types_are_those_of_the_server():
    """`make types` writes them."""
    assert (PAGE.parents[3] / "web" / "openapi.json").read_text() == description()


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
        ({"target": "XYZ"}, "target: Input should be 'NOR'"),
        ({"source": "../../etc/passwd"}, "source: '../../etc/passwd' cannot be a name"),
        ({"sampler": "magic"}, "no sampler 'magic'"),
        ({"shift": [0, 99]}, "less than or equal to 10"),
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
    client = TestClient(create_app(Session(atlas), token="s3cret"))
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert client.get("/api/atlas", headers=headers).status_code == 401
        assert client.post("/api/scene", json=CHOICE, headers=headers).status_code == 401
    assert client.get("/api/atlas", headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_the_token_is_asked_for_before_a_body_is_read(atlas):
    client = TestClient(create_app(Session(atlas), token="s3cret"))
    answer = client.post("/api/scene", content=b"{" * 1000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "HTTPBearer" in client.get("/openapi.json").json()["components"]["securitySchemes"]
    assert "securitySchemes" not in TestClient(create_app(Session(atlas))).get("/openapi.json").json()["components"]


@pytest.mark.parametrize("told", [True, False])
def test_a_body_has_an_end(client, told):
    body = json.dumps(CHOICE | {"source": "a" * 100_000}).encode()
    content = body if told else iter([body[:50_000], body[50_000:]])
    answer = client.post("/api/scene", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (413, 400)
    assert "aaaa" not in answer.text


@pytest.mark.parametrize("value", ["NaN", "1e999", "-Infinity", '"x"', "null", "[]", "{}"])
def test_numbers_that_are_none_are_a_422_without_an_echo(client, value):
    body = f'{{"target": "DCM", "severity": {value}, "colour": "purple-haze"}}'
    for path in ("/api/scene", "/api/images", "/api/recipe"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert "severity" in answer.json()["detail"]
        assert "purple-haze" not in answer.text
    answer = client.get("/api/strip.png", params={"choice": body})
    assert answer.status_code == 422
    assert "purple-haze" not in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_pages_are_refused(client, site):
    for path in ("/api/atlas", "/api/latent", "/api/report"):
        assert client.get(path, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.post("/api/scene", json=CHOICE, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.get("/api/atlas", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_no_message_holds_a_path_of_this_machine(client, atlas):
    for change in ({"source": "nobody"}, {"target": "XYZ"}, {"sampler": "magic"}, {"source": "virtual999999999"}):
        answer = client.post("/api/scene", json=CHOICE | change)
        assert str(atlas.folder) not in answer.text
        assert "/tmp" not in answer.text


def test_the_page_is_compressed_and_kept_as_long_as_its_names_say(client):
    page = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert (page.headers["cache-control"], page.headers["content-encoding"]) == ("no-cache", "gzip")
    for asset in re.findall(r'(?:src|href)="\.?/?(assets/[^"]+)"', page.text):
        plain = client.get(f"/{asset}", headers={"Accept-Encoding": "identity"})
        packed = client.get(f"/{asset}", headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content
        assert int(packed.headers["content-length"]) < 0.5 * int(plain.headers["content-length"])
        kept = "immutable" in packed.headers["cache-control"]
        assert kept == bool(re.search(r"-[A-Za-z0-9_-]{8,}\.", asset))
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert client.get("/api/atlas").headers["cache-control"] == "no-store"


def test_the_page_has_the_length_that_it_says_and_the_coding_that_was_asked_for(client):
    script = re.search(r"assets/[^\"]+\.js", client.get("/").text)[0]
    content = client.get(f"/{script}", headers={"Accept-Encoding": "identity"})
    packed, told = client.get(f"/{script}"), client.head(f"/{script}")
    assert int(told.headers["content-length"]) == int(packed.headers["content-length"]) > 0
    assert told.headers["content-encoding"] == "gzip"
    for refused in ("gzip;q=0", "br, gzip; q=0.0", "identity"):
        answer = client.get(f"/{script}", headers={"Accept-Encoding": refused})
        assert "content-encoding" not in answer.headers
        assert answer.content == content.content


def test_it_says_whose_hearts_the_reference_is_made_of(atlas):
    def hearts(of):
        return atlas_facts(Session(of), {}, report=False).reference_hearts

    found = {name: hearts(Atlas(folder)) for name, folder in shipped_atlases().items()}
    assert found == {"acdc-small": "patients", "phantom-small": "phantoms"}
    assert hearts(atlas) == "reference hearts"


def test_stroke_volumes_are_weighed_against_each_other(client):
    found = client.post("/api/scene", json=CHOICE).json()["measures"]
    if found["lv_sv_ml"]:
        assert found["rv_lv_sv_ratio"] == pytest.approx(found["rv_sv_ml"] / found["lv_sv_ml"])
    assert {"lv_edv_index_ml_m2", "rv_edv_index_ml_m2", "lv_mass_index_g_m2"} <= found.keys()


def test_headers_forbid_frames_and_foreign_scripts(client):
    headers = client.get("/api/atlas").headers
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_api_describes_itself(client):
    description = client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        "/api/atlas",
        "/api/latent",
        "/api/labels",
        "/api/patient",
        "/api/scene",
        "/api/images",
        "/api/beat",
        "/api/volume.nii.gz",
        "/api/strip.png",
        "/api/recipe",
        "/api/report",
    }
    scene = description["paths"]["/api/scene"]["post"]["responses"]["200"]["content"]["application/json"]
    assert scene["schema"]["$ref"].endswith("SceneFacts")
    assert "swagger-ui-bundle.js" in client.get("/docs").text


def test_the_beat_begins_at_ed_and_ends_at_es(client, atlas):
    shape = client.post("/api/labels", json=CHOICE).json()
    for images in ("false", "true"):
        moments = [
            json.loads(line) for line in client.post(f"/api/beat?images={images}", json=CHOICE).text.splitlines()
        ]
        assert [moment["systole"] for moment in moments] == pytest.approx(np.linspace(0, 1, 7))
        for moment, phase in ((moments[0], "ED"), (moments[-1], "ES")):
            assert moment["labels"] == shape["phases"][phase]["labels"]
            assert moment["spacing_mm"] == pytest.approx(shape["phases"][phase]["spacing_mm"])
        assert (moments[3]["image"] is not None) == (images == "true")


def test_the_latent_map_places_every_healthy_heart(client, atlas):
    facts = client.get("/api/latent").json()
    assert {subject["id"] for subject in facts["subjects"]} == set(atlas.parents)
    assert set(facts["ellipses"]) == set(atlas.groups)
    np.testing.assert_allclose(facts["kendall"]["HCM"]["ES"], atlas.groups["HCM"].phases["ES"].kendall, atol=6e-4)
    still = client.post("/api/scene", json=CHOICE | {"severity": 0, "source": facts["subjects"][0]["id"]}).json()
    assert still["place"] == pytest.approx(facts["subjects"][0]["place"])


def test_a_recipe_makes_the_same_heart(client, atlas, tmp_path):
    recipe = client.post("/api/recipe", json=CHOICE).json()
    (tmp_path / "provenance.json").write_text(json.dumps(recipe["provenance"]))
    folder = recreate(tmp_path / "provenance.json", atlas, tmp_path / "out")
    heart = synthesize_heart(atlas, Choice(**CHOICE).job())
    again = nib.load(folder / f"{folder.name}_frame02_gt.nii.gz")
    np.testing.assert_array_equal(np.asarray(again.dataobj), heart.labels["ES"].array)
    assert shlex.split(recipe["command"])[:2] == ["cardiomorph", "synthesize"]
    exec(recipe["python"].replace("heart_", f"{tmp_path}/heart_"), {})
    assert np.array_equal(np.asarray(nib.load(tmp_path / "heart_ES_label.nii.gz").dataobj), heart.labels["ES"].array)


def test_the_command_of_a_recipe_makes_the_same_heart(client, atlas, tmp_path, monkeypatch):
    command = shlex.split(client.post("/api/recipe", json=CHOICE | {"source": "virtual002"}).json()["command"])
    monkeypatch.chdir(tmp_path)
    app(command[1:], result_action="return_value")
    heart = synthesize_heart(atlas, Choice(**CHOICE | {"source": "virtual002"}).job())
    name = heart.job.name
    found = nib.load(tmp_path / "hearts" / name / f"{name}_frame01_gt.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj), heart.labels["ED"].array)


def test_a_strip_is_a_picture(client):
    answer = client.get("/api/strip.png", params={"choice": json.dumps(CHOICE)})
    assert answer.content.startswith(b"\x89PNG")
    assert "virtual001_DCM_v01_s0700.png" in answer.headers["content-disposition"]


def test_a_report_is_served_where_one_was_opened_and_nothing_beside_it(atlas, tmp_path):
    (tmp_path / "report.html").write_text("<p>verdict</p>")
    (tmp_path / "secret.txt").write_text("secret")
    client = TestClient(create_app(Session(atlas), report=tmp_path / "report.html"))
    assert client.get("/api/report").text == "<p>verdict</p>"
    for path in ("/api/secret.txt", "/secret.txt", "/assets/../../server.py", "/%2e%2e/server.py", "//etc/passwd"):
        assert client.get(path).status_code == 404
    assert TestClient(create_app(Session(atlas))).get("/api/report").status_code == 422


def test_a_server_for_this_machine_refuses_foreign_names(atlas):
    client = TestClient(create_app(Session(atlas), hosts=("127.0.0.1", "localhost")))
    assert client.get("/api/atlas", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/api/atlas", headers={"host": "localhost:8765"}).status_code == 200


def test_the_page_was_built_from_its_source():
    """`make page` builds it; the digest is over names and bytes of everything that the page is made of."""
    web = PAGE.parents[3] / "web"
    files = ["index.html", "package-lock.json", "vite.config.ts"]
    files += [f"{folder}/{path.name}" for folder in ("public", "src") for path in (web / folder).iterdir()]
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\n".encode() + (web / name).read_bytes())
    assert (PAGE / "source.sha256").read_text().strip() == digest.hexdigest()
