"""`atlas`, and the atlases that ship or are given away: `models list`, `models show`, `models pack`."""

from __future__ import annotations

from pathlib import Path

from cardiomorph.cli.parameters import Output, Switch


def atlas(
    cohort: Path,
    /,
    *,
    shape: Path,
    output: Output,
    image: Path | None = None,
    share: Switch = False,
) -> None:
    """Build the latent atlas: codes, group statistics, correlations, and how well the models rebuild real hearts.

    The atlas holds copies of the models and is all that `synthesize` needs.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort.
    shape:
        Run folder of the shape model.
    output:
        Atlas folder to write.
    image:
        Run folder of the image model; without it hearts get labels only.
    share:
        Make an atlas to give away: no subject's codes in it, group statistics only, weights in half precision.
    """
    from cardiomorph.synthesis.atlas_building import build_atlas

    build_atlas(cohort, output, shape=shape, image=image, share=share)


def models_list() -> None:
    """List the atlases that ship: what they were trained on, their licence, their size."""
    from cardiomorph.latent.library import default_atlas, shipped_atlases
    from cardiomorph.report.card import summary

    there = shipped_atlases()
    for name, folder in there.items():
        print(f"{summary(folder)}{'  (default)' if name == default_atlas() else ''}")
    if not there:
        print("none")


def models_show(name: str, /) -> None:
    """Show an atlas's card: data, licence, training, quality, memorisation, limits.

    Parameters
    ----------
    name:
        Name of an atlas that ships, or a folder.
    """
    from cardiomorph.latent.library import find_atlas
    from cardiomorph.report.card import shown

    print(shown(find_atlas(name)))


def models_pack(atlas: Path, /, *, output: Output, facts: Path, licence: Path, report: Path | None = None) -> None:
    """Make an atlas folder to give away, with its card. Refuses where it would tell whose hearts made it.

    Parameters
    ----------
    atlas:
        Folder of `cardiomorph atlas --share`.
    output:
        New folder.
    facts:
        JSON with name, licence, data, use, attribution, commands and limits, like the head of a card.json that ships;
        and "patients": false where the training hearts are nobody's, so that memorisation is told but no gate.
    licence:
        Text of the licence, copied as LICENSE.
    report:
        Report of `cardiomorph evaluate` on hearts of virtual parents of this atlas; it holds the memorisation measures.
        Leave it out only where the training data are no patients.
    """
    from cardiomorph.report.card import pack

    pack(atlas, output, facts=facts, licence=licence, report=report)
