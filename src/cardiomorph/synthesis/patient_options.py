"""How one's own patients are read: the same in Python and on the command line, light enough for ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field


class PatientOptions(BaseModel):
    """What to take of a folder or file that is named as a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    any_group: Annotated[bool, Parameter(negative=())] = Field(
        False, description="Of a data set or cohort that is a source, take all subjects, not the healthy ones alone."
    )
    labels: str | None = Field(
        None,
        description="What the label codes of a source mean, theirs:ours by comma, where ours are 1 RV, 2 myocardium, "
        "3 LV; for instance 85:1,170:2,255:3.",
    )
    scan: Path | None = Field(
        None,
        description="Image of a source that is one label file; by default the file beside it without _gt, _label, _seg "
        "or _mask in its name.",
    )
    ed: int | None = Field(
        None,
        ge=1,
        description="Frame of end-diastole, from 1, of a source that is one label file with a time axis; by default "
        "the labelled frame with the largest LV.",
    )
    es: int | None = Field(None, ge=1, description="Frame of end-systole; by default that with the smallest LV.")
    min_overlap: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Refuse a patient whose heart the shape model rebuilds with a smaller mean Dice.",
    )
