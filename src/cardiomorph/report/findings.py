"""What an evaluation found, before any of it is written or drawn."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from cardiomorph.data.cohort import Cohort
from cardiomorph.evaluation.areas import Area
from cardiomorph.evaluation.areas.memorisation import Memorisation
from cardiomorph.evaluation.heart_files import HeartFile
from cardiomorph.evaluation.measurement import MeasurementConfig
from cardiomorph.evaluation.record import Record
from cardiomorph.evaluation.summary import Metrics, Summary, metrics_of, missing_of
from cardiomorph.evaluation.verdict import Verdict
from cardiomorph.latent.atlas import Atlas
from cardiomorph.synthesis.request import SynthesisRequest


@dataclass(frozen=True)
class HeartSet:
    """A synthetic set, measured: its name, files, records, what could not be read, and what every area found in it."""

    name: str
    files: Mapping[str, HeartFile]
    records: Sequence[Record]
    left_out: Mapping[str, str]
    summaries: Mapping[str, Summary]

    @property
    def metrics(self) -> Metrics:
        """Entries of metrics.json."""
        return metrics_of(self.summaries)

    @property
    def missing(self) -> Mapping[str, str]:
        """What could not be measured, and why."""
        return missing_of(self.summaries)


@dataclass(frozen=True)
class Origin:
    """Where the first set comes from, as far as it says so.

    Attributes:
        settings: its synthesis.json; empty for hearts of others.
        atlas: that it was made with; None where it cannot be had, and why_no_atlas says why.
    """

    settings: Mapping[str, Any]
    atlas: Atlas | None
    why_no_atlas: str

    @property
    def request(self) -> SynthesisRequest:
        """What was asked for; the defaults where nobody knows."""
        return SynthesisRequest.model_validate(self.settings["request"]) if self.settings else SynthesisRequest()


@dataclass(frozen=True)
class Findings:
    """All sets beside the real hearts.

    Attributes:
        areas: that the first set was asked; the others were asked those of `AREAS`.
        sets: synthetic ones, the first of which is judged.
        real: the cohort's hearts that they stand beside, all or the held-out ones.
        real_left_out: those that could not be read, and why.
        everyone: all of the cohort's hearts, which memorisation asks.
    """

    cohort: Cohort
    origin: Origin
    config: MeasurementConfig
    seed: int
    areas: Sequence[Area]
    sets: Sequence[HeartSet]
    real: Sequence[Record]
    real_left_out: Mapping[str, str]
    everyone: Sequence[Record]

    def real_for(self, area: Area) -> Sequence[Record]:
        """The real hearts that an area asks."""
        return self.everyone if area.name == Memorisation.name else self.real

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """Of every area, on the first set."""
        return [one for area in self.areas for one in area.judge(self.sets[0].summaries[area.name])]

    @cached_property
    def metrics(self) -> Metrics:
        """The first set's entries, and the others' under ``compare.NAME.``."""
        metrics = dict(self.sets[0].metrics)
        for other in self.sets[1:]:
            metrics |= {f"compare.{other.name}.{key}": value for key, value in other.metrics.items()}
        return metrics

    def facts(self) -> dict[str, Any]:
        """What evaluation.json holds of it."""
        return {
            "cardiomorph": importlib.metadata.version("cardiomorph"),
            "seed": self.seed,
            "examination": self.config.model_dump(mode="json"),
            "sets": {
                s.name: {"hearts": len(s.records), "left_out": s.left_out, "missing": s.missing} for s in self.sets
            },
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "synthesis": dict(self.origin.settings),
            "cohort": self.cohort.settings,
        }
