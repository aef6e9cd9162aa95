"""What a NIfTI header states, read raw and checked before memory is taken: shape, type, spacing, place in the world.

nibabel repairs headers when it loads them (a spacing of 0 becomes 1, -1.5 becomes 1.5) and knows no units; here the
fields are taken as they stand in the file, and what is no geometry is refused. Fields: the NIfTI-1 and NIfTI-2
standards; world coordinates are RAS, in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from cardiomorph.errors import CardiomorphError

HEADER_BYTES = 540
"""The longer of the two headers, NIfTI-2's."""
MAX_DATA_BYTES = 4 * 2**30
_MAX_OFFSET = 64 * 2**20
_KINDS: dict[int, tuple[type[nib.Nifti1Header], int]] = {
    348: (nib.Nifti1Header, 352),
    540: (nib.Nifti2Header, 544),
}
# Integers and reals of up to 8 bytes; no bits, complex numbers, colours or 16-byte reals.
_TYPES = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
_MM_OF_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_SAME_SPACING = 0.01
_MAX_SHEAR_COSINE = 0.02

ZOOMS_WIN = "its affine states no spacing: the header's zooms are used"
AFFINE_WINS = "its header's zooms are all 1: the affine's spacing is used"


@dataclass(frozen=True)
class NiftiHeader:
    """A header that passed.

    Attributes:
        raw: nibabel's header, unrepaired; it reads the voxels.
        shape: of the stored array, (nx, ny, nz) or (nx, ny, nz, frames).
        spacing_mm: distance between voxel centres along each array axis.
        affine: (4, 4), voxel indices -> world, RAS in mm.
        code: the standard's code of that affine (1 scanner, 2 aligned, ...); 0 where the file states none.
        end: bytes that header and voxels take together.
        doubts: what was decided between statements that contradict each other, in words.
    """

    raw: nib.Nifti1Header
    shape: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]
    code: int
    end: int
    doubts: tuple[str, ...]


def parse_header(start: bytes, path: Path) -> NiftiHeader:
    """Parses and checks the first `HEADER_BYTES` of a file.

    Raises:
        CardiomorphError: no NIfTI, an array that is no volume or is absurdly large, no numbers as voxels, spacing
            that is none, header and affine that contradict each other, a sheared affine.
    """
    kind, raw = _raw(start, path)
    shape = _shape(raw, path)
    _check_type(raw, path)
    offset = float(raw["vox_offset"])
    if not kind <= offset <= _MAX_OFFSET or offset != int(offset):
        raise CardiomorphError(f"its header states that the voxels begin at byte {offset:g}", where=path, fix=_COPY)
    size = int(raw["bitpix"]) // 8 * int(np.prod(shape, dtype=object))
    if size > MAX_DATA_BYTES:
        raise CardiomorphError(
            f"its header states {' x '.join(map(str, shape))} voxels, {size / 2**30:.0f} GiB; no heart needs more than "
            f"{MAX_DATA_BYTES // 2**30}",
            where=path,
            fix=_COPY,
        )
    spacing, affine, code, doubts = _geometry(raw, path)
    return NiftiHeader(raw, shape, spacing, affine, code, int(offset) + size, doubts)


_COPY = "It may be damaged: copy or export it again"


def _raw(start: bytes, path: Path) -> tuple[int, nib.Nifti1Header]:
    for order in ("little", "big"):
        found = _KINDS.get(int.from_bytes(start[:4], order))
        if found and len(start) >= int.from_bytes(start[:4], order):
            kind, minimum = found
            block = start[: kind.template_dtype.itemsize]
            raw = kind(block, endianness="<" if order == "little" else ">", check=False)
            if bytes(raw["magic"])[:2] in (b"n+", b"ni"):
                return minimum, raw
    raise CardiomorphError(
        "is not a readable NIfTI file (its header is none)", where=path, fix="It may be truncated: copy it again"
    )


def _shape(raw: Any, path: Path) -> tuple[int, ...]:
    count = int(raw["dim"][0])
    sizes = tuple(int(n) for n in raw["dim"][1 : count + 1]) if 1 <= count <= 7 else ()
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    if not sizes or min(sizes) < 1:
        raise CardiomorphError(f"its header states the dimensions {raw['dim'].tolist()}", where=path, fix=_COPY)
    if len(sizes) not in (3, 4):
        raise CardiomorphError(
            f"has shape {sizes}; a volume of three axes (x, y, slice), or four with time, was expected", where=path
        )
    return sizes


def _check_type(raw: Any, path: Path) -> None:
    code, bits = int(raw["datatype"]), int(raw["bitpix"])
    if code not in _TYPES:
        raise CardiomorphError(
            f"its voxels have the NIfTI data type {code}; expected whole or real numbers, one a voxel (no colours, "
            "complex numbers or bits)",
            where=path,
            fix="Export it as uint8, int16 or float32",
        )
    if bits != _TYPES[code]:
        raise CardiomorphError(
            f"its header states {bits} bits a voxel and the data type {code}, which has {_TYPES[code]}",
            where=path,
            fix=_COPY,
        )
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if np.isinf(slope) or (np.isfinite(slope) and slope != 0 and not np.isfinite(intercept)):
        raise CardiomorphError(
            f"its header scales voxels by {slope:g} and adds {intercept:g}", where=path, fix="Export it again"
        )


def _geometry(raw: Any, path: Path) -> tuple[tuple[float, float, float], NDArray[np.float64], int, tuple[str, ...]]:
    """Spacing, affine, its code, and what had to be decided."""
    unit = _MM_OF_UNIT.get(int(raw["xyzt_units"]) & 7)
    if unit is None:
        raise CardiomorphError(f"states the unknown unit of length {int(raw['xyzt_units']) & 7}", where=path)
    zooms = np.asarray(raw["pixdim"][1:4], np.float64) * unit
    if not (np.isfinite(zooms).all() and (zooms > 0).all()):
        raise CardiomorphError(
            f"states the spacing {_shown(zooms)} mm, which is no spacing",
            where=path,
            fix="Write the spacing into the header (pixdim), or export it again",
        )
    code = int(raw["sform_code"]) or int(raw["qform_code"])
    try:
        affine = np.asarray(raw.get_best_affine(), np.float64).copy()
    except (ValueError, HeaderDataError, WrapStructError, np.linalg.LinAlgError) as error:
        raise CardiomorphError(f"states an orientation that is none ({error})", where=path) from error
    affine[:3] *= unit
    spacing, placed = _reconciled(zooms, affine, path)
    return spacing, placed, code, _doubts(zooms, affine, code, unit)


def _reconciled(
    zooms: NDArray[np.float64], affine: NDArray[np.float64], path: Path
) -> tuple[tuple[float, float, float], NDArray[np.float64]]:
    """One spacing out of the two that a header states. Raises `CardiomorphError` where neither can be the other's."""
    stated = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (stated > 0).all():
        raise CardiomorphError("states an affine that is none (NaN, or an axis of no length)", where=path)
    cosines = (affine[:3, :3] / stated).T @ (affine[:3, :3] / stated) - np.eye(3)
    if np.abs(cosines).max() > _MAX_SHEAR_COSINE:
        raise CardiomorphError(
            f"has a sheared affine (two of its axes are {np.degrees(np.arccos(np.abs(cosines).max())):.0f} degrees "
            "apart, not 90)",
            where=path,
            fix="Resample it onto a grid of right angles first",
        )
    if _close(zooms, stated) or _close(stated, np.ones(3)):
        spacing = zooms
    elif _close(zooms, np.ones(3)):
        spacing = stated
    else:
        raise CardiomorphError(
            f"states the spacing {_shown(zooms)} mm in its header and {_shown(stated)} mm in its affine",
            where=path,
            fix="Only one can be right: mend the other (sform or pixdim)",
        )
    placed = affine.copy()
    placed[:3, :3] *= spacing / stated
    x, y, z = spacing.tolist()
    return (x, y, z), placed


def _doubts(zooms: NDArray[np.float64], affine: NDArray[np.float64], code: int, unit: float) -> tuple[str, ...]:
    stated = np.linalg.norm(affine[:3, :3], axis=0)
    said = []
    if unit != 1.0:
        said.append(f"its unit of length is the {'metre' if unit > 1 else 'micrometre'}: converted to mm")
    if not _close(zooms, stated):
        said.append(ZOOMS_WIN if _close(stated, np.ones(3)) else AFFINE_WINS)
    if code == 0:
        said.append("its header states no orientation: array axes are taken for the world's")
    return tuple(said)


def _close(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.allclose(one, other, rtol=_SAME_SPACING, atol=0))


def _shown(spacing: NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in spacing.tolist())
