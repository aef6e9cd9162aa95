"""What an area of evaluation is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cardiomorph.evaluation.heart_view import HeartView
from cardiomorph.evaluation.populations import Populations
from cardiomorph.evaluation.presentation import Presentation, Side
from cardiomorph.evaluation.record import Measured, Record
from cardiomorph.evaluation.summary import Summary
from cardiomorph.evaluation.verdict import Verdict


class Area(Protocol):
    """Measures hearts one by one, summarises them beside the real ones, judges what it found, and shows it.

    Other processes measure: an area can be pickled.
    """

    @property
    def name(self) -> str:
        """Begins its keys in metrics.json: letters, digits, underscores and points."""
        ...

    @property
    def version(self) -> int:
        """Of what `measure` returns: records of another version are made again."""
        ...

    @property
    def column_prefix(self) -> str:
        """Begins its measures' columns in measures.csv."""
        ...

    def measure(self, view: HeartView) -> Measured:
        """What it needs of one heart's voxels. A heart may lack a phase, images or structures: nothing is raised."""
        ...

    def summarise(self, hearts: Populations) -> Summary:
        """Comparisons over all hearts; what cannot be had is missing, with its reason."""
        ...

    def judge(self, summary: Summary) -> Sequence[Verdict]:
        """Its verdicts, usually one, of its own comparisons; "not measured" where these are missing."""
        ...

    def show(self, sides: Sequence[Side], real: Sequence[Record]) -> Presentation | None:
        """Its part of the report; None where there is nothing to show.

        Args:
            sides: the synthetic sets, the first of which is judged.
        """
        ...
