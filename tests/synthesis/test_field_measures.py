"""What gives a heart in a full field away: measures whose answers are known, a classifier that is asked fairly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cardiomorph.cli import app
from cardiomorph.data.subject import Frame
from cardiomorph.evaluation.fidelity import noise_level
from cardiomorph.evaluation.populations import Populations
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.field_area import FullField
from cardiomorph.synthesis.field_measures import field_measures, seam_ring
from cardiomorph.synthesis.grain import grained
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.synthesis.telling_apart import cutouts, tell_apart
from cardiomorph.volume import Volume
from conftest import SPACING_MM, heart_label, hearts_of, textured, write_acdc_subject


def scan(seed=1, variant=0, noise=0.0):
    label = heart_label(hearts_of("NOR", variant)["ED"])
    image = textured(label, seed).astype(np.float32)
    if noise:
        image += noise * np.random.default_rng(seed).standard_normal(image.shape).astype(np.float32)
    return Frame(Volume(label, SPACING_MM), Volume(image, SPACING_MM))


def with_image(frame, array):
    return replace(frame, image=frame.image.with_array(array))


class TestMeasures:
    def test_a_scan_beside_itself_gives_nothing_away(self):
        found = field_measures(scan(), scan())
        assert (found.untouched, found.seam, found.difference, found.grain, found.sharpness) == (1, 1, 0, 1, 1)

    def test_an_edge_at_the_seam_is_seen(self):
        source = scan()
        heart = source.label.array > 0
        marked = source.image.array + 300 * heart
        assert field_measures(with_image(source, marked), source).seam == pytest.approx(1.0, abs=0.05)
        grown = np.stack([gaussian_filter(h.astype(float), 4) > 0.1 for h in np.moveaxis(heart, 2, 0)], axis=2)
        assert field_measures(with_image(source, source.image.array + 300 * grown), source).seam > 2

    @pytest.mark.parametrize("factor", [0.5, 2.0])
    def test_a_factor_on_the_contrast_is_the_factor_of_the_ratios(self, factor):
        source = scan()
        found = field_measures(with_image(source, factor * source.image.array), source)
        assert found.seam == pytest.approx(factor)
        assert found.grain == pytest.approx(factor)
        assert found.sharpness == pytest.approx(factor)

    def test_the_ring_lies_from_two_to_ten_mm(self):
        heart = np.zeros((80, 80, 2), bool)
        heart[40, 40, 0] = True
        ring = seam_ring(heart, (1.0, 1.0))
        distance = np.hypot(*np.meshgrid(np.arange(80) - 40, np.arange(80) - 40))
        np.testing.assert_array_equal(ring[..., 0], (distance > 2) & (distance < 10))
        assert not ring[..., 1].any()


class TestGrain:
    @given(st.floats(3, 30), st.integers(0, 100))
    def test_a_smooth_heart_gets_the_scans_noise(self, noise, seed):
        x, y, _ = np.ogrid[:90, :80, :8]
        smooth = (100 + 40 * np.sin(x / 15) * np.cos(y / 12) + np.zeros((90, 80, 8))).astype(np.float32)
        source = smooth + noise * np.random.default_rng(seed + 1).standard_normal(smooth.shape).astype(np.float32)
        region = np.zeros(source.shape, bool)
        region[20:70, 15:65, 1:6] = True
        made = grained(smooth, source, region, np.random.default_rng(seed))
        ratio = [noise_level(made[20:70, 15:65, k]) / noise_level(source[20:70, 15:65, k]) for k in range(1, 6)]
        assert np.mean(ratio) == pytest.approx(1.0, abs=0.12)
        np.testing.assert_array_equal(made[~region], smooth[~region])

    def test_what_is_noisy_enough_stays(self):
        source = scan(noise=5).image.array
        noisy = scan(noise=30).image.array
        np.testing.assert_array_equal(
            grained(noisy, source, np.ones(source.shape, bool), np.random.default_rng(0)), noisy
        )

    def test_the_grain_has_the_scans_own_spectrum(self):
        """Noise that a scanner has smoothed along one axis comes back smoothed along that axis."""
        rng = np.random.default_rng(0)
        source = 200 + gaussian_filter(40 * rng.standard_normal((96, 96, 3)), (2.0, 0.5, 0)).astype(np.float32)
        made = grained(np.full_like(source, 200), source, np.ones(source.shape, bool), rng) - 200

        def along(axis):
            return np.mean([np.corrcoef(made.ravel(), np.roll(made, 1, axis).ravel())[0, 1]])

        assert along(0) > along(1) + 0.3


class TestTellingApart:
    @staticmethod
    def cut(change, patients=4):
        found = []
        for number in range(patients):
            source = scan(seed=number, variant=number % 3, noise=10)
            found += cutouts(source, f"p{number}", made=False)
            found += cutouts(with_image(source, change(source)), f"p{number}", made=True)
        return found

    def test_copies_cannot_be_told(self):
        told = tell_apart(self.cut(lambda frame: frame.image.array), steps=15)
        assert told.auc == pytest.approx(0.5, abs=0.02)
        assert told.low <= told.auc <= told.high

    def test_smooth_hearts_can_be_told_and_by_the_heart(self):
        def smoothed(frame):
            image = frame.image.array
            return np.where(frame.label.array > 0, gaussian_filter(image, (1.5, 1.5, 0)), image)

        told = tell_apart(self.cut(smoothed), steps=40)
        assert told.auc > 0.8
        assert told.looked["heart"] > 1.5 > 1.0 > told.looked["elsewhere"]


@pytest.fixture(scope="module")
def hearts(atlas, tmp_path_factory):
    """Hearts of two patients in their full fields, and the patients."""
    root = tmp_path_factory.mktemp("own")
    for number in range(2):
        write_acdc_subject(root / "scans" / f"p{number}", "NOR", hearts_of("NOR", number), seed=number)
    request = SynthesisRequest(sources=(str(root / "scans"),), targets=("HCM",), versions=1, severity=0.5)
    synthesize(atlas, root / "made", request, patients=PatientOptions(any_group=True))
    return root


class TestArea:
    def test_hearts_are_laid_beside_their_scans(self, hearts):
        found = FullField(hearts / "made", hearts / "scans").summarise(Populations([], [], {}, 0))
        assert found.get("hearts").value == 2
        assert 0 < found.get("untouched").value < 1
        assert found.get("label_match").value is not None
        assert "patients or more" in found.missing["auc",]

    def test_without_scans_it_says_what_it_needs(self, hearts):
        found = FullField(hearts / "made", None).summarise(Populations([], [], {}, 0))
        assert "--scans" in found.missing[()]

    def test_other_peoples_scans_are_none_of_these(self, hearts, acdc_tree):
        found = FullField(hearts / "made", acdc_tree).summarise(Populations([], [], {}, 0))
        assert "no heart here" in found.missing[()]

    def test_the_command_writes_it(self, hearts, cohort, tmp_path):
        words = ["evaluate", str(hearts / "made"), "--against", str(cohort.folder), "--scans", str(hearts / "scans")]
        app([*words, "-o", str(tmp_path / "report"), "--workers", "1"], result_action="return_value")
        metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
        assert {
            "full_field.untouched",
            "full_field.grain",
            "full_field.label_match",
        } <= metrics.keys()
        assert "Full field" in (tmp_path / "report" / "report.html").read_text()
