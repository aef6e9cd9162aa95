"""Early warnings: what goes wrong in a training, said in words while it can still be mended.

Each rule reads the reports so far, oldest first, and gives a sentence or nothing. Rules name quantities that only some
trainings report; they are silent on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cardiomorph.anatomy import GROUPS
from cardiomorph.data.cohort import Cohort

Report = dict[str, float]
_RECENT = 10
"""Reports that a rule looks back on, so that one bad batch does not cry wolf."""


def _recent(history: Sequence[Report], key: str) -> list[float]:
    """The last ten values of a quantity; none before there are ten."""
    values = [entry[key] for entry in history if key in entry]
    return values[-_RECENT:] if len(values) >= _RECENT else []


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def diverging(history: Sequence[Report]) -> str | None:
    """The loss has risen to twice its lowest level."""
    for key in ("loss", "l1"):
        values = [entry[key] for entry in history if key in entry]
        if len(values) < 2 * _RECENT:
            continue
        means = [_mean(values[i : i + _RECENT]) for i in range(0, len(values) - _RECENT + 1, _RECENT)]
        if _mean(values[-_RECENT:]) > 2.0 * min(means):
            return f"{key} has risen to twice its lowest level: it may diverge; try half the learning rate"
    return None


def collapsed(history: Sequence[Report]) -> str | None:
    """The shape model's codes carry nothing."""
    recent = _recent(history, "kl")
    if recent and max(recent) < 1.0:
        return (
            f"the codes hold {_mean(recent):.2f} nats a slice: the posterior has collapsed and all hearts will look "
            "alike; try a smaller beta, a longer beta_warmup_epochs or free_nats 0.1"
        )
    return None


def dead_discriminator(history: Sequence[Report]) -> str | None:
    """The discriminator no longer tells real from painted."""
    real, fake = _recent(history, "verdict_real"), _recent(history, "verdict_fake")
    if real and max(abs(r - f) for r, f in zip(real, fake, strict=True)) < 0.02:
        return (
            "the discriminator says the same of real and of painted slices: it teaches nothing; try twice the "
            "discriminator_rate or half the generator_rate"
        )
    return None


def overwhelming_discriminator(history: Sequence[Report]) -> str | None:
    """The discriminator is never wrong, so that its hinge has no gradient."""
    recent = _recent(history, "discriminator")
    if recent and max(recent) < 0.02:
        return (
            "the discriminator is never wrong any more: its gradient vanishes; try half the discriminator_rate or "
            "more augmentation"
        )
    return None


RULES: dict[str, Callable[[Sequence[Report]], str | None]] = {
    "diverging": diverging,
    "collapsed": collapsed,
    "dead discriminator": dead_discriminator,
    "overwhelming discriminator": overwhelming_discriminator,
}


class Watch:
    """Applies the rules after every report; each speaks once a run."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def news(self, history: Sequence[Report]) -> list[str]:
        """Sentences that have not been said yet."""
        found = {name: rule(history) for name, rule in RULES.items() if name not in self.said}
        self.said |= {name for name, sentence in found.items() if sentence}
        return [sentence for sentence in found.values() if sentence]


def cohort_warnings(cohort: Cohort) -> list[str]:
    """Groups that the training split lacks, and a split that is held out of nothing."""
    missing = [group for group in GROUPS if not cohort.ids("train", group)]
    sentences = []
    if missing:
        sentences.append(
            f"no training subject is of the group{'s' if len(missing) > 1 else ''} {', '.join(missing)}: models will "
            "not know such hearts, and no atlas can draw them"
        )
    if not cohort.ids("heldout"):
        sentences.append("nobody is held out: quality will not be measured; prepare with --heldout 0.2")
    return sentences
