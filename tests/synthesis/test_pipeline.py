"""Synthesis to disk: what is written, that it can be made again byte for byte, that it resumes and refuses."""

import errno
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cardiomorph import synthesize
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_csv, read_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis import pipeline
from cardiomorph.synthesis.build import build_atlas
from cardiomorph.synthesis.engine import synthesize_heart
from cardiomorph.synthesis.pipeline import recreate
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest, checked_request, jobs

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

    monkeypatch.setattr(pipeline, "synthesize_heart", interrupted)
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
    with pytest.raises(CardiomorphError, match=next(iter(facts))):
        checked_request(**facts)


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
        synthesize(shared, tmp_path / "none", SynthesisRequest(targets=("HCM",)))
