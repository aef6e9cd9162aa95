"""A quick selection of injected faults of every kind; `everything.py` injects all of them and counts."""

import pytest
import torch
from bits import flips
from configurations import wrong_configurations
from contents import wrong_arrays, wrong_json
from disks import full_disks, small_files
from doors import DOORS, OWN_WORDS
from kills import kills
from names import DOORS as NAME_DOORS
from names import hostile_names
from world import make_world

JSON_DOORS = [name for name, door in (DOORS | OWN_WORDS).items() if door.files.endswith(".json")]
QUICK = {
    "synthesize": 6,
    "synthesize, hearts damaged": 4,
    "synthesize --recreate, one there": 4,
    "models pack": 2,
    "train": 2,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("world"))


def assert_none_lost(tally):
    assert tally.injected > 0
    assert tally.lost == []


@pytest.mark.parametrize(("name", "limit"), QUICK.items())
def test_a_kill_at_a_move_loses_nothing(name, limit, world, tmp_path):
    assert_none_lost(kills(world, name, tmp_path, limit))


@pytest.mark.parametrize("name", DOORS)
def test_a_flipped_bit_is_never_read_as_good(name, world, tmp_path):
    assert_none_lost(flips(world, name, tmp_path, 3))


@pytest.mark.parametrize("name", JSON_DOORS)
def test_wrong_content_is_one_clear_error(name, world, tmp_path):
    assert_none_lost(wrong_json(world, name, tmp_path, 8))


def test_a_wrong_configuration_is_one_clear_error(world, tmp_path):
    assert_none_lost(wrong_configurations(world, "shape", tmp_path, 5))


@pytest.mark.parametrize("name", ["statistics.safetensors", "parents.safetensors"])
def test_wrong_arrays_never_draw(name, world, tmp_path):
    assert_none_lost(wrong_arrays(world, name, tmp_path, 15))


@pytest.mark.parametrize("name", ["synthesize", "synthesize --recreate, one there", "models pack"])
def test_a_full_disk_is_one_clear_error(name, world, tmp_path):
    assert_none_lost(full_disks(world, name, tmp_path, 4))


def test_files_that_may_not_grow_are_one_clear_error(world, tmp_path):
    assert_none_lost(small_files(world, "train", tmp_path, (300, 3_000, 30_000)))


@pytest.mark.parametrize("door", NAME_DOORS)
def test_a_hostile_name_stays_inside(door, world, tmp_path):
    assert_none_lost(hostile_names(world, door, tmp_path))
