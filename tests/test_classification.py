"""An answer about an image classification set: its own starts, metric, size and commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.forecast.history import builtin_history
from recommender.pipeline import answer
from recommender.records import Recommendation
from recommender.report.document import document
from recommender.requests import RecommendRequest
from recommender.store import Store


def draw_classes(folder: Path, *, images: int = 8) -> Path:
    """Two class folders of noise, brighter in one, without splits."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "tabby")):  # ImageNet knows tabbies
        (folder / name).mkdir(parents=True)
        for number in range(images):
            pixels = rng.integers(90 * label, 120 + 120 * label, (64, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("classes") / "cats")


@pytest.fixture(scope="module")
def found(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Recommendation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_HOME", str(tmp_path_factory.mktemp("home")))
        request = RecommendRequest.model_validate(
            {"dataset": str(given), "checkpoints": ("imagenet", "coco"), "epochs": 20}
        )
        with Store() as store:
            return answer(request, store=store)


def test_official_classifiers_are_ranked_where_all_are_asked_for(
    given: Path, found: Recommendation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))
    asked = {"dataset": str(given), "epochs": 20, "max_feature_candidates": 0}
    with Store() as store:
        store.profiles.put(found.profile)
        every, fast = (
            answer(RecommendRequest.model_validate(asked | extra), store=store)
            for extra in ({"everything": True}, {"everything": True, "device": "t4", "max_latency": "1.2ms"})
        )
    to_fetch = {row.start.checkpoint for row in every.ranking if row.fetch_mb is not None}
    assert {"yolo11n-cls", "yolo26n-cls"} <= to_fetch  # the smallest of a family stands for it
    assert all(name.endswith("-cls") for name in to_fetch)  # no detector is fetched to become a classifier
    assert {one.start.checkpoint for one in every.folded} >= {"yolo11x-cls", "yolo26x-cls"}
    assert "other_tables" in {notice.code for notice in every.notes}
    assert not any(row.fetch_mb for row in found.ranking)
    learned = [row for row in fast.ranking if row.start.checkpoint != "scratch"]
    assert learned
    assert all(row.latency_ms is not None and row.latency_ms <= 1.2 for row in learned)


def test_the_classifier_leads_and_detectors_say_what_they_were(found: Recommendation) -> None:
    by_name = {row.start.checkpoint: row for row in found.ranking}
    assert by_name.keys() == {"imagenet-yolov8n-cls", "coco-yolo11n", "scratch"}
    assert found.ranking[0].start.checkpoint == "imagenet-yolov8n-cls"
    assert by_name["coco-yolo11n"].architecture == "yolo11n-cls"
    assert "was an object detector and becomes an image classifier" in " ".join(
        by_name["coco-yolo11n"].reasons
    )
    assert "becomes" not in " ".join(by_name["imagenet-yolov8n-cls"].reasons)
    assert not [row for row in found.ranking if str(row.start) == "coco-yolo11n:freeze"]  # not filled whole


def test_it_rests_on_runs_of_classifiers_alone(found: Recommendation) -> None:
    shipped = builtin_history("classify").runs
    assert found.provenance.history_runs == len(shipped) > 0
    assert found.method.startswith(f"rules and {len(shipped)} runs")


def test_its_metric_and_its_size_are_the_tasks(found: Recommendation) -> None:
    published = document(found)
    assert (published.dataset.task, published.metric) == ("classify", "top1")
    assert found.budget.imgsz == 224
    probe = found.ranking[0].evidence.scores["linear_probe"]
    assert probe is not None
    assert 0.9 <= probe <= 1.0


def test_its_commands_are_the_tasks(found: Recommendation) -> None:
    assert "--imgsz" not in found.train_command
    assert (
        " yolo classify train model=imagenet-yolov8n-cls.pt data=cats-yolo epochs=20 imgsz=224 "
        in found.command
    )
