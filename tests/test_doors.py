"""The doors that are promised: what is added from outside the package works everywhere, with its registration alone."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cardiomorph.data.cohort_preparation import prepare_cohort
from cardiomorph.data.sources import SOURCES, find_subjects, source_named
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.areas import AREAS
from cardiomorph.evaluation.heart_files import cohort_hearts
from cardiomorph.evaluation.measurement import MeasurementConfig, measure_all
from cardiomorph.evaluation.table import measure_folder
from cardiomorph.files import read_csv
from cardiomorph.latent.samplers import SAMPLERS
from cardiomorph.latent.samplers.choice import sampler_named
from cardiomorph.models.checkpoint import load_image_model, save_model
from cardiomorph.models.image_generator import IMAGE_GENERATORS, generator_type
from cardiomorph.models.segmenter import Segmenter, SegmenterConfig
from cardiomorph.report.evaluation import evaluate
from cardiomorph.synthesis.atlas_building import build_atlas
from cardiomorph.synthesis.batch_synthesis import recreate, synthesize
from cardiomorph.synthesis.export import export
from cardiomorph.synthesis.request import SynthesisRequest
from cardiomorph.synthesis.swap import swap_comparisons
from cardiomorph.viewer.session import Choice, Session
from cardiomorph.volume import read_nifti
from conftest import SPACING_MM, heart_label, hearts_of, write_acdc_subject

TOYS = Path(__file__).parent / "toys"
MEAN = "mean_sampler:MeanSampler"


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.syspath_prepend(str(TOYS))


def npz_tree(root, recode=lambda label: 10 * label):
    """Two healthy and two hypertrophic hearts, stored apex first."""
    root.mkdir()
    for number, group in enumerate(("NOR", "NOR", "HCM", "HCM")):
        labels = {phase: recode(heart_label(h))[:, :, ::-1] for phase, h in hearts_of(group, number % 2).items()}
        np.savez(root / f"s{number}.npz", spacing_mm=SPACING_MM, group=group, **labels)
    return root


class TestSource:
    @pytest.fixture(autouse=True)
    def registered(self, toys, monkeypatch):
        monkeypatch.setitem(SOURCES, "npz", "npz_source")

    def test_it_is_recognised_prepared_and_measured(self, tmp_path):
        root = npz_tree(tmp_path / "t")
        assert find_subjects(root)[0] == "npz"
        cohort = prepare_cohort(root, tmp_path / "cohort", workers=1)
        assert cohort.ids(group="HCM") == ["s2", "s3"]
        assert cohort.load("s0").geometry.apex_first
        rows = {row["subject"]: row for row in measure_folder(root)}
        label = heart_label(hearts_of("HCM")["ED"])
        assert rows["s2"]["lv_edv_ml"] == pytest.approx((label == 3).sum() * np.prod(SPACING_MM) / 1000)

    def test_the_door_asks_it_what_it_asks_every_source(self, tmp_path):
        root = npz_tree(tmp_path / "t", recode=lambda label: np.array([0, 30, 20, 10])[label])
        with pytest.raises(CardiomorphError, match="border of the cavity of code 3"):
            prepare_cohort(root, tmp_path / "cohort", workers=1)
        prepare_cohort(root, tmp_path / "cohort", workers=1, codes={10: 3, 20: 2, 30: 1})

    def test_its_hearts_are_exported_and_evaluated(self, atlas, cohort, tmp_path):
        root = npz_tree(tmp_path / "t")
        hearts = synthesize(atlas, tmp_path / "hearts", SynthesisRequest(targets=("HCM",), versions=1))
        out = export(hearts, tmp_path / "tree", layout="acdc", real=root)
        assert {"s0", "s3"} <= {entry.id for entry in find_subjects(out, "acdc")[1]}
        found = evaluate(root, tmp_path / "report", against=cohort.folder, workers=1)
        assert "function.wasserstein.HCM.lv_edv_ml" in json.loads((found.page.parent / "metrics.json").read_text())

    def test_it_is_named_where_nothing_is_recognised(self, tmp_path):
        with pytest.raises(CardiomorphError, match=r"a folder of .npz files"):
            find_subjects(tmp_path)


@pytest.mark.parametrize("tree, name", [("acdc_tree", "acdc"), ("mnms_tree", "mnms"), ("mnms2_tree", "mnms2")])
def test_every_source_keeps_the_protocol(tree, name, request, tmp_path):
    """Found in order, unread, sent to other processes, read alike; nothing is recognised in an empty folder."""
    folder, source = request.getfixturevalue(tree), source_named(name)
    assert isinstance(source.EXPECTED, str)
    assert source.recognises(folder)
    assert not source.recognises(tmp_path)
    entries = source.find(folder)
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)
    for entry in entries:
        assert entry.files
        assert all(path.is_file() for path in entry.files)
        subject, again = entry.read(None), pickle.loads(pickle.dumps(entry)).read(None)
        assert subject.id == entry.id
        assert isinstance(subject.group, str)
        for phase, frame in subject.frames.items():
            np.testing.assert_array_equal(frame.label.array, again.frames[phase].label.array)
            assert frame.label.array.dtype == np.uint8
            assert frame.image.array.shape == frame.label.array.shape
            assert frame.label.affine is not None


class TestImageGenerator:
    @pytest.fixture(autouse=True)
    def registered(self, toys, monkeypatch):
        monkeypatch.setitem(IMAGE_GENERATORS, "flat", "flat_generator:FlatGenerator")

    @pytest.fixture
    def flat(self, toys, tmp_path):
        from flat_generator import FlatConfig, FlatGenerator

        save_model(tmp_path / "flat", "flat", FlatGenerator(FlatConfig()))
        return tmp_path / "flat"

    def test_an_atlas_paints_with_it(self, flat, cohort, model_folders, tmp_path):
        atlas = build_atlas(cohort.folder, tmp_path / "atlas", shape=model_folders / "shape", image=flat)
        request = SynthesisRequest(targets=("DCM",), versions=1, sources=(next(iter(atlas.parents)),))
        out = synthesize(atlas, tmp_path / "hearts", request)
        (name,) = (row["subject"] for row in read_csv(out / "measures.csv"))
        label, image = (read_nifti(out / name / f"{name}_frame01{end}.nii.gz").array for end in ("_gt", ""))
        # One grey value a structure in every slice: the generator's, and nobody else's.
        for k in range(label.shape[2]):
            for structure in np.unique(label[:, :, k]):
                assert np.ptp(image[:, :, k][label[:, :, k] == structure]) == 0
        virtual = synthesize(atlas, tmp_path / "v", SynthesisRequest(targets=("DCM",), sources=("virtual",), parents=1))
        assert list(virtual.rglob("*_frame01.nii.gz"))

    def test_the_swap_test_the_shared_atlas_and_the_viewer_use_it(self, flat, cohort, model_folders, tmp_path):
        atlas = build_atlas(cohort.folder, tmp_path / "a", shape=model_folders / "shape", image=flat, share=True)
        assert atlas.image_model.config.style_dims == 1
        segmenter = Segmenter(SegmenterConfig(width=2)).eval()
        found = swap_comparisons(atlas.image_model, atlas.painter, segmenter, cohort)
        assert ("anatomy",) in [comparison.path for comparison in found]
        shown = dict(Session(atlas).images(Choice(source="virtual001", target="DCM")))
        assert set(shown) == {"ED", "ES"}

    def test_a_kind_that_there_is_not_is_refused(self, flat, monkeypatch):
        monkeypatch.delitem(IMAGE_GENERATORS, "flat")
        with pytest.raises(CardiomorphError, match="is not the folder of the image model"):
            load_image_model(flat)


@pytest.mark.parametrize("kind", IMAGE_GENERATORS)
def test_every_image_generator_keeps_the_protocol(kind, tmp_path):
    """Built from its configuration, saved and loaded; images depend on their own inputs only."""
    torch.manual_seed(0)
    generator_class = generator_type(kind)
    small = {"size": 32, **({"width": 2, "hidden": 4, "style_dims": 6} if kind == "image" else {})}
    model = generator_class(generator_class.Config(**small)).eval()
    save_model(tmp_path / "m", kind, model)
    loaded = load_image_model(tmp_path / "m")
    assert loaded.config == model.config
    images, labels = torch.rand(3, 1, 32, 32), torch.randint(0, 4, (3, 32, 32))
    styles = loaded.encode_style(images).detach()
    assert styles.shape == (3, loaded.config.style_dims)
    painter = loaded.painter()
    noise = torch.randn(3, 1, 32, 32)
    painted = painter.paint(styles, labels, noise)
    assert painted.shape == (3, 1, 32, 32)
    assert painted.abs().max() <= 1
    torch.testing.assert_close(painter.paint(styles[1:2], labels[1:2], noise[1:2]), painted[1:2], atol=1e-5, rtol=1e-5)


class TestSampler:
    @pytest.fixture(autouse=True)
    def registered(self, toys, monkeypatch):
        monkeypatch.setitem(SAMPLERS, "mean", MEAN)

    def test_it_synthesizes_with_its_settings_and_is_made_again(self, atlas, tmp_path):
        request = SynthesisRequest(
            targets=("DCM",), versions=2, sampler=sampler_named("mean", stretch=1.1), images=False
        )
        out = synthesize(atlas, tmp_path / "hearts", request)
        first, second = (row["subject"] for row in read_csv(out / "measures.csv")[:2])
        provenance = json.loads((out / first / "provenance.json").read_text())
        assert provenance["job"]["sampler"] == {"name": "mean", "stretch": 1.1}
        assert provenance["draw"] == {"stretch": 1.1}
        one, two = (read_nifti(out / name / f"{name}_frame01_gt.nii.gz").array for name in (first, second))
        np.testing.assert_array_equal(one, two)
        again = recreate(out / first / "provenance.json", atlas, tmp_path / "again")
        for path in (out / first).iterdir():
            assert (again / path.name).read_bytes() == path.read_bytes()

    def test_a_request_and_its_json_are_one(self):
        request = SynthesisRequest(sampler=sampler_named("mean", stretch=2.0))
        assert SynthesisRequest.model_validate_json(request.model_dump_json()) == request

    def test_the_command_line_offers_it(self):
        program = (
            f"import sys; sys.path.insert(0, {str(TOYS)!r})\n"
            "from cardiomorph.latent.samplers import SAMPLERS\n"
            f"SAMPLERS['mean'] = {MEAN!r}\n"
            "from cardiomorph.cli import app\n"
            "app(['synthesize', '--help'])"
        )
        environment = {**os.environ, "COLUMNS": "300"}
        shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert "mean" in shown.stdout.partition("--sampler")[2].partition("--slices")[0]


class TestArea:
    @pytest.fixture(autouse=True)
    def registered(self, toys):
        from wall_area import WallShare

        AREAS.append(WallShare())
        yield
        del AREAS[-1]

    @pytest.fixture
    def made(self, tmp_path):
        for number, wall_mm in enumerate((6, 8, 14, 16)):
            hearts = {phase: replace(heart, wall_mm=wall_mm) for phase, heart in hearts_of("NOR").items()}
            write_acdc_subject(tmp_path / "made" / f"s{number}", "NOR", hearts, images=False)
        return tmp_path / "made"

    def test_it_is_measured_judged_listed_and_shown(self, made, cohort, tmp_path):
        compared = shutil.copytree(made, tmp_path / "twice")
        condition = "wall.share > 0.9"
        found = evaluate(
            made, tmp_path / "r", against=cohort.folder, compare=[compared], fail_if=[condition], workers=1
        )
        metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
        assert {key for key in metrics if ".wall" in f".{key}" and not key.startswith(("compare", "function"))} == {
            "wall.share", "wall.share_real", "wall.wasserstein", "wall.wasserstein_floor", "wall.wasserstein_floor95",
            "wall.energy", "wall.energy_floor", "wall.energy_floor95",
        }  # fmt: skip
        assert metrics["compare.twice.wall.share"] == metrics["wall.share"]
        assert found.failed == []
        (verdict,) = (one for one in found.verdicts if one.area == "wall")
        assert verdict.word != "not measured"
        rows = {row["subject"]: row for row in read_csv(tmp_path / "r" / "measures.csv") if row["origin"] == "made"}
        shares = [float(rows[f"s{number}"]["wall_share"]) for number in range(4)]
        assert shares == sorted(shares)
        assert np.mean(shares) == pytest.approx(metrics["wall.share"])
        assert all(float(row["voxels"]) > 0 for row in rows.values())
        page = (tmp_path / "r" / "report.html").read_text()
        assert "<h2>Wall</h2>" in page
        assert "<th>wall.wasserstein</th>" in page
        assert f'>{verdict.word}</span></td><td class="reason">{verdict.reason}' in page
        assert (tmp_path / "r" / "figures" / "walls.png").stat().st_size > 0

    def test_records_of_before_its_registration_are_made_again(self, cohort, tmp_path):
        files, config = cohort_hearts(cohort, cohort.ids()[:1]), MeasurementConfig(slice_spacing_mm=10.0)
        before, _ = measure_all(files, tmp_path, config, areas=AREAS[:-1], workers=1)
        assert not before[0].of("wall")
        after, _ = measure_all(files, tmp_path, config, workers=1)
        assert after[0].of("wall")
