"""An atlas on disk: what is written comes back, and what is damaged says so."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cardiomorph.anatomy import PHASES
from cardiomorph.data.prepare import Geometry
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import digest, read_arrays, read_json, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.atlas_files import Parent, write_description, write_parents, write_statistics
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
    groups = group_statistics({name: [trajectory(rng) for _ in range(n)] for name, n in (("NOR", 4), ("DCM", 3))})
    styles = {p: rng.normal(size=(32, 5)).astype(np.float32) for p in PHASES}
    parents = {
        "a": Parent("a", "train", trajectory(rng), GEOMETRY, styles, 171.0, 64.5, 0.0137),
        "b c é": Parent("b c é", "heldout", trajectory(rng), GEOMETRY.model_copy(update={"intensity_range": None})),
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
    assert Atlas(folder).parent("b c é").styles is None


def test_the_same_content_has_the_same_identity(folder, tmp_path_factory):
    groups, parents = made()
    other = tmp_path_factory.mktemp("other")
    write_statistics(other, groups, None)
    write_parents(other, parents)
    write_description(other, groups, cohort="another name")
    assert Atlas(other).identity == Atlas(folder).identity
    write_statistics(other, {"NOR": groups["NOR"], "DCM": groups["NOR"]}, None)
    write_description(other, groups, cohort="another name")
    assert Atlas(other).identity != Atlas(folder).identity


def test_a_group_or_parent_it_has_not_is_an_error(folder):
    with pytest.raises(CardiomorphError, match="has no group 'HCM'; it has NOR, DCM"):
        Atlas(folder).group("HCM")
    with pytest.raises(CardiomorphError, match="has no healthy subject 'z'; it has a, b c é"):
        Atlas(folder).parent("z")


def test_a_folder_without_atlas_is_an_error(tmp_path):
    with pytest.raises(CardiomorphError, match=r"is not an atlas.*cardiomorph atlas"):
        Atlas(tmp_path)


@pytest.mark.parametrize("change", [{"format": 99}, {"format": None}])
def test_an_atlas_of_another_format_is_not_read(change, folder):
    description = json.loads((folder / "atlas.json").read_text())
    (folder / "atlas.json").write_text(json.dumps(description | change))
    with pytest.raises(CardiomorphError, match=r"atlas\.json: is in format (99|None); this version reads format 4"):
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
    with pytest.raises(CardiomorphError, match=rf"{name}\.safetensors: "):
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
    write_json(folder / "atlas.json", description | {"groups": {"NOR": 4, "HCM": 3}}, seal=True)
    with pytest.raises(CardiomorphError, match="is missing or damaged"):
        _ = Atlas(folder).groups


@pytest.mark.parametrize("name, what", [("statistics", "groups"), ("statistics", "identity"), ("parents", "parents")])
def test_a_single_flipped_bit_is_never_read(name, what, folder):
    path = folder / f"{name}.safetensors"
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 12).astype(int).tolist():
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(CardiomorphError, match=rf"{name}\.safetensors: is not the file that the atlas was made"):
            getattr(Atlas(folder), what)


def test_a_flipped_bit_in_the_description_is_never_read(folder):
    path = folder / "atlas.json"
    text = path.read_text()
    path.write_text(text.replace('"NOR": 4', '"NOR": 5'))
    with pytest.raises(CardiomorphError, match=r"atlas\.json: its content is not what its digest says"):
        Atlas(folder)


def rewritten(folder, name, change, metadata=None):
    """Changes the arrays of a file and describes them as if they had always been so."""
    arrays, facts = read_arrays(folder / name)
    change(arrays)
    save_file(arrays, folder / name, metadata=metadata or facts)
    description = read_json(folder / "atlas.json")
    write_json(
        folder / "atlas.json",
        description | {"digests": description["digests"] | {name: digest(folder / name)}},
        seal=True,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update({"DCM/ED/mean": np.full((32, 3), np.nan)}), "DCM/ED/mean holds numbers that are not"),
        (lambda a: a.update({"DCM/ED/mean": np.zeros((31, 3))}), r"DCM/ED/mean has the shape \(31, 3\)"),
        (lambda a: a.update({"DCM/ED/sd": np.zeros((32, 3), int)}), "DCM/ED/sd holds int64"),
        (lambda a: a.update({"DCM/ED/sd": -np.ones((32, 3))}), "DCM/ED/sd is negative"),
        (lambda a: a.update({"DCM/joint/along": np.zeros((2, 5))}), "DCM/joint/along has the shape"),
        (lambda a: a.update({"NOR/joint/mean": np.zeros(())}), "NOR/joint/mean has the shape"),
        (lambda a: a.update({"NOR/ES/minimum": np.full((32, 3), 1e9)}), "NOR/ES/minimum is above its maximum"),
        (lambda a: a.pop("NOR/joint/mean"), "it lacks 'NOR/joint/mean'"),
    ],
)  # fmt: skip
def test_statistics_that_fit_no_model_never_draw(change, words, folder):
    rewritten(folder, "statistics.safetensors", change)
    with pytest.raises(CardiomorphError, match=words):
        _ = Atlas(folder).groups


def facts_of(folder, change):
    _, facts = read_arrays(folder / "parents.safetensors")
    parents = json.loads(facts["parents"])
    return {"parents": json.dumps(change(parents))}


def on_grid(fact, **changes):
    return fact | {"geometry": fact["geometry"] | changes}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {"../victim/evil": p["a"]}, "the name '../victim/evil' cannot be a file's"),
        (lambda p: [p], "its parents are no object"),
        (lambda p: p | {"a": [1]}, "a: Input should be a valid dictionary"),
        (lambda p: p | {"a": p["a"] | {"length_mm": {"ED": "long", "ES": 1.0}}}, "length_mm.ED: "),
        (lambda p: p | {"a": p["a"] | {"length_mm": {"ED": None, "ES": 1.0}}}, "length_mm.ED: "),
        (lambda p: p | {"a": p["a"] | {"length_mm": {"ED": 80.0}}}, "it lacks 'ES'"),
        (lambda p: p | {"a": p["a"] | {"height_cm": "tall"}}, "height_cm: "),
        (lambda p: p | {"a": p["a"] | {"split": "both"}}, "split: "),
        (lambda p: p | {"a": on_grid(p["a"], source_shape=[10**9, 10**9, 9])}, "grid cannot"),
        (lambda p: p | {"a": on_grid(p["a"], spacing_mm=0.0)}, "grid cannot"),
        (lambda p: p | {"missing": p["a"]}, "it lacks 'missing/ED/codes'"),
    ],
)  # fmt: skip
def test_parents_that_cannot_be_are_one_error(change, words, folder):
    rewritten(folder, "parents.safetensors", lambda arrays: None, facts_of(folder, change))
    with pytest.raises(CardiomorphError, match=words):
        _ = Atlas(folder).parents


@pytest.mark.parametrize(
    "change",
    [
        {"models": {"shape": None}}, {"models": {"other": "0" * 64}}, {"groups": {"NOR": 1}}, {"groups": {"NOR": "n"}},
        {"digests": None}, {"digests": {"statistics.safetensors": 3}}, {"surroundings": {"size": 10**9}},
    ],
)  # fmt: skip
def test_a_description_that_says_nonsense_is_one_error(change, folder):
    write_json(folder / "atlas.json", read_json(folder / "atlas.json") | change, seal=True)
    with pytest.raises(CardiomorphError, match=r"atlas\.json: ") as error:
        Atlas(folder)
    assert "\n" not in str(error.value)


def test_statistics_of_other_models_are_refused(atlas, tmp_path):
    shutil.copytree(atlas.folder, tmp_path / "a")
    rewritten(tmp_path / "a", "statistics.safetensors", lambda a: a.update({"DCM/ED/mean": np.zeros((32, 3))}))
    with pytest.raises(CardiomorphError, match=r"DCM/ED/mean has the shape \(32, 3\), not \(32, 4\)"):
        _ = Atlas(tmp_path / "a").groups


def test_a_number_format_that_numpy_has_not_is_one_error(folder):
    import torch
    from safetensors.torch import save_file as save_tensors

    save_tensors({"a": torch.zeros(3, dtype=torch.bfloat16)}, folder / "statistics.safetensors")
    rewritten_digest = digest(folder / "statistics.safetensors")
    description = read_json(folder / "atlas.json")
    description["digests"]["statistics.safetensors"] = rewritten_digest
    write_json(folder / "atlas.json", description, seal=True)
    with pytest.raises(CardiomorphError, match=r"statistics\.safetensors: "):
        _ = Atlas(folder).groups


def test_an_adopted_heart_never_takes_the_place_of_the_atlass_own(folder):
    atlas, (_, parents) = Atlas(folder), made()
    own = atlas.parent("a")
    atlas.adopt({"a": parents["a"], "new": parents["b c é"]})
    assert atlas.parent("a") is own
    assert atlas.adopted == {"new"}
    with pytest.raises(CardiomorphError, match="holds another heart with the name 'a'"):
        atlas.adopt({"a": parents["b c é"]})


def test_an_atlas_whose_maker_was_killed_between_two_moves_comes_back(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("place") / "atlas"
    shutil.copytree(folder, place)
    code = f"""
from pathlib import Path
from cardiomorph.files.leftovers import beside
place = Path({str(place)!r})
place.rename(beside(place, "old"))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not place.exists()
    assert Atlas(place).identity == Atlas(folder).identity
