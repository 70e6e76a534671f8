"""The page in a real Chromium for classification and segmentation: from the upload to a finished training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.datagen import zip_of
from tests.datasets.outlined import scenes, write_yolo_seg
from tests.datasets.test_classification import two_splits

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.ray]
PATIENCE_MS = 400_000  # one epoch on two busy cores, Ray's start included


def flowers(folder: Path) -> Path:
    return two_splits(folder)


def outlines(folder: Path) -> Path:
    return write_yolo_seg(folder, scenes(8))


@pytest.mark.parametrize(
    ("write", "task", "objects", "start", "metric", "details"),
    [
        (
            flowers,
            "image classification",
            "Images",
            "imagenet-yolov8n-cls",
            "top-1 accuracy",
            ["top-5 accuracy"],
        ),
        (
            outlines,
            "instance segmentation",
            "Outlines",
            "coco-yolo11n-seg",
            "mask mAP50-95",
            ["mask mAP50", "box mAP50-95"],
        ),
    ],
)
def test_from_upload_to_a_finished_training(
    visit: Visit,
    drawn: Path,
    write: Callable[[Path], Path],
    task: str,
    objects: str,
    start: str,
    metric: str,
    details: list[str],
) -> None:
    name = write.__name__
    page = visit.page
    page.get_by_label("Drop a zip of your data set here").set_input_files(
        zip_of(write(drawn / name), drawn / f"{name}.zip")
    )
    page.get_by_label("Task").select_option(label=task)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=120_000)
    expect(page.get_by_text(f"read for {task}")).to_be_visible()
    expect(page.get_by_text(f"{objects} of each class")).to_be_attached(timeout=120_000)

    page.get_by_label("Epochs of the full training").fill("1")
    page.get_by_label("Image size, pixels").fill("64")
    page.get_by_role("button", name=re.compile("rank", re.IGNORECASE)).click()
    ranking = page.get_by_role("table", name=re.compile(f"Starts ordered by expected {metric}")).first
    expect(ranking).to_be_visible(timeout=PATIENCE_MS)
    more = page.get_by_text(re.compile(r"^\d+ more starts$"))
    if more.count():
        more.click()
    rows = page.locator("table.ranking").get_by_role("rowheader").all_inner_texts()
    assert any(start in row for row in rows)
    assert any("scratch" in row for row in rows)

    page.get_by_role("button", name=re.compile(f"Train from {start}, full")).click()
    expect(page.get_by_text("Registered as checkpoint")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(f"Best {metric}")).to_be_visible()
    expect(page.locator("svg.curve circle.best")).to_be_visible()
    page.get_by_text("Numbers", exact=True).click()
    for label in details:
        expect(page.get_by_role("columnheader", name=label, exact=True)).to_be_visible()
    page.get_by_text("Losses and metrics").click()
    expect(page.get_by_role("img", name="Losses and metrics by epoch")).to_be_visible()
    visit.assert_clean()
