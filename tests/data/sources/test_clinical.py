"""Tables and key-value files as people and spreadsheets write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.data.sources.clinical import MISSING, body, frame_number, read_pairs, read_table, table_with
from cardiomorph.errors import CardiomorphError

HEIGHT, WEIGHT = ("Height",), ("Weight",)


def size_of(height="175", weight="80"):
    return body({"Height": height, "Weight": weight}, HEIGHT, WEIGHT)


@pytest.mark.parametrize("spelling", [*sorted(MISSING), "NaN", "-1.0", "999.00", "0.0", "N/A", "-INF", " -1 "])
def test_missing_values_have_many_spellings(spelling):
    size = size_of(spelling, spelling)
    assert (size.height_cm, size.weight_kg, size.doubts) == (None, None, ())


def test_a_value_that_is_not_there_is_missing():
    assert body({}, HEIGHT, WEIGHT).height_cm is None


@pytest.mark.parametrize(
    "text, height_cm", [("175", 175), ("175.5", 175.5), ("175,5", 175.5), ("+180", 180), ("1.8e2", 180)]
)
def test_numbers_are_read(text, height_cm):
    assert size_of(text).height_cm == pytest.approx(height_cm)


@pytest.mark.parametrize("text", ["1.75", "1,75"])
def test_a_height_in_metres_is_converted_and_said(text):
    size = size_of(text)
    assert size.height_cm == pytest.approx(175)
    assert size.doubts == ("its height is in metres: converted to cm",)


@pytest.mark.parametrize("text", ["-180", "17500", "5", "²", "1e400", "175 cm", "tall", "0x10", "1_000"])
def test_what_is_nobodys_height_is_left_out_and_said(text):
    size = size_of(text)
    assert size.height_cm is None
    assert len(size.doubts) == 1
    assert "left out" in size.doubts[0]


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_human_size_or_none(height, weight):
    size = size_of(height, weight)
    assert size.height_cm is None or 30 <= size.height_cm <= 250
    assert size.weight_kg is None or 1 <= size.weight_kg <= 400


@pytest.mark.parametrize("text, number", [("0", 0), ("12", 12), ("007", 7), ("9.0", 9)])
def test_frame_numbers(text, number, tmp_path):
    assert frame_number(text, "ED", tmp_path, first=0) == number


@pytest.mark.parametrize("text", ["", None, "0.9", "-1", "²", "nan", "inf", "1e3", "first", "99999999999999999999"])
def test_what_is_no_frame_number(text, tmp_path):
    with pytest.raises(CardiomorphError, match="a frame number was expected"):
        frame_number(text, "ED", tmp_path, first=0)


CONTENT = "Group: NOR\nED: 1\nES: 12\nHeight: 175\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_pairs_in_any_encoding(encoding, newline, tmp_path):
    text = (CONTENT + "Hospital: Universitätsklinikum\n").replace("\n", newline)
    (tmp_path / "Info.cfg").write_bytes(text.encode(encoding))
    pairs = read_pairs(tmp_path / "Info.cfg")
    assert (pairs["Group"], pairs["ES"], pairs["Hospital"]) == ("NOR", "12", "Universitätsklinikum")


def test_a_key_with_two_values_is_an_error(tmp_path):
    (tmp_path / "Info.cfg").write_text(CONTENT + "ED: 4\n")
    with pytest.raises(CardiomorphError, match="says ED twice: '1' and '4'"):
        read_pairs(tmp_path / "Info.cfg")


@given(st.binary(max_size=400))
def test_any_bytes_are_pairs_or_our_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("info") / "Info.cfg"
    path.write_bytes(content)
    try:
        read_pairs(path)
        read_table(path)
    except CardiomorphError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_in_any_dialect(delimiter, encoding, tmp_path):
    lines = ["External code ", " Vendor", "ED"], ["A1", "Müller", "0"], ["", "", ""], ["B2", "x", " 3 "]
    (tmp_path / "t.csv").write_bytes("\n".join(delimiter.join(line) for line in lines).encode(encoding))
    table = read_table(tmp_path / "t.csv")
    assert table.columns == ("External code", "Vendor", "ED")
    assert {code: row["ED"] for code, row in table.by("External code").items()} == {"A1": "0", "B2": "3"}


def test_a_column_twice_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("code,ED,ED\nA,1,2\n")
    with pytest.raises(CardiomorphError, match="has the column 'ED' twice"):
        read_table(tmp_path / "t.csv")


def test_hidden_tables_are_passed_over(tmp_path):
    for name in ("._a.csv", ".b.csv"):
        (tmp_path / name).write_text("code\nwrong\n")
    assert table_with(tmp_path, "code") is None
    (tmp_path / "c.csv").write_text("code\nright\n")
    assert table_with(tmp_path, "code").rows == ({"code": "right"},)
