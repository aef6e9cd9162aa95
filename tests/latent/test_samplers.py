"""The samplers against known answers: a constructed group, a plain transcription of the paper, the stated laws."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.correlation import kendall_matrix, positive_definite, sine_transform
from cardiomorph.latent.joint import SLOW_MODES, Coordinates, pack, unpack
from cardiomorph.latent.samplers import SAMPLERS
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.latent.samplers.draw import truncated_moments
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.statistics import expected_extreme, group_statistics, without_subjects
from cardiomorph.latent.trajectory import Trajectory

SLICES, DIMS = 8, 3


def smooth_heart(rng, shift=0.0):
    """Codes correlated along the slices, ES close to ED, lengths close to each other."""
    t = np.linspace(0, 1, SLICES)[:, None]
    weights = rng.normal(size=(3, DIMS))
    ed = shift + weights[0] + weights[1] * t + 0.5 * weights[2] * np.sin(3 * t) + 0.05 * rng.normal(size=(SLICES, DIMS))
    es = 0.8 * ed + 0.3 + 0.05 * rng.normal(size=ed.shape)
    length = 80 * np.exp(0.1 * rng.normal())
    return Trajectory({"ED": ed, "ES": es}, {"ED": length, "ES": 0.93 * length * np.exp(0.02 * rng.normal())})


@pytest.fixture(scope="module")
def hearts():
    rng = np.random.default_rng(0)
    return [smooth_heart(rng, 1.0) for _ in range(40)]


@pytest.fixture(scope="module")
def group(hearts):
    return group_statistics({"DCM": hearts})["DCM"]


@pytest.fixture(scope="module")
def parent():
    return smooth_heart(np.random.default_rng(99))


def wide(group):
    """The group without effective bounds, so that a Gaussian is a Gaussian."""
    phases = {p: replace(s, minimum=s.mean - 9 * s.sd, maximum=s.mean + 9 * s.sd) for p, s in group.phases.items()}
    return replace(group, phases=phases)


def draws(name, group, parent, n):
    rng = np.random.default_rng(1)
    return [sampler_named(name).draw(group, parent, rng) for _ in range(n)]


def test_statistics_are_those_of_numpy(hearts, group):
    stacked = np.stack([heart.codes["ES"] for heart in hearts])
    found = group.phases["ES"]
    assert np.allclose(found.mean, stacked.mean(0))
    assert np.allclose(found.sd, stacked.std(0, ddof=1))
    assert np.array_equal(found.minimum, stacked.min(0))
    assert np.allclose(found.kendall, kendall_matrix(np.concatenate(list(stacked))))
    packed = np.stack([pack(heart) for heart in hearts])
    assert np.allclose(group.joint.mean, packed.mean(0))
    assert np.allclose(group.joint.sd, packed.std(0, ddof=1))


def test_pack_and_unpack_are_inverse(hearts):
    back = unpack(pack(hearts[0]), (SLICES, DIMS))
    assert np.allclose(back.codes["ED"], hearts[0].codes["ED"])
    assert back.length_mm == pytest.approx(dict(hearts[0].length_mm))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_the_protocol(name, group, parent):
    sampler = sampler_named(name)
    assert sampler.name == name
    assert sampler_named(**sampler.model_dump()) == sampler
    with pytest.raises(ValidationError, match="frozen"):
        sampler.name = "other"
    with pytest.raises(CardiomorphError, match=f"sampler {name}: magic"):
        sampler_named(name, magic=1)
    before = pack(parent).copy()
    draw = sampler.draw(group, parent, np.random.default_rng(0))
    assert np.array_equal(pack(parent), before)
    for phase, codes in draw.trajectory.codes.items():
        assert codes.shape == parent.codes[phase].shape
        assert np.isfinite(codes).all()
        assert draw.trajectory.length_mm[phase] > 0
    json.dumps(draw.diagnostics)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_generator_draws_the_same_heart(name, group, parent):
    first, second = (draws(name, group, parent, 1)[0].trajectory for _ in range(2))
    assert np.array_equal(first.codes["ED"], second.codes["ED"])
    assert first.length_mm == second.length_mm


@pytest.mark.parametrize("name", ["independent", "copula"])
def test_bounds_are_kept(name, group, parent):
    for draw in draws(name, group, parent, 40):
        for phase, statistics in group.phases.items():
            codes = draw.trajectory.codes[phase]
            assert (codes >= statistics.minimum - 1e-9).all()
            assert (codes <= statistics.maximum + 1e-9).all()
        assert draw.diagnostics["share_out_of_bounds"] == 0


def test_paper_leaves_the_bounds_and_says_so(group, parent):
    shares = [draw.diagnostics["share_out_of_bounds"] for draw in draws("paper", group, parent, 20)]
    counted = [
        np.mean(
            [
                (d.trajectory.codes[p] < s.minimum - 1e-9) | (d.trajectory.codes[p] > s.maximum + 1e-9)
                for p, s in group.phases.items()
            ]
        )
        for d in draws("paper", group, parent, 20)
    ]
    assert shares == pytest.approx(counted)
    assert np.mean(shares) > 0


def test_paper_equals_a_line_by_line_transcription(group, parent):
    rng = np.random.default_rng(5)
    drawn = sampler_named("paper").draw(group, parent, rng).trajectory
    rng = np.random.default_rng(5)
    for phase in ("ED", "ES"):
        s = group.phases[phase]
        uniform = rng.random((SLICES, DIMS))
        x = np.empty((SLICES, DIMS))
        for i in range(SLICES):
            for j in range(DIMS):
                a, b = (s.minimum[i, j] - s.mean[i, j]) / s.sd[i, j], (s.maximum[i, j] - s.mean[i, j]) / s.sd[i, j]
                x[i, j] = stats.truncnorm.ppf(uniform[i, j], a, b, loc=s.mean[i, j], scale=s.sd[i, j])
        tau_z = np.eye(DIMS)
        tau_s = np.eye(SLICES)
        for i in range(DIMS):
            for j in range(DIMS):
                tau_z[i, j] = s.kendall[i, j]
        codes = parent.codes[phase]
        for i in range(SLICES):
            for j in range(SLICES):
                tau_s[i, j] = stats.kendalltau(codes[i], codes[j]).statistic
        l_z = np.linalg.cholesky(positive_definite(tau_z)[0])
        l_s = np.linalg.cholesky(positive_definite(tau_s)[0])
        y = np.stack([l_z @ x[i] for i in range(SLICES)])
        z = np.stack([sum(l_s[i, k] * y[k] for k in range(SLICES)) for i in range(SLICES)])
        assert np.allclose(drawn.codes[phase], z, atol=1e-6)


def test_truncated_moments_are_scipys(group):
    for s in group.phases.values():
        a, b = (s.minimum - s.mean) / s.sd, (s.maximum - s.mean) / s.sd
        mean, sd = truncated_moments(s)
        expected = stats.truncnorm(a, b, loc=s.mean, scale=s.sd)
        np.testing.assert_allclose(mean, expected.mean(), atol=1e-9)
        np.testing.assert_allclose(sd, expected.std(), atol=1e-7)
    fixed = replace(s, sd=np.zeros_like(s.sd), minimum=s.mean, maximum=s.mean)
    mean, sd = truncated_moments(fixed)
    np.testing.assert_array_equal(mean, s.mean)
    np.testing.assert_array_equal(sd, 0)


def test_the_standardised_product_equals_a_line_by_line_transcription(group, parent):
    drawn = sampler_named("paper-standardised").draw(group, parent, np.random.default_rng(5)).trajectory
    rng = np.random.default_rng(5)
    for phase in ("ED", "ES"):
        s = group.phases[phase]
        uniform = rng.random((SLICES, DIMS))
        unit, mean, sd = (np.empty((SLICES, DIMS)) for _ in range(3))
        for i in range(SLICES):
            for j in range(DIMS):
                a, b = (s.minimum[i, j] - s.mean[i, j]) / s.sd[i, j], (s.maximum[i, j] - s.mean[i, j]) / s.sd[i, j]
                one = stats.truncnorm(a, b, loc=s.mean[i, j], scale=s.sd[i, j])
                mean[i, j], sd[i, j] = one.mean(), one.std()
                unit[i, j] = (one.ppf(uniform[i, j]) - mean[i, j]) / sd[i, j]
        l_z = np.linalg.cholesky(positive_definite(s.kendall)[0])
        l_s = np.linalg.cholesky(positive_definite(kendall_matrix(parent.codes[phase].T))[0])
        z = np.zeros((SLICES, DIMS))
        for i in range(SLICES):
            for j in range(DIMS):
                z[i, j] = sum(l_s[i, k] * l_z[j, m] * unit[k, m] for k in range(SLICES) for m in range(DIMS))
        np.testing.assert_allclose(drawn.codes[phase], mean + sd * z, atol=1e-6)


def test_the_standardised_product_keeps_means_and_sds_and_has_the_correlations(group, parent):
    codes = np.stack([d.trajectory.codes["ED"] for d in draws("paper-standardised", group, parent, 3000)])
    s = group.phases["ED"]
    mean, sd = truncated_moments(s)
    assert np.abs((codes.mean(0) - mean) / sd).max() < 5 / np.sqrt(3000)
    assert np.allclose(codes.std(0), sd, rtol=0.08)
    latent = positive_definite(s.kendall)[0]
    slices = positive_definite(kendall_matrix(parent.codes["ED"].T))[0]
    found = np.corrcoef(((codes - mean) / sd).reshape(len(codes), -1).T)
    assert np.abs(found - np.kron(slices, latent)).max() < 0.1


@pytest.mark.parametrize("name", ["paper", "paper-standardised"])
def test_a_factor_that_is_left_out_correlates_nothing(name, group, parent):
    def correlations(which):
        sampler = sampler_named(name, correlate=which)
        codes = np.stack([
            sampler.draw(group, parent, np.random.default_rng(seed)).trajectory.codes["ED"] for seed in range(1500)
        ])  # fmt: skip
        found = np.corrcoef(codes.reshape(len(codes), -1).T).reshape(SLICES, DIMS, SLICES, DIMS)
        between_slices = np.abs(found[0, 0, 1:, 0]).max()
        between_dims = np.abs(found[0, 0, 0, 1:]).max()
        return between_slices > 0.15, between_dims > 0.15

    assert correlations("none") == (False, False)
    assert correlations("slices") == (True, False)
    assert correlations("latent") == (False, True)
    assert correlations("both") == (True, True)


def test_nothing_correlated_is_the_independent_draw(group, parent):
    drawn = sampler_named("paper-standardised", correlate="none").draw(group, parent, np.random.default_rng(2))
    plain = sampler_named("independent").draw(group, parent, np.random.default_rng(2))
    for phase in ("ED", "ES"):
        np.testing.assert_allclose(drawn.trajectory.codes[phase], plain.trajectory.codes[phase], atol=1e-9)


def test_the_whole_method_is_saved_as_before():
    assert sampler_named("paper").model_dump() == {"name": "paper"}
    assert sampler_named("paper", correlate="slices").model_dump() == {"name": "paper", "correlate": "slices"}


def test_independent_has_the_truncated_normal_marginal(group, parent):
    s = group.phases["ED"]
    values = [draw.trajectory.codes["ED"][2, 1] for draw in draws("independent", group, parent, 800)]
    a, b = (s.minimum[2, 1] - s.mean[2, 1]) / s.sd[2, 1], (s.maximum[2, 1] - s.mean[2, 1]) / s.sd[2, 1]
    expected = stats.truncnorm(a, b, s.mean[2, 1], s.sd[2, 1])
    assert stats.kstest(values, expected.cdf).pvalue > 1e-3


def test_copula_recovers_marginals_and_correlations(group, parent):
    loose = wide(group)
    codes = np.stack([draw.trajectory.codes["ED"] for draw in draws("copula", loose, parent, 3000)])
    s = loose.phases["ED"]
    assert np.allclose(codes.mean(0), s.mean, atol=4 * s.sd.max() / np.sqrt(3000))
    assert np.allclose(codes.std(0), s.sd, rtol=0.08)
    latent = positive_definite(sine_transform(s.kendall))[0]
    slices = positive_definite(sine_transform(kendall_matrix(parent.codes["ED"].T)))[0]
    found = np.corrcoef(((codes - s.mean) / s.sd).reshape(len(codes), -1).T)
    assert np.abs(found - np.kron(slices, latent)).max() < 0.1


@pytest.mark.parametrize("inherited", [0.0, 0.7, 1.0])
def test_population_recovers_the_groups_gaussian_whatever_comes_from_the_parent(hearts, group, inherited):
    """Parents that are as the group has them: the children's distribution is the model's, for any share."""
    rng, joint = np.random.default_rng(2), group.joint
    parents = PopulationSampler(inherited=0.0)
    sampler = PopulationSampler(inherited=inherited)
    drawn = []
    for _ in range(3000):
        parent = parents.draw(group, hearts[0], rng).trajectory
        drawn.append(pack(sampler.draw(group, parent, rng).trajectory))
    found = (np.stack(drawn) - joint.mean) / joint.sd
    model = joint.factors().T @ joint.factors()
    assert np.abs(found.mean(0)).max() < 0.09
    assert np.abs(np.cov(found.T) - model).max() < 0.17
    lengths = np.diag(model)[-2:]
    assert np.allclose(lengths, 1, atol=0.06), "the lengths' spread is the group's"


def test_the_modes_hold_what_real_hearts_have_in_common(hearts, group):
    joint = group.joint
    deviations = (np.stack([pack(heart) for heart in hearts]) - joint.mean) / joint.sd
    kept = np.stack([joint.deviation(joint.coordinates(one)) for one in deviations])
    assert ((deviations - kept) ** 2).sum() < 0.15 * (deviations**2).sum()
    model = joint.factors().T @ joint.factors()
    ed, es = 4 * DIMS, SLICES * DIMS + 4 * DIMS
    assert model[ed, es] > 0.8, "ES follows ED in these hearts"
    assert np.linalg.matrix_rank(joint.along) <= SLOW_MODES


def test_coordinates_and_deviation_are_inverse_on_the_modes(group):
    joint, rng = group.joint, np.random.default_rng(5)
    at = joint.drawn(rng)
    back = joint.coordinates(joint.deviation(at))
    assert isinstance(back, Coordinates)
    for found, drawn in zip(back.parts, at.parts, strict=True):
        np.testing.assert_allclose(found, drawn, atol=1e-8)


def test_a_childs_deviation_is_the_parents_as_far_as_is_asked(group, hearts):
    joint = group.joint

    def kept(inherited):
        rng, sampler = np.random.default_rng(3), PopulationSampler(inherited=inherited)
        pairs = []
        for heart in hearts:
            child = sampler.draw(group, heart, rng).trajectory
            pairs.append([joint.coordinates((pack(x) - joint.mean) / joint.sd).slow.ravel() for x in (heart, child)])
        parents, children = np.array(pairs).transpose(1, 0, 2)
        return np.corrcoef(parents.ravel(), children.ravel())[0, 1]

    assert kept(0.0) == pytest.approx(0.0, abs=0.15)
    assert kept(0.7) == pytest.approx(0.7, abs=0.12)
    assert kept(1.0) == pytest.approx(1.0, abs=1e-2)


def test_a_parent_that_no_group_knows_stays_within_reason(group, hearts):
    giant = unpack(10 * pack(hearts[0]), (SLICES, DIMS))
    giant = replace(giant, length_mm={"ED": 300.0, "ES": 280.0})
    drawn = PopulationSampler(inherited=1.0).draw(group, giant, np.random.default_rng(0)).trajectory
    assert np.abs((pack(drawn) - group.joint.mean) / group.joint.sd).max() < 12


def test_the_difference_of_groups_is_smooth_along_the_axis(hearts):
    rng = np.random.default_rng(6)
    ragged = [replace(h, codes={p: c + rng.normal(size=c.shape) for p, c in h.codes.items()}) for h in hearts]
    groups = group_statistics({"NOR": hearts[:20], "DCM": ragged[20:]})
    difference = unpack(groups["DCM"].joint.mean - groups["NOR"].joint.mean, (SLICES, DIMS)).codes["ED"]
    plain = groups["DCM"].phases["ED"].mean - groups["NOR"].phases["ED"].mean
    assert np.abs(np.diff(difference, 2, axis=0)).mean() < 0.8 * np.abs(np.diff(plain, 2, axis=0)).mean()
    np.testing.assert_allclose(difference.mean(axis=0), plain.mean(axis=0), atol=1e-9)


def test_statistics_to_give_away_hold_no_subjects_own_values(hearts, group):
    shared = without_subjects(group)
    own = np.stack([heart.codes["ED"] for heart in hearts]).ravel()
    for phase in shared.phases.values():
        for bound in (phase.minimum, phase.maximum):
            assert np.abs(bound.ravel()[:, None] - own[None]).min(axis=1).min() > 0
    assert np.isin(group.phases["ED"].maximum, own).all()
    ed = shared.phases["ED"]
    np.testing.assert_allclose(ed.maximum - ed.mean, expected_extreme(40) * ed.sd)


def test_the_expected_extreme_is_that_of_simulated_numbers():
    rng = np.random.default_rng(0)
    for n in (8, 16, 60):
        assert expected_extreme(n) == pytest.approx(rng.normal(size=(20000, n)).max(axis=1).mean(), rel=0.025)


def test_population_draws_the_length_of_the_group_and_the_others_keep_the_parents(group, parent, hearts):
    rng, fresh = np.random.default_rng(1), PopulationSampler(inherited=0.0)
    lengths = [fresh.draw(group, parent, rng).trajectory.length_mm["ED"] for _ in range(200)]
    assert np.mean(lengths) == pytest.approx(np.mean([h.length_mm["ED"] for h in hearts]), rel=0.03)
    for name in ("independent", "paper", "paper-standardised", "copula"):
        assert draws(name, group, parent, 1)[0].trajectory.length_mm == parent.length_mm


def test_correlated_samplers_are_smoother_than_the_independent_one(group, parent):
    def roughness(name):
        return np.mean(
            [np.abs(np.diff(d.trajectory.codes["ED"], 2, axis=0)).mean() for d in draws(name, group, parent, 40)]
        )

    assert roughness("population") < 0.5 * roughness("independent")
    assert roughness("copula") < roughness("independent")


def test_an_unknown_sampler_is_refused_with_the_names():
    with pytest.raises(CardiomorphError, match="population, copula, paper, paper-standardised, independent"):
        sampler_named("magic")
