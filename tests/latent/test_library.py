"""Atlases by name, by folder, and neither."""

import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import write_json
from cardiomorph.latent import library


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Two atlases that ship."""
    for name in ("phantom-small", "acdc-small"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "atlas.json", {})
    (tmp_path / "unfinished").mkdir()
    monkeypatch.setattr(library, "SHIPPED", tmp_path)
    return tmp_path


def test_what_ships_is_found_by_name(shelf):
    assert library.shipped_atlases() == {name: shelf / name for name in ("acdc-small", "phantom-small")}
    assert library.find_atlas("phantom-small") == shelf / "phantom-small"
    assert library.default_atlas() == "acdc-small"


def test_a_folder_goes_before_a_name(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert library.find_atlas("acdc-small").resolve() == (tmp_path / "acdc-small").resolve()
    assert library.find_atlas(tmp_path / "unfinished") == tmp_path / "unfinished"


def test_an_unknown_name_lists_those_there_are(shelf):
    with pytest.raises(CardiomorphError, match=r"no atlas 'nobody'.*acdc-small, phantom-small"):
        library.find_atlas("nobody")


def test_the_phantom_is_used_where_nothing_else_ships(shelf):
    (shelf / "acdc-small" / "atlas.json").unlink()
    assert library.default_atlas() == "phantom-small"
    (shelf / "phantom-small" / "atlas.json").unlink()
    with pytest.raises(CardiomorphError, match="no atlas came with this installation"):
        library.default_atlas()


def test_the_notice_names_licence_and_use(shelf):
    assert library.notice(shelf / "acdc-small") is None
    write_json(
        shelf / "acdc-small" / "card.json",
        {"name": "acdc-small", "licence": "CC", "data": "Made from D.", "use": "Research."},
    )
    assert library.notice(shelf / "acdc-small") == "acdc-small: CC; Made from D. Research."
