"""Real hearts through the shape model, and what a morph keeps of its parent."""

import numpy as np
import pytest

from cardiomorph.anatomy import PHASES
from cardiomorph.data.sources import find_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.summary import Summary, metrics_of
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.trajectory import decode_labels, encode_subject
from cardiomorph.models.checkpoint import load_shape_model
from cardiomorph.synthesis.morph_series import identity_comparisons
from cardiomorph.synthesis.reconstruct import reconstruct


@pytest.fixture(autouse=True)
def every_slice_is_a_heart(monkeypatch):
    """An untrained model's labels need not be whole hearts."""
    monkeypatch.setattr("cardiomorph.data.subject.MIN_LABELLED_SLICES", 0)


def test_a_reconstruction_is_what_the_model_makes_of_each_heart(cohort, model_folders, tmp_path):
    reconstruct(cohort.folder, tmp_path / "r", shape=model_folders / "shape", split="heldout")
    model = load_shape_model(model_folders / "shape")
    layout, entries = find_subjects(tmp_path / "r")
    assert layout == "acdc"
    assert [entry.id for entry in entries] == cohort.ids("heldout")
    subject, rebuilt = cohort.load(entries[0].id), entries[0].load()
    trajectory = encode_subject(model, subject)
    assert rebuilt.group == subject.group
    for phase in PHASES:
        label = rebuilt.frames[phase].label
        np.testing.assert_array_equal(np.moveaxis(label.array, -1, 0), decode_labels(model, trajectory.codes[phase]))
        assert label.spacing_mm[2] * label.n_slices == pytest.approx(subject.length_mm(phase), rel=1e-5)


def test_a_reconstruction_never_writes_over_anything(cohort, model_folders, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(CardiomorphError, match="is not empty"):
        reconstruct(cohort.folder, tmp_path, shape=model_folders / "shape")


def test_identity_is_measured_for_every_disease_and_is_reproducible(atlas, cohort):
    parents = list(atlas.parents)[:1]
    comparisons = identity_comparisons(atlas, cohort, parents, PopulationSampler(), seed=3)
    found = metrics_of({"identity": Summary(comparisons)})
    assert 0 <= found["identity.overlap"] <= 1
    assert all(np.isfinite(value) for value in found.values())
    # The untrained model has no LV cavity, so MINF's own measure, LVEF, is missing: absent, not NaN.
    assert {"identity.monotonicity.DCM", "identity.monotonicity.HCM", "identity.monotonicity.RV"} <= found.keys()
    assert comparisons == identity_comparisons(atlas, cohort, parents, PopulationSampler(), seed=3)
