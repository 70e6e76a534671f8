"""The report's files: self-contained, escaped, the same numbers in every form."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.example_reports import EXAMPLES, FOLDER, texts_of
from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import Findings, findings_of
from recommender.datasets import open_dataset
from recommender.errors import StorageError
from recommender.records import ByteArray
from recommender.report.charts import ticks_of
from recommender.report.comparison import comparison_document
from recommender.report.comparison_coco import prediction_files
from recommender.report.comparison_csv import runs_csv, summary_csv
from recommender.report.comparison_files import write_report
from recommender.report.comparison_page import comparison_page, styles_of
from recommender.report.comparison_schema import ComparisonDocument
from tests.compare import builders
from tests.datagen import make_dataset


@pytest.fixture(scope="module")
def made() -> tuple[ComparisonInput, Findings]:
    """A comparison of eight starts, and what it says."""
    comparison = builders.example()
    return comparison, findings_of(comparison)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "balloon" else pytest.mark.slow) for name in EXAMPLES]
)
def test_the_examples_in_the_docs_are_what_is_written_today(name: str) -> None:
    """After a change of words or form, `python -m benchmarks.example_reports` writes them anew."""
    for file, text in texts_of(name).items():
        assert (FOLDER / name / file).read_text(encoding="utf-8") == text


def grey(name: str) -> ByteArray:
    """A picture for every image."""
    return np.full((240, 320, 3), 128, dtype=np.uint8)


def test_page_needs_nothing_from_elsewhere(made: tuple[ComparisonInput, Findings]) -> None:
    html = comparison_page(*made, grey)
    assert not re.search(r"<script|<link|@import|url\(|https?://", html)
    references = re.findall(r'(?:href|src)="([^"]*)"', html)
    assert all(reference.startswith(("#", "data:image/jpeg;base64,")) for reference in references)
    assert html.count("data:image/jpeg") == 3  # each photo once, however many panels show it


def test_names_of_users_are_escaped(made: tuple[ComparisonInput, Findings]) -> None:
    html = comparison_page(*made, grey)
    assert "<b>pothole" not in html
    assert "&lt;b&gt;pothole&lt;/b&gt;:full" in html


def test_page_has_every_part_of_the_issue(made: tuple[ComparisonInput, Findings]) -> None:
    html = comparison_page(*made, grey)
    for title in (
        "What it means",
        "starting mAP50-95",
        "Learning curves",
        "training time (s)",
        "Catching up:",
        "How much data",
        "Modes: what really happened to the weights",
        "Block by block",
        "Why some lost",
        "Next:",
        "Predictions side by side",
        "Forecast and outcome",
        "seed noise",
        "Normalisation:",
    ):
        assert title in html, title


def test_starts_are_told_apart_by_dash_and_marker_too(made: tuple[ComparisonInput, Findings]) -> None:
    styles = styles_of(made[0].plan.starts)
    assert len(set(styles.values())) == len(styles) == 8
    html = comparison_page(*made, grey)
    dashes = re.findall(r"\.line\.s\d \{ (stroke-dasharray: [^;]+)", html)
    assert len(set(dashes)) == len(dashes) == 7  # the eighth is solid


def test_photos_that_are_gone_leave_the_boxes(made: tuple[ComparisonInput, Findings]) -> None:
    html = comparison_page(*made, lambda name: None)
    assert "data:image" not in html
    assert 'class="nothing"' in html


def test_json_and_csv_hold_the_same_numbers(made: tuple[ComparisonInput, Findings]) -> None:
    document = comparison_document(*made)
    again = ComparisonDocument.model_validate_json(document.model_dump_json())
    assert again == document
    rows = list(csv.DictReader(io.StringIO(summary_csv(made[1]))))
    assert [float(row["score"]) for row in rows] == [row.score.mean for row in document.table]
    assert [row["start"] for row in rows] == [row.start for row in document.table]
    assert len(list(csv.DictReader(io.StringIO(runs_csv(made[0]))))) == len(document.curves) == 48


def test_predictions_are_coco_json_that_others_open(made: tuple[ComparisonInput, Findings]) -> None:
    files = prediction_files(made[0])
    labels = json.loads(files["predictions/labels.json"])
    assert {image["file_name"] for image in labels["images"]} == {s.name for s in made[0].held.scenes}
    assert len(labels["annotations"]) == sum(len(scene.truth) for scene in made[0].held.scenes)
    assert all("score" not in found for found in labels["annotations"])
    scored = [name for name in files if name != "predictions/labels.json"]
    assert len(scored) == sum(trained.evaluation is not None for trained in made[0].trained)
    widths = {image["id"]: image["width"] for image in labels["images"]}
    for name in scored:
        document = json.loads(files[name])
        assert document["categories"] == labels["categories"]
        for found in document["annotations"]:
            assert 0 <= found["score"] <= 1
            assert found["bbox"][0] + found["bbox"][2] <= widths[found["image_id"]] + 0.02


def test_a_name_that_is_a_formula_stays_text_in_a_spreadsheet() -> None:
    start = builders.start("=1+1")
    made = builders.comparison([builders.trained(start, builders.saturating(0.4, 5))])
    assert "\n'=1+1:full," in summary_csv(findings_of(made))


def test_ticks_are_round_and_within() -> None:
    assert ticks_of(0.0, 0.47) == (0.0, 0.1, 0.2, 0.3, 0.4)
    assert ticks_of(0.0, 30.0) == (0.0, 10.0, 20.0, 30.0)
    assert ticks_of(1.0, 1.0) == (1.0,)


def test_files_lie_in_the_folder_and_a_full_disk_is_told(
    made: tuple[ComparisonInput, Findings], tmp_path: Path
) -> None:
    target = open_dataset(make_dataset(tmp_path / "data", images=4, size=(64, 64)))
    folder = write_report(*made, target, tmp_path / "out" / "deep")
    assert sorted(file.name for file in folder.iterdir()) == [
        "predictions",
        "report.html",
        "report.json",
        "runs.csv",
        "summary.csv",
    ]
    assert json.loads((folder / "report.json").read_text("utf-8"))["dataset"] == "masks"
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="--out"):
        write_report(*made, target, tmp_path / "taken")


def test_a_single_start_and_a_single_size_make_a_page_too() -> None:
    one = builders.comparison([builders.trained(builders.COCO, builders.saturating(0.4, 3))])
    html = comparison_page(one, findings_of(one), grey)
    assert "How much data" not in html
    assert "The only start that finished" in html


def test_what_did_not_finish_is_told() -> None:
    from recommender.comparison.comparison_input import FailedTraining

    made = builders.comparison([builders.trained(builders.COCO, builders.saturating(0.4, 3))])
    failure = FailedTraining(
        start=builders.SCRATCH, fraction=1.0, seed=2, learning_rate=None, why="The loss is not finite."
    )
    made = replace(made, failures=(failure,), ended_early="the budget is spent")
    html = comparison_page(made, findings_of(made), grey)
    assert "scratch at 100 %, seed 2 (The loss is not finite.)" in html
    assert "Ended early: the budget is spent" in html


def test_one_seed_is_not_called_a_mean_over_seeds(
    made: tuple[ComparisonInput, Findings], capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from recommender.report.comparison_table import print_comparison

    for seeds, told in ((2, True), (1, False)):
        material = replace(made[0], plan=replace(made[0].plan, seeds=seeds))
        print_comparison(material, made[1], Console(width=200))
        assert ("deviation over seeds" in capsys.readouterr().out) == told
        page = comparison_page(material, made[1], grey)
        assert ("deviation over seeds" in page) == told
        assert ("Mean over seeds" in page) == told


def test_a_column_for_test_time_augmentation_where_it_was_asked_for(
    made: tuple[ComparisonInput, Findings], capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from recommender.report.comparison_table import print_comparison

    def show(material: ComparisonInput) -> str:
        print_comparison(material, findings_of(material), Console(width=200))
        return capsys.readouterr().out

    plain = made[0]
    assert "with TTA" not in show(plain)
    assert "with TTA" not in comparison_page(*made, grey)
    better = builders.with_tta(plain, starts=plain.plan.starts[:2], gain=0.02)
    told, page = show(better), comparison_page(better, findings_of(better), grey)
    for text in (told, page):
        assert "with TTA" in text
        assert "not possible" in text
    document = comparison_document(better, findings_of(better))
    assert document.asked.tta
    rows = {row.start: row for row in document.table if row.fraction == 1.0}
    first, last = rows[str(plain.plan.starts[0])], rows[str(plain.plan.starts[-1])]
    assert first.tta is not None
    assert first.tta.mean == pytest.approx(first.score.mean + 0.02, abs=1e-4)
    assert last.tta is None
    lines = list(csv.DictReader(io.StringIO(summary_csv(findings_of(better)))))
    assert {bool(line["tta"]) for line in lines} == {True, False}
