"""The paper's figures of any atlas: all of them beside real hearts, those that need none without."""

import logging

import pytest

from cardiomorph import CardiomorphError
from cardiomorph.report import paper_figures as made
from cardiomorph.report.paper_figures import paper_figures

ALL = {
    "figure1_latent_map",
    "figure2_transitions",
    "figure3_ejection_fractions",
    "figure4_surfaces",
    "figure5_correlations",
    "misaligned_stacks",
}


@pytest.fixture(autouse=True)
def few_hearts(monkeypatch):
    monkeypatch.setattr(made, "_HEARTS", 2)


def written(folder):
    return {path.stem for path in (folder / "figures").glob("*.png")}


def test_all_are_drawn_beside_a_cohort(atlas, cohort, tmp_path):
    page = paper_figures(atlas, tmp_path / "out", cohort=cohort.folder, sampler="copula")
    assert written(tmp_path / "out") == ALL
    text = page.read_text()
    assert text.count("<img ") == len(ALL)
    assert atlas.identity in text
    assert "patient" not in text.replace(made.first_parent(atlas, made.SynthesisRequest()), "")


def test_without_real_hearts_what_needs_them_is_named(atlas, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        paper_figures(atlas, tmp_path / "out")
    assert written(tmp_path / "out") == ALL - {"misaligned_stacks"}
    assert "misaligned_stacks" in caplog.text


def test_an_unknown_parent_is_refused_before_anything_is_written(atlas, tmp_path):
    with pytest.raises(CardiomorphError, match="nobody"):
        paper_figures(atlas, tmp_path / "out", source="nobody")
    assert not (tmp_path / "out").exists()
