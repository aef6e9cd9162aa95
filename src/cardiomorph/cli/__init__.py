"""The command line: parse, configure, call one function.

A file for each family of commands; heavy imports stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from cyclopts import App

from cardiomorph.cli import (
    atlas_commands,
    data_commands,
    ending,
    heart_commands,
    judging_commands,
    training_commands,
    utility_commands,
)

app = App(
    name="cardiomorph",
    help=(
        "Turn one healthy heart into labelled, three-dimensionally consistent, diseased hearts.\n\n"
        "A first look, without any data: `cardiomorph demo`.\n\n"
        "With a heart of your own: `synthesize --source PATIENT`, after `segment SCAN` where it has no labels yet.\n\n"
        "With your own data set: `prepare`, `train shape`, `train image`, `atlas`, `synthesize`, `evaluate`, `export`, "
        "in this order. Every command says what it wrote and where. Bad input ends with one message and exit code 2."
    ),
    suppress_keyboard_interrupt=False,
)
train = App(name="train", help="Train the shape model, the image model or a segmenter on a prepared cohort.")
models = App(name="models", help="The atlases that ship with Cardiomorph, and your own to give away.")
app.command(train)
app.command(models)
for command in (
    heart_commands.demo,
    data_commands.phantom,
    data_commands.prepare,
    atlas_commands.atlas,
    heart_commands.synthesize,
    judging_commands.evaluate,
    judging_commands.crossfit,
    judging_commands.report,
    utility_commands.utility,
    data_commands.segment,
    heart_commands.reconstruct,
    judging_commands.view,
    data_commands.measure,
    data_commands.export,
):
    app.command(command)
train.command(training_commands.train_shape, name="shape")
train.command(training_commands.train_image, name="image")
train.command(training_commands.train_segmenter, name="segmenter")
train.command(training_commands.train_field_segmenter, name="field-segmenter")
models.command(atlas_commands.models_list, name="list")
models.command(atlas_commands.models_show, name="show")
models.command(atlas_commands.models_pack, name="pack")


def main() -> None:
    """Entry point of the program."""
    ending.run(lambda words: app(words, result_action="return_value", exit_on_error=False, print_error=False))
