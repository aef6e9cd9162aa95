"""Words by which hearts are asked for; whoever needs no more than the words loads nothing heavy with them."""

from __future__ import annotations

from typing import Literal

ALL: Literal["all"] = "all"
"""Every disease, or every healthy subject of the training split."""
VIRTUAL = "virtual"
"""A healthy parent that is nobody."""
StyleVariation = Literal["slice", "smooth", "mean"]
"""How an appearance changes along the axis."""
