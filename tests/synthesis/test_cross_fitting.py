"""Cross-fitting: who is in which fold, whom statistics see, and that a bad set is told from a good one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.cli import app
from cardiomorph.data.cohort import Cohort
from cardiomorph.data.splits import fold_subjects
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas.joint import MEASURES
from cardiomorph.evaluation.cross_comparison import ALL, FIRST, MeasuredHeart, compared, powers
from cardiomorph.files import read_csv, read_json
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.synthesis.cross_fitting import REBUILT, cross_fit

GROUPS = ("NOR", "DCM")


@given(st.integers(6, 40), st.integers(2, 5), st.integers(0, 99))
def test_folds_are_even_disjoint_and_keep_twins_together(n, folds, seed):
    groups = {f"p{i:02d}": GROUPS[i % 2] for i in range(n)}
    twins = [("p00", "p02")]
    held = ["p01", "p04"]
    fold = fold_subjects(groups, twins, held, folds, seed)
    assert set(fold) == set(groups)
    assert fold["p00"] == fold["p02"]
    assert {name for name, k in fold.items() if k == 0} == set(held), "fold 0 are the held-out ones, and no others"
    for group in GROUPS:
        count = [sum(fold[p] == k for p in groups if groups[p] == group and p not in held) for k in range(1, folds)]
        assert max(count) - min(count) <= 2


def hearts(seed, n=8, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [
        MeasuredHeart(fold, group, 50 + shift + scale * rng.normal(size=len(MEASURES)))
        for group in GROUPS
        for fold in range(4)
        for _ in range(n)
    ]


def test_a_set_of_the_same_population_is_not_found_out_and_others_are():
    real = hearts(0, 5)
    same, shifted, narrow = (
        compared(made, real, 0) for made in (hearts(1), hearts(1, shift=1.0), hearts(1, scale=0.3))
    )
    assert same[ALL]["p"] > 0.05
    assert same[ALL]["auc"] < 0.65
    assert same[ALL]["sd_ratio"] == pytest.approx(1.0, abs=0.2)
    assert shifted[ALL]["p"] < 0.01
    assert shifted[ALL]["shifts_sd"]["lv_ef_pct"] == pytest.approx(1.0, abs=0.6)
    assert shifted[ALL]["auc"] > 0.8
    assert narrow[ALL]["p"] < 0.01
    assert narrow[ALL]["sd_ratio"] == pytest.approx(0.3, abs=0.08)
    assert narrow[ALL]["recall"] < same[ALL]["recall"]
    assert set(same) == {ALL, FIRST, *GROUPS}


def test_power_is_that_of_the_hearts_at_hand():
    real = hearts(0, 5)
    of_all, first = (powers(real, 8, part, 0) for part in (ALL, FIRST))
    assert of_all["collapse"] > 0.9
    assert of_all["nothing"] < 0.2
    assert first["half_spread"] <= of_all["half_spread"]


def test_a_cohort_is_cross_fitted_and_written(cohort, model_folders, tmp_path, capsys):
    names = ("population", "independent")
    given = f"--shape {model_folders / 'shape'} -o {tmp_path} --folds 3 --hearts 2 --sampler {' '.join(names)}"
    app(f"crossfit {cohort.folder} {given}", result_action="return_value")
    found = read_json(tmp_path / "crossfit.json")
    assert [name.split()[0] for name in found["sets"]] == [REBUILT, *names]
    everyone = sorted(name for fold in found["folds"].values() for name in fold)
    assert everyone == sorted(cohort.ids())
    assert sorted(found["folds"]["0"]) == sorted(cohort.ids("heldout"))
    # The fixture's model is hardly trained: a heart of it may lack a measure, and is then left out.
    for parts in found["sets"].values():
        assert 0 < parts[ALL].get("p", 1.0) <= 1
    rows = read_csv(tmp_path / "hearts.csv")
    groups = {row["group"] for row in cohort.rows}
    assert sum(row["set"] == "independent" for row in rows) == 3 * 2 * len(groups)
    again = cross_fit(
        cohort.folder, tmp_path / "b", shape=model_folders / "shape", folds=3, hearts=2,
        samplers=[sampler_named(name) for name in names],
    )  # fmt: skip
    assert again["sets"] == found["sets"]


def test_a_cohort_that_is_too_small_says_so(cohort, model_folders, tmp_path):
    with pytest.raises(CardiomorphError, match="too few for 50 folds"):
        cross_fit(Cohort(cohort.folder).folder, tmp_path, shape=model_folders / "shape", samplers=[], folds=50)
