"""The samplers against known answers: a constructed group, a plain transcription of the paper, the stated laws."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.correlation import kendall_matrix, positive_definite, sine_transform
from cardiomorph.latent.samplers import SAMPLERS
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.latent.samplers.draw import truncated_moments
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.statistics import group_statistics, pack, smoothed, unpack
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
    return group_statistics(hearts)


@pytest.fixture(scope="module")
def parent():
    return smooth_heart(np.random.default_rng(99))


def wide(group):
    """The group without effective bounds, so that a Gaussian is a Gaussian."""
    phases = {p: replace(s, minimum=s.mean - 9 * s.sd, maximum=s.mean + 9 * s.sd) for p, s in group.phases.items()}
    joint = group.joint
    joint = replace(joint, minimum=joint.mean - 9 * joint.sd, maximum=joint.mean + 9 * joint.sd)
    return replace(group, phases=phases, joint=joint)


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
    assert np.allclose(group.joint.factors.T @ group.joint.factors, np.corrcoef(packed.T))


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


@pytest.mark.parametrize("name", ["independent", "copula", "population"])
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


def test_population_without_shrinkage_recovers_the_empirical_gaussian(hearts, group, parent):
    loose, rng = wide(group), np.random.default_rng(2)
    sampler = PopulationSampler(shrinkage=0.0, truncated=False)
    drawn = np.stack([pack(sampler.draw(loose, parent, rng).trajectory) for _ in range(3000)])
    real = np.stack([pack(heart) for heart in hearts])
    assert np.allclose(drawn.mean(0), real.mean(0), atol=4 * real.std(0).max() / np.sqrt(3000))
    assert np.allclose(drawn.std(0), real.std(0, ddof=1), rtol=0.1)
    assert np.abs(np.corrcoef(drawn.T) - np.corrcoef(real.T)).max() < 0.1


def test_population_stays_within_the_subjects_along_every_factor(hearts, group, parent):
    joint, loose, rng = group.joint, wide(group), np.random.default_rng(4)
    centred = (np.stack([pack(heart) for heart in hearts]) - joint.mean) / joint.sd
    subjects = np.linalg.lstsq(joint.factors.T, centred.T, rcond=None)[0]
    assert np.allclose(subjects.std(axis=1, ddof=1), 1)
    assert np.allclose(subjects.min(axis=1), joint.factor_minimum)
    assert np.allclose(subjects.max(axis=1), joint.factor_maximum)
    sampler = PopulationSampler(shrinkage=0.0)
    drawn = np.stack([pack(sampler.draw(loose, parent, rng).trajectory) for _ in range(500)])
    coordinates = np.linalg.lstsq(joint.factors.T, ((drawn - joint.mean) / joint.sd).T, rcond=None)[0]
    assert (coordinates >= joint.factor_minimum[:, None] - 1e-6).all()
    assert (coordinates <= joint.factor_maximum[:, None] + 1e-6).all()
    assert (coordinates.min(axis=1) < 0.8 * joint.factor_minimum).all()


def test_population_fully_shrunk_recovers_the_kronecker_target(group, parent):
    loose, rng = wide(group), np.random.default_rng(3)
    sampler = PopulationSampler(shrinkage=1.0, slice_modes=None)
    drawn = np.stack([pack(sampler.draw(loose, parent, rng).trajectory) for _ in range(4000)])
    joint = group.joint
    target = np.kron(joint.phase_correlation, np.kron(joint.slice_correlation, joint.latent_correlation))
    found = np.corrcoef(drawn.T)
    n = len(target)
    assert np.abs(found[:n, :n] - target).max() < 0.1
    assert np.abs(found[n:, n:] - joint.length_correlation).max() < 0.1
    assert np.abs(found[n:, :n]).max() < 0.1


@pytest.mark.parametrize("modes", [1, 2, 5, 32, None])
def test_a_smoothed_correlation_keeps_the_leading_modes(group, modes):
    slices = group.joint.slice_correlation
    kept = smoothed(slices, modes)
    assert np.allclose(np.diag(kept), 1)
    assert np.linalg.eigvalsh(kept).min() > -1e-9
    assert np.linalg.matrix_rank(kept, tol=1e-6) <= (modes or 32)
    if modes in (32, None):
        assert np.allclose(kept, slices)


def test_fewer_modes_make_smoother_hearts(group, parent):
    def bend(modes):
        sampler = PopulationSampler(shrinkage=1.0, slice_modes=modes)
        rngs = (np.random.default_rng(seed) for seed in range(40))
        codes = [sampler.draw(wide(group), parent, rng).trajectory.codes["ED"] for rng in rngs]
        return np.mean([np.abs(np.diff(c - group.phases["ED"].mean, 2, axis=0)).mean() for c in codes])

    assert bend(2) < bend(4) < bend(None)


def test_population_draws_the_length_of_the_group_and_the_others_keep_the_parents(group, parent, hearts):
    lengths = [draw.trajectory.length_mm["ED"] for draw in draws("population", group, parent, 200)]
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
