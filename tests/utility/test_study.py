"""A whole study at tiny size: trained, measured, compared, kept; and nobody is measured who helped."""

import pytest

from cardiomorph import CardiomorphError
from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.files import read_csv, read_json, write_json
from cardiomorph.utility import study
from cardiomorph.utility.study import rows_of, utility

ARMS = ("nothing", "deformation", "virtual", "own-full")


@pytest.fixture(scope="module")
def asked(cohort, acdc_tree, atlas, tmp_path_factory):
    output = tmp_path_factory.mktemp("study") / "out"
    return {"cohort": cohort.folder, "scans": acdc_tree, "output": output, "atlas": atlas.folder, "preset": "tiny",
            "scenarios": ("healthy:1",), "arms": ARMS, "seeds": 1, "workers": 1}  # fmt: skip


@pytest.fixture(scope="module")
def found(asked):
    return utility(**asked)


def test_every_arm_is_trained_and_measured_on_the_held_out(found, asked, cohort):
    (one,) = found["scenarios"].values()
    assert set(one["arms"]) == {"nothing", "deformation@100", "virtual@100", "own-full@100"}
    held = set(cohort.ids("heldout"))
    rows = read_csv(asked["output"] / "rows.csv")
    assert {row["subject"] for row in rows} == held
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)
    assert one["judged_on"] == ["DCM", "HCM", "MINF", "RV"]
    assert one["patients"] == sum(row["group"] != "NOR" for row in cohort.rows if row["subject"] in held)
    assert one["best_baseline"] in ("nothing", "deformation@100")
    assert "healthy:1" in (asked["output"] / "report.html").read_text()


def test_again_trains_nothing(found, asked, monkeypatch):
    monkeypatch.setattr(study, "trained", lambda *_: pytest.fail("trained again"))
    assert utility(**asked) == found


def test_one_more_row_costs_one_row(found, asked, monkeypatch):
    trainings = []
    train = study.trained
    monkeypatch.setattr(study, "trained", lambda *given: trainings.append(given) or train(*given))
    more = utility(**asked | {"arms": (*ARMS, "oversampling")})
    assert len(trainings) == 1
    (one,) = more["scenarios"].values()
    assert "oversampling" in one["arms"]


def test_a_budget_leaves_rows_and_says_which(asked, tmp_path):
    few = utility(**asked | {"output": tmp_path / "out", "arms": ("nothing", "strong"), "budget_s": 1e-9})
    assert few["left_out"] == ["healthy:1, strong, repeat 0"]


def test_pretraining_ends_on_real_hearts(asked, tmp_path):
    utility(**asked | {"output": tmp_path / "out", "arms": ("virtual",), "modes": ("pretrain", "only")})
    runs = sorted(path.parent.name for path in (tmp_path / "out").glob("rows/*/*/run.json"))
    assert runs == ["network", "network", "pretrained"]


def test_a_test_patient_who_made_the_atlas_is_refused(asked, cohort, acdc_tree, tmp_path):
    other = prepare_cohort(acdc_tree, tmp_path / "other", heldout=0.2, seed=5, workers=1)
    assert set(other.ids("heldout")) & set(cohort.ids("train"))
    with pytest.raises(CardiomorphError, match=r"test patients made the atlas"):
        utility(**asked | {"cohort": other.folder, "output": tmp_path / "out"})
    assert not (tmp_path / "out").exists()


def test_an_atlas_that_does_not_say_whose_hearts_made_it_is_refused(asked, atlas, tmp_path):
    from cardiomorph.files import copy_folder

    copy_folder(atlas.folder, tmp_path / "silent")
    facts = {k: v for k, v in read_json(tmp_path / "silent" / "atlas.json").items() if k != "trained_on"}
    write_json(tmp_path / "silent" / "atlas.json", facts, seal=True)
    with pytest.raises(CardiomorphError, match="does not say whose hearts made it"):
        utility(**asked | {"atlas": tmp_path / "silent", "output": tmp_path / "out"})


def test_a_test_cohort_of_training_patients_is_refused(asked, cohort, acdc_tree, tmp_path):
    given = {"test": cohort.folder, "test_scans": acdc_tree, "output": tmp_path / "out"}
    with pytest.raises(CardiomorphError, match="test patients"):
        utility(**asked | given)


def test_rows_come_with_the_most_telling_first():
    rows = rows_of(("healthy:8", "all"), ("nothing", "virtual"), (1.0, 2.0), ("mix",), None)
    assert [str(row) for row in rows[:4]] == [
        "healthy:8, nothing, repeat 0",
        "healthy:8, virtual@100, repeat 0",
        "healthy:8, virtual@200, repeat 0",
        "healthy:8, nothing, repeat 1",
    ]
    assert len(rows) == 5 * 3 + 3 * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scenarios": ("sick:3",)}, "no scenario 'sick:3'.*healthy:N"),
        ({"scenarios": ("healthy:99",)}, "needs 99 patients, and there are 2"),
        ({"arms": ("magic",)}, "no arm 'magic'.*own-full"),
        ({"doses": (0.0,)}, "a dose of 0 % cannot be"),
    ],
)
def test_what_cannot_be_is_one_error_before_anything_is_written(change, words, asked, tmp_path):
    with pytest.raises(CardiomorphError, match=words):
        utility(**asked | change | {"output": tmp_path / "out"})
    assert not (tmp_path / "out").exists()
