"""Hearts looked at: `evaluate`, `crossfit`, `report`, `view`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from cardiomorph.cli.parameters import Count, Output, Port, Seed, Switch
from cardiomorph.data.label_codes import parsed_codes
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.samplers import SAMPLERS

if TYPE_CHECKING:
    SamplerName = str
else:
    SamplerName = Literal[tuple(SAMPLERS)]


def evaluate(
    synth: Path,
    /,
    *,
    against: Path,
    output: Output,
    atlas: Path | None = None,
    segmenter: Path | None = None,
    scans: Path | None = None,
    compare: Annotated[list[Path] | None, Parameter(negative=())] = None,
    held_out_only: Switch = False,
    labels: str | None = None,
    fail_if: Annotated[list[str] | None, Parameter(negative=())] = None,
    seed: Seed = 0,
    workers: Count = 2,
) -> None:
    """Weigh synthetic hearts against real ones: verdicts, metrics.json, measures.csv, report.html.

    Function, plausibility, anatomical validity, 3D consistency, image fidelity, label match, memorisation and
    identity, each beside its real-versus-real floor. An interrupted evaluation goes on where it stopped.

    Exit code 1 where a condition of --fail-if holds.

    Parameters
    ----------
    synth:
        Folder of `cardiomorph synthesize`, or any labelled folder in the layout of ACDC, nnU-Net, M&Ms or M&Ms-2.
    against:
        Prepared cohort of real hearts.
    output:
        Report folder to write.
    atlas:
        Atlas of the synthesis; by default the one it was made with.
    segmenter:
        Run folder of `cardiomorph train segmenter`, for label match and the project's own features.
    scans:
        The data set of your patients, for hearts that were set into their whole images (--field full): seam, grain,
        what a segmenter of whole images reads, and whether a classifier can tell.
    compare:
        Another folder of hearts to lay beside the first; may be given again.
    held_out_only:
        Compare with the cohort's held-out hearts alone, whom no model saw. Memorisation asks the others, too.
    labels:
        Label codes of the hearts, theirs:ours by comma, where ours are 1 RV, 2 myocardium, 3 LV; for instance
        1:3,2:2,3:1.
    fail_if:
        A condition such as "validity.invalid_slices > 0.01"; may be given again.
    seed:
        Seed of the random halves that make the floors.
    workers:
        Processes.
    """
    from cardiomorph.report.evaluation import evaluate as run

    result = run(
        synth,
        output,
        against=against,
        atlas=atlas,
        segmenter=segmenter,
        scans=scans,
        compare=compare or (),
        held_out_only=held_out_only,
        codes=parsed_codes(labels),
        fail_if=fail_if or (),
        seed=seed,
        workers=workers,
    )
    if result.failed:
        print(f"failed: {'; '.join(result.failed)}", file=sys.stderr)
        sys.exit(1)


def crossfit(
    cohort: Path,
    /,
    *,
    shape: Path,
    output: Output,
    sampler: Annotated[list[SamplerName] | None, Parameter(consume_multiple=True, negative=())] = None,
    folds: Annotated[int, Parameter(validator=Number(gte=2, lte=100))] = 5,
    hearts: Count = 20,
    seed: Seed = 0,
) -> None:
    """Compare every patient only with hearts from statistics that never saw him, and say what the tests could see.

    The cohort is cut into folds; the first are its held-out subjects, whom the shape model never saw either. For each
    fold a sampler draws labelled hearts from the others' statistics. Energy test with permutations within group and
    fold, spread, a classifier, recall and coverage, and the power of the test against hearts that are all alike, half
    as varied, shifted, or copies. Writes crossfit.json and hearts.csv, and prints the table.

    Parameters
    ----------
    cohort:
        Prepared cohort with its held-out split.
    shape:
        Run folder of the shape model that was trained on it, or an atlas's shape folder.
    output:
        Folder to write.
    sampler:
        Samplers to compare; all by default.
    folds:
        How many.
    hearts:
        Hearts of each group, fold and sampler.
    seed:
        Seed of the folds and the draws.
    """
    from cardiomorph.latent.samplers.choice import sampler_named
    from cardiomorph.synthesis.cross_fitting import cross_fit

    samplers = [sampler_named(name) for name in sampler or SAMPLERS]
    cross_fit(cohort, output, shape=shape, samplers=samplers, folds=folds, hearts=hearts, seed=seed)


def report(
    atlas: str | None = None,
    /,
    *,
    output: Output,
    figures: Literal["paper"] = "paper",
    against: Path | None = None,
    source: str | None = None,
    sampler: SamplerName = "population",
    seed: Seed = 0,
) -> None:
    """Draw the paper's figures of an atlas, in the paper's arrangement: PNG files and one page.

    The latent space (Fig. 1), three transitions (Fig. 2), ejection fractions (Fig. 3), uncorrelated, correlated and
    real hearts with perpendicular views (Fig. 4), correlations aimed at and achieved (Fig. 5), misaligned real stacks.

    Parameters
    ----------
    atlas:
        Atlas folder, or the name of one that ships; the default atlas without.
    output:
        Folder to write: figures.html, figures/.
    figures:
        Whose.
    against:
        Prepared cohort of real hearts, to lay beside; what needs real hearts is left out without.
    source:
        The healthy heart that is morphed; the atlas's first, or a virtual one.
    sampler:
        Of the hearts in figures 1 to 3.
    seed:
        Seed of the draws.
    """
    from cardiomorph.latent.atlas import Atlas
    from cardiomorph.latent.library import default_atlas, find_atlas
    from cardiomorph.report.paper_figures import paper_figures

    chosen = Atlas(find_atlas(atlas or default_atlas()))
    paper_figures(chosen, output, cohort=against, source=source, sampler=sampler, seed=seed)


def view(
    given: Path | None = None,
    /,
    *,
    cohort: Path | None = None,
    patient: Path | None = None,
    host: str = "127.0.0.1",
    port: Port = 8765,
    token: str | None = None,
    browser: bool = True,
    export: Path | None = None,
    source: str | None = None,
    seed: Seed = 0,
) -> None:
    """Open a viewer in the browser, where a healthy heart turns into a diseased one under your hand.

    Ctrl-C ends it. The server answers this machine only, unless --host says otherwise; then it asks for a token, which
    stands in the address that it prints.

    Parameters
    ----------
    given:
        Folder of an atlas, a synthesis, a report or a demo, or the name of an atlas that ships; the default atlas
        without.
    cohort:
        Prepared cohort whose subjects can be morphed too, and stand on the latent map.
    patient:
        A patient of yours: a folder in a known layout, or a label file with its image beside it. Shown first.
    host:
        Address to answer on; 0.0.0.0 for every one of this machine's.
    port:
        Port to answer on; 0 takes a free one.
    token:
        What requests must carry; drawn at random for a host that others can reach.
    browser:
        Open the browser.
    export:
        Write one HTML file with precomputed morphs of one heart to every disease, which opens offline from disk, and
        start no server.
    source:
        With --export, the healthy heart; the first one by default.
    seed:
        With --export, the seed of the draws.
    """
    try:
        from cardiomorph.viewer.launch import export_page, serve
    except ModuleNotFoundError as error:
        raise CardiomorphError(
            f"the viewer needs {error.name}, which is not installed", fix="pip install 'cardiomorph[viewer]'"
        ) from error

    if export is not None:
        export_page(given, export, cohort=cohort, patient=patient, source=source, seed=seed)
    else:
        serve(given, cohort=cohort, patient=patient, host=host, port=port, token=token, browser=browser)
