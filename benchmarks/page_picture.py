"""The picture of the service's page in the README, of the demo's data set: `python -m benchmarks.page_picture`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.demo import draw_data_set

OUT = Path("docs/page.png")
PORT = 8731
SERVICE = f"http://127.0.0.1:{PORT}"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 300_000
SIZE = {"width": 1300, "height": 1090}


def main() -> None:
    """Start a service in a home of its own, give it the data set in a browser, and take the picture of the answer."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("needs a Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"RECOMMENDER_HOME": f"{folder}/home"}
        recommend = [str(Path(sys.executable).parent / "recommend")]
        made = subprocess.run(
            [*recommend, "keys", "create", "--owner", "ada"], env=environment, capture_output=True, check=True
        )
        service = subprocess.Popen([*recommend, "serve", "--port", str(PORT)], env=environment)
        try:
            draw_data_set(Path(folder) / "demo")
            archive = shutil.make_archive(f"{folder}/demo", "zip", folder, "demo")
            _wait()
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
                page.set_default_timeout(PATIENCE_MS)
                _ask(page, made.stdout.decode().strip(), archive)
                page.screenshot(path=OUT)
                browser.close()
        finally:
            service.terminate()
            service.wait()


def _wait(seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{SERVICE}/healthz", timeout=5)  # loopback
            return
        except urllib.error.URLError:
            time.sleep(1)
    raise SystemExit("the service does not start")


def _ask(page: Page, key: str, archive: str) -> None:
    """Log in, upload, and wait for the ranked table."""
    page.goto(f"{SERVICE}/login")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Drop a zip of your data set here").set_input_files(archive)
    page.get_by_role("button", name="Upload and check").click()
    page.get_by_role("button", name=re.compile("rank", re.IGNORECASE)).click()
    page.get_by_role("heading", name="The starts, best first").wait_for()
    page.wait_for_load_state()


if __name__ == "__main__":
    main()
