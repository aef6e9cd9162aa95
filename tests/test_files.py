from __future__ import annotations

import pytest

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    digest,
    folder_in_place,
    read_csv,
    read_json,
    read_record,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)


def test_an_error_says_where_what_and_what_to_do():
    error = CardiomorphError("is wrong", where="a.txt", fix="Mend it.")
    assert str(error) == "a.txt: is wrong. Mend it."
    assert str(CardiomorphError("is wrong")) == "is wrong."


def test_writing_makes_the_folders_and_leaves_only_the_file(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"123")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"123"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.bin"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, no_space):
    path = tmp_path / "a.txt"
    write_text(path, "old content")
    no_space()
    with pytest.raises(CardiomorphError, match="No space left on device") as error:
        write_text(path, "new content")
    assert str(path) in str(error.value)
    assert path.read_text() == "old content"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CardiomorphError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "out" / "a.bin", b"1")
    with pytest.raises(CardiomorphError, match="cannot be written"), folder_in_place(tmp_path / "file" / "out"):
        pass


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), folder_in_place(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with folder_in_place(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_replaced_only_when_its_successor_is_ready(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("1")
    with pytest.raises(RuntimeError), folder_in_place(tmp_path / "out"):
        raise RuntimeError
    assert (tmp_path / "out" / "old").exists()
    with folder_in_place(tmp_path / "out") as folder:
        (folder / "new").write_text("2")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


def test_csv_has_the_given_columns_first_then_the_rest(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, [{"z": 1, "a": 2}, {"a": 3, "extra": 4}], ["a", "b"])
    assert path.read_text() == "a,b,z,extra\n2,,1,\n3,,,4\n"
    assert read_csv(path) == [
        {"a": "2", "b": "", "z": "1", "extra": ""},
        {"a": "3", "b": "", "z": "", "extra": "4"},
    ]


def test_json_round_trips_and_damage_is_named(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, None, "ü"]})
    assert read_json(path) == {"a": [1, 2.5, None, "ü"]}
    path.write_text("{")
    with pytest.raises(CardiomorphError, match=r"a.json: cannot be read as JSON"):
        read_json(path)


def test_a_record_without_its_keys_is_named(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1, "b": 2})
    assert read_record(path, "a") == {"a": 1, "b": 2}
    with pytest.raises(CardiomorphError, match=r"a.json: does not hold c, d\."):
        read_record(path, "a", "c", "d")
    write_json(path, [1])
    with pytest.raises(CardiomorphError, match=r"a.json: does not hold an object\."):
        read_record(path)


@pytest.mark.parametrize("read", [read_json, read_record, read_csv])
def test_a_missing_file_is_named(read, tmp_path):
    with pytest.raises(CardiomorphError, match=r"absent: this file is missing"):
        read(tmp_path / "absent")


def test_digest_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
