"""The whole choice on the page: one data set for a slow device, for a fast one and without limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Visit
from tests.datagen import zip_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENCE_MS = 400_000


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An answer as the page shows it."""

    start: str  # the first line of the answer
    lead: str
    latencies_ms: list[float]
    reason: str
    limit: list[str]  # what the picture says of it


def ask(visit: Visit, at: str, device: str = "", latency: str = "") -> Shown:
    """Ask at the budget the page proposes; a limit is filled in as a person would."""
    visit.page.goto(at)
    page = visit.page
    page.get_by_text(re.compile("^Limits")).click()
    page.get_by_label("It will run on").select_option(device)
    page.get_by_label("Time for one image, at most").fill(latency)
    page.get_by_role("button", name=re.compile("rank", re.IGNORECASE)).click()
    expect(page.locator("dl.answer")).to_be_visible(timeout=PATIENCE_MS)
    cells = page.locator('td[data-label="latency"]').all_text_contents()
    return Shown(
        start=page.locator("dl.answer .start").inner_text(),
        lead=page.locator("p.lead").inner_text(),
        latencies_ms=[float(text.strip("~ ms")) for text in cells],
        reason=page.locator("table.ranking tr.why li").first.inner_text(),
        limit=page.locator("figure svg text").filter(has_text="your limit").all_text_contents(),
    )


@pytest.mark.ray
def test_a_slow_device_a_fast_one_and_none_get_three_explained_answers(
    visit: Visit, drawn: Path, shared: Path
) -> None:
    """On real photos: of some drawn images every device's answer is the same frozen detector."""
    page = visit.page
    page.get_by_label("Drop a zip").set_input_files(
        zip_of(shared / "data" / "mask_wearing", drawn / "masks.zip")
    )
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", name="masks", exact=True)).to_be_visible(timeout=120_000)
    at = page.url
    free = ask(visit, at)
    slow = ask(visit, at, "rpi5", "100ms")
    fast = ask(visit, at, "t4", "5ms")

    assert len({one.start.split(" at ")[0] for one in (free, slow, fast)}) == 3
    assert all("100 epochs" in one.lead and len(one.reason) > 20 for one in (free, slow, fast))
    assert (free.limit, free.latencies_ms) == ([], [])
    for shown, most_ms, told in ((slow, 100, "100 ms an image on rpi5"), (fast, 5, "5 ms an image on t4")):
        assert f"within {told}" in shown.lead
        assert re.search(r" at \d+ px, .* ms an image$", shown.start)
        assert shown.limit == [f"your limit, {most_ms}"]
        assert shown.latencies_ms
        assert max(shown.latencies_ms) <= most_ms

    why = page.locator("table.ranking tr.why td[colspan]").first.bounding_box()
    assert why is not None
    assert why["width"] > 600  # reasons in lines, not in words
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    here = page.locator("table.ranking tbody").filter(has=page.get_by_role("button")).first
    size = here.locator('td[data-label="px"]').inner_text()
    here.get_by_role("button", name=re.compile("^Train from")).click()
    expect(page.get_by_role("button", name="Cancel the training")).to_be_visible()
    expect(page.locator("main")).to_contain_text(re.compile(rf"100 epochs at {size} px"))
    page.get_by_role("button", name="Cancel the training").click()
    expect(page.locator("#status")).to_contain_text("cancelled", timeout=PATIENCE_MS)
    visit.assert_clean()
