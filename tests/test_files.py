from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import (
    claim,
    digest,
    folder_in_place,
    new_folder,
    read_arrays,
    read_csv,
    read_json,
    read_record,
    read_text,
    sealed_arrays,
    settle,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from cardiomorph.files.leftovers import beside, content
from cardiomorph.files.text import guarded, unguarded


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


def test_a_message_is_one_line_whatever_it_quotes():
    error = CardiomorphError("a\nb\x1b[31m", where="o\r\x07", fix="c\td")
    assert str(error) == "o\\r\\x07: a\\nb\\x1b[31m. c\\td."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "cannot be read as JSON"),
        ("\x00", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
    ],
)
def test_json_that_would_break_a_reader_is_one_error(text, words, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CardiomorphError, match=rf"a\.json: .*{words}"):
        read_json(tmp_path / "a.json")


def test_what_is_no_text_says_at_which_byte(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(CardiomorphError, match=r"a\.json: is not UTF-8 text \(byte 7\)"):
        read_json(tmp_path / "a.json")
    with pytest.raises(CardiomorphError, match="is not a file"):
        read_text(tmp_path)


def test_json_never_holds_what_json_has_not(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": math.nan, "b": [np.float64(math.inf), 1.5], "c": (-math.inf,)})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5], "c": [None]}
    path.write_text('{"a": NaN, "b": 1e999, "c": -Infinity}')
    assert read_json(path) == {"a": None, "b": None, "c": None}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "content_sha256"), json_values, min_size=1))
def test_a_sealed_record_comes_back_and_a_changed_one_does_not(tmp_path, value):
    path = tmp_path / "a.json"
    write_json(path, value, seal=True)
    assert read_record(path) == value
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {next(iter(value)): "other"}))
    with pytest.raises(CardiomorphError, match="its content is not what its digest says"):
        read_record(path)


@given(st.text())
def test_no_cell_is_a_formula_and_every_cell_comes_back(cell):
    kept = guarded(cell)
    assert unguarded(kept) == cell
    assert not kept.startswith(("=", "@", "\t", "\r"))
    assert not kept.startswith(("+", "-")) or float(kept) is not None


def test_formulas_are_guarded_in_a_table_and_numbers_are_not(tmp_path):
    path = tmp_path / "a.csv"
    row = {"subject": "=1+1", "@x": "-1.5", "y": -2.5, "z": math.nan, "w": "-rm", "q": "'=a"}
    write_csv(path, [row])
    assert path.read_text() == "subject,'@x,y,z,w,q\n'=1+1,-1.5,-2.5,,'-rm,''=a\n"
    assert read_csv(path) == [{**row, "y": "-2.5", "z": ""}]


def test_a_table_without_its_columns_is_named_and_short_rows_are_filled(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1\n1,2,3\n")
    assert read_csv(path, "a") == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]
    with pytest.raises(CardiomorphError, match="has no column c, d"):
        read_csv(path, "a", "c", "d")


def test_arrays_hold_their_own_digest_and_every_bit_of_it_counts(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.uint8)}
    content = sealed_arrays(arrays, {"key": "é"})
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    found, metadata = read_arrays(path)
    assert metadata == {"key": "é"}
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    name = content.index(b"file_sha256")
    for bit in range(8 * len(content)):
        # The name of the digest alone is not covered by it, and nothing depends on it.
        if name <= bit // 8 < name + len(b"file_sha256"):
            continue
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(CardiomorphError, match=r"a\.safetensors: "):
            read_arrays(path)


def dead(path, kind="new"):
    """What a process that is gone would have left of ``path``."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = beside(path, kind)
    return left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{int(gone.stdout)}-"))


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    dead(tmp_path / "manifest.csv").write_text("half")
    dead(tmp_path / "sub").mkdir()
    (dead(tmp_path / "sub", "old") / "deep").mkdir(parents=True)
    (tmp_path / "sub").mkdir()
    living = beside(tmp_path / "other", "new")
    living.mkdir()
    elsewhere = living.with_name(living.name.replace(".other.", ".other.x"))
    elsewhere.write_text("of another machine")
    for name in (".hidden.tmp", ".a.old", "b.new"):
        (tmp_path / name).write_text("somebody's")
    settle(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        ".hidden.tmp",
        ".a.old",
        "b.new",
        "sub",
        living.name,
        elsewhere.name,
    }
    assert {p.name for p in content(tmp_path)} == {".hidden.tmp", ".a.old", "b.new", "sub"}


def test_a_folder_set_aside_and_never_replaced_comes_back(tmp_path):
    aside = dead(tmp_path / "atlas", "old")
    aside.mkdir()
    (aside / "a").write_text("old")
    dead(tmp_path / "atlas").mkdir()
    settle(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["atlas"]
    assert (tmp_path / "atlas" / "a").read_text() == "old"


def test_leftovers_do_not_make_a_folder_full(tmp_path):
    (tmp_path / "out").mkdir()
    dead(tmp_path / "out" / "synthesis.json").write_text("half")
    beside(tmp_path / "out" / "x", "new").write_text("of a living one")
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


def test_a_new_folder_is_refused_where_anything_lies(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("1")
    with pytest.raises(CardiomorphError, match="out: is not empty"), new_folder(tmp_path / "out"):
        pytest.fail("was let in")
    with pytest.raises(CardiomorphError, match="is not a folder"), new_folder(tmp_path / "out" / "mine"):
        pytest.fail("was let in")
    assert (tmp_path / "out" / "mine").read_text() == "1"


def test_a_folder_is_claimed_by_its_mark(tmp_path):
    out = tmp_path / "out"
    claim(out, "mark.json", ("known",))
    assert not out.exists()
    (out / "known").mkdir(parents=True)
    with pytest.raises(CardiomorphError, match="is not empty"):
        claim(out, "mark.json", ("known",))
    (out / "mark.json").write_text("{}")
    claim(out, "mark.json", ("known",))
    (out / "cohort.json").write_text("{}")
    with pytest.raises(CardiomorphError, match=r"holds other things \(cohort\.json\)"):
        claim(out, "mark.json", ("known",))


def test_two_writers_of_one_folder_leave_it_whole(tmp_path):
    with folder_in_place(tmp_path / "out") as first:
        (first / "a").write_text("first")
        with folder_in_place(tmp_path / "out") as second:
            (second / "a").write_text("second")
    assert (tmp_path / "out" / "a").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_refusal_says_what_would_help(tmp_path, monkeypatch):
    from pathlib import Path

    for number, words in ((errno.ENOSPC, "Free some space"), (errno.ENOTEMPTY, "Another process writes there")):

        def refused(*_, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "replace", refused)
        with pytest.raises(CardiomorphError, match=rf"a\.txt: cannot be written .*{words}"):
            write_text(tmp_path / "a.txt", "a")
        assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_text_goes_through_json(tmp_path):
    place = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "a.json", {"folder": place})
    assert read_json(tmp_path / "a.json") == {"folder": place}
