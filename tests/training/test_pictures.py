from __future__ import annotations

import numpy as np
from PIL import Image

from cardiomorph.training.pictures import (
    image_sheet,
    label_colours,
    label_sheet,
    sheet,
    write_curves,
    write_picture,
)


def test_x_runs_to_the_right_and_y_down():
    tile = np.zeros((1, 4, 6))
    tile[0, 3, 1] = 1
    assert np.argwhere(sheet([tile])).tolist() == [[1, 3]]


def test_tiles_stand_side_by_side_and_rows_below_each_other():
    rows = [np.full((3, 4, 6), value) for value in (1, 2)]
    assert sheet(rows).shape == (12, 12)
    assert sheet(rows)[:, 0].tolist() == [1] * 6 + [2] * 6


def test_labels_have_their_colours_and_images_are_grey():
    labels = np.arange(4).reshape(1, 4, 1)
    np.testing.assert_allclose(label_sheet([labels])[0], label_colours())
    assert (label_colours()[0] == 0).all()
    assert image_sheet([np.array([[[-1.0, 0.0, 1.0, 2.0]]])]).ravel().tolist() == [0, 0.5, 1, 1]


def test_pictures_are_written_as_png(tmp_path):
    write_picture(tmp_path / "a.png", np.eye(5, 7, dtype=np.float32))
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "a.png").convert("L")), (255 * np.eye(5, 7)).astype(np.uint8)
    )
    write_curves(tmp_path / "b.png", [{"step": 1, "loss": 2.0}, {"step": 2, "dice": 0.5, "loss": 1.0}])
    write_curves(tmp_path / "c.png", [])
    assert Image.open(tmp_path / "b.png").size[0] > Image.open(tmp_path / "b.png").size[1]
