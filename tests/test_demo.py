"""The demo goes on in a folder of its own, and in no other."""

import pytest

from cardiomorph.demo import run_demo
from cardiomorph.errors import CardiomorphError


@pytest.mark.parametrize("there", [("notes.txt",), ("phantom", "notes.txt")])
def test_it_refuses_a_folder_that_holds_other_things(there, tmp_path):
    for name in there:
        (tmp_path / name).write_text("mine")
    with pytest.raises(CardiomorphError, match=r"is not empty|holds other things"):
        run_demo(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(there)
