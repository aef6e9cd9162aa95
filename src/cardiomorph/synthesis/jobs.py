"""The hearts that a request means, one by one: counted, and each made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import overload

from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.atlas import Atlas, Parent
from cardiomorph.latent.options import ALL, VIRTUAL
from cardiomorph.latent.virtual import parent_named, virtual_name, virtual_number
from cardiomorph.synthesis.request import HeartJob, SynthesisRequest

_MAX_HEARTS = 10**15


def sources_of(request: SynthesisRequest, atlas: Atlas) -> Sequence[str]:
    """The parents asked for, each once. Raises `CardiomorphError` where the atlas has none such."""
    named: dict[str, None] = {}
    sources = request.resolved(with_subjects=bool(atlas.parents)).sources or ()
    for source in sources:
        if source == ALL:
            named |= dict.fromkeys(_training_parents(atlas))
        elif source != VIRTUAL or source in atlas.parents:
            named[parent_named(atlas, source, request.seed).id] = None
    if VIRTUAL not in sources or VIRTUAL in named:
        return list(named)
    return _WithVirtual(list(named), request.parents)


def _training_parents(atlas: Atlas) -> list[str]:
    chosen = [n for n, parent in atlas.parents.items() if parent.split == "train" and n not in atlas.adopted]
    if not chosen:
        raise CardiomorphError(
            "has no healthy subject in its training split",
            where=atlas.folder,
            fix="--source virtual draws healthy hearts from the group's statistics",
        )
    return chosen


class _WithVirtual(Sequence[str]):
    """Names, and those of virtual parents that are not among them, however many: counted, not listed."""

    def __init__(self, named: list[str], count: int) -> None:
        self.named = [name for name in named if not 1 <= (virtual_number(name) or 0) <= count]
        self.drawn = count

    def __len__(self) -> int:
        return len(self.named) + self.drawn

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return self.named[place] if place < len(self.named) else virtual_name(place - len(self.named) + 1)


class Jobs(Sequence[HeartJob]):
    """Every heart of a request, parent by parent: each is made when it is asked for."""

    def __init__(self, request: SynthesisRequest, atlas: Atlas) -> None:
        request = request.resolved(with_subjects=bool(atlas.parents))
        self.request, self.sources = request, sources_of(request, atlas)
        self.images = request.images and atlas.has_images
        self.scanned = {name for name, parent in atlas.parents.items() if _is_scanned(parent)}
        self.versions = request.versions or 1
        self.total = len(self.sources) * len(request.targets) * self.versions * request.steps
        if request.field == "full" and not set(self.sources[: len(self.scanned) + 1]) <= self.scanned:
            raise CardiomorphError(
                "not every source is a patient of yours with an image, which --field full sets hearts into",
                fix="Name the patient's folder or file with --source",
            )
        if self.total > _MAX_HEARTS:
            raise CardiomorphError(f"the request is for {self.total:.0e} hearts", fix="Ask for fewer")

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> HeartJob: ...
    @overload
    def __getitem__(self, index: slice) -> list[HeartJob]: ...
    def __getitem__(self, index: int | slice) -> HeartJob | list[HeartJob]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self.total))]
        request = self.request
        rest, step = divmod(range(self.total)[index], request.steps)
        rest, version = divmod(rest, self.versions)
        source, target = divmod(rest, len(request.targets))
        full = self.images and request.field != "heart" and self.sources[source] in self.scanned
        return HeartJob(
            source=self.sources[source],
            target=request.targets[target],
            version=version + 1,
            severity=self._severity(step + 1),
            sampler=request.sampler,
            slices="native" if full else request.slices,
            field="full" if full else "heart",
            images=self.images,
            styles=request.styles,
            seed=request.seed,
        )

    def _severity(self, step: int) -> float:
        """That of the decimal numbers that people see: a third of 0.9 is 0.3."""
        return float(Fraction(repr(self.request.severity)) * step / self.request.steps)


def _is_scanned(parent: Parent) -> bool:
    """Whether its whole image is there."""
    return parent.scan is not None and all(frame.image is not None for frame in parent.scan.values())


def jobs(request: SynthesisRequest, atlas: Atlas) -> Jobs:
    """Every heart of a request. Raises `CardiomorphError` for unknown sources or targets."""
    for target in request.targets:
        atlas.group(target)
    return Jobs(request, atlas)
