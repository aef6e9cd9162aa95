"""Figures: orientation, and nothing fails on the hearts that bad draws make."""

import base64

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cardiomorph.anatomy import GROUPS, LABEL_COLOURS, Label
from cardiomorph.report.figures import (
    as_data_uri,
    as_png,
    correlation_matrices,
    heart_surfaces,
    measure_distributions,
    overlay,
    transition_strips,
)
from cardiomorph.volume import Volume
from conftest import SPACING_MM, heart_label, hearts_of

PNG = b"\x89PNG\r\n\x1a\n"


def corner():
    label = np.zeros((6, 4), np.uint8)
    label[5, 1] = Label.LV
    return label


def test_an_overlay_has_x_to_the_right_and_y_down():
    picture = overlay(corner(), None)
    assert picture.shape == (4, 6, 3)
    np.testing.assert_allclose(picture[1, 5], to_rgb(LABEL_COLOURS[Label.LV]), atol=1e-6)
    assert np.count_nonzero(picture.any(axis=-1)) == 1


def test_an_overlay_mixes_colour_only_where_a_label_is():
    image = np.linspace(-1, 1, 24).reshape(6, 4)
    picture = overlay(corner(), image, opacity=0.25)
    grey = np.repeat((0.5 * (image.T + 1))[..., None], 3, axis=-1)
    expected = grey.copy()
    expected[1, 5] = 0.75 * grey[1, 5] + 0.25 * np.array(to_rgb(LABEL_COLOURS[Label.LV]))
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_an_overlay_clips_what_lies_beyond_the_range():
    picture = overlay(np.zeros((3, 2), np.uint8), np.array([[-3.0, 3.0]] * 3))
    assert picture[..., 0].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_data_uri_holds_the_png():
    uri = as_data_uri(as_png(Figure(figsize=(1, 1)), dpi=20))
    head, content = uri.split(",", 1)
    assert head == "data:image/png;base64"
    assert base64.b64decode(content, validate=True).startswith(PNG)


def thin_label():
    """Many voxels and no thickness: smoothed in plane, it nowhere reaches one half."""
    label = np.zeros((64, 64, 4), np.uint8)
    label[5:60, 31] = Label.RV
    return label


def dot_label():
    label = np.zeros((64, 64, 4), np.uint8)
    label[30:33, 30:33, 1] = Label.MYOCARDIUM
    return label


@pytest.mark.parametrize(
    "label",
    [np.zeros((32, 32, 4), np.uint8), np.ones((16, 16, 1), np.uint8), dot_label(), thin_label()],
    ids=["empty", "full", "dot", "thin"],
)
def test_surfaces_of_hardly_a_heart_do_not_fail(label):
    heart = heart_label(hearts_of("NOR")["ED"])
    hearts = {"odd": Volume(label, (1.5, 1.5, 10.0)), "real": Volume(heart, SPACING_MM)}
    figure = heart_surfaces(hearts, "title")
    assert [len(axis.collections) for axis in figure.axes][1] == 2
    assert [axis.images[0].get_array().shape[0] for axis in figure.axes[2:]] == [label.shape[2], heart.shape[2]] * 2
    assert as_png(figure, dpi=30).startswith(PNG)


def rows(groups, value):
    return [{"group": group, "lv_ef_pct": value + i, "rv_ef_pct": None} for group in groups for i in range(3)]


def test_distributions_leave_out_what_a_group_has_not():
    columns = {"lv_ef_pct": "LVEF", "rv_ef_pct": "RVEF"}
    figure = measure_distributions(rows(GROUPS, 50.0), rows(["DCM"], 20.0), columns, GROUPS)
    first, second = figure.axes
    assert len(first.patches) == len(GROUPS) + 1
    assert len(second.patches) == 0
    assert [tick.get_text() for tick in second.get_xticklabels()] == list(GROUPS)
    drawn = [line for line in first.lines if line.get_marker() == "."]
    ours = [line for line in drawn if abs(line.get_xdata().mean() - (GROUPS.index("DCM") + 0.2)) < 1e-9]
    assert ours[0].get_ydata().tolist() == [20, 21, 22]
    assert as_png(figure, dpi=30).startswith(PNG)


def test_distributions_of_nothing_are_empty_axes():
    assert as_png(measure_distributions([], [], {"lv_ef_pct": "LVEF"}, GROUPS), dpi=30).startswith(PNG)


def test_strips_have_a_row_a_disease_and_a_column_a_severity():
    tiles = [overlay(corner(), None)] * 3
    figure = transition_strips({"DCM": tiles, "HCM": tiles}, (0.0, 0.5, 1.0), "title")
    assert [axis.get_title() for axis in figure.axes[:3]] == ["severity 0", "severity 0.5", "severity 1"]
    assert [figure.axes[0].get_ylabel(), figure.axes[3].get_ylabel()] == ["DCM", "HCM"]


@pytest.mark.parametrize("count", [1, 4, 5])
def test_correlations_share_one_scale(count):
    figure = correlation_matrices({str(i): np.eye(3) for i in range(count)}, "title")
    images = [image for axis in figure.axes for image in axis.images]
    assert [image.get_clim() for image in images] == [(-1, 1)] * count
