"""The command line, run as a person runs it: a whole pipeline, and what bad input gets."""

import json
import os
import subprocess
import sys

import pytest

import cardiomorph
from cardiomorph.files import read_csv

TINY_SHAPE = {"epochs": 3, "batch_size": 8, "model": {"width": 2, "bottleneck": 8}, "beta_warmup_epochs": 0}
TINY_IMAGE = {
    "steps": 4,
    "batch_size": 2,
    "model": {"width": 2, "hidden": 4, "style_dims": 4},
    "discriminator": {"width": 2, "layers": 2},
}


def run(*arguments, code=0):
    command = [sys.executable, "-m", "cardiomorph.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def walk(acdc_tree, tmp_path_factory):
    """The README's walk-through on a small data set, command by command."""
    root = tmp_path_factory.mktemp("walk")
    (root / "shape.json").write_text(json.dumps(TINY_SHAPE))
    (root / "image.json").write_text(json.dumps(TINY_IMAGE))
    run("prepare", acdc_tree, "-o", root / "cohort")
    run("train", "shape", root / "cohort", "-o", root / "shape", "--preset", "tiny", "--config", root / "shape.json")
    run("train", "image", root / "cohort", "-o", root / "image", "--preset", "tiny", "--config", root / "image.json")
    run("atlas", root / "cohort", "--shape", root / "shape", "--image", root / "image", "-o", root / "atlas")
    run("synthesize", "--atlas", root / "atlas", "--target", "HCM", "--versions", 2, "-o", root / "hearts")
    (root / "segmenter.json").write_text(json.dumps({"epochs": 1, "batch_size": 8, "model": {"width": 2}}))
    judge = ("--preset", "tiny", "--config", root / "segmenter.json")
    run("train", "segmenter", root / "cohort", "-o", root / "segmenter", *judge)
    run("reconstruct", root / "cohort", "--shape", root / "shape", "-o", root / "rebuilt", "--split", "heldout")
    sets = (root / "hearts", "--against", root / "cohort", "--compare", root / "rebuilt")
    run("evaluate", *sets, "--segmenter", root / "segmenter", "-o", root / "report")
    return root


def test_a_run_folder_explains_itself(walk):
    for kind in ("shape", "image", "segmenter"):
        names = {path.name for path in (walk / kind).iterdir()}
        assert {
            "run.json", "log.jsonl", "tensorboard", "checkpoint.safetensors", "model.safetensors", "model.json",
            "metrics.json", "curves.png", "samples.png", "README.md",
        } <= names  # fmt: skip


def test_the_atlas_reports_every_matrix(walk):
    matrices = json.loads((walk / "atlas" / "atlas.json").read_text())["diagnostics"]["matrices"]
    assert len(matrices["latent"]) == 10
    for forms in (*matrices["latent"].values(), *matrices["slice"].values()):
        for facts in forms.values():
            assert {"rank", "smallest_eigenvalue", "condition", "repair_frobenius"} <= facts.keys()


def test_the_report_is_one_file_with_the_papers_figures(walk):
    page = (walk / "report" / "report.html").read_text()
    for figure in ("Fig. 2", "Fig. 3", "Fig. 4", "Fig. 5"):
        assert figure in page
    assert page.count("data:image/png;base64,") >= 5
    assert 'src="http' not in page
    assert "<script" not in page
    assert "<h2>Draws</h2>" in page
    for table in ("groups.csv", "measures.csv"):
        assert {row["origin"] for row in read_csv(walk / "report" / table)} == {"real", "hearts", "rebuilt"}


def test_the_first_screen_is_a_verdict_on_every_area(walk):
    page = (walk / "report" / "report.html").read_text()
    verdict = page[page.index('<table class="verdict">') : page.index("<nav>")]
    assert page.index("<h2>") > page.index("<nav>")
    for area in ("function", "joint", "full field", "plausibility", "validity", "3D consistency of labels",
                 "3D consistency of images", "fidelity", "label match", "memorisation", "identity"):  # fmt: skip
        assert f"<th>{area}</th>" in verdict
    # Three real hearts a group have no halves to make a floor of: those areas say so, the others have a word.
    assert verdict.count("not measured") == 5
    assert sum(verdict.count(f">{word}<") for word in ("inside", "near", "outside")) == 6


def test_a_condition_that_holds_fails_the_command(walk, tmp_path):
    evaluate = ("evaluate", walk / "rebuilt", "--against", walk / "cohort", "-o", tmp_path / "r", "--fail-if")
    both = ("validity.invalid_slices >= 0", "--fail-if", "validity.invalid_slices > 1")
    said = run(*evaluate, *both, code=1)
    assert "failed: validity.invalid_slices >= 0" in said
    assert "failed: validity.invalid_slices > 1" not in said
    assert "was not measured" in run(*evaluate, "label_match.dice < 0.5", code=2)
    assert "is no condition" in run(*evaluate, "validity", code=2)


def test_measure_reads_data_sets_cohorts_syntheses_and_one_file(walk, acdc_tree, tmp_path):
    one = next(acdc_tree.rglob("*_gt.nii.gz"))
    for source, count in ((acdc_tree, 15), (walk / "cohort", 15), (walk / "hearts", 4), (one, 1)):
        run("measure", source, "-o", tmp_path / "m.csv")
        assert len(read_csv(tmp_path / "m.csv")) == count


def test_a_study_says_what_it_would_train(walk, acdc_tree, tmp_path):
    study = ("utility", walk / "cohort", "--scans", acdc_tree, "--atlas", walk / "atlas", "-o", tmp_path / "study")
    said = run(*study, "--scenario", "healthy:1", "--arm", "nothing", "virtual", "--seeds", 1, "--dry-run")
    assert "healthy:1, nothing, repeat 0: the real patients alone" in said
    assert "healthy:1, virtual@100, repeat 0: virtual diseased hearts" in said
    assert "'soon' is no time" in run(*study, "--budget", "soon", code=2)
    assert "no scenario 'sick'" in run(*study, "--scenario", "sick", code=2)
    assert not (tmp_path / "study").exists()


def test_export_and_recreate(walk, acdc_tree, tmp_path):
    run("export", walk / "hearts", "--format", "nnunet", "--real", acdc_tree, "-o", tmp_path / "Dataset501_Hearts")
    assert (tmp_path / "Dataset501_Hearts" / "splits_final.json").exists()
    heart = next(path for path in (walk / "hearts").iterdir() if path.is_dir())
    run("synthesize", "--atlas", walk / "atlas", "--recreate", heart / "provenance.json", "-o", tmp_path / "again")
    for path in heart.iterdir():
        assert (tmp_path / "again" / heart.name / path.name).read_bytes() == path.read_bytes()


def test_an_atlas_is_shared_packed_shown_and_used(walk, tmp_path):
    models = ("--shape", walk / "shape", "--image", walk / "image")
    run("atlas", walk / "cohort", *models, "--share", "-o", tmp_path / "shared")
    made = run(
        "synthesize", "--atlas", tmp_path / "shared", "--target", "RV", "--parents", 2, "-o", tmp_path / "hearts"
    )
    assert "2 hearts in" in made
    assert (tmp_path / "hearts" / "virtual002_RV_v01" / "virtual002_RV_v01_frame02.nii.gz").exists()
    facts = {"name": "mine", "licence": "CC0-1.0", "data": "Made of nothing.", "use": "For tests."}
    facts |= {"attribution": "", "commands": ["make it"], "limits": ["none"], "patients": False}
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    (tmp_path / "LICENCE").write_text("free")
    papers = ("--facts", tmp_path / "facts.json", "--licence", tmp_path / "LICENCE")
    run("models", "pack", tmp_path / "shared", *papers, "-o", tmp_path / "mine")
    card = run("models", "show", tmp_path / "mine")
    assert "# mine" in card
    assert "active latent dimensions" in card
    again = run("synthesize", "--atlas", tmp_path / "mine", "--target", "RV", "--parents", 1, "-o", tmp_path / "h")
    assert "mine: CC0-1.0; Made of nothing. For tests." in again
    run("models", "list")


def test_an_evaluation_without_its_atlas_says_what_it_leaves_out(walk, acdc_tree, tmp_path):
    run("evaluate", acdc_tree, "--against", walk / "cohort", "-o", tmp_path / "r")
    assert "Left out: this folder does not say which atlas" in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("prepare", "/nowhere", "-o", "{tmp}/c"), "is not a folder"),
        (("atlas", "{tmp}", "--shape", "{tmp}", "-o", "{tmp}/a"), "is not a prepared cohort"),
        (("synthesize", "--atlas", "{tmp}", "-o", "{tmp}/s"), "is not an atlas"),
        (("synthesize", "--atlas", "{walk}/atlas", "--severity", "2", "-o", "{tmp}/s"), "severity"),
        (("synthesize", "--atlas", "{walk}/atlas", "--source", "nobody", "-o", "{tmp}/s"), "nobody"),
        (("evaluate", "{walk}/hearts", "--against", "{tmp}", "-o", "{tmp}/r"), "is not a prepared cohort"),
        (("train", "shape", "{walk}/cohort", "-o", "{walk}/shape"), "holds a run already"),
        (("train", "shape", "{walk}/cohort", "-o", "{tmp}/t", "--device", "tpu"), "cannot be used here"),
        (("measure", "{tmp}", "-o", "{tmp}/m.csv"), "no data set of a known layout"),
        (("export", "{walk}/hearts", "-o", "{walk}"), "is not empty"),
    ],
)
def test_bad_input_is_one_error_and_exit_code_2(walk, tmp_path, arguments, words):
    filled = [str(argument).format(tmp=tmp_path, walk=walk) for argument in arguments]
    printed = run(*filled, code=2)
    assert words in printed
    assert printed.count("error:") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_of_every_command_reads_without_torch():
    code = (
        "import sys, contextlib, io\n"
        "from cardiomorph.cli import app\n"
        "for words in (['--help'], *[[c, '--help'] for c in "
        "('demo','phantom','prepare','atlas','synthesize','evaluate','reconstruct','measure','export')],"
        " ['train','shape','--help']):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):\n"
        "        app(words)\n"
        "    assert 'Usage' in text.getvalue(), words\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_everything_public_can_be_imported():
    for name in cardiomorph.__all__:
        assert getattr(cardiomorph, name).__doc__
