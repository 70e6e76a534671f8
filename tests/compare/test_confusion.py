"""Classification sets in a comparison: classes, confusions, and words that are not detection's."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import Findings, findings_of
from recommender.report.comparison import comparison_document
from recommender.report.comparison_page import comparison_page
from tests.compare import builders


@pytest.fixture(scope="module")
def made() -> tuple[ComparisonInput, Findings]:
    comparison = builders.classified_example()
    return comparison, findings_of(comparison)


def test_confusions_are_counted_over_seeds(made: tuple[ComparisonInput, Findings]) -> None:
    by_name = {one.start.checkpoint: one for one in made[1].confusions}
    assert by_name["imagenet"].counts_CC.tolist() == [[6, 0, 0], [0, 4, 0], [0, 0, 2]]
    assert by_name["imagenet"].most_confused(5) == ()
    coco = by_name["coco"]
    assert coco.counts_CC.tolist() == [[6, 0, 0], [4, 0, 0], [0, 0, 2]]
    assert coco.accuracies() == (1.0, 0.0, 1.0)
    (worst,) = coco.most_confused(1)
    assert (worst.true, worst.predicted, worst.count, worst.share) == (1, 0, 4, 1.0)


def test_guesses_count_however_unsure_they_are(made: tuple[ComparisonInput, Findings]) -> None:
    assert (
        made[0].plan.confidence > 0.2
    )  # every guess of the example is less sure than a box would have to be
    assert [one.scene.name for one in made[1].differences][:2] == ["val/3.jpg", "val/4.jpg"]


def test_page_and_json_speak_of_classes_and_accuracy(made: tuple[ComparisonInput, Findings]) -> None:
    html = comparison_page(*made, lambda name: np.zeros((16, 12, 3), dtype=np.uint8))
    assert not re.findall(r"mAP|boxes|detector|false alarm|ground truth|F1", html, re.IGNORECASE)
    assert "Most confused classes" in html
    assert "rose taken for tulip: 100%" in html
    assert html.count('class="matrix"') == 3
    assert "<b>daisy" not in html
    document = json.loads(comparison_document(*made).model_dump_json())
    coco = next(one for one in document["by_class"] if one["start"] == "coco:full")
    assert coco["accuracy"]["rose"] == 0.0
    assert coco["most_confused"][0] == {"true": "rose", "predicted": "tulip", "images": 4, "share": 1.0}


def test_of_detection_there_are_none() -> None:
    comparison = builders.example()
    found = findings_of(comparison)
    assert found.confusions == ()
    assert "Class by class" not in comparison_page(comparison, found, lambda name: None)
