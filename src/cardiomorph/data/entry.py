"""A subject that was found but not yet read, and the one door by which it enters, whatever its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cardiomorph.anatomy import PHASES
from cardiomorph.checks import checked_name
from cardiomorph.data.heart_check import base_first, doubts, refusals
from cardiomorph.data.subject import LabelCodes, Subject, checked_group
from cardiomorph.errors import CardiomorphError


@dataclass(frozen=True)
class Entry:
    """A subject on disk; can be sent to another process.

    Attributes:
        folder: where it lies; named in errors that no file can be named in.
        files: all files that it is read from.
        read: what its source can read of it, given other label codes or None: frames as stored, and in `problems`
            what kept a phase out. Never raises for one bad subject.
        group_from: the file that states its group.
    """

    id: str
    folder: Path
    files: tuple[Path, ...]
    read: Callable[[LabelCodes | None], Subject]
    group_from: Path

    def load(self, codes: LabelCodes | None = None) -> Subject:
        """The whole subject: both phases, a known group, and a heart.

        Args:
            codes: translation of the labels' codes, instead of what the source takes them for.

        Raises:
            CardiomorphError: naming the file, for anything missing, damaged or not a heart of all three structures.
        """
        subject = self._present(codes, partial=False)
        missing = [phase for phase in PHASES if phase not in subject.frames]
        if missing:
            raise CardiomorphError(f"{self.id} has no {' and no '.join(missing)}", where=self.folder)
        return replace(subject, group=checked_group(subject, self.group_from))

    def load_present(self, codes: LabelCodes | None = None) -> Subject:
        """What a data set has of the subject: one phase is enough, and the group may be unknown.

        A synthetic subject's codes are known, and an evaluation says how good a heart it is: here it is only doubted.

        Raises:
            CardiomorphError: what is there cannot be read, or is not a heart.
        """
        return self._present(codes, partial=codes is not None)

    def _present(self, codes: LabelCodes | None, *, partial: bool) -> Subject:
        subject = self.load_readable(codes)
        if subject.problems:
            raise CardiomorphError(subject.problems[0])
        reasons = tuple(refusals(subject, partial=partial))
        if reasons and not subject.synthetic:
            raise CardiomorphError(f"{self.id}: {reasons[0]}", where=self.folder)
        return replace(subject, doubts=(*subject.doubts, *reasons))

    def load_readable(self, codes: LabelCodes | None = None) -> Subject:
        """What can be read of the subject, even if it is no heart: for judging what a generator made.

        Raises:
            CardiomorphError: no phase can be read.
        """
        checked_name(self.id, self.folder)
        subject = self.read(codes)
        if not subject.frames:
            raise CardiomorphError(subject.problems[0])
        subject = base_first(subject)
        return replace(subject, doubts=tuple(dict.fromkeys((*subject.doubts, *doubts(subject)))))
