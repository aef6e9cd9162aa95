"""What hangs loose goes; nothing is invented."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label as components

from cardiomorph.anatomy import Label
from cardiomorph.segmentation.clean_up import cleaned

stacks = arrays(np.uint8, (4, 9, 9), elements=st.integers(0, 3))


def disc(radius, centre=(20, 20), shape=(40, 40)):
    x, y = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(x - centre[0], y - centre[1]) <= radius


def heart(slices=5):
    plane = np.zeros((40, 40), np.uint8)
    plane[disc(9, (8, 20))] = Label.RV
    plane[disc(10)] = Label.MYOCARDIUM
    plane[disc(6)] = Label.LV
    return np.repeat(plane[None], slices, axis=0)


def test_a_heart_stays_as_it_is():
    np.testing.assert_array_equal(cleaned(heart()), heart())


def test_loose_pieces_go():
    dirty = heart()
    dirty[0, 36:39, 2:5] = Label.LV
    dirty[1, 1:3, 36:38] = Label.RV
    dirty[2, 30:33, 36:39] = Label.MYOCARDIUM
    np.testing.assert_array_equal(cleaned(dirty), heart())


def test_holes_are_closed_with_what_is_around_them():
    dirty = heart()
    dirty[2, 20, 20] = 0
    dirty[2, 8, 20] = Label.MYOCARDIUM
    dirty[3, 20, 12] = 0
    np.testing.assert_array_equal(cleaned(dirty), heart())


def test_of_two_right_hearts_the_one_at_the_left_heart_stays():
    dirty = heart()
    dirty[dirty == Label.RV] = 0
    dirty[:, disc(2, (9, 20))] = Label.RV
    dirty[:, disc(5, (33, 33))] = Label.RV
    result = cleaned(dirty)
    assert not (result[:, disc(5, (33, 33))] == Label.RV).any()
    assert (result[:, disc(1, (8, 20))] == Label.RV).all()


@given(stacks)
def test_no_structure_is_invented_and_each_is_one_body(stack):
    result = cleaned(stack)
    for code in (Label.RV, Label.MYOCARDIUM, Label.LV):
        if (result == code).any():
            # A wall may be what an LV's loose part inside it has become.
            assert np.isin(stack, [code] if code != Label.MYOCARDIUM else [Label.MYOCARDIUM, Label.LV]).any()
    assert components(result == Label.LV, np.ones((3, 3, 3)))[1] <= 1
    assert components(np.isin(result, (Label.LV, Label.MYOCARDIUM)), np.ones((3, 3, 3)))[1] <= 1


@given(stacks)
def test_what_was_found_is_only_filled_never_moved(stack):
    result = cleaned(stack)
    new = (result > 0) & (stack == 0)
    # Every pixel that is labelled now and was not before lies in a hole of a slice.
    for plane, added in zip(stack, new, strict=True):
        outside = components(np.pad(plane == 0, 1, constant_values=True))[0]
        assert not (outside[1:-1, 1:-1][added] == outside[0, 0]).any()
