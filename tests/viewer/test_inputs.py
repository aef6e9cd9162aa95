"""Whatever `view` is given leads to an atlas, or to one clear error."""

import json
import shlex
import shutil
import socket

import numpy as np
import pytest

from cardiomorph.cli import app
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_record, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.parents import parents_of
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.viewer.inputs import find_inputs
from cardiomorph.viewer.launch import is_loopback, serve
from cardiomorph.viewer.recipe import recipe
from cardiomorph.viewer.schemas import atlas_facts, latent_facts
from cardiomorph.viewer.session import Choice, Session
from cardiomorph.volume import read_nifti


@pytest.fixture
def hearts(atlas, tmp_path):
    request = SynthesisRequest(targets=("HCM",), sources=("virtual",), parents=2, versions=1, images=False, seed=5)
    return synthesize(atlas, tmp_path / "all" / "hearts", request)


@pytest.fixture(scope="module")
def shared(cohort, model_folders, tmp_path_factory):
    """An atlas that holds no subject."""
    folder = tmp_path_factory.mktemp("shared") / "atlas"
    build_atlas(cohort.folder, folder, shape=model_folders / "shape", image=model_folders / "image", share=True)
    return folder


def test_nothing_a_name_and_a_folder_are_atlases(atlas):
    assert find_inputs(None).atlas.folder.name == "acdc-small"
    assert find_inputs("phantom-small").atlas.folder.name == "phantom-small"
    assert find_inputs(atlas.folder).atlas.identity == atlas.identity


def test_a_synthesis_brings_its_hearts_and_finds_its_atlas(hearts, atlas):
    found = find_inputs(hearts)
    assert found.atlas.identity == atlas.identity
    assert found.hearts["virtual002_HCM_v01"] == Choice(source="virtual002", target="HCM", seed=5)
    session = Session(found.atlas)
    measures = json.loads((hearts / "virtual002_HCM_v01" / "measures.json").read_text())
    assert session.scene(found.hearts["virtual002_HCM_v01"]).measures["lv_mass_g"] == measures["lv_mass_g"]


def test_a_moved_synthesis_finds_the_atlas_beside_it(hearts, atlas):
    mark = read_record(hearts / "synthesis.json")
    write_json(hearts / "synthesis.json", mark | {"atlas_folder": "/nowhere/atlas"}, seal=True)
    with pytest.raises(CardiomorphError, match="not there any more"):
        find_inputs(hearts)
    old = hearts.parent / "atlas"
    shutil.copytree(atlas.folder, old)
    description = read_record(old / "atlas.json")
    write_json(old / "atlas.json", description | {"format": 1}, seal=True)
    with pytest.raises(CardiomorphError, match="not there any more"):
        find_inputs(hearts)
    write_json(old / "atlas.json", description, seal=True)
    assert find_inputs(hearts).atlas.folder == hearts.parent / "atlas"


def test_a_folder_of_parts_gives_hearts_report_and_cohort(hearts, cohort):
    (hearts.parent / "cohort").symlink_to(cohort.folder)
    report = hearts.parent / "report" / "report.html"
    report.parent.mkdir()
    report.write_text("<p>")
    found = find_inputs(hearts.parent)
    assert (found.report, found.cohort) == (report, hearts.parent / "cohort")
    assert len(found.hearts) == 2
    assert find_inputs(report.parent).report == report


def test_a_heart_of_a_sampler_with_settings_of_its_own_is_left_out(atlas, tmp_path):
    request = SynthesisRequest(
        targets=("HCM",),
        sources=("virtual",),
        parents=1,
        versions=1,
        images=False,
        sampler=PopulationSampler(inherited=0.5),
    )
    assert find_inputs(synthesize(atlas, tmp_path / "hearts", request)).hearts == {}


@pytest.mark.parametrize("given", ["empty", "missing"])
def test_anything_else_is_an_error_that_names_it(given, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CardiomorphError, match=rf"{given}.*no atlas, no synthesis and no report"):
        find_inputs(tmp_path / given)


def test_a_cohort_brings_its_healthy_hearts_to_morph_and_all_of_them_to_the_map(atlas, cohort):
    session = Session(Atlas(atlas.folder))
    session.adopt(parents_of(cohort, session.atlas))
    groups = {name: group for name, (group, _) in session.subjects.items()}
    assert set(groups.values()) == {"NOR", "DCM", "HCM", "MINF", "RV"}
    offered = set(atlas_facts(session, {}, report=False).sources)
    assert {name for name, group in groups.items() if group == "NOR"} <= offered
    assert not {name for name, group in groups.items() if group != "NOR"} & offered
    assert {subject.id for subject in latent_facts(session).subjects} == set(groups)


def test_a_recipe_of_a_cohorts_subject_names_the_cohort_and_makes_its_heart(shared, cohort, tmp_path, monkeypatch):
    session = Session(Atlas(shared))
    session.adopt(parents_of(cohort, session.atlas), cohort.folder)
    source = next(name for name, (group, _) in session.subjects.items() if group == "NOR")
    choice = Choice(source=source, target="DCM")
    found = recipe(session, choice)
    monkeypatch.chdir(tmp_path)
    app(shlex.split(found.command)[1:], result_action="return_value")
    made = read_nifti(next(tmp_path.rglob("*_frame01_gt.nii.gz"))).array
    np.testing.assert_array_equal(made, session.volume(choice, "ED", "label").array)
    exec(found.python, {})
    np.testing.assert_array_equal(read_nifti(tmp_path / "heart_ED_label.nii.gz").array, made)


@pytest.mark.parametrize(
    "changes", [{"styles": "mean"}, {"slices": "native"}, {"styles": "smooth", "slices": "native"}]
)
def test_a_heart_opens_as_it_was_made(changes, atlas, tmp_path):
    request = SynthesisRequest(targets=("DCM",), versions=1, sources=(next(iter(atlas.parents)),), **changes)
    folder = synthesize(atlas, tmp_path / "hearts", request)
    found = find_inputs(folder)
    ((name, choice),) = found.hearts.items()
    session = Session(found.atlas)
    for phase, number in (("ED", 1), ("ES", 2)):
        for kind, end in (("label", "_gt"), ("image", "")):
            shown = session.volume(choice, phase, kind)
            written = read_nifti(folder / name / f"{name}_frame{number:02d}{end}.nii.gz")
            np.testing.assert_array_equal(shown.array, written.array)
            np.testing.assert_allclose(shown.affine, written.affine, atol=1e-4)
    command = recipe(session, choice).command
    assert all(f"--{key} {value}" in command for key, value in changes.items())


def test_a_port_that_is_taken_is_named(atlas):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CardiomorphError, match=f"port {port}"):
            serve(atlas.folder, port=port, browser=False)


def test_only_loopback_is_loopback():
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.7", "example.org")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_the_command_exports_a_page(atlas, tmp_path):
    app(["view", str(atlas.folder), "--export", str(tmp_path / "page.html")], result_action="return_value")
    page = (tmp_path / "page.html").read_text()
    assert '<script type="application/json" id="frozen">' in page
    assert next(iter(atlas.parents)) in page
