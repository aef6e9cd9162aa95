"""Virtual parents: deterministic, healthy, nobody's."""

import numpy as np
import pytest

from cardiomorph.anatomy import PHASES
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import read_json, write_json
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.joint import pack
from cardiomorph.latent.virtual import parent_named, virtual_name, virtual_parent


def apart(atlas, a, b):
    """Largest difference in the healthy group's standard deviations."""
    return (np.abs(a - b) / np.maximum(atlas.group("NOR").phases["ED"].sd, 1e-12)).max()


def test_a_virtual_parent_depends_on_its_number_and_the_seed_only(atlas):
    here, again = virtual_parent(atlas, 3, 5), virtual_parent(Atlas(atlas.folder), 3, 5)
    for phase in PHASES:
        np.testing.assert_array_equal(here.trajectory.codes[phase], again.trajectory.codes[phase])
        np.testing.assert_array_equal(here.styles[phase], again.styles[phase])
    assert here.geometry == again.geometry
    for other in (virtual_parent(atlas, 4, 5), virtual_parent(atlas, 3, 6)):
        assert apart(atlas, other.trajectory.codes["ED"], here.trajectory.codes["ED"]) > 0.1
        assert not np.allclose(other.styles["ED"], here.styles["ED"])


def test_virtual_parents_lie_where_the_healthy_group_does(atlas):
    joint = atlas.group("NOR").joint
    for number in range(1, 6):
        away = np.abs(pack(virtual_parent(atlas, number, 0).trajectory) - joint.mean)
        assert (away <= 5 * joint.sd + 1e-6).all()


def test_none_of_them_is_a_subject(atlas):
    for number in range(1, 6):
        codes = virtual_parent(atlas, number, 0).trajectory.codes["ED"]
        for parent in atlas.parents.values():
            assert apart(atlas, codes, parent.trajectory.codes["ED"]) > 0.1


def test_the_surroundings_are_the_healthy_groups_medians(atlas):
    healthy = [parent for parent in atlas.parents.values() if parent.split == "train"]
    parent = virtual_parent(atlas, 1, 0)
    assert parent.height_cm == pytest.approx(np.median([p.height_cm for p in healthy]))
    assert parent.geometry.source_spacing_mm[2] == np.median([p.geometry.slice_spacing_mm("ED") for p in healthy])
    ranges = np.median([p.geometry.intensity_range for p in healthy], axis=0)
    np.testing.assert_allclose(parent.geometry.intensity_range, ranges, atol=0.01)
    assert parent.split == "virtual"


def test_names_are_subjects_first(atlas):
    subject = next(iter(atlas.parents))
    assert parent_named(atlas, subject, 0).id == subject
    assert parent_named(atlas, virtual_name(12), 0).id == "virtual012"
    with pytest.raises(CardiomorphError, match="no healthy subject 'virtual'"):
        parent_named(atlas, "virtual", 0)


def test_an_atlas_from_before_says_so(atlas, tmp_path):
    import shutil

    shutil.copytree(atlas.folder, tmp_path / "old")
    description = read_json(tmp_path / "old" / "atlas.json")
    del description["surroundings"]
    write_json(tmp_path / "old" / "atlas.json", description, seal=True)
    with pytest.raises(CardiomorphError, match="before there were virtual parents"):
        virtual_parent(Atlas(tmp_path / "old"), 1, 0)
