"""A header is taken as it stands: the right value, or one clear error, never a repaired one."""

from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cardiomorph.errors import CardiomorphError
from cardiomorph.nifti_header import AFFINE_WINS, ZOOMS_WIN
from cardiomorph.volume import Volume, read_frames, read_nifti, write_nifti

SPACING = (1.5, 1.25, 8.0)
ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def save(path, array=ARRAY, affine=None, *, unit="mm", spacing=SPACING):
    image = nib.Nifti1Image(array, np.diag([*spacing, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def patched(path, offset, form, *values):
    """The same file with bytes of its header replaced, gzipped anew, so that its checksum is right."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[offset : offset + struct.calcsize(form)] = struct.pack(form, *values)
    path.write_bytes(gzip.compress(bytes(raw)))
    return path


def oblique(spacing=SPACING, seed=0, handedness=1):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    turn[:, 2] *= handedness * np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (-20.0, 30.0, 40.0)
    return affine


PIXDIM, DATATYPE, BITPIX, DIM, VOX_OFFSET, SLOPE, INTERCEPT, UNITS = 76, 70, 72, 40, 108, 112, 116, 123
QFORM_CODE, SFORM_CODE = 252, 254


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("spacing", [0.0, -1.5, np.nan, np.inf])
def test_a_spacing_that_is_none_is_refused_in_every_axis(axis, spacing, tmp_path):
    path = patched(save(tmp_path / "a.nii.gz"), PIXDIM + 4 * axis, "<f", spacing)
    with pytest.raises(CardiomorphError, match=r"a.nii.gz: states the spacing .* mm, which is no spacing"):
        read_nifti(path)


@pytest.mark.parametrize("unit, factor", [("unknown", 1.0), ("mm", 1.0), ("meter", 1000.0), ("micron", 0.001)])
def test_units_of_length_are_converted(unit, factor, tmp_path):
    stored = tuple(value / factor for value in SPACING)
    volume = read_nifti(save(tmp_path / "a.nii.gz", affine=np.diag([*stored, 1.0]), unit=unit))
    np.testing.assert_allclose(volume.spacing_mm, SPACING, rtol=1e-6)
    np.testing.assert_allclose(np.diag(volume.affine)[:3], SPACING, rtol=1e-6)
    assert any("converted to mm" in doubt for doubt in volume.doubts) == (factor != 1)


def test_a_unit_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(CardiomorphError, match="unknown unit of length 5"):
        read_nifti(patched(save(tmp_path / "a.nii.gz"), UNITS, "<b", 5))


@given(st.integers(0, 50), st.sampled_from([1, -1]), st.sampled_from([1, 2, 3, 4]))
def test_affine_and_code_survive_being_written(tmp_path_factory, seed, handedness, code):
    path = tmp_path_factory.mktemp("v") / "a.nii.gz"
    affine = oblique(seed=seed, handedness=handedness)
    write_nifti(path, Volume(ARRAY, SPACING, affine, code))
    again = read_nifti(path)
    np.testing.assert_allclose(again.affine, affine, atol=1e-4)
    np.testing.assert_allclose(again.spacing_mm, SPACING, rtol=1e-6)
    assert (again.code, again.doubts) == (code, ())
    image = nib.load(path)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    assert int(image.header["qform_code"]) == int(image.header["sform_code"]) == code


def test_nibabel_and_simpleitk_read_the_same_geometry(tmp_path):
    import SimpleITK as sitk

    affine = oblique(seed=3)
    write_nifti(tmp_path / "a.nii.gz", Volume(ARRAY, SPACING, affine, 1))
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(image.GetSpacing(), SPACING, rtol=1e-5)
    lps = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(image.GetOrigin(), lps @ affine[:3, 3], atol=1e-3)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(direction, lps @ affine[:3, :3] / SPACING, atol=1e-4)


def test_where_the_affine_states_no_spacing_the_zooms_win(tmp_path):
    image = nib.Nifti1Image(ARRAY, np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header.set_zooms(SPACING)
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_nifti(tmp_path / "a.nii.gz")
    assert volume.spacing_mm == SPACING
    assert volume.doubts == (ZOOMS_WIN,)
    np.testing.assert_allclose(np.diag(volume.affine)[:3], [-1.5, -1.25, 8.0])


def test_where_all_zooms_are_one_the_affine_wins(tmp_path):
    path = patched(save(tmp_path / "a.nii.gz"), PIXDIM + 4, "<3f", 1.0, 1.0, 1.0)
    patched(path, QFORM_CODE, "<h", 0)
    volume = read_nifti(path)
    assert volume.spacing_mm == SPACING
    assert volume.doubts == (AFFINE_WINS,)


def test_two_spacings_that_contradict_each_other_are_refused(tmp_path):
    path = patched(save(tmp_path / "a.nii.gz"), PIXDIM + 12, "<f", 5.0)
    with pytest.raises(CardiomorphError, match=r"1.5 x 1.25 x 5 mm in its header and 1.5 x 1.25 x 8 mm in its affine"):
        read_nifti(path)


def test_a_sheared_affine_is_refused(tmp_path):
    affine = np.diag([*SPACING, 1.0])
    affine[0, 1] = 0.4
    with pytest.raises(CardiomorphError, match="sheared affine"):
        read_nifti(save(tmp_path / "a.nii.gz", affine=affine))


def test_without_a_code_the_place_is_doubted(tmp_path):
    path = patched(save(tmp_path / "a.nii.gz"), QFORM_CODE, "<2h", 0, 0)
    volume = read_nifti(path)
    assert volume.code == 0
    assert "no orientation" in volume.doubts[0]


@pytest.mark.parametrize(
    "offset, form, values, reason",
    [
        (DATATYPE, "<h", (26996,), "NIfTI data type 26996"),
        (DATATYPE, "<h", (128,), "NIfTI data type 128"),
        (DATATYPE, "<h", (32,), "NIfTI data type 32"),
        (BITPIX, "<h", (8,), "states 8 bits a voxel"),
        (DIM, "<8h", (3, 32767, 32767, 32767, 1, 1, 1, 1), "GiB; no heart needs more"),
        (DIM, "<8h", (3, 4, -5, 6, 1, 1, 1, 1), "states the dimensions"),
        (DIM, "<8h", (3, 4, 0, 6, 1, 1, 1, 1), "states the dimensions"),
        (DIM, "<h", (9,), "states the dimensions"),
        (DIM, "<8h", (3, 4, 5, 600, 1, 1, 1, 1), "is not a readable NIfTI file"),
        (DIM, "<8h", (2, 20, 6, 1, 1, 1, 1, 1), "a volume of three axes"),
        (VOX_OFFSET, "<f", (1e9,), "voxels begin at byte 1e"),
        (VOX_OFFSET, "<f", (np.nan,), "voxels begin at byte nan"),
        (VOX_OFFSET, "<f", (0.0,), "voxels begin at byte 0"),
        (SLOPE, "<2f", (1.0, np.nan), "scales voxels by 1 and adds nan"),
        (SLOPE, "<f", (np.inf,), "scales voxels by inf"),
        (0, "<i", (7,), "its header is none"),
        (344, "<4s", (b"abc\0",), "its header is none"),
    ],
)
def test_a_header_that_cannot_be_right_is_one_error(offset, form, values, reason, tmp_path):
    path = patched(save(tmp_path / "a.nii.gz"), offset, form, *values)
    with pytest.raises(CardiomorphError, match=reason) as error:
        read_nifti(path)
    assert str(path) in str(error.value)


@given(st.binary(min_size=0, max_size=600))
def test_any_bytes_are_our_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("junk") / "a.nii"
    path.write_bytes(content)
    with pytest.raises(CardiomorphError):
        read_nifti(path)


@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_header_is_a_volume_or_our_error(tmp_path_factory, changes):
    path = save(tmp_path_factory.mktemp("header") / "a.nii.gz")
    for offset, value in changes:
        patched(path, offset, "B", value)
    try:
        volume = read_nifti(path)
    except CardiomorphError:
        return
    assert volume.array.ndim == 3
    assert all(0 < spacing < np.inf for spacing in volume.spacing_mm)


def test_every_flipped_bit_of_a_compressed_file_is_noticed(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 4, (12, 11, 6)).astype(np.uint8))
    good, array = path.read_bytes(), read_nifti(path).array
    rng = np.random.default_rng(0)
    unnoticed = 0
    for position in rng.choice(8 * len(good), 300, replace=False).tolist():
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        path.write_bytes(bytes(bad))
        try:
            # gzip's own time stamp and name may change: what they hold is not the volume's.
            unnoticed += not np.array_equal(read_nifti(path).array, array)
        except CardiomorphError:
            continue
    assert unnoticed == 0


def test_a_compressed_file_of_far_more_than_its_header_states_is_not_unpacked(tmp_path):
    path = save(tmp_path / "a.nii.gz")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(300_000_000), compresslevel=1))
    with pytest.raises(CardiomorphError, match="far more bytes than its header states"):
        read_nifti(path)


def test_uncompressed_and_big_endian_files_are_read(tmp_path):
    image = nib.Nifti1Image(ARRAY, np.diag([*SPACING, 1.0]), nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").array, ARRAY)
    nib.save(nib.Nifti2Image(ARRAY, np.diag([*SPACING, 1.0])), tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "b.nii.gz").array, ARRAY)


def test_a_time_axis_of_one_is_no_time_axis(tmp_path):
    volume = read_nifti(save(tmp_path / "a.nii.gz", ARRAY[..., None]))
    np.testing.assert_array_equal(volume.array, ARRAY)


def test_frames_are_asked_of_a_file_that_has_them(tmp_path):
    with pytest.raises(CardiomorphError, match=r"one frame without a time axis, but the frames 0 and 9"):
        read_frames(save(tmp_path / "a.nii.gz"), [0, 9])


@given(arrays(np.int16, (3, 4, 5)), st.integers(0, 20))
def test_a_turned_stack_has_every_voxel_where_it_was(array, seed):
    volume = Volume(array, SPACING, oblique(seed=seed))
    turned = volume.turned()
    for index in ((0, 0, 0), (2, 1, 3), (1, 3, 4)):
        back = (*index[:2], 4 - index[2])
        assert turned.array[back] == array[index]
        np.testing.assert_allclose(turned.affine @ [*back, 1], volume.affine @ [*index, 1], atol=1e-9)
    np.testing.assert_array_equal(turned.turned().array, array)
