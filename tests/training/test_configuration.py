from __future__ import annotations

import json

import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.training.configuration import configured
from cardiomorph.training.shape import SHAPE_PRESETS


def changed(tmp_path, content):
    path = tmp_path / "changes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return configured(SHAPE_PRESETS, "tiny", path)


@pytest.mark.parametrize("name", SHAPE_PRESETS)
def test_a_preset_without_changes_is_itself(name):
    assert configured(SHAPE_PRESETS, name, None) is SHAPE_PRESETS[name]


def test_a_file_changes_only_what_it_names(tmp_path):
    config = changed(tmp_path, {"epochs": 3, "model": {"width": 5}})
    tiny = SHAPE_PRESETS["tiny"]
    expected = tiny.model_copy(update={"epochs": 3, "model": tiny.model.model_copy(update={"width": 5})})
    assert config == expected


def test_an_unknown_preset_is_an_error():
    with pytest.raises(CardiomorphError, match=r"no preset 'huge'.*tiny, small, base, paper"):
        configured(SHAPE_PRESETS, "huge", None)


@pytest.mark.parametrize(
    "content, what",
    [
        ({"epoch": 3}, "epoch: "),
        ({"model": {"breadth": 3}}, "model.breadth: "),
        ({"epochs": 0}, "epochs: "),
        ({"learning_rate": "fast"}, "learning_rate: "),
        ({"model": 3}, "model: "),
        ([1], "a valid dictionary"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_a_bad_file_names_the_key(content, what, tmp_path):
    with pytest.raises(CardiomorphError, match=what) as error:
        changed(tmp_path, content)
    assert "changes.json" in str(error.value)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match=r"absent.json: this file is missing"):
        configured(SHAPE_PRESETS, "tiny", tmp_path / "absent.json")
