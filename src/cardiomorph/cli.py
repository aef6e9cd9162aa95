"""The command line: parse, configure, call one function.

Heavy imports stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter, Token
from cyclopts.validators import Number

from cardiomorph.checks import MAX_SEED
from cardiomorph.data.sources import SOURCES
from cardiomorph.errors import CardiomorphError, printable
from cardiomorph.latent.samplers import SAMPLERS

_SMALLER = "Use fewer workers, a smaller batch or model, or a smaller input."


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number and nothing that could be rounded to one."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is no whole number") from None


Output = Annotated[Path, Parameter(name=["--output", "-o"])]
Seed = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0, lte=MAX_SEED))]
Count = Annotated[int, Parameter(converter=_whole, validator=Number(gte=1))]
Preset = Literal["tiny", "small", "base", "paper"]
Target = Literal["DCM", "HCM", "MINF", "RV", "NOR", "all"]
if TYPE_CHECKING:
    SamplerName = str
    SourceName = str
else:
    SamplerName, SourceName = Literal[tuple(SAMPLERS)], Literal["auto", *SOURCES]
Flag = Parameter(negative=())

app = App(
    name="cardiomorph",
    help=(
        "Turn one healthy heart into labelled, three-dimensionally consistent, diseased hearts.\n\n"
        "A first look, without any data: `cardiomorph demo`.\n\n"
        "With your own: `prepare`, `train shape`, `train image`, `atlas`, `synthesize`, `evaluate`, `export`, in this "
        "order. Every command says what it wrote and where. Bad input ends with one message and exit code 2."
    ),
    suppress_keyboard_interrupt=False,
)
train = App(name="train", help="Train the shape model, the image model or the segmenter on a prepared cohort.")
app.command(train)
models = App(name="models", help="The atlases that ship with Cardiomorph, and your own to give away.")
app.command(models)


@app.command
def demo(*, output: Output = Path("out/demo"), seed: Seed = 0, train: Annotated[bool, Flag] = False) -> None:
    """Run the whole pipeline on the built-in phantom: cohort, models, atlas, synthesis, report.

    Takes a few minutes on two cores and needs no data. Open OUTPUT/report/report.html afterwards.

    Parameters
    ----------
    output:
        Folder for everything the demo makes. A demo that was interrupted goes on there.
    seed:
        Seed of the phantom, the trainings and the synthesis.
    train:
        Train small models on the spot, a minute each, instead of using those that ship.
    """
    from cardiomorph.demo import run_demo

    run_demo(output, seed=seed, train=train)


@app.command
def phantom(*, output: Output, subjects_per_group: Count = 20, seed: Seed = 0, workers: Count = 2) -> None:
    """Write a parametric cohort of hearts in ACDC's own folder layout.

    Five groups, ED and ES, images and labels; truth.json in each subject's folder holds every parameter.

    Parameters
    ----------
    output:
        Folder of the data set to write.
    subjects_per_group:
        Hearts in each of NOR, DCM, HCM, MINF and RV; at least 2.
    seed:
        Subjects depend on the seed and their number only.
    workers:
        Processes.
    """
    from cardiomorph.data.phantom import write_phantom_cohort

    write_phantom_cohort(output, subjects_per_group, seed, workers)


@app.command
def prepare(
    source: Path,
    /,
    *,
    output: Output,
    format: SourceName = "auto",
    labels: str | None = None,
    heldout: float = 0.2,
    seed: Seed = 0,
    skip_bad: Annotated[bool, Flag] = False,
    workers: Count = 2,
) -> None:
    """Prepare a data set: 128 x 128 slices at 1.5 mm around each heart, one file a subject, a readable manifest.

    Patients are split into training and held-out ones by group; near-identical hearts stay on one side.

    Parameters
    ----------
    source:
        Folder of the data set, in the layout of ACDC, M&Ms, M&Ms-2 or nnU-Net.
    output:
        Cohort folder to write; a cohort that is there is replaced when the new one is whole.
    format:
        Layout of SOURCE; auto recognises it.
    labels:
        What the label codes mean, theirs:ours by comma, where ours are 1 RV, 2 myocardium, 3 LV; for instance
        85:1,170:2,255:3. By default what the layout (and nnU-Net's dataset.json) says.
    heldout:
        Share of each group that no model is trained on.
    seed:
        Seed of the split.
    skip_bad:
        Leave out subjects that cannot be read, and list them, instead of stopping at the first.
    workers:
        Processes.
    """
    from cardiomorph.data.cohort import prepare_cohort

    prepare_cohort(
        source,
        output,
        source_format=format,
        codes=_codes(labels),
        heldout=heldout,
        seed=seed,
        skip_bad=skip_bad,
        workers=workers,
    )


@train.command(name="shape")
def shape_command(
    cohort: Path,
    /,
    *,
    output: Output,
    preset: Preset = "small",
    config: Path | None = None,
    resume: Annotated[bool, Flag] = False,
    device: str = "auto",
) -> None:
    """Train the shape model, a 2D variational autoencoder of label slices.

    The run folder holds log.jsonl, tensorboard/, checkpoints, curves.png, samples.png, metrics.json and the model.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort.
    output:
        Run folder.
    preset:
        tiny (tests), small (two cores), base (a GPU), paper (as published).
    config:
        JSON file whose keys are laid over the preset's, for instance {"epochs": 40, "model": {"width": 24}}.
    resume:
        Go on from the run's last checkpoint; the result has the bytes of an uninterrupted run.
    device:
        auto, cpu, cuda or cuda:N.
    """
    from cardiomorph.training.shape import train_shape

    train_shape(cohort, output, preset=preset, changes=config, resume=resume, device=device)


@train.command(name="image")
def image_command(
    cohort: Path,
    /,
    *,
    output: Output,
    preset: Preset = "small",
    config: Path | None = None,
    resume: Annotated[bool, Flag] = False,
    device: str = "auto",
) -> None:
    """Train the image model, a SPADE generator with a style encoder, against a multi-scale discriminator.

    The run folder is like the shape model's.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort, with images.
    output:
        Run folder.
    preset:
        tiny (tests), small (two cores), base (a GPU), paper (as published).
    config:
        JSON file whose keys are laid over the preset's, for instance {"steps": 1500}.
    resume:
        Go on from the run's last checkpoint; the result has the bytes of an uninterrupted run.
    device:
        auto, cpu, cuda or cuda:N.
    """
    from cardiomorph.training.image import train_image

    train_image(cohort, output, preset=preset, changes=config, resume=resume, device=device)


@train.command(name="segmenter")
def segmenter_command(
    cohort: Path,
    /,
    *,
    output: Output,
    preset: Literal["tiny", "small", "base"] = "small",
    config: Path | None = None,
    resume: Annotated[bool, Flag] = False,
    device: str = "auto",
) -> None:
    """Train the referee of `evaluate --segmenter`: a U-Net that labels real images.

    The run folder is like the shape model's.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort, with images.
    output:
        Run folder.
    preset:
        tiny (tests), small (two cores), base (a GPU).
    config:
        JSON file whose keys are laid over the preset's, for instance {"epochs": 10}.
    resume:
        Go on from the run's last checkpoint; the result has the bytes of an uninterrupted run.
    device:
        auto, cpu, cuda or cuda:N.
    """
    from cardiomorph.training.segmenter import train_segmenter

    train_segmenter(cohort, output, preset=preset, changes=config, resume=resume, device=device)


@app.command
def atlas(
    cohort: Path,
    /,
    *,
    shape: Path,
    output: Output,
    image: Path | None = None,
    share: Annotated[bool, Flag] = False,
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


@models.command(name="list")
def models_list() -> None:
    """List the atlases that ship: what they were trained on, their licence, their size."""
    from cardiomorph.latent.library import default_atlas, shipped_atlases
    from cardiomorph.report.card import summary

    there = shipped_atlases()
    for name, folder in there.items():
        print(f"{summary(folder)}{'  (default)' if name == default_atlas() else ''}")
    if not there:
        print("none")


@models.command(name="show")
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


@models.command(name="pack")
def models_pack(atlas: Path, /, *, output: Output, facts: Path, licence: Path, report: Path | None = None) -> None:
    """Make an atlas folder to give away, with its card. Refuses where patients would travel with it.

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


@app.command
def synthesize(
    *,
    output: Output,
    target: Annotated[list[Target] | None, Parameter(consume_multiple=True, negative=())] = None,
    atlas: str | None = None,
    source: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    parents: Count = 8,
    versions: Count | None = None,
    severity: float = 1.0,
    steps: Count = 1,
    sampler: SamplerName = "population",
    slices: Literal["32", "native"] = "32",
    styles: Literal["slice", "smooth", "mean"] = "slice",
    labels_only: Annotated[bool, Flag] = False,
    seed: Seed = 0,
    workers: Count = 1,
    recreate: Path | None = None,
    cohort: Path | None = None,
) -> None:
    """Morph healthy hearts into diseased ones: ED and ES images and labels as NIfTI, with provenance and measures.

    Without an atlas of your own, one that ships with Cardiomorph is used: `cardiomorph models list`.

    An interrupted synthesis goes on where it stopped when the same command is given again.

    Parameters
    ----------
    output:
        Folder to write; one folder a heart, in ACDC's layout.
    target:
        Diseases to morph to; all four by default. NOR draws another healthy heart.
    atlas:
        Atlas folder, or the name of one that ships.
    source:
        Healthy subjects to morph from: their names, all (of the training split), or virtual, hearts of nobody that
        are drawn from the healthy group's statistics. By default all where the atlas has subjects, else virtual.
    parents:
        How many virtual parents to draw.
    versions:
        Hearts drawn for each source and target; 5 by default, 1 for virtual parents.
    severity:
        0 is the healthy heart, 1 the drawn diseased one.
    steps:
        Hearts along the way from healthy to SEVERITY, the last included.
    sampler:
        How the diseased heart is drawn; population keeps ED, ES and length together.
    slices:
        32 equal slices over the heart's length, or the subject's native grid.
    styles:
        How the parent's appearance changes along the axis: every slice its own, smooth, or one for all (mean).
    labels_only:
        Do not paint images.
    seed:
        With the atlas, decides every heart.
    workers:
        Processes of one thread each; 1 is one process with all threads, quickest for a few hearts.
    recreate:
        A provenance.json: make that one heart again and nothing else.
    cohort:
        Prepared cohort whose subjects can be sources too, beside those of the atlas.
    """
    from cardiomorph.latent.atlas import Atlas
    from cardiomorph.latent.library import default_atlas, find_atlas, notice
    from cardiomorph.latent.samplers.choice import sampler_named
    from cardiomorph.latent.virtual import VIRTUAL
    from cardiomorph.synthesis import batch_synthesis
    from cardiomorph.synthesis.request import checked_request

    chosen = Atlas(find_atlas(atlas or default_atlas()))
    said = notice(chosen.folder)
    if said:
        print(said, file=sys.stderr)
    if recreate is not None:
        batch_synthesis.recreate(recreate, chosen, output, cohort=cohort)
        return
    request = checked_request(
        targets=tuple(target or ("all",)),
        sources=tuple(source or (("all",) if chosen.parents else (VIRTUAL,))),
        parents=parents,
        versions=versions,
        severity=severity,
        steps=steps,
        sampler=sampler_named(sampler),
        slices=slices,
        images=not labels_only,
        styles=styles,
        seed=seed,
    )
    batch_synthesis.synthesize(chosen, output, request, workers=workers, cohort=cohort)


@app.command
def evaluate(
    synth: Path,
    /,
    *,
    against: Path,
    output: Output,
    atlas: Path | None = None,
    segmenter: Path | None = None,
    compare: Annotated[list[Path] | None, Parameter(negative=())] = None,
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
    compare:
        Another folder of hearts to lay beside the first; may be given again.
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
        compare=compare or (),
        codes=_codes(labels),
        fail_if=fail_if or (),
        seed=seed,
        workers=workers,
    )
    if result.failed:
        print(f"failed: {'; '.join(result.failed)}", file=sys.stderr)
        sys.exit(1)


def _codes(text: str | None) -> dict[int, int] | None:
    """``theirs:ours,...`` as a dictionary. Raises `CardiomorphError` where it is not."""
    if text is None:
        return None
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        codes = {int(theirs): int(ours) for theirs, ours in pairs}
    except ValueError as error:
        raise CardiomorphError(f"--labels is {text!r}", fix="Write for instance 1:3,2:2,3:1") from error
    if not set(codes.values()) <= {0, 1, 2, 3}:
        raise CardiomorphError(f"--labels {text!r} names codes that are not ours", fix="Ours are 0, 1, 2 and 3")
    return codes


@app.command
def reconstruct(
    cohort: Path, /, *, shape: Path, output: Output, split: Literal["all", "train", "heldout"] = "all"
) -> None:
    """Pass real hearts through the shape model and back: the control beside every sampler.

    The labels are written in ACDC's layout; give the folder to `evaluate --compare`.

    Parameters
    ----------
    cohort:
        Folder of the prepared cohort.
    shape:
        Run folder of the shape model.
    output:
        New folder.
    split:
        Which subjects.
    """
    from cardiomorph.synthesis.reconstruct import reconstruct as run

    run(cohort, output, shape=shape, split=None if split == "all" else split)


@app.command
def view(
    given: Path | None = None,
    /,
    *,
    cohort: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
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
        export_page(given, export, cohort=cohort, source=source, seed=seed)
    else:
        serve(given, cohort=cohort, host=host, port=port, token=token, browser=browser)


@app.command
def measure(folder: Path, /, *, output: Output, labels: str | None = None) -> None:
    """Measure volumes, ejection fractions, mass, wall and length of any labelled folder.

    Parameters
    ----------
    folder:
        A data set in a known layout, a prepared cohort, a synthesis, or one label NIfTI.
    output:
        CSV file to write; an empty cell is a measure that cannot be had.
    labels:
        What the label codes mean, theirs:ours by comma, where ours are 1 RV, 2 myocardium, 3 LV; for instance 1:3 for
        masks of the LV cavity alone.
    """
    from cardiomorph.evaluation.table import write_measures

    write_measures(folder, output, _codes(labels))


@app.command
def export(
    synth: Path,
    /,
    *,
    output: Output,
    format: Literal["nnunet", "acdc"] = "nnunet",
    real: Path | None = None,
    seed: Seed = 0,
) -> None:
    """Export hearts as training data, real patients beside them if given.

    In nnU-Net's splits no synthetic case is ever in a validation fold, and a validation patient's children do not
    train in his fold.

    Parameters
    ----------
    synth:
        Folder of `cardiomorph synthesize`.
    output:
        New folder; for nnU-Net name it Dataset501_Name.
    format:
        nnunet (imagesTr, labelsTr, dataset.json, splits_final.json) or acdc (one tree).
    real:
        Folder of the real data set that the parents came from.
    seed:
        Seed of the folds.
    """
    from cardiomorph.synthesis.export import export as run

    run(synth, output, layout=format, real=real, seed=seed)


def main() -> None:
    """Entry point. Exit code 2 for anything that the user can mend, 130 for an interruption."""
    _print_what_a_terminal_cannot()
    try:
        app(_expanded(sys.argv[1:]), result_action="return_value", exit_on_error=False, print_error=False)
        sys.stdout.flush()
        training = sys.modules.get("cardiomorph.training.hardware")
        if training is not None:
            training.end_process()
    except (CardiomorphError, CycloptsError) as error:
        _fail(str(error))
    except BrokenPipeError:
        _leave_quietly()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}.")
    except MemoryError as error:
        _fail(f"there is not enough memory ({error or 'no more was given'}). {_SMALLER}")
    except RuntimeError as error:
        # torch has no class of its own for a CPU's memory.
        if "not enough memory" not in str(error) and "out of memory" not in str(error):
            raise
        _fail(f"there is not enough memory. {_SMALLER}")
    except KeyboardInterrupt:
        print("interrupted; the same command (train: with --resume) goes on from here", file=sys.stderr)
        sys.exit(130)


def _expanded(words: Sequence[str]) -> list[str]:
    """``--output=~/x`` with the home folder that the shell leaves as it is there."""
    found = ((re.fullmatch(r"(--?[\w-]+=)(~(/.*)?)", word, re.DOTALL), word) for word in words)
    return [f"{match[1]}{Path(match[2]).expanduser()}" if match else word for match, word in found]


def _print_what_a_terminal_cannot() -> None:
    """What the terminal's encoding has not is printed escaped instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _leave_quietly() -> NoReturn:
    """Whoever read our output has read enough, as `head` does."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _fail(message: str) -> NoReturn:
    print(f"error: {printable(message.strip())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
