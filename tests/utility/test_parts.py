"""The parts of a study against independent references: grids, patches, scores, scenarios, statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import directed_hausdorff
from scipy.stats import wilcoxon

from cardiomorph import CardiomorphError
from cardiomorph.anatomy import GROUPS, Label
from cardiomorph.utility.arms import arm_named, hearts_of
from cardiomorph.utility.augmentation import Augmentation
from cardiomorph.utility.cases import Case, Stack
from cardiomorph.utility.deformation import Deformation, with_wall
from cardiomorph.utility.network import SupervisedLoss, logits_of, made
from cardiomorph.utility.plan import Plan, grid_shape, off_grid, plan_of, planned, standardised, with_errors
from cardiomorph.utility.scenarios import scenario
from cardiomorph.utility.scoring import scores_of
from cardiomorph.utility.settings import STRONG, AugmentationStrength, NetworkSettings
from cardiomorph.utility.significance import gain, holm, interval
from cardiomorph.utility.task import Pool, patch_of

SIZE = 96


def disc(centre, radius, n=6, spacing=(1.5, 1.5, 10.0), wall=0):
    """Concentric LV and myocardium in slices 1 to n - 2, an RV beside."""
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    label = np.zeros((n, SIZE, SIZE), np.uint8)
    distance = np.hypot(x - centre[0], y - centre[1])
    for i in range(1, n - 1):
        label[i][np.hypot(x - centre[0] - 26, y - centre[1]) < 12] = Label.RV
        label[i][distance < radius + 6 + wall] = Label.MYOCARDIUM
        label[i][distance < radius] = Label.LV
    image = 100.0 * label + np.random.default_rng(0).normal(0, 5, label.shape)
    return Stack(image.astype(np.float32), label, spacing)


def case(ed, es, name="a", group="NOR"):
    return Case(name, group, {"ED": ed, "ES": es})


ED, ES = disc((48, 48), 14), disc((48, 48), 9)


def test_the_true_labels_score_one_and_no_error():
    scores = scores_of(case(ED, ES), {"ED": ED.label, "ES": ES.label})
    assert scores["dice"] == scores["dice.base"] == scores["dice.lv"] == 1
    assert scores["hd95_mm"] == scores["missed"] == 0
    assert all(abs(scores[key]) < 1e-9 for key in scores if key.startswith("error."))


def test_function_errors_are_found_less_true():
    larger = disc((48, 48), 16)
    scores = scores_of(case(ED, ES), {"ED": larger.label, "ES": ES.label})
    volume = {r: (np.hypot(*np.mgrid[-48:48, -48:48]) < r).sum() * 4 * 1.5 * 1.5 * 10 / 1000 for r in (9, 14, 16)}
    assert scores["error.lv_edv_ml"] == pytest.approx(volume[16] - volume[14])
    ejected = {r: 100 * (1 - volume[9] / volume[r]) for r in (14, 16)}
    assert scores["error.lv_ef_pct"] == pytest.approx(ejected[16] - ejected[14])


def test_the_distance_is_of_surfaces_in_mm():
    shifted = disc((52, 48), 14)
    scores = scores_of(case(ED, ED), {"ED": shifted.label, "ES": shifted.label})
    surfaces = [np.argwhere(one.label[2] == Label.LV) * 1.5 for one in (ED, shifted)]
    largest = max(directed_hausdorff(*surfaces)[0], directed_hausdorff(*surfaces[::-1])[0])
    assert largest == pytest.approx(6.0)
    assert 4.0 < scores["hd95_mm.lv"] <= largest + 1e-5


def test_a_structure_that_was_not_found_is_counted_and_not_averaged():
    without = np.where(ED.label == Label.RV, 0, ED.label).astype(np.uint8)
    scores = scores_of(case(ED, ED), {"ED": without, "ES": without})
    assert scores["missed"] == pytest.approx(1 / 3)
    assert scores["dice.rv"] == 0
    assert "hd95_mm.rv" not in scores
    assert scores["hd95_mm"] == 0


def test_what_is_on_the_plans_grid_goes_there_and_back():
    plan = Plan(pixel_mm=1.2, slice_mm=10.0)
    one = planned(ED, plan)
    assert one.image.shape == one.label.shape == (6, 120, 120)
    coded = torch.nn.functional.one_hot(torch.from_numpy(one.label).long(), 4).movedim(-1, 1).float()
    back = off_grid(coded, ED)
    assert back.shape == ED.label.shape
    assert (back == ED.label).mean() > 0.99
    assert list(one.hearts) == [False, True, True, True, True, False]
    same = planned(ED, Plan(pixel_mm=1.5, slice_mm=10.0))
    assert np.array_equal(same.label, ED.label)
    assert grid_shape(ED, Plan(pixel_mm=1.505, slice_mm=10.0)) == (SIZE, SIZE)


def test_plans_are_medians_of_real_cases():
    fine = disc((48, 48), 14, spacing=(1.0, 1.0, 5.0))
    plan = plan_of([case(ED, ES), case(ED, ES), case(fine, fine)])
    assert plan == Plan(pixel_mm=1.5, slice_mm=10.0)


def test_a_crop_has_the_scale_of_the_whole_field():
    """A scan and the 192 mm in its middle, as a synthetic crop is, are standardised alike."""
    rng = np.random.default_rng(1)
    image = rng.normal(100, 30, (3, 200, 200)).astype(np.float32)
    image[:, :30] = 0
    label = np.zeros(image.shape, np.uint8)
    whole = standardised(Stack(image, label, (1.5, 1.5, 8.0)))
    crop = standardised(Stack(image[:, 36:164, 36:164], label[:, 36:164, 36:164], (1.5, 1.5, 8.0)))
    assert np.allclose(whole[:, 36:164, 36:164], crop, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), dimensions=st.sampled_from([2, 3]), n=st.integers(3, 14))
def test_patches_have_one_size_and_hold_what_the_stack_holds(seed, dimensions, n):
    chosen = NetworkSettings(patch_px=64, dimensions=dimensions, patch_slices=8, on_heart=0.5)
    stack = planned(disc((48, 48), 14, n=n), Plan(pixel_mm=1.5, slice_mm=10.0))
    image, label = patch_of(stack, chosen, np.random.default_rng(seed))
    assert image.shape == label.shape == (83, 83) + (() if dimensions == 2 else (8,))
    inside = image != 0
    assert np.isin(np.unique(image[inside]), np.unique(stack.image)).all()
    assert not label[~inside].any()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("strength", [AugmentationStrength(), STRONG])
def test_augmentation_is_a_function_of_its_seed(dimensions, strength):
    chosen = NetworkSettings(patch_px=64, dimensions=dimensions, patch_slices=4)
    image, label = patch_of(planned(ED, Plan(pixel_mm=1.5, slice_mm=10.0)), chosen, np.random.default_rng(0))
    change = Augmentation(strength, dimensions)
    first, again, other = (change(image, label, seed) for seed in (5, 5, 6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (1, *image.shape)
    assert set(first[1].unique().tolist()) <= {0, 1, 2, 3}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_networks_label_every_pixel_of_any_field(dimensions):
    chosen = NetworkSettings(dimensions=dimensions, filters=(4, 8, 8), patch_px=32, patch_slices=4, deep_supervision=1)
    network = made(chosen, seed=0)
    assert logits_of(network, torch.randn(5, 50, 71), chosen, "cpu").shape == (5, 4, 50, 71)
    network.train()
    shape = (2, 1, 32, 32) if dimensions == 2 else (2, 1, 32, 32, 4)
    logits = network(torch.randn(shape))
    loss = SupervisedLoss()(logits, torch.randint(0, 4, (shape[0], *shape[2:])))
    assert torch.isfinite(loss)


def test_a_perfect_output_has_nearly_no_loss():
    labels = torch.from_numpy(ED.label[2:4]).long()
    logits = 50 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
    assert float(SupervisedLoss()(logits, labels)) < 0.01
    assert float(SupervisedLoss()(logits.roll(1, dims=1), labels)) > 1


def test_balanced_pools_draw_groups_equally_often():
    stack = planned(ED, Plan(pixel_mm=1.5, slice_mm=10.0))
    rare = planned(ES, Plan(pixel_mm=1.5, slice_mm=10.0))
    hearts = {"NOR": [stack] * 19, "HCM": [rare]}
    for balanced, expected in ((False, 0.05), (True, 0.5)):
        rng = np.random.default_rng(0)
        drawn = [Pool(hearts, balanced).drawn(rng) is rare for _ in range(2000)]
        assert np.mean(drawn) == pytest.approx(expected, abs=0.04)


PATIENTS = {f"p{number:02d}": GROUPS[number % 5] for number in range(25)}


@settings(max_examples=40, deadline=None)
@given(draw=st.integers(0, 50), seed=st.integers(0, 50))
def test_scenarios_draw_who_they_say(draw, seed):
    def drawn(name):
        return scenario(name).patients(PATIENTS, draw, seed)

    def groups(names):
        return [PATIENTS[name] for name in names]

    assert groups(drawn("healthy:3")) == ["NOR"] * 3
    assert sorted(groups(drawn("few:5"))) == sorted(GROUPS)
    assert len(set(drawn("few:12"))) == 12
    assert "HCM" not in groups(drawn("missing:HCM"))
    assert groups(drawn("rare:RV")).count("RV") == 1
    assert len(drawn("rare:RV")) == 21
    assert drawn("all") == drawn("errors:20") == sorted(PATIENTS)
    assert drawn("few:7") == drawn("few:7")


@pytest.mark.parametrize(
    "name",
    ["", "errors:0", "errors:101", "few", "few:0", "few:-1", "healthy:x", "missing:NOR", "rare:", "few:9999999999"],
)
def test_what_is_no_scenario_is_one_error(name):
    with pytest.raises(CardiomorphError, match="there is no scenario"):
        scenario(name)


def test_gains_are_of_patients_and_not_of_repeats():
    rng = np.random.default_rng(0)
    baseline = {f"p{i}": [float(v) for v in rng.normal(80, 5, 3)] for i in range(20)}
    arm = {name: [v + 2 for v in values] for name, values in baseline.items()}
    found = gain(arm, baseline)
    assert found.patients == 20
    assert found.mean == pytest.approx(2)
    assert found.low == pytest.approx(2)
    differences = [np.mean(arm[n]) - np.mean(baseline[n]) for n in sorted(arm)]
    assert found.p == pytest.approx(wilcoxon(differences).pvalue)
    assert gain(arm, {"other": [1.0]}) is None
    assert gain(arm, arm).p == 1


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(3)
    inside = 0
    for repeat in range(200):
        low, high = interval(rng.normal(0, 1, 40), seed=repeat)
        inside += low <= 0 <= high
    assert 0.88 < inside / 200 < 0.99


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), min_size=1, max_size=6))
def test_holm_never_makes_a_test_surer(p_values):
    corrected = holm(p_values)
    order = sorted(p_values, key=lambda name: p_values[name])
    assert all(p_values[name] <= corrected[name] <= 1 for name in p_values)
    assert [corrected[name] for name in order] == sorted(corrected.values())
    assert corrected[order[0]] == pytest.approx(min(1, len(p_values) * p_values[order[0]]))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), change=st.integers(-3, 3))
def test_deformed_hearts_keep_their_epicardium_and_stay_closed(seed, change):
    label = ED.label[2]
    walled = with_wall(label, change)
    assert np.array_equal(walled >= Label.MYOCARDIUM, label >= Label.MYOCARDIUM)
    assert np.array_equal(walled == Label.RV, label == Label.RV)
    thicker = (walled == Label.MYOCARDIUM).sum() - (label == Label.MYOCARDIUM).sum()
    assert np.sign(thicker) == np.sign(change)
    moved = Deformation(np.random.default_rng(seed), SIZE)(label)
    assert set(np.unique(moved)) <= {0, 1, 2, 3}
    assert np.array_equal(Deformation(np.random.default_rng(seed), SIZE)(label), moved)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_so_many_slices_are_wrongly_labelled(share):
    stack = planned(disc((48, 48), 14, n=40), Plan(pixel_mm=1.5, slice_mm=10.0))
    wrong = with_errors(stack, share, np.random.default_rng(0))
    changed = (wrong.label != stack.label).any(axis=(1, 2))[stack.hearts]
    assert np.mean(changed) == pytest.approx(share, abs=0.2 if share == 0.5 else 0)
    assert np.array_equal(wrong.image, stack.image)
    assert not (wrong.label != stack.label)[~stack.hearts].any()


@pytest.mark.parametrize("name", ["healthy", "virtual", "own", "own-full", "deformation"])
@pytest.mark.parametrize("hearts", [1, 8, 30])
def test_arms_make_as_many_hearts_as_the_dose_asks(name, hearts):
    patients = [f"p{number}" for number in range(8)]
    wanted = hearts_of(arm_named(name), ("DCM", "HCM"), hearts, patients, patients, seed=0)
    if name == "deformation":
        assert wanted["hearts"] == hearts
        return
    sources = wanted["parents"] if wanted["sources"] == ["virtual"] else len(wanted["sources"])
    made = sources * len(wanted["targets"]) * wanted["versions"]
    assert hearts <= made <= hearts + (1 if sources <= 8 and wanted["versions"] == 1 else 8 * len(wanted["targets"]))


def test_morphs_need_a_healthy_patient():
    with pytest.raises(CardiomorphError, match="morphs healthy patients, and the scenario has none"):
        hearts_of(arm_named("own"), ("DCM",), 4, ["p1"], [], seed=0)
