"""Atlases to give away: the card says what was measured, and none is made from which patients could be told."""

import json
import shutil

import pytest
from safetensors import safe_open

from cardiomorph.errors import CardiomorphError
from cardiomorph.files import digest, read_json, write_json, write_text
from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.atlas_files import Attacks
from cardiomorph.models.checkpoint import load_image_model, load_shape_model
from cardiomorph.report.card import pack, shown, summary
from cardiomorph.synthesis.atlas_building import build_atlas

FACTS = {
    "name": "tiny",
    "licence": "CC0-1.0",
    "data": "Trained on test hearts.",
    "use": "For tests.",
    "attribution": "Nobody et al.",
    "commands": ["cardiomorph train shape C -o S"],
    "limits": ["It is untrained."],
}
CLEAN = {
    "memorisation.label_share_too_close": 0.02,
    "memorisation.label_to_training": 0.25,
    "memorisation.label_to_heldout": 0.26,
    "memorisation.label_membership_auc": 0.55,
    "memorisation.image_share_too_close": 0.03,
    "memorisation.image_to_training": 0.35,
    "memorisation.image_to_heldout": 0.36,
    "memorisation.image_membership_auc": 0.52,
    "label_match.dice": 0.912,
}


@pytest.fixture(scope="module")
def shared(cohort, model_folders, tmp_path_factory):
    output = tmp_path_factory.mktemp("shared") / "tiny"
    return build_atlas(cohort.folder, output, shape=model_folders / "shape", image=model_folders / "image", share=True)


@pytest.fixture
def papers(tmp_path, shared):
    """A function that writes facts, licence and a report with some metrics changed, and gives `pack` its arguments."""

    def written(atlas=shared, **changes):
        write_json(tmp_path / "facts.json", FACTS)
        write_text(tmp_path / "LICENCE", "Do as you like.\n")
        write_json(tmp_path / "report" / "metrics.json", CLEAN | changes)
        write_json(tmp_path / "report" / "evaluation.json", {"synthesis": {"atlas": atlas.identity}})
        return {
            "facts": tmp_path / "facts.json",
            "licence": tmp_path / "LICENCE",
            "report": tmp_path / "report",
        }

    (tmp_path / "report").mkdir()
    return written


def test_an_atlas_to_share_holds_no_subject(shared, cohort):
    assert shared.parents == {}
    assert not (shared.folder / "parents.safetensors").exists()
    content = b"".join(path.read_bytes() for path in shared.folder.rglob("*") if path.is_file())
    for subject in cohort.ids():
        assert subject.encode() not in content
    with safe_open(shared.folder / "statistics.safetensors", "numpy") as stored:
        subjects = len(cohort.ids("train"))
        assert all(subjects not in stored.get_tensor(key).shape for key in stored.keys())  # noqa: SIM118


def test_its_codes_are_those_of_the_half_precision_weights(shared):
    for model in (load_shape_model(shared.folder / "shape"), load_image_model(shared.folder / "image")):
        for tensor in (*model.parameters(), *model.buffers()):
            assert not tensor.is_floating_point() or (tensor == tensor.half().float()).all()


def test_the_card_says_what_was_measured(shared, papers, tmp_path):
    folder = pack(shared.folder, tmp_path / "out", **papers())
    assert Atlas(folder).identity == shared.identity
    card = shown(folder)
    for words in ("# tiny", "CC0-1.0", "0.912", "0.030", "cardiomorph train shape C -o S", "- It is untrained."):
        assert words in card
    assert (folder / "LICENSE").read_text() == "Do as you like.\n"
    assert read_json(folder / "card.json")["atlas"] == shared.identity
    assert "CC0-1.0" in summary(folder)
    assert summary(shared.folder).startswith("tiny")
    assert "no card" in shown(shared.folder)


def test_a_card_quotes_and_is_no_markup(shared, papers, tmp_path):
    given = papers()
    write_json(tmp_path / "facts.json", FACTS | {"name": "<script>x</script>", "limits": ["a < b & 'c'"]})
    page = (pack(shared.folder, tmp_path / "out", **given) / "README.md").read_text()
    assert "# &lt;script>x&lt;/script>" in page
    assert "- a &lt; b & 'c'" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memorisation.label_share_too_close": 0.11}, "11.0% of the hearts' labels are nearer"),
        ({"memorisation.image_share_too_close": 0.2}, "20.0% of the hearts' images are nearer"),
        ({"memorisation.image_to_heldout": 0.5}, "1.43 times as far from the hearts' images"),
    ],
)
def test_one_that_would_betray_patients_is_refused(change, words, shared, papers, tmp_path):
    with pytest.raises(CardiomorphError, match=words):
        pack(shared.folder, tmp_path / "out", **papers(**change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["membership", "statistics_alone"])
def test_one_that_tells_its_patients_is_refused(part, shared, papers, tmp_path, monkeypatch):
    told = shared.diagnostics.model_copy(update={"attacks": Attacks(**{part: {"span": 0.97}})})
    monkeypatch.setattr(Atlas, "diagnostics", told)
    with pytest.raises(CardiomorphError, match=r"an attack by span tells training patients .* 0\.97"):
        pack(shared.folder, tmp_path / "out", **papers())
    assert not (tmp_path / "out").exists()


def test_an_atlas_with_subjects_is_refused(atlas, papers, tmp_path):
    with pytest.raises(CardiomorphError, match=r"holds its subjects' own codes.*--share"):
        pack(atlas.folder, tmp_path / "out", **papers())


def test_the_report_of_another_atlas_is_refused(atlas, shared, papers, tmp_path):
    with pytest.raises(CardiomorphError, match="is of the atlas"):
        pack(shared.folder, tmp_path / "out", **papers(atlas=atlas))


def test_facts_that_lack_something_are_refused(shared, papers, tmp_path):
    given = papers()
    given["facts"].write_text(json.dumps({k: v for k, v in FACTS.items() if k != "licence"}))
    with pytest.raises(CardiomorphError, match=r"facts.json: licence: Field required"):
        pack(shared.folder, tmp_path / "out", **given)


def test_what_is_nobodys_may_be_memorised(shared, papers, tmp_path):
    given = papers(**{"memorisation.label_share_too_close": 0.4})
    write_json(given["facts"], FACTS | {"patients": False})
    assert "| 0.400 |" in (pack(shared.folder, tmp_path / "out", **given) / "README.md").read_text()


def test_a_phantoms_card_needs_no_report(shared, papers, tmp_path):
    given = papers() | {"report": None}
    write_json(given["facts"], FACTS | {"patients": False})
    assert "the training data are no patients" in shown(pack(shared.folder, tmp_path / "out", **given))


@pytest.mark.parametrize("kind", ["label", "image"])
@pytest.mark.parametrize("part", ["share_too_close", "to_training", "to_heldout"])
def test_patients_data_without_a_measure_of_memorisation_are_refused(kind, part, shared, papers, tmp_path):
    given = papers()
    metrics = {key: value for key, value in CLEAN.items() if key != f"memorisation.{kind}_{part}"}
    write_json(given["report"] / "metrics.json", metrics)
    with pytest.raises(CardiomorphError, match=f"memorisation of {kind}s was not measured"):
        pack(shared.folder, tmp_path / "out", **given)
    with pytest.raises(CardiomorphError, match=r"memorisation of labels was not measured.*--report"):
        pack(shared.folder, tmp_path / "out", **given | {"report": None})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_anything_is_never_packed_into(shared, atlas, papers, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for output in (tmp_path / "out", shared.folder, shared.folder.parent):
        before = sorted(output.rglob("*"))
        with pytest.raises(CardiomorphError, match="is not empty"):
            pack(shared.folder, output, **papers())
        assert sorted(output.rglob("*")) == before


def test_what_lies_beside_an_atlas_does_not_travel_with_it(shared, atlas, papers, tmp_path):
    shutil.copytree(shared.folder, tmp_path / "mine")
    shutil.copyfile(atlas.folder / "parents.safetensors", tmp_path / "mine" / "parents.safetensors")
    (tmp_path / "mine" / "shape" / "checkpoint.safetensors").write_bytes(b"all slices")
    (tmp_path / "mine" / "patient001_DCM_v01").mkdir()
    folder = pack(tmp_path / "mine", tmp_path / "out", **papers())
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "atlas.json", "statistics.safetensors", "shape/model.json", "shape/model.safetensors", "image/model.json",
        "image/model.safetensors", "card.json", "metrics.json", "README.md", "LICENSE",
    }  # fmt: skip


def test_metrics_that_the_evaluation_did_not_write_are_refused(shared, papers, tmp_path):
    given = papers()
    wrote = {
        "synthesis": {"atlas": shared.identity},
        "files": {"metrics.json": digest(given["report"] / "metrics.json")},
    }
    write_json(given["report"] / "evaluation.json", wrote, seal=True)
    write_json(given["report"] / "metrics.json", CLEAN | {"memorisation.label_share_too_close": 0.01})
    with pytest.raises(CardiomorphError, match=r"metrics\.json: is not what the evaluation wrote"):
        pack(shared.folder, tmp_path / "out", **given)


@pytest.mark.parametrize("content", [{"synthesis": []}, {"synthesis": {"atlas": []}}, [], {"synthesis": None}])
def test_a_report_of_wrong_content_is_one_error(content, shared, papers, tmp_path):
    given = papers()
    write_json(given["report"] / "evaluation.json", content)
    with pytest.raises(CardiomorphError):
        pack(shared.folder, tmp_path / "out", **given)
