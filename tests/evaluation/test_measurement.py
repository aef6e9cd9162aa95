"""Examination of whatever may be labelled: nothing fails, nothing is NaN in silence, records come back as written."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardiomorph.data.prepare import PreparationConfig, PreparedFrame, PreparedSubject, prepare_subject
from cardiomorph.data.subject import Frame, Subject
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.heart_files import LoadedHeart, cohort_hearts
from cardiomorph.evaluation.measurement import MeasurementConfig, Referees, measure_all, measure_areas
from cardiomorph.evaluation.validity import CRITERIA
from cardiomorph.volume import Volume

CONFIG = MeasurementConfig(slice_spacing_mm=10.0)
REFEREES = Referees(CONFIG)


def heart_of(labels, images=None):
    volumes = {phase: Volume(array, (1.5, 1.5, 8.0)) for phase, array in labels.items()}
    pictures = {phase: Volume(array, (1.5, 1.5, 8.0)) for phase, array in (images or {}).items()}
    prepared = None
    if len(volumes) == 2:
        frames = {phase: Frame(volume, pictures.get(phase)) for phase, volume in volumes.items()}
        try:
            prepared = prepare_subject(Subject("p", "NOR", frames), PreparationConfig())
        except CardiomorphError:
            prepared = None
    return LoadedHeart("p", "NOR", volumes, pictures, 170.0, 70.0, None, (), prepared)


@st.composite
def odd_labels(draw):
    """Anything from single voxels to noise to blocks, with some structures absent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    allowed = draw(st.sampled_from([(1,), (2,), (3,), (1, 3), (2, 3), (1, 2, 3)]))
    n = draw(st.integers(1, 6))
    array = np.zeros((40, 36, n), np.uint8)
    for _ in range(draw(st.integers(1, 6))):
        x, y, z = rng.integers(0, 34), rng.integers(0, 30), rng.integers(0, n)
        array[x : x + rng.integers(1, 20), y : y + rng.integers(1, 20), z : z + rng.integers(1, 4)] = rng.choice(
            allowed
        )
    if draw(st.booleans()):
        array[rng.random(array.shape) < 0.02] = allowed[0]
    return array


@settings(max_examples=60, deadline=None)
@given(odd_labels(), odd_labels(), st.sampled_from([("ED",), ("ES",), ("ED", "ES")]), st.booleans())
def test_every_labelling_can_be_examined(first, second, phases, with_images):
    second = np.resize(second, (*first.shape[:2], second.shape[2]))
    labels = dict(zip(phases, (first, second), strict=False))
    rng = np.random.default_rng(0)
    images = {p: rng.normal(size=a.shape).astype(np.float32) for p, a in labels.items()} if with_images else None
    scalars, arrays = measure_areas(heart_of(labels, images), CONFIG, REFEREES)
    json.dumps(scalars, allow_nan=False)
    assert arrays["validity.shapes"].shape[1] == len(CRITERIA)
    assert len(arrays["validity.shapes"]) == sum(int(a.any(axis=(0, 1)).sum()) for a in labels.values())
    for measures in scalars["scalars"].values():
        assert all(value is None or math.isfinite(value) for value in measures.values())


def test_records_come_back_as_they_were_examined(cohort, tmp_path):
    files = cohort_hearts(cohort, cohort.ids()[:2])
    records, left_out = measure_all(files, tmp_path, CONFIG, workers=1)
    assert left_out == {}
    for file, record in zip(files, records, strict=True):
        scalars, arrays = measure_areas(file.load(), CONFIG, REFEREES)
        assert record.id == scalars["id"]
        assert record.scalars == scalars["scalars"]
        assert record.names == arrays.keys()
        for name in arrays:
            np.testing.assert_array_equal(record.array(name), arrays[name])
        assert arrays.keys() == {
            "validity.shapes", "fidelity.histogram", "memorisation.label_bits", "memorisation.image_vector", "label",
            "picture",
        }  # fmt: skip


def test_a_flipped_bit_in_a_record_is_examined_again(cohort, tmp_path):
    files = cohort_hearts(cohort, cohort.ids()[:1])
    records, _ = measure_all(files, tmp_path, CONFIG, workers=1)
    path = records[0].path
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 6).astype(int).tolist():
        path.write_bytes(content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :])
        again, _ = measure_all(files, tmp_path, CONFIG, workers=1)
        assert again[0].scalars == records[0].scalars
        for name, array in measure_areas(files[0].load(), CONFIG, REFEREES)[1].items():
            np.testing.assert_array_equal(again[0].array(name), array)


@pytest.mark.parametrize("name", ["../../victim2/x", "/tmp/x", ".x", "a/b"])
def test_records_never_climb_out(name, cohort, tmp_path):
    file = cohort_hearts(cohort, cohort.ids()[:1])[0]
    with pytest.raises(CardiomorphError, match="cannot be a file's"):
        measure_all([type(file)(name, file.files, file.load)], tmp_path / "records", CONFIG, workers=1)
    assert not (tmp_path / "records").exists()


def test_an_unreadable_heart_is_left_out_with_its_reason(cohort, tmp_path):
    files = cohort_hearts(cohort, [*cohort.ids()[:1], "nobody"])
    (tmp_path / "nobody").mkdir()
    with pytest.raises(CardiomorphError, match="cannot be read"):
        files[1].fingerprint()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    files[1] = type(files[1])("nobody", (broken,), files[1].load)
    records, left_out = measure_all(files, tmp_path / "r", CONFIG, workers=1)
    assert [record.id for record in records] == cohort.ids()[:1]
    assert "has no subject 'nobody'" in left_out["nobody"]


def test_a_prepared_subject_without_images_has_label_records_only(cohort):
    subject = cohort.load(cohort.ids()[0])
    frames = {phase: PreparedFrame(frame.label) for phase, frame in subject.frames.items()}
    bare = PreparedSubject(subject.id, subject.group, frames, subject.geometry)
    heart = LoadedHeart("p", "NOR", {p: bare.label_volume(p) for p in frames}, {}, None, None, None, (), bare)
    scalars, arrays = measure_areas(heart, CONFIG, REFEREES)
    assert set(arrays) == {"validity.shapes", "memorisation.label_bits", "label"}
    assert scalars["scalars"]["label_match"] == {}


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 1.5), st.floats(-0.3, 0.3))
def test_how_a_scan_was_scaled_does_not_change_how_it_looks(contrast, brightness):
    labels = {phase: np.zeros((128, 128, 4), np.uint8) for phase in ("ED", "ES")}
    rng = np.random.default_rng(0)
    for array in labels.values():
        array[40:80, 40:80], array[50:70, 50:70], array[20:40, 40:70] = 2, 3, 1
    images = {p: (0.3 * a - 0.5 + 0.1 * rng.normal(size=a.shape)).astype(np.float32) for p, a in labels.items()}
    heart = heart_of(labels, images)
    frames = {
        phase: replace(frame, image=contrast * frame.image + brightness)
        for phase, frame in heart.prepared.frames.items()
    }
    (plain, seen), (changed, seen_too) = (
        measure_areas(replace(heart, prepared=prepared), CONFIG, REFEREES)
        for prepared in (heart.prepared, replace(heart.prepared, frames=frames))
    )
    assert changed["scalars"]["fidelity"] == pytest.approx(plain["scalars"]["fidelity"], rel=1e-3, abs=1e-4)
    np.testing.assert_allclose(seen["fidelity.histogram"], seen_too["fidelity.histogram"], atol=2e-3)
