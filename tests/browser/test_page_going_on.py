"""Trainings that ended are gone on with, launched again and compared, by hand; nothing is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESK, Visit, log_in
from tests.datagen import make_dataset, zip_of
from tests.service.kit import Live, live, quiet
from tests.store.builders import run as stored_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Live]:
    """A service without a launcher: what is asked for waits."""
    quiet()
    with live(tmp_path, launcher=False) as made:
        yield made


def ended(idle: Live, archive: Path, kind: str, body: dict[str, Any]) -> str:
    """The page of a job that was asked for and cancelled."""
    with httpx.Client(base_url=idle.address, headers=idle.headers, timeout=60) as api:
        held = api.post("/v1/datasets", files={"file": (archive.name, archive.read_bytes())}).json()["id"]
        named = {"datasets": [held]} if kind == "sweeps" else {"dataset": held}
        job = api.post(f"/v1/{kind}", json=named | body).json()["id"]
    idle.store.launches.finish(job, 1, status="cancelled")
    return f"/{kind}/{job}"


def test_what_ended_is_gone_on_with_and_runs_are_laid_side_by_side(
    chromium: Browser, idle: Live, tmp_path: Path
) -> None:
    make_dataset(tmp_path / "signs", images=4, size=(64, 64))
    archive = zip_of(tmp_path / "signs", tmp_path / "signs.zip")
    context = chromium.new_context(viewport=DESK)  # type: ignore[arg-type]
    visit = log_in(context, idle)
    page = visit.page

    training = ended(idle, archive, "trainings", {"start": "coco-yolo11n:full", "epochs": 3, "imgsz": 64})
    again(visit, training, "Train it again", "Cancel the training")
    assert "from its first epoch" in visit.dialogs[-1]
    sweep = ended(
        idle, archive, "sweeps", {"checkpoints": ["scratch"], "epochs": 2, "imgsz": 64, "budget": "10m"}
    )
    again(visit, sweep, "Go on with the trials", "Cancel the trials")
    assert "What is finished is not repeated" in visit.dialogs[-1]

    for name, score in (("one", 0.3), ("two", 0.5)):
        idle.store.runs.add(replace(stored_run(name, target="signs", score=score)))
    page.get_by_role("link", name="History").click()
    for box in page.get_by_role("checkbox", name=re.compile("Compare")).all():
        box.check()
    page.get_by_role("button", name="Compare the chosen runs").click()
    expect(page.get_by_role("heading", name="Runs side by side")).to_be_visible()
    expect(page.locator("svg.curve path.line, svg.curve polyline.line")).to_have_count(2)
    expect(page.get_by_role("rowheader").first).to_be_visible()
    assert page.locator("tbody tr").first.inner_text().count("0.500") >= 1  # the best first
    visit.assert_clean()
    context.close()


def again(visit: Visit, at: str, button: str, then: str) -> None:
    """Press the button of what ended, and arrive at the page of what waits in its place."""
    visit.go(at)
    visit.page.get_by_role("button", name=button).click()
    expect(visit.page.get_by_role("button", name=then)).to_be_visible()
    assert visit.page.url != visit.server.address + at
