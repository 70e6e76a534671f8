"""The page in a real Chromium: from the upload to a finished training, by hand, by keyboard, on a phone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from recommender.requests import TrainingRequest
from tests.browser.conftest import DESK, PHONE, Visit, log_in
from tests.datagen import make_dataset, zip_of
from tests.service.kit import Live
from tests.store.builders import run as stored_run
from tune_jobs.training_spec import Target, submit_training

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m"
PATIENCE_MS = 400_000  # one epoch on two busy cores, Ray's start included


@pytest.mark.ray
def test_from_upload_to_a_finished_training(visit: Visit, drawn: Path) -> None:
    make_dataset(drawn / "signs", images=12, size=(96, 96), seed=21)
    page = visit.page
    page.get_by_label("Drop a zip of your data set here").set_input_files(
        zip_of(drawn / "signs", drawn / "signs.zip")
    )
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", name="signs", exact=True)).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Boxes of each class")).to_be_attached(timeout=120_000)
    expect(page.get_by_role("row", name=re.compile("circle"))).to_be_visible()

    page.get_by_label("Epochs of the full training").fill("1")
    page.get_by_label("Image size, pixels").fill("64")
    page.get_by_role("button", name=re.compile("rank", re.IGNORECASE)).click()
    expect(page.get_by_role("heading", name="Working on it")).to_be_visible()
    ranking = page.get_by_role("table", name=re.compile("Starts ordered by")).first  # more are folded away
    expect(ranking).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text(re.compile(r"^\d+ more starts$")).click()
    before = page.locator("table.ranking").get_by_role("rowheader").all_inner_texts()
    assert any("coco-yolo11n" in name for name in before)
    assert any("scratch" in name for name in before)
    assert page.locator("table.ranking svg.bar circle.mean").count() == len(before)

    page.get_by_role("button", name=re.compile("Train from coco-yolo11n, full")).click()
    assert re.search("Launch the full training of 1 epoch from coco-yolo11n", visit.dialogs[-1])
    expect(page.get_by_role("button", name="Cancel the training")).to_be_visible()
    expect(page.get_by_text("Registered as checkpoint")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Best mAP50-95")).to_be_visible()
    expect(page.locator("svg.curve circle.best")).to_be_visible()
    made = page.locator("section strong").inner_text()
    page.get_by_text("Losses and metrics").click()
    drawn_by_ultralytics = page.get_by_role("img", name="Losses and metrics by epoch")
    expect(drawn_by_ultralytics).to_be_visible()
    page.wait_for_function("document.querySelector('img.wide').naturalWidth > 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]
    with page.expect_download() as download:
        page.get_by_role("link", name="weights/best.pt").click()
    assert download.value.suggested_filename == "best.pt"

    page.get_by_role("link", name="History").click()
    page.get_by_role("link", name="signs").first.click()
    expect(page.locator("svg.curve circle.best")).to_be_visible()

    page.get_by_role("link", name="Data sets").click()
    page.get_by_role("link", name="signs").click()
    expect(page.get_by_role("img", name=re.compile("Map of"))).to_be_visible()
    own = page.get_by_role("img", name=re.compile("Your image")).first
    page.wait_for_function("image => image.naturalWidth > 0", arg=own.element_handle())
    page.get_by_label("Epochs of the full training").fill("1")
    page.get_by_role("button", name="Rank", exact=True).click()
    expect(ranking).to_be_visible(timeout=PATIENCE_MS)
    # What was trained is known; it has seen these very images, so that it is named and not ranked.
    expect(page.get_by_text("trained on these very images")).to_contain_text(made)
    visit.assert_clean()


def test_weights_are_added_and_linked_by_keyboard_alone(visit: Visit, drawn: Path, nano_pt: Path) -> None:
    make_dataset(drawn / "linked", seed=23)
    page = visit.page
    page.get_by_label("Drop a zip").set_input_files(zip_of(drawn / "linked", drawn / "linked.zip"))
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("heading", name="linked", exact=True)).to_be_visible(timeout=120_000)
    visit.go("/checkpoints")
    page.get_by_label("Name").focus()
    page.keyboard.type("typed")
    page.keyboard.press("Tab")
    page.keyboard.type("linked")  # the browser chooses the option that begins so
    page.get_by_label("Weights").set_input_files(nano_pt)  # a file dialog is the system's, not the page's
    page.get_by_label("Weights").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("typed was added, trained on linked.", timeout=120_000)
    visit.assert_clean()


def test_hostile_names_do_nothing(visit: Visit, drawn: Path) -> None:
    make_dataset(drawn / "hostile", classes=[HOSTILE, "plain"], seed=22)
    name = "<img src=x onerror=alert(3)>.zip"
    archive = zip_of(drawn / "hostile", drawn / "hostile.zip")
    page = visit.page
    page.get_by_label("Drop a zip").set_input_files(
        {"name": name, "mimeType": "application/zip", "buffer": archive.read_bytes()}
    )
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("Boxes of each class")).to_be_attached(timeout=120_000)
    assert "<script>alert(1)</script>" in page.locator("main").inner_text()
    visit.go("/")
    assert "<script>alert(1)" in page.locator("main").inner_text()
    assert page.locator("main img[src=x]").count() == 0
    assert visit.dialogs == []
    visit.assert_clean()


def test_a_refused_upload_says_why(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
    page = visit.page
    page.get_by_label("Drop a zip").set_input_files(tmp_path / "broken.zip")
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_role("status").filter(has_text="damaged")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Upload and check")).to_be_enabled()
    assert [text for text in visit.complaints if "422" not in text] == []


def test_the_keyboard_is_enough(chromium: Browser, server: Live) -> None:
    context = chromium.new_context(viewport=DESK)  # type: ignore[arg-type]
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(server.address + "/")
    page.keyboard.type(server.key)  # the field has the focus
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Which checkpoint to start from?").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    context.close()


def test_a_link_with_a_key_fills_it_in_and_leaves_the_session_alone_until_asked(
    chromium: Browser, server: Live
) -> None:
    context = chromium.new_context()
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"{server.address}/login#key={server.key}")
    expect(page.get_by_text("This link brought a key along")).to_be_visible()
    page.wait_for_timeout(500)
    assert context.cookies() == []  # somebody else's link must not replace a session
    assert server.key not in page.url
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Which checkpoint to start from?").wait_for()
    assert server.key not in page.url
    assert page.evaluate("document.cookie") == ""  # scripts cannot read the session
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(server.address + "/trainings")
    expect(page.get_by_label("API key")).to_be_visible()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(chromium: Browser, server: Live, theme: str) -> None:
    context = chromium.new_context(viewport=PHONE, color_scheme=theme)  # type: ignore[arg-type]
    visit = log_in(context, server)
    for path in ("/", "/trainings", "/runs", "/checkpoints", "/docs"):
        visit.go(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    visit.assert_clean()
    context.close()


def test_tables_break_no_word_and_phones_show_no_empty_line(chromium: Browser, server: Live) -> None:
    server.store.runs.add(replace(stored_run("of-many-columns"), target_name="soda_cans"))
    broken = """() => [...document.querySelectorAll(".status, td[data-label='Rate'], tbody th a")].filter(
        (one) => { const range = document.createRange(); range.selectNodeContents(one);
        return new Set([...range.getClientRects()].map((line) => Math.round(line.top / 9))).size > 1 })
        .map((one) => one.textContent)"""
    context = chromium.new_context(viewport=DESK)  # type: ignore[arg-type]
    visit = log_in(context, server)
    visit.go("/runs")
    assert visit.page.evaluate(broken) == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]
    visit.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    cell = visit.page.locator("td[data-label=Seed]").first
    expect(cell).to_be_visible()
    cell.evaluate("(cell) => { cell.textContent = '' }")
    expect(cell).to_be_hidden()
    context.close()


def test_what_was_in_the_way_is_not_told_of_a_training_that_runs(visit: Visit) -> None:
    store = visit.server.store  # type: ignore[attr-defined]
    target = Target(path="/nowhere", hash="h", name="signs")
    request = TrainingRequest.model_validate({"dataset": "/nowhere", "start": "scratch", "epochs": 2})
    job, _ = submit_training(store, request, target, key="k", cluster="of nobody", owner="ada")
    visit.go(f"/trainings/{job.id}")
    store.launches.note(job.id, 1, "The job server does not answer.")
    expect(visit.page.get_by_text("does not answer")).to_be_visible()
    store.launches.mark_running(job.id, 1)
    expect(visit.page.get_by_text("Waiting for the first epoch")).to_be_visible()
    expect(visit.page.get_by_text("does not answer")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(chromium: Browser, server: Live, theme: str) -> None:
    context = chromium.new_context(color_scheme=theme)  # type: ignore[arg-type]
    page = log_in(context, server).page
    pairs = [("ink", "ground"), ("ink", "card"), ("dim", "ground"), ("dim", "card"), ("accent", "card")]
    pairs += [
        ("accent-ink", "accent"),
        ("ink", "accent-soft"),
        ("good", "card"),
        ("warn", "card"),
        ("bad", "card"),
    ]
    pairs += [("ink", "warn-soft"), ("ink", "bad-soft"), ("bad", "bad-soft"), ("good", "accent-soft")]
    for front, back in pairs:
        assert contrast(colour(page, front), colour(page, back)) >= 4.5, (theme, front, back)
    context.close()


def colour(page: object, name: str) -> tuple[int, ...]:
    text = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')")  # type: ignore[attr-defined]
    return tuple(int(text.strip()[i : i + 2], 16) for i in (1, 3, 5))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """WCAG 2.2's ratio of relative luminances."""

    def luminance(rgb: tuple[int, ...]) -> float:
        parts = [value / 255 for value in rgb]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
