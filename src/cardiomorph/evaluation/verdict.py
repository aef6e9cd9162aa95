"""One word an area: inside the floor of real hearts, near it, or outside."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cardiomorph.errors import CardiomorphError

Word = Literal["inside", "near", "outside", "not measured"]
Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """An area's word and the numbers behind it, in a sentence."""

    area: str
    word: Word
    reason: str


def _worded(area: str, value: float, inside: float, near: float, reason: str, *, less: bool = False) -> Verdict:
    """``inside`` and ``near`` are the limits that a value must reach, or must not exceed if ``less``."""
    reaches = operator.le if less else operator.ge
    word: Word = "inside" if reaches(value, inside) else "near" if reaches(value, near) else "outside"
    return Verdict(area, word, reason)


def _function(m: Metrics) -> Verdict:
    share, count, compared = m["function.inside_floor"], m["function.inside_floor_count"], m["function.compared"]
    return _worded(
        "function",
        share,
        0.88,
        0.6,
        f"{count:.0f} of {compared:.0f} distances (LVEDV, LVEF, RVEDV, RVEF, LV mass by group) within the 95 % floor "
        f"of real halves; {m.get('function.negative_ef', 0):.0f} hearts with a negative ejection fraction",
    )


def _plausibility(m: Metrics) -> Verdict:
    groups = [key.rsplit(".", 1)[1] for key in m if key.startswith("plausibility.rule_hits.")]
    rates = ", ".join(
        f"{g} {m[f'plausibility.rule_hits.{g}']:.0%} (real {m[f'plausibility.rule_hits_real.{g}']:.0%})" for g in groups
    )
    return _worded(
        "plausibility", m["plausibility.inside_interval"], 1.0, 0.75, f"hearts that meet their group's rule: {rates}"
    )


def _validity(m: Metrics) -> Verdict:
    ours, theirs = m["validity.invalid_slices"], m["validity.invalid_slices_real"]
    reason = f"{ours:.1%} of slices break an anatomical criterion, {theirs:.1%} of real ones"
    return _worded("validity", ours, theirs, 2.0 * theirs, reason, less=True)


def _consistency(m: Metrics, area: str, title: str) -> Verdict:
    share, floor = m[f"{area}.inside_real_range"], m[f"{area}.inside_real_range_floor"]
    reason = f"{share:.0%} of through-plane measures in the real 5-95 % range; real hearts left out of it {floor:.0%}"
    return _worded(title, share, floor - 0.05, floor - 0.3, reason)


def _fidelity(m: Metrics) -> Verdict:
    space = "own" if "fidelity.frechet.own" in m else "imagenet"
    value, floor, floor95 = (m[f"fidelity.frechet{k}.{space}"] for k in ("", "_floor", "_floor95"))
    reason = f"Frechet distance ({space} features) {value:.3g}; between halves of the real hearts {floor:.3g}"
    return _worded("fidelity", value, floor95, 2.0 * floor, reason, less=True)


def _label_match(m: Metrics) -> Verdict:
    ours, theirs = m["label_match.dice"], m["label_match.dice_real"]
    reason = f"Dice of label and segmented image {ours:.3f}; on real images {theirs:.3f}"
    return _worded("label match", ours, theirs - 0.05, theirs - 0.15, reason)


def _memorisation(m: Metrics) -> Verdict:
    kinds = [k for k in ("label", "image") if f"memorisation.{k}_share_too_close" in m]
    worst = max(m[f"memorisation.{k}_share_too_close"] for k in kinds)
    parts = [f"{m[f'memorisation.{k}_share_too_close']:.1%} of hearts too close to a training {k}" for k in kinds]
    attacks = [m[key] for k in kinds if (key := f"memorisation.{k}_membership_auc") in m]
    if attacks:
        parts.append(f"membership attack AUC {', '.join(f'{a:.2f}' for a in attacks)}")
    return _worded("memorisation", worst, 0.05, 0.1, "; ".join(parts), less=True)


def _identity(m: Metrics) -> Verdict:
    overlap = m.get("identity.overlap")
    # A virtual parent has no labels of its own to overlap with.
    kept = "" if overlap is None else f"severity 0 overlaps its parent with Dice {overlap:.3f}; "
    reason = f"{kept}severity and disease rise together with rank correlation {m['identity.monotonicity']:.2f}"
    return _worded("identity", m["identity.monotonicity"], 0.9, 0.7, reason)


_AREAS: dict[str, tuple[tuple[str, ...], Callable[[Metrics], Verdict]]] = {
    "function": (("function.inside_floor",), _function),
    "plausibility": (("plausibility.inside_interval",), _plausibility),
    "validity": (("validity.invalid_slices", "validity.invalid_slices_real"), _validity),
    "3D consistency of labels": (
        ("consistency.inside_real_range",),
        lambda m: _consistency(m, "consistency", "3D consistency of labels"),
    ),
    "3D consistency of images": (
        ("consistency.image.inside_real_range",),
        lambda m: _consistency(m, "consistency.image", "3D consistency of images"),
    ),
    "fidelity": (("fidelity.frechet.own", "fidelity.frechet.imagenet"), _fidelity),
    "label match": (("label_match.dice", "label_match.dice_real"), _label_match),
    "memorisation": (("memorisation.label_share_too_close",), _memorisation),
    "identity": (("identity.monotonicity",), _identity),
}
_ANY = {"fidelity"}


def verdicts(metrics: Metrics) -> list[Verdict]:
    """The verdict on every area, in order."""
    result = []
    for area, (needed, judge) in _AREAS.items():
        enough = any if area in _ANY else all
        if enough(key in metrics for key in needed):
            result.append(judge(metrics))
        else:
            result.append(Verdict(area, "not measured", ""))
    return result


_EXPRESSION = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(<=|>=|==|!=|<|>)\s*([-+0-9.eE]+)\s*")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Condition:
    """``KEY OPERATOR NUMBER``, as `cardiomorph evaluate --fail-if` takes it."""

    key: str
    comparison: str
    number: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises `CardiomorphError` where the text is no such condition."""
        match = _EXPRESSION.fullmatch(text)
        try:
            if match is not None:
                return cls(match[1], match[2], float(match[3]))
        except ValueError:
            pass
        raise CardiomorphError(f"{text!r} is no condition", fix="Write for instance 'validity.invalid_slices > 0.01'")

    def holds(self, metrics: Metrics) -> bool:
        """Raises `CardiomorphError` where the key was not measured."""
        if self.key not in metrics:
            raise CardiomorphError(
                f"{self.key!r} was not measured, so nothing can depend on it",
                fix="metrics.json lists what was, and 'missing' why something was not",
            )
        return _OPERATORS[self.comparison](metrics[self.key], self.number)
