"""A real Chromium, and a service for it to visit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from tests.service.kit import Live, live, quiet

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 120_000  # two cores may be busy with other tests
DESK = {"width": 1280, "height": 900}


@pytest.fixture(
    scope="package"
)  # its event loop runs in this thread, where later tests want one of their own
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that launches what it is asked to, on a local Ray."""
    quiet()
    with live(tmp_path_factory.mktemp("browser"), launcher=True, answer_wait_s=0.0) as made:
        yield made


class Door(Protocol):
    """The address of a service, and the key that opens it."""

    @property
    def address(self) -> str:
        """Its base address."""

    @property
    def key(self) -> str:
        """A user's key."""


@dataclass
class Visit:
    """One tab, logged in, and everything in it that should not have happened."""

    page: Page
    server: Door
    dialogs: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the service."""
        self.page.goto(self.server.address + path)

    def assert_clean(self) -> None:
        """No error, no refused script or style, nothing fetched from elsewhere."""
        assert self.complaints == []


@pytest.fixture
def visit(chromium: Browser, server: Live) -> Iterator[Visit]:
    """A desktop browser, logged in."""
    context = chromium.new_context(viewport=DESK)  # type: ignore[arg-type]
    yield log_in(context, server)
    context.close()


def log_in(context: BrowserContext, server: Door) -> Visit:
    """Open a tab, watch it, and log in as a person would."""
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = Visit(page=page, server=server)

    def on_dialog(dialog: Dialog) -> None:
        found.dialogs.append(dialog.message)
        dialog.accept()

    def on_request(address: str) -> None:
        if not address.startswith((server.address, "data:", "blob:")):
            found.complaints.append(f"fetched {address}")

    page.on("dialog", on_dialog)
    page.on("request", lambda request: on_request(request.url))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("console", lambda said: found.complaints.append(said.text) if said.type == "error" else None)
    page.goto(server.address + "/login")
    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Which checkpoint to start from?").wait_for()
    page.wait_for_load_state()  # its styles too
    return found


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for drawn data sets."""
    return tmp_path_factory.mktemp("drawn")
