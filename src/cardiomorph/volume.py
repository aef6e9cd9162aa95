"""An array with its geometry, in and out of NIfTI.

Arrays are (x, y, slice), float32 for images and uint8 for labels. A volume carries its place in the world, so that
what is written lies where what was read lay.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import write_bytes
from cardiomorph.nifti_header import HEADER_BYTES, NiftiHeader, parse_header

_GZIP = b"\x1f\x8b"
_TRAILING_BYTES = 2**20
_ALIGNED = 2


@dataclass(frozen=True)
class Volume:
    """A stack of parallel slices.

    Attributes:
        array: shape (nx, ny, n_slices).
        spacing_mm: distance between voxel centres along each array axis, in mm.
        affine: (4, 4), voxel indices -> world, RAS in mm; None where a volume was made without a place.
        code: NIfTI's code of the affine; 0 where the file that it came from stated none.
        doubts: what its file left open and how it was decided, in words.
        of_frames: how many frames its file has, of which it is one.
        stored_type: numpy's name of the voxels' type in its file; "" where it came from none.
    """

    array: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64] | None = None
    code: int = 0
    doubts: tuple[str, ...] = ()
    of_frames: int = 1
    stored_type: str = ""

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def n_slices(self) -> int:
        """How many slices it has."""
        return int(self.array.shape[2])

    def with_array(self, array: NDArray[Any]) -> Volume:
        """Another array of the same shape, in the same place."""
        return replace(self, array=array)

    def turned(self) -> Volume:
        """The same volume with its slices stored the other way round; every voxel stays where it is in the world."""
        return self._reversed(2)

    def mirrored(self) -> Volume:
        """The same volume with its y axis stored the other way round; every voxel stays where it is in the world."""
        return self._reversed(1)

    def _reversed(self, axis: int) -> Volume:
        affine = self.affine
        if affine is not None:
            flip = np.eye(4)
            flip[axis, axis], flip[axis, 3] = -1.0, self.array.shape[axis] - 1
            affine = affine @ flip
        return replace(self, array=np.flip(self.array, axis), affine=affine)


def read_nifti(path: Path) -> Volume:
    """Reads a NIfTI file (``.nii`` or ``.nii.gz``) of one volume; a time axis of one frame is dropped.

    Raises:
        CardiomorphError: missing, truncated or damaged file, several frames, or a header that `parse_header` refuses.
    """
    header, array = _load(path)
    if array.ndim != 3:
        raise CardiomorphError(
            f"has shape {array.shape}; a volume of three axes (x, y, slice) was expected", where=path
        )
    return _volume(header, array)


def read_frames(path: Path, frames: Sequence[int]) -> list[Volume]:
    """Reads frames (counted from 0) of a NIfTI file with a time axis.

    Raises:
        CardiomorphError: as `read_nifti`; no time axis, or no such frame.
    """
    header, array = _load(path)
    if array.ndim == 3:
        raise CardiomorphError(
            f"has shape {array.shape}, one frame without a time axis, but the frames {_listed(frames)} (from 0) were "
            "asked for",
            where=path,
        )
    for frame in frames:
        if not 0 <= frame < array.shape[3]:
            raise CardiomorphError(f"has {array.shape[3]} frames, but frame {frame} (from 0) was asked for", where=path)
    return [replace(_volume(header, array[..., frame]), of_frames=array.shape[3]) for frame in frames]


def read_series(path: Path) -> list[Volume]:
    """Reads every frame of a NIfTI file; one without a time axis is one frame. Raises as `read_nifti`."""
    header, array = _load(path)
    if array.ndim == 3:
        return [_volume(header, array)]
    count = array.shape[3]
    return [replace(_volume(header, array[..., frame]), of_frames=count) for frame in range(count)]


def _listed(frames: Sequence[int]) -> str:
    return " and ".join(map(str, frames))


def _volume(header: NiftiHeader, array: NDArray[Any]) -> Volume:
    whole = np.ascontiguousarray(array)
    place = (header.spacing_mm, header.affine, header.code, header.doubts)
    return Volume(whole, *place, stored_type=whole.dtype.name)


def read_header(path: Path) -> NiftiHeader:
    """Reads what a NIfTI file states, without its voxels. Raises `CardiomorphError` as `read_nifti` does."""
    with _unzipped(path) as stream:
        return parse_header(stream.read(HEADER_BYTES), path)


def _load(path: Path) -> tuple[NiftiHeader, NDArray[Any]]:
    with _unzipped(path) as stream:
        header, content = _read_whole(stream, path)
        array = np.asanyarray(header.raw.data_from_fileobj(io.BytesIO(content)))
    return header, array.reshape(header.shape)


@contextmanager
def _unzipped(path: Path) -> Iterator[BinaryIO]:
    """A file's content, compressed or not. Raises `CardiomorphError` where it is missing or cannot be read as it is."""
    if not path.exists():
        raise CardiomorphError("this file is missing", where=path)
    try:
        with path.open("rb") as stored:
            zipped = stored.read(2) == _GZIP
            stored.seek(0)
            with gzip.GzipFile(fileobj=stored) if zipped else stored as stream:
                yield cast(BinaryIO, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError, ValueError) as error:
        raise CardiomorphError(
            f"is not a readable NIfTI file ({error})", where=path, fix="It may be truncated: copy or download it again"
        ) from error


def _read_whole(stream: BinaryIO, path: Path) -> tuple[NiftiHeader, bytes]:
    """Header and content. To the very end, where gzip keeps its checksum; and not beyond what the header states."""
    start = stream.read(HEADER_BYTES)
    header = parse_header(start, path)
    content = start + stream.read(header.end - len(start))
    if len(content) < header.end:
        raise EOFError(f"{len(content)} bytes of {header.end}")
    rest = stream.read(_TRAILING_BYTES + 1)
    if len(rest) > _TRAILING_BYTES:
        raise CardiomorphError("holds far more bytes than its header states", where=path, fix="Export it again")
    return header, content


def write_nifti(path: Path, volume: Volume) -> None:
    """Writes a gzipped NIfTI-1 file atomically; the same volume gives the same bytes.

    qform and sform are both the volume's affine with its code (2, aligned, where it has none); the unit is the
    millimetre. A volume without a place gets a diagonal affine with its spacing.
    """
    _write(path, volume, volume.array)


def write_series(path: Path, frames: Sequence[Volume], frame_s: float) -> None:
    """Writes frames on one grid as a NIfTI file with a time axis, as `write_nifti` does.

    Args:
        frame_s: time from frame to frame in seconds.
    """
    _write(path, frames[0], np.stack([frame.array for frame in frames], axis=-1), frame_s)


def _write(path: Path, volume: Volume, array: NDArray[Any], frame_s: float | None = None) -> None:
    affine = np.diag([*volume.spacing_mm, 1.0]) if volume.affine is None else volume.affine
    image = nib.Nifti1Image(array, affine)
    code = volume.code or _ALIGNED
    image.set_qform(affine, code)
    image.set_sform(affine, code)
    if frame_s is None:
        image.header.set_xyzt_units("mm")
    else:
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = frame_s
    # A time stamp of zero, so that a subject can be recreated byte for byte.
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
