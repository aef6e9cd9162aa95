"""The patient's whole image with another heart in it: what stays the source's own, what does not, and where it lies."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cardiomorph.cli import app
from cardiomorph.data.subject import Frame
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import recreate, synthesize
from cardiomorph.synthesis.full_field import SEAM_MM, set_into
from cardiomorph.synthesis.jobs import jobs
from cardiomorph.synthesis.patients import adopt_patients
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest
from cardiomorph.synthesis.surroundings import RIM_MM
from cardiomorph.volume import Volume, read_nifti
from conftest import SPACING_MM, heart_label, hearts_of, textured, write_acdc_subject


def scan(seed=1, dtype=np.float32):
    label = heart_label(hearts_of("NOR")["ED"])
    image = textured(label, seed).astype(dtype)
    return Frame(Volume(label, SPACING_MM), Volume(image, SPACING_MM))


def rng():
    return np.random.default_rng(0)


def far_from(old, new):
    """Voxels that are farther from both hearts than the rim and one and a half times what the border moved there."""
    from scipy.ndimage import distance_transform_edt

    far = np.ones(old.shape, bool)
    for k in range(old.shape[2]):
        hearts = [label[..., k] > 0 for label in (old, new) if (label[..., k] > 0).any()]
        if not hearts:
            continue
        distance = [distance_transform_edt(~heart, sampling=SPACING_MM[:2]) for heart in hearts]
        moved = max(float(d[h].max()) for d in distance for h in hearts)
        if not (old[..., k] > 0).any():
            moved = float(distance_transform_edt(hearts[0], sampling=SPACING_MM[:2]).max()) * 2
        far[..., k] = np.min(distance, axis=0) >= RIM_MM + 1.5 * moved + 1.0
    return far


class TestSetting:
    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 3), st.floats(-200, 400), st.floats(0.3, 3.0))
    def test_what_lies_farther_is_the_sources_own_bit_for_bit(self, variant, offset, gain):
        source, new = scan(), heart_label(hearts_of("HCM", variant)["ED"])
        painted = (gain * textured(new, 7) + offset).astype(np.float32)
        result = set_into(source, new, painted, rng())
        kept = far_from(source.label.array, new)
        assert 0.3 < kept.mean() < 1.0
        np.testing.assert_array_equal(result[kept], source.image.array[kept])
        assert result.dtype == np.int16
        assert not np.array_equal(result, source.image.array)

    def test_intensities_that_are_no_whole_numbers_stay_what_they_are(self):
        source = scan()
        source = replace(source, image=source.image.with_array((source.image.array / 7).astype(np.float32)))
        new = heart_label(hearts_of("HCM")["ED"])
        result = set_into(source, new, textured(new, 7).astype(np.float32), rng())
        kept = far_from(source.label.array, new)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result[kept], source.image.array[kept])

    @pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.8, 40.0), (1.2, -30.0)])
    def test_the_painted_heart_has_the_sources_intensities(self, gain, offset):
        source = scan()
        # The very same picture in other units must come back as it was.
        painted = gain * source.image.array + offset
        result = set_into(source, source.label.array, painted.astype(np.float32), rng())
        heart = source.label.array > 0
        np.testing.assert_allclose(result[heart], source.image.array[heart], atol=2)

    def test_there_is_no_edge_at_the_seam(self):
        """A painting of another brightness around the heart is mixed in no more steeply than smoothly over the seam."""
        source, new = scan(), heart_label(hearts_of("HCM")["ED"])
        flat = source.image.with_array(np.full_like(source.image.array, 100.0) + rng().normal(0, 1, new.shape))
        source = replace(source, image=flat.with_array(flat.array.astype(np.float32)))
        painted = np.where(new > 0, 300.0, 160.0).astype(np.float32) + rng().normal(0, 1, new.shape).astype(np.float32)
        result = set_into(source, new, painted, rng()).astype(float)
        around = ~(new > 0) & ~(source.label.array > 0)
        steps = np.abs(np.diff(result, axis=0))[around[1:] & around[:-1]]
        steepest = 1.5 * (160 - 100) * SPACING_MM[0] / SEAM_MM
        assert steps.max() < steepest < 40, "the painted 160 and the source's 100 meet in a step"

    def test_a_slice_that_the_new_heart_leaves_is_filled_from_around(self):
        source = scan()
        shorter = source.label.array.copy()
        last = int(np.flatnonzero((shorter > 0).any(axis=(0, 1)))[-1])
        shorter[..., last] = 0
        result = set_into(source, shorter, source.image.array, rng()).astype(float)
        hole = source.label.array[..., last] > 0
        before = source.image.array[..., last]
        rim = ~hole & ~far_from(source.label.array, source.label.array)[..., last]
        blood = before[source.label.array[..., last] == 3].mean() if (source.label.array[..., last] == 3).any() else 0
        filled = result[..., last][hole]
        assert np.isfinite(filled).all()
        assert before[rim].min() - 60 < filled.mean() < before[rim].max() + 60
        assert not np.array_equal(filled, before[hole]), blood


@pytest.fixture(scope="module")
def shared(cohort, model_folders, tmp_path_factory):
    models = {"shape": model_folders / "shape", "image": model_folders / "image"}
    return build_atlas(cohort.folder, tmp_path_factory.mktemp("shared") / "a", share=True, **models).folder


@pytest.fixture
def patient(tmp_path):
    return write_acdc_subject(tmp_path / "scans" / "anna", "NOR", hearts_of("NOR", 1), seed=9)


def test_a_patient_of_ones_own_gets_the_whole_image_back(patient, shared, tmp_path):
    request = SynthesisRequest(sources=(str(patient),), targets=("HCM",), versions=1)
    heart = synthesize(Atlas(shared), tmp_path / "hearts", request) / "anna_HCM_v01"
    for number, ours in ((1, "01"), (12, "02")):
        theirs = nib.load(patient / f"anna_frame{number:02d}.nii.gz")
        image = nib.load(heart / f"anna_HCM_v01_frame{ours}.nii.gz")
        label = nib.load(heart / f"anna_HCM_v01_frame{ours}_gt.nii.gz")
        before = np.asarray(nib.load(patient / f"anna_frame{number:02d}_gt.nii.gz").dataobj)
        assert image.shape == label.shape == theirs.shape
        np.testing.assert_allclose(image.header.get_zooms(), theirs.header.get_zooms(), rtol=1e-5)
        np.testing.assert_array_equal(image.affine, label.affine)
        kept = far_from(before, np.asarray(label.dataobj))
        np.testing.assert_array_equal(np.asarray(image.dataobj)[kept], np.asarray(theirs.dataobj)[kept])
    job = read_json(heart / "provenance.json")["job"]
    assert (job["field"], job["slices"]) == ("full", "native")
    again = recreate(heart / "provenance.json", Atlas(shared), tmp_path / "again", source=str(patient))
    for path in heart.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("flips", [(True, False, False), (False, True, True), (False, False, True)])
def test_it_lies_where_the_patient_lies_however_the_scan_is_stored(flips, patient, shared, tmp_path):
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = (-80.0, 40.0, 25.0)
    for path in patient.glob("*.nii.gz"):
        array = np.asarray(nib.load(path).dataobj)
        place = affine.copy()
        for axis, flipped in enumerate(flips):
            if flipped:
                array = np.flip(array, axis)
                place[:3, 3] += place[:3, axis] * (array.shape[axis] - 1)
                place[:3, axis] *= -1
        nib.save(nib.Nifti1Image(np.ascontiguousarray(array), place), path)
    request = SynthesisRequest(sources=(str(patient),), targets=("HCM",), versions=1)
    heart = synthesize(Atlas(shared), tmp_path / "hearts", request) / "anna_HCM_v01"
    source = read_nifti(patient / "anna_frame01.nii.gz")
    image = read_nifti(heart / "anna_HCM_v01_frame01.nii.gz")
    np.testing.assert_allclose(image.affine, source.affine, atol=1e-3)
    before = read_nifti(patient / "anna_frame01_gt.nii.gz").array
    after = read_nifti(heart / "anna_HCM_v01_frame01_gt.nii.gz").array
    kept = far_from(before, after)
    # The networks of this test are untrained: their hearts are large.
    assert kept.mean() > 0.1
    np.testing.assert_array_equal(image.array[kept], source.array[kept])


def test_slices_that_were_asked_for_and_labels_alone_are_of_the_heart(patient, shared, tmp_path):
    for number, changes in enumerate(({"slices": "32"}, {"images": False}, {"field": "heart"}, {"slices": "native"})):
        request = SynthesisRequest(sources=(str(patient),), targets=("RV",), versions=1, **changes)
        heart = synthesize(Atlas(shared), tmp_path / str(number), request) / "anna_RV_v01"
        assert "field" not in read_json(heart / "provenance.json")["job"]
    whole = read_json(tmp_path / "3" / "synthesis.json")["request"]
    assert "field" not in whole


def test_a_full_field_needs_a_patient(patient, shared, cohort, tmp_path):
    for sources in (("virtual",), (str(patient), "virtual002"), (str(cohort.folder),)):
        request = SynthesisRequest(sources=sources, targets=("RV",), versions=1, field="full")
        with pytest.raises(CardiomorphError, match="not every source is a patient of yours with an image"):
            synthesize(Atlas(shared), tmp_path / "hearts", request)
    assert not (tmp_path / "hearts").exists()
    mixed = SynthesisRequest(sources=(str(patient), "virtual002"), targets=("RV",), versions=1)
    folder = synthesize(Atlas(shared), tmp_path / "mixed", mixed)
    fields = {path.parent.name: read_json(path)["job"].get("field") for path in folder.glob("*/provenance.json")}
    assert fields == {"anna_RV_v01": "full", "virtual002_RV_v01": None}


def test_the_command_line_and_what_was_written_before(patient, shared, tmp_path):
    words = ["synthesize", "--atlas", str(shared), "--source", str(patient), "--target", "RV", "--versions", "1"]
    app([*words, "--field", "full", "-o", str(tmp_path / "a")], result_action="return_value")
    assert read_json(tmp_path / "a" / "synthesis.json")["request"]["field"] == "full"
    facts = read_json(tmp_path / "a" / "anna_RV_v01" / "provenance.json")["job"]
    with pytest.raises(ValidationError, match="native"):
        HeartJob.model_validate(facts | {"slices": "32"})
    del facts["field"]
    assert HeartJob.model_validate(facts).field == "heart"


def test_slices_that_were_asked_for_are_asked_for_wherever_jobs_are_made(patient, shared):
    atlas = Atlas(shared)
    (name,) = adopt_patients((str(patient),), atlas)
    fields = {grid: jobs(SynthesisRequest(sources=(name,), **grid_of), atlas)[0].field for grid, grid_of in (
        ("said", {"slices": "32"}), ("left open", {}),
    )}  # fmt: skip
    assert fields == {"said": "heart", "left open": "full"}


@pytest.mark.parametrize(("top", "kind"), [(20_000, np.int16), (40_000, np.int32), (3_000_000, np.int32)])
def test_intensities_beyond_16_bits_do_not_wrap_round(top, kind):
    """A heart that is painted brighter than anything in the scan, too."""
    source = scan()
    bright = np.rint(source.image.array * (top / source.image.array.max()))
    source = Frame(source.label, source.image.with_array(bright.astype(np.float32)))
    new = heart_label(hearts_of("HCM")["ED"])
    result = set_into(source, new, 1.4 * textured(new, 3).astype(np.float32), rng())
    assert result.dtype == kind
    assert result.min() > -0.5 * top
    assert result.max() >= top * 0.9
