"""An array with its geometry, in and out of NIfTI.

Arrays are (x, y, slice), float32 for images and uint8 for labels; slices run base to apex.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import write_bytes


@dataclass(frozen=True)
class Volume:
    """A stack of parallel slices.

    Attributes:
        array: shape (nx, ny, n_slices).
        spacing_mm: distance between voxel centres along each array axis, in mm.
    """

    array: NDArray[Any]
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def n_slices(self) -> int:
        return int(self.array.shape[2])

    def with_array(self, array: NDArray[Any]) -> Volume:
        return replace(self, array=array)


def _load(path: Path) -> tuple[NDArray[Any], tuple[float, ...]]:
    if not path.exists():
        raise CardiomorphError("this file is missing", where=path)
    try:
        image: Any = nib.load(path)
        # The header's zooms, not the affine: every ACDC file carries an affine without spacing.
        return np.asanyarray(image.dataobj), tuple(float(zoom) for zoom in image.header.get_zooms())
    except (ImageFileError, EOFError, zlib.error, gzip.BadGzipFile, OSError, ValueError) as error:
        raise CardiomorphError(
            f"is not a readable NIfTI file ({error})",
            where=path,
            fix="It may be truncated: copy or download it again",
        ) from error


def read_nifti(path: Path, frame: int | None = None) -> Volume:
    """Reads a 3D NIfTI file, or frame ``frame`` (counted from 0) of a 4D one.

    Raises:
        CardiomorphError: missing or truncated file, wrong number of axes, no such frame, no spacing.
    """
    array, zooms = _load(path)
    if array.ndim == 4 and frame is not None:
        if not 0 <= frame < array.shape[3]:
            raise CardiomorphError(f"has {array.shape[3]} frames, but frame {frame} (from 0) was asked for", where=path)
        array = array[..., frame]
    if array.ndim != 3:
        raise CardiomorphError(
            f"has shape {array.shape}; a volume of three axes (x, y, slice) was expected", where=path
        )
    if not all(np.isfinite(zoom) and zoom > 0 for zoom in zooms[:3]):
        raise CardiomorphError(f"states the spacing {zooms[:3]} mm, which is no spacing", where=path)
    return Volume(np.ascontiguousarray(array), (zooms[0], zooms[1], zooms[2]))


def write_nifti(path: Path, volume: Volume) -> None:
    """Writes a gzipped NIfTI-1 file atomically; the same volume gives the same bytes.

    The affine is diagonal with the spacing, the unit is the millimetre.
    """
    image = nib.Nifti1Image(volume.array, np.diag([*volume.spacing_mm, 1.0]))
    image.header.set_xyzt_units("mm")
    # A time stamp of zero, so that a subject can be recreated byte for byte.
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
