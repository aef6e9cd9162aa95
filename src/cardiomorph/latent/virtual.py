"""Healthy parents that are nobody: a heart drawn from the healthy group's statistics, an appearance from the cohort's.

With them an atlas needs no patient: it can be shared, and morphs start without a cohort.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

from cardiomorph.anatomy import HEALTHY
from cardiomorph.data.prepare import Geometry
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.atlas import Atlas, Parent, TypicalSubject
from cardiomorph.latent.joint import unpack
from cardiomorph.latent.options import VIRTUAL
from cardiomorph.latent.samplers.population import PopulationSampler
from cardiomorph.latent.trajectory import Trajectory

_NAME = re.compile(rf"{VIRTUAL}0*([1-9][0-9]{{0,17}})")


def virtual_name(number: int) -> str:
    """Name of a virtual parent, counted from 1."""
    return f"{VIRTUAL}{number:03d}"


def virtual_number(name: str) -> int | None:
    """The number in a virtual parent's name, however many zeros it is written with; None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def parent_named(atlas: Atlas, name: str, seed: int) -> Parent:
    """A healthy subject of the atlas, or the virtual parent of that name, which the seed decides.

    Raises:
        CardiomorphError: neither.
    """
    number = virtual_number(name)
    if number is None or name in atlas.parents:
        return atlas.parent(name)
    return virtual_parent(atlas, number, seed)


def virtual_parent(atlas: Atlas, number: int, seed: int) -> Parent:
    """Draws a healthy heart and an appearance. Deterministic in the atlas, the number and the seed.

    Raises:
        CardiomorphError: the atlas has no healthy group.
    """
    rng = np.random.default_rng([seed, zlib.crc32(VIRTUAL.encode()), number])
    group = atlas.group(HEALTHY)
    middle = unpack(group.joint.mean, group.phases["ED"].mean.shape)
    trajectory = PopulationSampler(inherited=0.0).draw(group, middle, rng).trajectory
    surroundings = atlas.surroundings
    if surroundings is None:
        raise CardiomorphError(
            "was made before there were virtual parents", where=atlas.folder, fix="Make the atlas again"
        )
    styles, noise = atlas.appearance.draw(rng) if atlas.appearance is not None else (None, None)
    return Parent(
        id=virtual_name(number),
        split=VIRTUAL,
        trajectory=trajectory,
        geometry=_geometry(surroundings, trajectory),
        styles=styles,
        height_cm=surroundings.height_cm,
        weight_kg=surroundings.weight_kg,
        noise=noise,
    )


def _geometry(surroundings: TypicalSubject, trajectory: Trajectory) -> Geometry:
    """The crop itself as the source grid, with the cohort's typical distance between slices."""
    half = 0.5 * (surroundings.size - 1) * surroundings.spacing_mm
    n_slices = max(1, round(trajectory.length_mm["ED"] / surroundings.slice_spacing_mm))
    return Geometry(
        source_shape=(surroundings.size, surroundings.size, n_slices),
        source_spacing_mm=(surroundings.spacing_mm, surroundings.spacing_mm, surroundings.slice_spacing_mm),
        centre_mm=(half, half),
        first_slice={"ED": 0, "ES": 0},
        intensity_range=surroundings.intensity_range,
        spacing_mm=surroundings.spacing_mm,
        size=surroundings.size,
    )
