"""Synthesis to disk: what is written, that it can be made again byte for byte, that it resumes and refuses."""

import errno
import json
import shutil
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.numpy import save_file

from cardiomorph import synthesize
from cardiomorph.checks import is_name
from cardiomorph.cli import app
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import digest, read_arrays, read_csv, read_json, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis import batch_synthesis
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import recreate
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.synthesis.jobs import jobs
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest, _digits

COLUMNS = "subject,group,lv_edv_ml,lv_esv_ml,lv_ef_pct,rv_edv_ml,rv_esv_ml,rv_ef_pct,lv_mass_g,wall_max_mm,long_axis_mm"


def small(atlas, **changes):
    facts = {"sources": (next(iter(atlas.parents)),), "targets": ("DCM", "RV"), "versions": 2, "seed": 3}
    return SynthesisRequest(**{**facts, **changes})


def job_of(atlas, **changes):
    facts = {
        "source": next(iter(atlas.parents)),
        "target": "DCM",
        "version": 1,
        "severity": 1.0,
        "sampler": {"name": "population"},
        "slices": "32",
        "images": True,
        "seed": 0,
    }
    return HeartJob.model_validate({**facts, **changes})


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def synth(atlas, tmp_path_factory):
    return synthesize(atlas.folder, tmp_path_factory.mktemp("synth") / "synth", small(atlas))


def test_every_heart_has_images_labels_info_measures_and_provenance(synth, atlas):
    folders = sorted(p for p in synth.iterdir() if p.is_dir())
    assert len(folders) == 4
    for folder in folders:
        names = {p.name for p in folder.iterdir()}
        assert {"Info.cfg", "measures.json", "provenance.json"} < names
        assert sum(name.endswith("_gt.nii.gz") for name in names) == 2
        assert sum(name.endswith(".nii.gz") for name in names) == 4


def test_the_table_has_the_agreed_columns_first(synth):
    assert (synth / "measures.csv").read_text().splitlines()[0].startswith(COLUMNS)
    assert len(read_csv(synth / "measures.csv")) == 4


def test_32_slices_cover_the_length_at_the_stated_spacing(atlas):
    job = job_of(atlas, severity=0.0)
    heart = synthesize_heart(atlas, job)
    parent = atlas.parent(job.source)
    for phase in ("ED", "ES"):
        volume = heart.labels[phase]
        assert volume.array.shape == (128, 128, 32)
        assert volume.spacing_mm[2] * 32 == pytest.approx(parent.trajectory.length_mm[phase])
        assert heart.images[phase].array.shape == volume.array.shape


def test_native_slices_lie_on_the_parents_grid(atlas):
    job = job_of(atlas, severity=0.0, slices="native")
    heart = synthesize_heart(atlas, job)
    geometry = atlas.parent(job.source).geometry
    assert heart.labels["ED"].array.shape == geometry.source_shape
    assert heart.labels["ED"].spacing_mm == geometry.source_spacing_mm


def test_severity_zero_is_the_same_for_every_disease_and_version(atlas):
    a = synthesize_heart(atlas, job_of(atlas, severity=0.0, target="DCM", version=1))
    b = synthesize_heart(atlas, job_of(atlas, severity=0.0, target="RV", version=7))
    assert np.array_equal(a.labels["ED"].array, b.labels["ED"].array)
    assert np.array_equal(a.images["ES"].array, b.images["ES"].array)


def test_stored_spacing_and_labels_are_read_back(synth):
    path = next(synth.rglob("*frame01_gt.nii.gz"))
    image = nib.load(path)
    assert image.header.get_zooms()[:2] == pytest.approx((1.5, 1.5))
    assert np.abs(np.diag(image.affine)[:3]) == pytest.approx(image.header.get_zooms())
    assert set(np.unique(np.asanyarray(image.dataobj))) <= {0, 1, 2, 3}


def test_a_heart_is_recreated_from_its_provenance_byte_for_byte(synth, atlas, tmp_path):
    original = next(p for p in synth.iterdir() if p.is_dir())
    again = recreate(original / "provenance.json", atlas.folder, tmp_path)
    assert files_of(again) == files_of(original)


def test_provenance_of_another_atlas_is_refused(synth, atlas, tmp_path):
    original = next(p for p in synth.iterdir() if p.is_dir())
    facts = json.loads((original / "provenance.json").read_text())
    facts["atlas"] = "0" * 64
    (tmp_path / "p.json").write_text(json.dumps(facts))
    with pytest.raises(CardiomorphError, match="came from the atlas 000"):
        recreate(tmp_path / "p.json", atlas.folder, tmp_path / "out")


def test_an_interrupted_synthesis_goes_on_to_the_same_bytes(synth, atlas, tmp_path, monkeypatch):
    calls = []

    def interrupted(source, job):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(job.name)
        return synthesize_heart(source, job)

    monkeypatch.setattr(batch_synthesis, "synthesize_heart", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesize(atlas.folder, tmp_path / "s", small(atlas))
    monkeypatch.undo()
    made = {name: (tmp_path / "s" / name / "provenance.json").stat().st_mtime_ns for name in calls}
    synthesize(atlas.folder, tmp_path / "s", small(atlas))
    assert made == {name: (tmp_path / "s" / name / "provenance.json").stat().st_mtime_ns for name in calls}
    assert files_of(tmp_path / "s") == files_of(synth)


def test_another_request_in_the_same_folder_is_refused(synth, atlas):
    with pytest.raises(CardiomorphError, match="another request"):
        synthesize(atlas.folder, synth, small(atlas, seed=4))


def test_a_full_disk_is_one_clear_error_and_leaves_no_part_of_a_heart(atlas, tmp_path, monkeypatch):
    original = Path.write_bytes

    def full(self, data):
        if "frame02" in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CardiomorphError, match="No space left on device"):
        synthesize(atlas.folder, tmp_path / "s", small(atlas))
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["synthesis.json"]


def test_an_atlas_with_another_model_is_refused(atlas, model_folders, tmp_path):
    shutil.copytree(atlas.folder, tmp_path / "atlas")
    weights = tmp_path / "atlas" / "shape" / "model.safetensors"
    weights.write_bytes((model_folders / "image" / "model.safetensors").read_bytes())
    with pytest.raises(CardiomorphError, match="another shape model"):
        Atlas(tmp_path / "atlas")


def test_the_output_is_a_source(synth):
    name, entries = find_subjects(synth)
    assert name == "acdc"
    assert len(entries) == 4


def test_steps_share_a_draw_and_end_at_the_severity(atlas):
    wanted = jobs(small(atlas, steps=4, severity=0.8, versions=1), atlas)
    assert [job.severity for job in wanted[:4]] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert len({job.name for job in wanted}) == 8
    assert wanted[0].rng().random() == wanted[3].rng().random() != wanted[4].rng().random()


def test_all_sources_are_the_training_parents(atlas):
    chosen = {job.source for job in jobs(SynthesisRequest(), atlas)}
    assert chosen == {name for name, parent in atlas.parents.items() if parent.split == "train"}


@pytest.mark.parametrize(
    "facts", [{"severity": 1.5}, {"versions": 0}, {"targets": ("XYZ",)}, {"steps": 0}, {"seed": -1}]
)
def test_a_bad_request_names_what_is_wrong(facts):
    with pytest.raises(ValidationError, match=next(iter(facts))):
        SynthesisRequest(**facts)


def test_every_severity_has_a_name_of_its_own(atlas):
    request = small(atlas, targets=("DCM",), versions=1, steps=1001)
    names = [job.name for job in jobs(request, atlas)]
    assert len(set(names)) == 1001
    tiny = [job_of(atlas, severity=s).name for s in (0.0, 1e-320, 2e-7, 0.0001, 0.001, 0.0012, 0.0013, 0.5, 1 / 3)]
    assert len(set(tiny)) == len(tiny)
    assert [name.rpartition("_s")[2] for name in tiny[-5:]] == ["0001", "00012", "00013", "0500", "03333333333333333"]


@given(st.lists(st.floats(0, 1), unique_by=abs, max_size=20))
def test_no_two_severities_share_a_name(severities):
    names = {_digits(severity) for severity in severities}
    assert len(names) == len(severities)
    assert all(is_name(f"s{name}") for name in names)


def test_a_severity_is_the_decimal_number_that_people_mean(atlas):
    wanted = jobs(small(atlas, targets=("DCM",), versions=1, severity=0.9, steps=9), atlas)
    assert [job.severity for job in wanted] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def test_what_is_asked_for_twice_is_made_once(atlas):
    name = next(iter(atlas.parents))
    request = SynthesisRequest(sources=(name, name, "virtual1", "virtual001"), targets=("DCM", "DCM"), versions=1)
    assert [job.name for job in jobs(request, atlas)] == [f"{name}_DCM_v01", "virtual001_DCM_v01"]
    assert SynthesisRequest(targets=("all", "NOR")).targets == ("DCM", "HCM", "MINF", "RV", "NOR")
    mixed = jobs(
        SynthesisRequest(sources=("virtual2", "virtual", "all"), parents=3, targets=("RV",), versions=1), atlas
    )
    sources = [job.source for job in mixed]
    assert len(set(sources)) == len(sources)
    assert sources[-3:] == ["virtual001", "virtual002", "virtual003"]


@pytest.mark.parametrize(
    ("facts", "with_subjects", "sources", "versions"),
    [
        ({}, True, ("all",), 5),
        ({}, False, ("virtual",), 1),
        ({"sources": ("virtual",)}, True, ("virtual",), 1),
        ({"sources": ("virtual", "a")}, False, ("virtual", "a"), 5),
        ({"sources": ("virtual",), "versions": 3}, True, ("virtual",), 3),
    ],
)
def test_what_was_not_said_is_decided_by_the_request(facts, with_subjects, sources, versions):
    resolved = SynthesisRequest(**facts).resolved(with_subjects=with_subjects)
    assert (resolved.sources, resolved.versions) == (sources, versions)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("", {}),
        ("--target HCM RV --target NOR --labels-only", {"targets": ("HCM", "RV", "NOR"), "images": False}),
        ("--source a b --versions 2 --sampler paper", {"sources": ("a", "b"), "versions": 2, "sampler": "paper"}),
        ("--slices native --styles mean --severity .5 --steps 3 --seed 7 --parents 2",
         {"slices": "native", "styles": "mean", "severity": 0.5, "steps": 3, "seed": 7, "parents": 2}),
    ],
)  # fmt: skip
def test_the_command_line_asks_what_python_asks(words, facts, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(batch_synthesis, "synthesize", lambda atlas, output, request, **more: asked.append(request))
    app(["synthesize", "-o", str(tmp_path), *words.split()], result_action="return_value")
    assert (asked[0] or SynthesisRequest()) == SynthesisRequest(**facts)


def test_a_request_for_more_hearts_than_memory_is_a_stream(atlas):
    request = SynthesisRequest(sources=("virtual",), parents=10**9, targets=("DCM", "RV"), versions=3, steps=2)
    tracemalloc.start()
    wanted = jobs(request, atlas)
    assert len(wanted) == 12 * 10**9
    assert wanted[-1].name == "virtual1000000000_RV_v03"
    assert [job.name for job in wanted[:3]] == [
        "virtual001_DCM_v01_s0500",
        "virtual001_DCM_v01",
        "virtual001_DCM_v02_s0500",
    ]
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    with pytest.raises(CardiomorphError, match="hearts"):
        jobs(request.model_copy(update={"versions": 10**9}), atlas)


def test_whole_hearts_stay_and_damaged_ones_are_made_again(synth, atlas, tmp_path, caplog):
    shutil.copytree(synth, tmp_path / "s")
    folders = sorted(path for path in (tmp_path / "s").iterdir() if path.is_dir())
    next(folders[0].glob("*_gt.nii.gz")).write_bytes(b"")
    (folders[1] / "provenance.json").write_text("")
    (folders[2] / "measures.json").write_text("{}")
    whole = (folders[3] / "provenance.json").stat().st_mtime_ns
    synthesize(atlas.folder, tmp_path / "s", small(atlas))
    assert files_of(tmp_path / "s") == files_of(synth)
    assert (folders[3] / "provenance.json").stat().st_mtime_ns == whole
    said = caplog.text
    assert said.count("it is made again") == 3
    for folder in folders[:3]:
        assert f"{folder}: is damaged" in said


@pytest.mark.parametrize("name", ["Info.cfg", "measures.json", "provenance.json", "gt.nii.gz", "frame01.nii.gz"])
def test_a_flipped_bit_in_a_heart_is_seen(name, synth, atlas, tmp_path):
    shutil.copytree(synth, tmp_path / "s")
    path = next(path for path in sorted((tmp_path / "s").rglob("*")) if path.name.endswith(name))
    content = path.read_bytes()
    path.write_bytes(
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 2]) + content[len(content) // 2 + 1 :]
    )
    synthesize(atlas.folder, tmp_path / "s", small(atlas))
    assert files_of(tmp_path / "s") == files_of(synth)


@pytest.mark.parametrize(
    "change",
    [
        {"job": None}, {"job": []}, {"job": {"source": "../../evil"}}, {"threads": "many"}, {"threads": 10**9},
        {"atlas": 3}, {"files": []},
    ],
)  # fmt: skip
def test_a_provenance_of_wrong_content_is_one_error(change, synth, atlas, tmp_path):
    facts = read_json(next(synth.glob("*/provenance.json")))
    if isinstance(change.get("job"), dict):
        change = {"job": facts["job"] | change["job"]}
    (tmp_path / "p.json").write_text(json.dumps(facts | change))
    with pytest.raises(CardiomorphError, match=r"p\.json: is not a provenance file: ") as error:
        recreate(tmp_path / "p.json", atlas.folder, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_provenance_with_another_digit_makes_no_other_heart(synth, atlas, tmp_path):
    facts = read_json(next(synth.glob("*/provenance.json")))
    facts["job"]["seed"] += 1
    (tmp_path / "p.json").write_text(json.dumps(facts))
    with pytest.raises(CardiomorphError, match="its content is not what its digest says"):
        recreate(tmp_path / "p.json", atlas.folder, tmp_path / "out")


def test_subjects_of_a_cohort_are_sources_and_their_hearts_can_be_made_again(cohort, model_folders, tmp_path):
    shared = build_atlas(cohort.folder, tmp_path / "a", shape=model_folders / "shape", share=True)
    name = cohort.ids(group="DCM")[0]
    request = SynthesisRequest(sources=(name, "virtual1"), targets=("HCM",), versions=1)
    made = synthesize(shared.folder, tmp_path / "one", request, cohort=cohort.folder)
    two = synthesize(shared.folder, tmp_path / "two", request, cohort=cohort.folder, workers=2)
    known = made / f"{name}_HCM_v01" / "provenance.json"
    facts = read_json(known)
    assert facts["parent_sha256"] == read_json(two / f"{name}_HCM_v01" / "provenance.json")["parent_sha256"]
    assert "parent_sha256" not in read_json(made / "virtual001_HCM_v01" / "provenance.json")
    again = recreate(known, shared.folder, tmp_path / "again", cohort=cohort.folder)
    assert files_of(again) == files_of(known.parent)
    with pytest.raises(CardiomorphError, match=r"a cohort's subject.*--cohort"):
        recreate(known, shared.folder, tmp_path / "again")
    write_json(tmp_path / "p.json", facts | {"parent_sha256": "0" * 64}, seal=True)
    with pytest.raises(CardiomorphError, match="is not the one that the heart was made from"):
        recreate(tmp_path / "p.json", shared.folder, tmp_path / "again", cohort=cohort.folder)


def test_a_parent_of_an_atlas_never_writes_outside_the_output(atlas, tmp_path):
    shutil.copytree(atlas.folder, tmp_path / "atlas")
    arrays, facts = read_arrays(tmp_path / "atlas" / "parents.safetensors")
    name = next(iter(atlas.parents))
    evil = {key.replace(f"{name}/", "../victim/evil/"): array for key, array in arrays.items()}
    parents = {"parents": facts["parents"].replace(f'"{name}"', '"../victim/evil"')}
    save_file(evil, tmp_path / "atlas" / "parents.safetensors", metadata=parents)
    description = read_json(tmp_path / "atlas" / "atlas.json")
    description["digests"]["parents.safetensors"] = digest(tmp_path / "atlas" / "parents.safetensors")
    write_json(tmp_path / "atlas" / "atlas.json", description, seal=True)
    with pytest.raises(CardiomorphError, match=r"parents\.safetensors: the name '\.\./victim/evil' cannot be"):
        synthesize(tmp_path / "atlas", tmp_path / "out", SynthesisRequest(targets=("DCM",)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["atlas"]


def test_unknown_sources_are_refused(atlas):
    with pytest.raises(CardiomorphError, match="no healthy subject 'nobody'"):
        jobs(SynthesisRequest(sources=("nobody",)), atlas)


def test_two_workers_make_the_same_hearts(synth, atlas, tmp_path):
    request = SynthesisRequest.model_validate(read_json(synth / "synthesis.json")["request"])
    again = synthesize(atlas, tmp_path / "two", request, workers=2)
    assert (again / "measures.csv").read_text() == (synth / "measures.csv").read_text()
    for path in sorted(synth.glob("*/*_gt.nii.gz")):
        assert (again / path.parent.name / path.name).read_bytes() == path.read_bytes()
    for path in sorted(synth.glob("*/*_frame0?.nii.gz")):
        ours, theirs = (nib.load(p).get_fdata() for p in (again / path.parent.name / path.name, path))
        assert np.abs(ours - theirs).max() <= 1.0
    provenance = read_json(next(again.glob("*/provenance.json")))
    assert provenance["threads"] == 1


def test_virtual_parents_need_no_subject(cohort, model_folders, tmp_path):
    shared = build_atlas(
        cohort.folder, tmp_path / "a", shape=model_folders / "shape", image=model_folders / "image", share=True
    )
    request = SynthesisRequest(sources=("virtual",), parents=2, targets=("HCM",), versions=1)
    made = synthesize(shared, tmp_path / "h", request)
    assert {path.parent.name for path in made.glob("*/provenance.json")} == {
        "virtual001_HCM_v01",
        "virtual002_HCM_v01",
    }
    facts = read_json(made / "virtual001_HCM_v01" / "provenance.json")
    assert (facts["parent"], facts["parent_split"]) == ("virtual001", "virtual")
    again = recreate(made / "virtual001_HCM_v01" / "provenance.json", shared, tmp_path / "again")
    for path in (made / "virtual001_HCM_v01").iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(CardiomorphError, match=r"no healthy subject in its training split.*--source virtual"):
        synthesize(shared, tmp_path / "none", SynthesisRequest(targets=("HCM",), sources=("all",)))
