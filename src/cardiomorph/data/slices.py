"""Training material: every slice of some prepared subjects, read from memory-mapped files when it is asked for.

A cohort may be larger than memory. The files are mapped, so the system keeps in memory what is used again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from cardiomorph.anatomy import PHASES
from cardiomorph.errors import CardiomorphError

Indices = NDArray[np.integer] | slice


class Slices:
    """Slices of subjects in order, base to apex, ED before ES.

    Attributes:
        stack: (n,) number of the stack, one phase of one subject, that a slice belongs to.

    Raises:
        CardiomorphError: a damaged file, or ``images`` are asked for and a subject has none.
    """

    def __init__(self, files: Sequence[Path], *, images: bool) -> None:
        stacks = [(path, phase.lower()) for path in files for phase in PHASES]
        self._labels = [_mapped(path, f"label_{phase}") for path, phase in stacks]
        self._images = [_mapped(path, f"image_{phase}") for path, phase in stacks] if images else []
        counts = [stack.get_shape()[0] for stack in self._labels]
        self.stack = np.repeat(np.arange(len(counts)), counts)
        self._within = np.concatenate([np.arange(count) for count in counts])

    def __len__(self) -> int:
        return len(self.stack)

    def labels(self, indices: Indices = slice(None)) -> NDArray[np.uint8]:
        """(k, size, size) labels of the chosen slices, all by default."""
        return self._read(self._labels, indices)

    def images(self, indices: Indices = slice(None)) -> NDArray[np.float16]:
        """(k, size, size) images in [-1, 1] of the chosen slices, all by default."""
        return self._read(self._images, indices)

    def _read(self, stacks: Sequence[Any], indices: Indices) -> NDArray[Any]:
        chosen = zip(self.stack[indices].tolist(), self._within[indices].tolist(), strict=True)
        return np.stack([stacks[stack][position] for stack, position in chosen])


def _mapped(path: Path, key: str) -> Any:
    """A view of one array of a file that reads nothing yet."""
    try:
        stored = safe_open(path, "numpy")
        if key not in stored.keys():  # noqa: SIM118
            raise CardiomorphError(f"subject {path.stem} has labels only, but this needs images", where=path)
        return stored.get_slice(key)
    except (SafetensorError, OSError) as error:
        raise CardiomorphError(
            f"is not a prepared subject ({error})", where=path, fix="Run 'cardiomorph prepare' again"
        ) from error
