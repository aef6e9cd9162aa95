"""What is laid beside the real patients: nothing, more augmentation, or synthetic hearts of several makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardiomorph.anatomy import HEALTHY
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.options import VIRTUAL
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.utility.deformation import make_deformed


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        words: what it is, for people.
        sampler: of its synthetic hearts; "" where there are none.
        own: whether the user's own healthy patients are morphed, instead of virtual parents.
        field: heart (crops) or full (set into the patient's whole image).
        strong: whether augmentation is stronger.
        balanced: whether real groups are drawn equally often.
        deformed: whether its hearts are deformed labels of the user's own patients.
        knows_disease: whether statistics of diseased hearts made it; what does not is a baseline that others must beat.
    """

    name: str
    words: str
    sampler: str = ""
    own: bool = False
    field: str = "heart"
    strong: bool = False
    balanced: bool = False
    deformed: bool = False
    knows_disease: bool = False

    @property
    def makes_hearts(self) -> bool:
        """Whether synthetic hearts are laid beside the real ones."""
        return self.deformed or bool(self.sampler)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("nothing", "the real patients alone, augmented like nnU-Net"),
        Arm("strong", "the real patients alone, augmented strongly and elastically", strong=True),
        Arm("oversampling", "the real patients alone, groups drawn equally often", balanced=True),
        Arm("healthy", "virtual healthy hearts: more hearts, no disease", sampler="population"),
        Arm("deformation", "labels of the user's own patients, deformed at random and painted", deformed=True),
        Arm("independent", "virtual hearts, elements drawn alone", sampler="independent", knows_disease=True),
        Arm("copula", "virtual hearts by the Gaussian copula", sampler="copula", knows_disease=True),
        Arm("paper", "virtual hearts by the paper's product, standardised", sampler="paper-standardised",
            knows_disease=True),
        Arm("virtual", "virtual diseased hearts of the atlas", sampler="population", knows_disease=True),
        Arm("own", "the user's own healthy patients morphed, crops", sampler="population", own=True,
            knows_disease=True),
        Arm("own-full", "the same, set into their own whole images", sampler="population", own=True, field="full",
            knows_disease=True),
    )
}  # fmt: skip


def arm_named(name: str) -> Arm:
    """Raises `CardiomorphError` where there is no such arm."""
    if name not in ARMS:
        raise CardiomorphError(f"there is no arm {name!r}", fix=f"Known are {', '.join(ARMS)}")
    return ARMS[name]


def hearts_of(
    arm: Arm,
    targets: Sequence[str],
    hearts: int,
    patients: Sequence[str],
    healthy: Sequence[str],
    seed: int,
) -> dict[str, Any] | None:
    """What hearts an arm needs, in words that decide them: about ``hearts`` of them, evenly of the groups.

    Args:
        patients: names of the training patients; ``healthy`` are those who are. Not where they lie: a study may move.

    Returns:
        A `SynthesisRequest` as JSON, or the facts of a deformation; None for an arm without hearts.

    Raises:
        CardiomorphError: the arm morphs own healthy patients, and there is none.
    """
    if arm.deformed:
        return {"deformed": list(patients), "hearts": hearts, "seed": seed}
    if not arm.sampler:
        return None
    wanted = (HEALTHY,) if arm.name == "healthy" else tuple(targets)
    each = -(-hearts // len(wanted))
    facts: dict[str, Any] = {"targets": wanted, "sampler": arm.sampler, "seed": seed}
    if not arm.own:
        facts |= {"sources": (VIRTUAL,), "parents": each, "versions": 1, "slices": "native"}
    elif not healthy:
        raise CardiomorphError(f"the arm {arm.name} morphs healthy patients, and the scenario has none")
    else:
        # As many hearts as asked for: of few, not every patient is a parent.
        facts |= {"sources": list(healthy)[:each], "versions": -(-each // len(healthy))}
        facts |= {"field": "full"} if arm.field == "full" else {"slices": "native"}
    return SynthesisRequest.model_validate(facts).model_dump(mode="json")


def make_hearts(
    atlas: Atlas, wanted: Mapping[str, Any], patients: Mapping[str, Path], folder: Path, workers: int
) -> Path:
    """Makes the hearts of `hearts_of`; those that are there already stay.

    Args:
        patients: where they lie, by name.
    """
    if "deformed" in wanted:
        chosen = {name: patients[name] for name in wanted["deformed"]}
        return make_deformed(atlas, chosen, wanted["hearts"], folder, wanted["seed"])
    sources = [str(patients.get(name, name)) for name in wanted["sources"]]
    request = SynthesisRequest.model_validate({**wanted, "sources": sources})
    return synthesize(atlas, folder, request, workers=workers, patients=PatientOptions(any_group=True))
