"""What is laid beside the real patients: nothing, more augmentation, or synthetic hearts of several makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardiomorph.anatomy import HEALTHY
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.options import VIRTUAL
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.synthesis.batch_synthesis import synthesize
from cardiomorph.synthesis.patient_options import PatientOptions
from cardiomorph.synthesis.request import SynthesisRequest


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
        knows_disease: whether statistics of diseased hearts made it; what does not is a baseline that others must beat.
    """

    name: str
    words: str
    sampler: str = ""
    own: bool = False
    field: str = "heart"
    strong: bool = False
    balanced: bool = False
    knows_disease: bool = False


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("nothing", "the real patients alone, augmented like nnU-Net"),
        Arm("strong", "the real patients alone, augmented strongly and elastically", strong=True),
        Arm("oversampling", "the real patients alone, groups drawn equally often", balanced=True),
        Arm("healthy", "virtual healthy hearts: more hearts, no disease", sampler="population"),
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


def request_of(
    arm: Arm, targets: Sequence[str], hearts: int, healthy: Mapping[str, Path], seed: int
) -> SynthesisRequest | None:
    """What is synthesized for an arm: about ``hearts`` hearts, evenly of the groups; None for an arm without.

    Args:
        healthy: folders of the healthy training patients, by name.

    Raises:
        CardiomorphError: the arm morphs own patients, and none is healthy.
    """
    if not arm.sampler:
        return None
    wanted = (HEALTHY,) if arm.name == "healthy" else tuple(targets)
    each = -(-hearts // len(wanted))
    common = {"targets": wanted, "sampler": sampler_named(arm.sampler), "seed": seed}
    if not arm.own:
        return SynthesisRequest(sources=(VIRTUAL,), parents=each, versions=1, slices="native", **common)
    if not healthy:
        raise CardiomorphError(f"the arm {arm.name} morphs healthy patients, and the scenario has none")
    versions = -(-each // len(healthy))
    sources = tuple(str(path) for path in healthy.values())
    field = {"field": "full"} if arm.field == "full" else {"slices": "native"}
    return SynthesisRequest(sources=sources, versions=versions, **field, **common)


def make_hearts(atlas: Atlas, request: SynthesisRequest, folder: Path, workers: int) -> Path:
    """Synthesizes; hearts that are there already stay."""
    return synthesize(atlas, folder, request, workers=workers, patients=PatientOptions(any_group=True))
