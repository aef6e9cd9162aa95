"""The fit that predicts a labelling's Dice."""

import numpy as np
import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import write_json
from cardiomorph.segmentation.quality import QUALITY, Signs, fitted, read_calibration, verdict

NAMES = ("rv", "myocardium", "lv")


def signs(doubt):
    return Signs(dict.fromkeys(NAMES, (1.0, doubt, doubt, 0.0, 0.0)))


def known(n=200, noise=0.2, seed=0):
    """Errors that are the exponential of half the doubt, but for noise."""
    rng = np.random.default_rng(seed)
    doubts = rng.uniform(-5, -1, n)
    errors = np.exp(0.5 * doubts + noise * rng.standard_normal(n))
    return [signs(d) for d in doubts], [dict.fromkeys(NAMES, 1 - min(e, 0.9)) for e in errors]


def test_the_known_relation_is_found_again():
    fit = fitted(*known(), subjects=10)
    for doubt in (-4.0, -2.0):
        assert fit.predicted(signs(doubt))["lv"] == pytest.approx(1 - np.exp(0.5 * doubt), abs=0.03)
    assert (fit.subjects, fit.stacks) == (10, 200)


def test_more_doubt_is_less_dice():
    fit = fitted(*known(), subjects=10)
    predicted = [fit.predicted(signs(d))["rv"] for d in np.linspace(-6, -0.5, 20)]
    assert (np.diff(predicted) < 0).all()


def test_nine_in_ten_lie_in_the_range():
    fit = fitted(*known(), subjects=10)
    fresh, dice = known(seed=1)
    ranges = [fit.range90(s)["lv"] for s in fresh]
    inside = np.mean([low <= d["lv"] <= high for (low, high), d in zip(ranges, dice, strict=True)])
    assert 0.83 < inside < 0.97


def test_a_prediction_is_a_dice_whatever_the_signs():
    fit = fitted(*known(), subjects=10)
    for doubt in (-50.0, 50.0):
        assert all(0.0 <= value <= 1.0 for value in fit.predicted(signs(doubt)).values())


@pytest.mark.parametrize(("dice", "word"), [(0.9, "good"), (0.8, "doubtful"), (0.5, "poor")])
def test_the_verdict_in_a_word(dice, word):
    assert verdict(dict.fromkeys(NAMES, dice)) == word


def test_it_is_read_as_it_was_written_and_a_damaged_one_is_refused(tmp_path):
    assert read_calibration(tmp_path) is None
    fit = fitted(*known(), subjects=10)
    write_json(tmp_path / QUALITY, fit.model_dump(), seal=True)
    assert read_calibration(tmp_path).model_dump() == fit.model_dump()
    (tmp_path / QUALITY).write_text('{"weights": 3}')
    with pytest.raises(CardiomorphError, match=QUALITY):
        read_calibration(tmp_path)
