"""Evaluations: what is found in hearts whose faults are known, what is said of those that cannot be read."""

import json
import math
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest

from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation import measurement
from cardiomorph.evaluation.verdict import Verdict
from cardiomorph.files import read_csv
from cardiomorph.report.evaluation import evaluate
from cardiomorph.report.page import Section, collapsible, page, preformatted, table, verdict_table
from cardiomorph.report.paper_sections import draw_section
from conftest import to_mnms_codes


@pytest.fixture(autouse=True)
def in_threads(monkeypatch):
    """Examination in this process: no spawning for a few small hearts."""
    monkeypatch.setattr(measurement, "worker_pool", lambda workers, tasks: ThreadPoolExecutor(1))
    monkeypatch.setattr("cardiomorph.report.evaluation.imagenet_available", lambda: False)


@pytest.fixture
def copies(acdc_tree, tmp_path):
    """The real hearts again, as if they had been made."""
    return shutil.copytree(acdc_tree, tmp_path / "copies")


def label_files(subject):
    return sorted(subject.glob("*_gt.nii.gz"))


def rewrite(path, change):
    image = nib.load(path)
    array = change(np.asarray(image.dataobj).copy())
    nib.save(nib.Nifti1Image(array, image.affine, image.header), path)


def test_held_out_hearts_alone_can_be_asked(copies, cohort, tmp_path):
    metrics = evaluate(copies, tmp_path / "r", against=cohort.folder, held_out_only=True).metrics
    held = [row["group"] for row in cohort.rows if row["split"] == "heldout"]
    for group in sorted({row["group"] for row in cohort.rows}):
        assert metrics.get(f"function.n_real.{group}", 0) == held.count(group)
    assert metrics["memorisation.label_share_too_close"] == pytest.approx(10 / 15), "memorisation asks all"


def test_copies_of_the_real_hearts_are_inside_every_floor_and_memorised(copies, cohort, tmp_path):
    found = evaluate(copies, tmp_path / "r", against=cohort.folder)
    words = {verdict.area: verdict.word for verdict in found.verdicts}
    assert words["validity"] == "inside"
    assert words["3D consistency of labels"] == "inside"
    assert words["memorisation"] == "outside"
    metrics = found.metrics
    assert metrics["memorisation.label_share_too_close"] == pytest.approx(10 / 15)  # the training ones
    for kind in ("rv", "lv"):
        assert metrics[f"function.mean.HCM.{kind}_edv_ml"] == pytest.approx(
            metrics[f"function.mean_real.HCM.{kind}_edv_ml"], rel=0.02
        )
    assert metrics["plausibility.rule_hits.DCM"] == metrics["plausibility.rule_hits_real.DCM"]
    assert metrics["function.negative_ef"] == 0


def test_metrics_are_flat_and_finite(copies, cohort, tmp_path):
    found = evaluate(copies, tmp_path / "r", against=cohort.folder)
    stored = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert stored == dict(found.metrics)
    assert all(isinstance(value, float) and math.isfinite(value) for value in stored.values())


def test_hearts_that_grow_in_systole_and_holes_are_counted(copies, cohort, tmp_path):
    subjects = sorted(path for path in copies.iterdir() if path.is_dir())
    ed, es = label_files(subjects[0])
    spare = ed.read_bytes()
    ed.write_bytes(es.read_bytes())
    es.write_bytes(spare)

    def pierced(array):
        x, y, _ = (np.argwhere(array == 3).mean(axis=0)).astype(int)
        array[x, y] = 0
        return array

    rewrite(label_files(subjects[1])[0], pierced)
    metrics = evaluate(copies, tmp_path / "r", against=cohort.folder).metrics
    assert metrics["function.negative_ef"] == 1
    assert metrics["validity.volume.systole_not_smaller"] == pytest.approx(1 / 15)
    assert metrics["validity.slice.lv_hole"] > 0
    assert metrics["validity.slice.lv_hole_real"] == 0


def test_an_unseen_folder_with_everything_wrong_is_measured_as_far_as_it_goes(copies, cohort, tmp_path):
    subjects = sorted(path for path in copies.iterdir() if path.is_dir())
    label_files(subjects[0])[1].unlink()  # no ES
    for path in label_files(subjects[1]):
        rewrite(path, lambda array: np.full_like(array, 9))  # other codes
    for path in subjects[2].glob("*.nii.gz"):
        image = nib.load(path)
        image.header.set_zooms((2.0, 2.0, 8.0))  # another spacing
        nib.save(image, path)
    rewrite(label_files(subjects[3])[1], lambda array: array[:, :, :-1])  # another number of slices
    (subjects[4] / "Info.cfg").write_text("ED: 1\nES: 8\nNbFrame: 8\n")  # no group
    (subjects[5] / "provenance.json").write_text('["of another tool"]')
    (subjects[6] / "provenance.json").write_text('{"tool": "another"}')
    found = evaluate(copies, tmp_path / "r", against=cohort.folder)
    facts = json.loads((tmp_path / "r" / "evaluation.json").read_text())["sets"]["copies"]
    assert facts["hearts"] == 14
    assert "label values [9.0]" in facts["left_out"][subjects[1].name]
    rows = {row["subject"]: row for row in read_csv(tmp_path / "r" / "measures.csv") if row["origin"] == "copies"}
    assert rows[subjects[0].name]["lv_edv_ml"]
    assert rows[subjects[0].name]["lv_ef_pct"] == ""
    assert rows[subjects[4].name]["group"] == "unknown"
    assert found.metrics["function.n.unknown"] == 1
    page = (tmp_path / "r" / "report.html").read_text()
    assert "<h2>Not measured</h2>" in page
    assert "nan" not in re.sub(r"data:image/png;base64,[^\"]*", "", page)


def test_one_subject_alone_can_be_evaluated(copies, cohort, tmp_path):
    for path in sorted(copies.iterdir())[1:]:
        shutil.rmtree(path)
    found = evaluate(copies, tmp_path / "r", against=cohort.folder)
    assert found.metrics["validity.invalid_slices"] == 0
    facts = json.loads((tmp_path / "r" / "evaluation.json").read_text())["sets"]["copies"]
    assert "1 synthetic" in facts["missing"]["fidelity"]


def test_other_label_codes_are_translated(copies, cohort, tmp_path):
    plain = evaluate(copies, tmp_path / "plain", against=cohort.folder).metrics
    for path in copies.glob("*/*_gt.nii.gz"):
        rewrite(path, to_mnms_codes)
    coded = evaluate(copies, tmp_path / "coded", against=cohort.folder, codes={1: 3, 2: 2, 3: 1}).metrics
    assert coded == plain


def test_an_interrupted_evaluation_goes_on(copies, cohort, tmp_path, monkeypatch):
    whole = evaluate(copies, tmp_path / "whole", against=cohort.folder).metrics
    original, seen = measurement.measure_areas, []

    def interrupted(heart, *others):
        if len(seen) == 20:
            raise KeyboardInterrupt
        seen.append(heart.id)
        return original(heart, *others)

    monkeypatch.setattr(measurement, "measure_areas", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(copies, tmp_path / "parts", against=cohort.folder)
    monkeypatch.setattr(measurement, "measure_areas", lambda *a: seen.append(a[0].id) or original(*a))
    assert evaluate(copies, tmp_path / "parts", against=cohort.folder).metrics == whole
    assert len(seen) == 30


def test_a_changed_heart_is_examined_again(copies, cohort, tmp_path):
    before = evaluate(copies, tmp_path / "r", against=cohort.folder).metrics
    subject = min(path for path in copies.iterdir() if path.is_dir())

    def emptied(array):
        array[array == 3] = 2
        return array

    rewrite(label_files(subject)[0], emptied)
    after = evaluate(copies, tmp_path / "r", against=cohort.folder).metrics
    assert after["function.mean.NOR.lv_edv_ml"] < before["function.mean.NOR.lv_edv_ml"]


def test_a_second_set_stands_beside_the_first(copies, cohort, tmp_path):
    found = evaluate(copies, tmp_path / "r", against=cohort.folder, compare=[cohort.folder]).metrics
    assert found[f"compare.{cohort.name}.validity.invalid_slices"] == found["validity.invalid_slices_real"]
    rows = {row["metric"]: row for row in read_csv(tmp_path / "r" / "comparison.csv")}
    row = rows["validity.invalid_slices"]
    assert float(row["copies"]) == found["validity.invalid_slices"]
    assert float(row[cohort.name]) == found["validity.invalid_slices_real"]


def test_a_folder_without_a_readable_heart_is_an_error(copies, cohort, tmp_path):
    for path in copies.glob("*/*_gt.nii.gz"):
        path.write_bytes(b"not a volume")
    with pytest.raises(CardiomorphError, match="no heart of copies could be read"):
        evaluate(copies, tmp_path / "r", against=cohort.folder)


def test_a_cohort_is_evaluated_against_itself_without_loading_a_model(cohort, tmp_path):
    found = evaluate(cohort.folder, tmp_path / "r", against=cohort.folder)
    assert found.metrics["function.wasserstein.NOR.lv_edv_ml"] == 0
    assert Cohort(cohort.folder).ids()


def test_other_layouts_can_be_evaluated(mnms_tree, cohort, tmp_path):
    found = evaluate(mnms_tree, tmp_path / "r", against=cohort.folder)
    assert found.metrics["function.n.NOR"] == 1
    stated = evaluate(mnms_tree, tmp_path / "stated", against=cohort.folder, codes={1: 3, 2: 2, 3: 1})
    assert stated.metrics == found.metrics


def test_a_report_never_takes_the_place_of_anything_else(copies, cohort, tmp_path):
    (copies / "measures.csv").write_text("a synthesis's own")
    for output in (copies, cohort.folder, copies / "Info.cfg"):
        with pytest.raises(CardiomorphError, match=r"is not empty|is not a folder"):
            (copies / "Info.cfg").write_text("a file")
            evaluate(copies, output, against=cohort.folder)
    assert (copies / "measures.csv").read_text() == "a synthesis's own"
    (tmp_path / "r" / "records").mkdir(parents=True)
    (tmp_path / "r" / "manifest.csv").write_text("")
    with pytest.raises(CardiomorphError, match=r"holds other things \(manifest\.csv\)"):
        evaluate(copies, tmp_path / "r", against=cohort.folder)


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_seed_that_is_none_is_refused(seed, copies, cohort, tmp_path):
    with pytest.raises(CardiomorphError, match="seed is"):
        evaluate(copies, tmp_path / "r", against=cohort.folder, seed=seed)


@pytest.mark.parametrize("content", ["[]", "{", '{"atlas": 3}', '{"atlas": "", "request": {"targets": 3}}'])
def test_a_synthesis_of_wrong_content_is_one_error(content, copies, cohort, tmp_path):
    (copies / "synthesis.json").write_text(content)
    with pytest.raises(CardiomorphError, match=r"synthesis\.json: ") as error:
        evaluate(copies, tmp_path / "r", against=cohort.folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["[]", '{"job": {}, "draw": {}}', '{"job": null, "draw": []}'])
def test_a_draw_of_wrong_content_is_one_error(content, tmp_path):
    (tmp_path / "heart").mkdir()
    (tmp_path / "heart" / "provenance.json").write_text(content)
    with pytest.raises(CardiomorphError, match=r"provenance\.json: "):
        draw_section(tmp_path)


def test_whatever_a_page_is_given_stays_text():
    evil = "<script>alert(1)</script>\"'"
    sections = [
        Section(
            evil,
            evil,
            table=table([evil], [[evil, evil]]) + collapsible(evil, preformatted(evil)) + table([], [[evil]]),
        ),
    ]
    text = page(evil, verdict_table([Verdict(evil, "inside", evil)]), sections, {})
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;") == 13
