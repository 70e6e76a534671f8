"""The report in a real browser: nothing overflows or overlaps on a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Request

from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import findings_of
from recommender.report.comparison_page import comparison_page
from tests.browser.conftest import DESK, PHONE
from tests.compare import builders

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Pairs of texts of one drawing whose boxes cross, and what is wider than the page.
OVERLAPS = """() => [...document.querySelectorAll('svg.chart, svg.matrix')].flatMap(chart => {
  const boxes = [...chart.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1)
    .filter(([b, q]) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1)
    .map(([b]) => a + ' | ' + b));
})"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def _note(asked: list[str], request: Request) -> None:
    asked.append(request.url)


@pytest.mark.parametrize("example", [builders.example, builders.classified_example])
def test_page_fits_phone_and_desk_light_and_dark(
    example: Callable[[], ComparisonInput], chromium: Browser, tmp_path: Path
) -> None:
    made = example()
    file = tmp_path / "report.html"
    photo = np.full((240, 320, 3), 128, dtype=np.uint8)
    file.write_text(comparison_page(made, findings_of(made), lambda name: photo), encoding="utf-8")
    inks = set()
    for scheme in ("light", "dark"):
        for size in (PHONE, DESK):
            context = chromium.new_context(
                viewport=size,  # type: ignore[arg-type]
                color_scheme=scheme,
            )
            page = context.new_page()
            asked: list[str] = []
            page.on("request", partial(_note, asked))
            page.goto(file.as_uri())
            assert page.evaluate(TOO_WIDE) <= 0, (scheme, size)
            assert page.evaluate(OVERLAPS) == []
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            inks.add(page.evaluate("getComputedStyle(document.body).color"))
            context.close()
    assert len(inks) == 2  # light and dark differ
