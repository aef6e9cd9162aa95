"""An atlas on disk: what is written comes back, and what is damaged says so."""

import json
import shutil
from dataclasses import fields

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cardiomorph.anatomy import PHASES
from cardiomorph.data.prepare import Geometry
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.atlas import Atlas, Parent, write_description, write_parents, write_statistics
from cardiomorph.latent.statistics import group_statistics
from cardiomorph.latent.trajectory import Trajectory

GEOMETRY = Geometry(
    source_shape=(90, 80, 8),
    source_spacing_mm=(1.6, 1.6, 10.0),
    centre_mm=(70.5, 64.25),
    first_slice={"ED": 0, "ES": 1},
    intensity_range=(3.0, 471.5),
    spacing_mm=1.5,
    size=128,
)


def trajectory(rng):
    return Trajectory({p: rng.normal(size=(32, 3)) for p in PHASES}, {p: float(rng.uniform(60, 90)) for p in PHASES})


def made():
    rng = np.random.default_rng(0)
    groups = {name: group_statistics([trajectory(rng) for _ in range(n)]) for name, n in (("NOR", 4), ("DCM", 3))}
    styles = {p: rng.normal(size=(32, 5)).astype(np.float32) for p in PHASES}
    parents = {
        "a": Parent("a", "train", trajectory(rng), GEOMETRY, styles, 171.0, 64.5, 0.0137),
        "b/c é": Parent("b/c é", "heldout", trajectory(rng), GEOMETRY.model_copy(update={"intensity_range": None})),
    }
    return groups, parents


@pytest.fixture
def folder(tmp_path):
    groups, parents = made()
    write_statistics(tmp_path, groups, None)
    write_parents(tmp_path, parents)
    write_description(tmp_path, groups, cohort="c")
    return tmp_path


def assert_same(a, b):
    for field in fields(a):
        assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name


def test_statistics_come_back_as_they_were(folder):
    found, (groups, _) = Atlas(folder).groups, made()
    assert list(found) == list(groups)
    for name, group in groups.items():
        assert found[name].n_subjects == group.n_subjects
        assert_same(found[name].joint, group.joint)
        for phase in PHASES:
            assert_same(found[name].phases[phase], group.phases[phase])


def test_parents_come_back_as_they_were(folder):
    found, (_, parents) = Atlas(folder).parents, made()
    assert list(found) == list(parents)
    for name, parent in parents.items():
        again = Atlas(folder).parent(name)
        for key in ("id", "split", "geometry", "height_cm", "weight_kg", "noise"):
            assert getattr(again, key) == getattr(parent, key)
        assert again.trajectory.length_mm == parent.trajectory.length_mm
        for phase in PHASES:
            assert np.array_equal(again.trajectory.codes[phase], parent.trajectory.codes[phase])
            if parent.styles is not None:
                assert np.array_equal(again.styles[phase], parent.styles[phase])
    assert Atlas(folder).parent("b/c é").styles is None


def test_the_same_content_has_the_same_identity(folder, tmp_path_factory):
    groups, parents = made()
    other = tmp_path_factory.mktemp("other")
    write_statistics(other, groups, None)
    write_parents(other, parents)
    write_description(other, groups, cohort="another name")
    assert Atlas(other).identity == Atlas(folder).identity
    write_statistics(other, {"NOR": groups["NOR"], "DCM": groups["NOR"]}, None)
    assert Atlas(other).identity != Atlas(folder).identity


def test_a_group_or_parent_it_has_not_is_an_error(folder):
    with pytest.raises(CardiomorphError, match="has no group 'HCM'; it has NOR, DCM"):
        Atlas(folder).group("HCM")
    with pytest.raises(CardiomorphError, match="has no healthy subject 'z'; it has a, b/c é"):
        Atlas(folder).parent("z")


def test_a_folder_without_atlas_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match=r"is not an atlas.*cardiomorph atlas"):
        Atlas(tmp_path)


@pytest.mark.parametrize("change", [{"format": 99}, {"format": None}])
def test_an_atlas_of_another_format_is_not_read(change, folder):
    description = json.loads((folder / "atlas.json").read_text())
    (folder / "atlas.json").write_text(json.dumps(description | change))
    with pytest.raises(CardiomorphError, match=r"atlas\.json: is in format (99|None); this version reads format 2"):
        Atlas(folder)


@pytest.mark.parametrize("name, what", [("statistics", "groups"), ("parents", "parents")])
@pytest.mark.parametrize("damage", ["missing", "text", "cut", "other keys"])
def test_a_damaged_file_is_an_error_that_names_it(name, what, damage, folder):
    path = folder / f"{name}.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_bytes(b"hello")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    else:
        save_file({key: value for key, value in load_file(path).items() if "joint" not in key}, path)
    with pytest.raises(CardiomorphError, match=rf"{name}\.safetensors: is missing or damaged"):
        getattr(Atlas(folder), what)


@pytest.mark.parametrize("content", ["[]", "{}", '{"models": 3}', "{"])
def test_a_damaged_description_is_an_error(content, folder):
    (folder / "atlas.json").write_text(content)
    with pytest.raises(CardiomorphError, match=r"atlas\.json: "):
        Atlas(folder)


def test_another_model_than_it_was_made_with_is_an_error(atlas, tmp_path):
    shutil.copytree(atlas.folder, tmp_path / "a")
    weights = tmp_path / "a" / "shape" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CardiomorphError, match="made with another shape model"):
        Atlas(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "image")
    shutil.copytree(atlas.folder / "shape", tmp_path / "a" / "shape", dirs_exist_ok=True)
    with pytest.raises(CardiomorphError, match=r"another image model.*missing"):
        Atlas(tmp_path / "a")


def test_a_group_that_is_described_but_not_there_is_an_error(folder):
    description = json.loads((folder / "atlas.json").read_text())
    description["groups"] = {"NOR": 4, "HCM": 3}
    (folder / "atlas.json").write_text(json.dumps(description))
    with pytest.raises(CardiomorphError, match="is missing or damaged"):
        _ = Atlas(folder).groups
