"""What the command line says, and how it ends, when something is wrong: one line, the right code, nothing else."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from cardiomorph import cli
from cardiomorph.cli.ending import expanded
from cardiomorph.cli.messages import ConsoleHandler, show_messages
from cardiomorph.errors import CardiomorphError


def ends(monkeypatch, capsys, *words):
    """Runs the command line here; its exit code and what it said on standard error."""
    monkeypatch.setattr(sys, "argv", ["cardiomorph", *map(str, words)])
    code = 0
    try:
        cli.main()
    except SystemExit as error:
        code = error.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("synthesize --seed 1.9 -o x", "seed: Input should be a valid integer"),
        ("synthesize --seed -1 -o x", "seed: Input should be greater than or equal to 0"),
        (f"synthesize --seed {2**63} -o x", "seed: Input should be less than or equal to"),
        ("synthesize --versions 0 -o x", "versions: Input should be greater than or equal to 1"),
        ("synthesize --parents 1.9 -o x", "parents: Input should be a valid integer"),
        ("synthesize --steps 0 -o x", "steps: Input should be greater than or equal to 1"),
        ("synthesize --workers 0 -o x", "Must be >= 1"),
        ("phantom --seed -1 -o x", "Must be >= 0"),
        ("prepare x --seed -1 -o x", "Must be >= 0"),
        ("export x --seed -1 -o x", "Must be >= 0"),
        ("evaluate x --against y --seed -1 -o x", "Must be >= 0"),
        ("view --seed -1", "Must be >= 0"),
        ("view --port 99999", "Must be <= 65535"),
        ("synthesize --target -o x", "targets: name at least one disease, or all"),
        ("synthesize --source -o x", "sources: name at least one source"),
        ("demo --seed 0.5", "is no whole number"),
        ("train shape x -o y --preset huge", "preset: Input should be 'tiny'"),
        ("synthesize --target XYZ -o x", "targets.0: Input should be 'NOR'"),
        ("nonsense", "Unknown command"),
        ("measure", "requires an argument"),
    ],
)
def test_what_cannot_be_parsed_is_one_line_and_exit_code_2(words, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, errors = ends(monkeypatch, capsys, *words.split())
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith("error: ")
    assert said in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted; the same command (train: with --resume) goes on from here\n"),
        (
            MemoryError("4"),
            2,
            "error: there is not enough memory (4). Use fewer workers, a smaller batch or model, or a smaller input.\n",
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
            2,
            "error: there is not enough memory. Use fewer workers, a smaller batch or model, or a smaller input.\n",
        ),
        (CardiomorphError("is\nwrong", where="a[b]"), 2, "error: a[b]: is\\nwrong.\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: /x: Permission denied.\n"),
    ],
)
def test_how_a_command_ends(error, code, said, monkeypatch, capsys):
    def fails():
        raise error

    monkeypatch.setattr("cardiomorph.latent.library.shipped_atlases", fails)
    assert ends(monkeypatch, capsys, "models", "list") == (code, said)


def test_a_mistake_of_ours_is_not_hidden(monkeypatch, capsys):
    def fails():
        raise ZeroDivisionError

    monkeypatch.setattr("cardiomorph.latent.library.shipped_atlases", fails)
    with pytest.raises(ZeroDivisionError):
        ends(monkeypatch, capsys, "models", "list")


def test_home_is_home_behind_an_equals_sign_too(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, errors = ends(monkeypatch, capsys, "measure", "nowhere", "--output=~/table.csv")
    assert code == 2
    assert "nowhere" in errors
    assert expanded(["--output=~/x", "-o=~/x", "~/x", "--token=a~b", "--seed=1"]) == [
        f"--output={tmp_path}/x", f"-o={tmp_path}/x", "~/x", "--token=a~b", "--seed=1",
    ]  # fmt: skip


def say(text):
    ConsoleHandler().emit(logging.LogRecord("cardiomorph.x", logging.INFO, "x.py", 1, text, (), None))


def test_what_the_library_logs_is_shown_once(capfd):
    for _ in range(2):
        show_messages()
    logging.getLogger("cardiomorph.data.cohort").info("100% of %s")
    assert capfd.readouterr().err == "100% of %s\n"


@pytest.mark.parametrize("name", ["run[red]7", "o[/b]", "[/red]", ":smile:", "[link=http://x]y"])
def test_names_are_said_as_they_are(name, capfd):
    say(f"hearts in {name}")
    assert capfd.readouterr().err == f"hearts in {name}\n"


def test_what_a_terminal_would_obey_is_said_escaped(capfd):
    say("a\x1b[2Jb\nsecond line\udcff")
    assert capfd.readouterr().err == "a\\x1b[2Jb\nsecond line\\udcff\n"


def command(*words, **environment):
    return [sys.executable, "-m", "cardiomorph.cli", *map(str, words)], {**os.environ, **environment}


def test_a_reader_that_has_read_enough_ends_it_quietly():
    words, environment = command("models", "list")
    running = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait() == 0


def test_a_card_is_shown_where_the_terminal_has_ascii_only():
    words, environment = command("models", "show", "acdc-small", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    done = subprocess.run(words, env=environment | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"# acdc-small" in done.stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_is_one_line_and_the_same_command_goes_on(workers, tmp_path):
    words, environment = command(
        "synthesize", "--atlas", "phantom-small", "--target", "HCM", "--parents", 12, "--labels-only",
        "--workers", workers, "-o", tmp_path / "hearts", OMP_NUM_THREADS="1",
    )  # fmt: skip
    # What runs in a shell's background ignores Ctrl-C, and so would its children.
    running = subprocess.Popen(
        words, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for _ in range(600):
        if list(tmp_path.glob("hearts/*/provenance.json")) or running.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1].splitlines()
    assert running.returncode == 130
    assert said[-1] == "interrupted; the same command (train: with --resume) goes on from here"
    assert len(said) == 2  # the atlas's licence, and this
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, "12 hearts in" in done.stderr) == (0, True)
    assert not list(tmp_path.rglob(".*"))


def test_a_launchers_nonsense_matters_only_where_it_is_read(tmp_path):
    words, environment = command("models", "list", WORLD_SIZE="x")
    assert subprocess.run(words, env=environment, capture_output=True).returncode == 0
