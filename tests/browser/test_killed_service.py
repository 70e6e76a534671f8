"""The service is killed while a training runs that was launched on the page; the page sees it through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESK, log_in
from tests.datagen import make_dataset, zip_of
from tests.service.kit import wait_until
from tune_jobs.local_environment import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.ray]
PATIENCE_MS = 400_000
EPOCHS = 30


@dataclass(frozen=True)
class Served:
    """`recommend serve` as a person starts it."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.folder / "home" / "first-admin-key").read_text().strip()

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        home = {"RECOMMENDER_HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1"}
        command = [str(Path(sys.executable).parent / "recommend"), "serve", "--port", str(self.port)]
        with (self.folder / "said").open("ab") as said, (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **home}, stdout=said, stderr=log
            )
            try:
                wait_until(self.answers, 120)
                yield process
            finally:
                process.terminate()
                process.wait(timeout=60)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_training_launched_on_the_page_outlives_the_service(chromium: Browser, tmp_path: Path) -> None:
    make_dataset(tmp_path / "signs", images=12, size=(96, 96), seed=23)
    served = Served(tmp_path, free_port())
    context = chromium.new_context(viewport=DESK)  # type: ignore[arg-type]
    with served.running() as process:
        page = log_in(context, served).page
        page.get_by_label("Drop a zip").set_input_files(zip_of(tmp_path / "signs", tmp_path / "signs.zip"))
        page.get_by_role("button", name="Upload and check").click()
        page.get_by_label("Epochs of the full training").fill(str(EPOCHS))
        page.get_by_label("Image size, pixels").fill("64")
        page.get_by_role("button", name=re.compile("rank", re.IGNORECASE)).click()
        page.get_by_text(re.compile(r"^\d+ more starts$")).click(timeout=PATIENCE_MS)
        button = page.get_by_role("button", name=re.compile("Train from coco-yolo11n, full"))
        button.click(timeout=PATIENCE_MS)
        expect(page.locator("svg.curve circle.best")).to_be_visible(timeout=PATIENCE_MS)  # it has epochs
        children = psutil.Process(process.pid).children()
        pools = [child for child in children if "multiprocessing" in " ".join(child.cmdline())]
        assert pools
        process.kill()
        process.wait()
    time.sleep(3)
    with served.running():
        expect(page.get_by_text("Registered as checkpoint")).to_be_visible(timeout=PATIENCE_MS)
        made = page.locator("section strong").inner_text()
        headers = {"Authorization": f"Bearer {served.key}"}
        (job,) = httpx.get(f"{served.address}/v1/trainings", headers=headers).json()["trainings"]
        assert (job["status"], job["attempts"]) == ("succeeded", 1), "the attempt ran on without the service"
        runs = httpx.get(f"{served.address}/v1/runs", headers=headers).json()["runs"]
        assert [(run["kind"], run["epochs"]) for run in runs if run["target"] == "signs"] == [
            ("full", EPOCHS)
        ]
        page.get_by_role("link", name="Data sets").click()
        page.get_by_role("link", name="signs").click()
        page.get_by_role("button", name="Rank", exact=True).click()
        # What was trained is known; it has seen these very images, so that it is named and not ranked.
        seen = page.get_by_text("trained on these very images")
        expect(seen).to_contain_text(made, timeout=PATIENCE_MS)
        assert [pool for pool in pools if is_alive(pool)] == [], "workers of the killed service live on"
    context.close()
