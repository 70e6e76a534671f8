"""Warnings and notes for people: a plain name in place of the code."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape
from rich.console import Console
from rich.text import Text

from recommender.records import Notice
from recommender.text import printable

TITLES = {
    "leak": "trained on your images",
    "ancestor_leak": "descends from your images",
    "nothing_similar": "nothing very similar",
    "negative_transfer": "worse than random weights",
    "small_for_scratch": "too few images for scratch",
    "small_batch": "very few images",
    "few_val": "very few val images",
    "repeated_images": "images that repeat others",
    "licence": "licence",
    "only_scratch": "only scratch is left",
    "recovered_weights": "not the official weights",
    "folded": "not worth a row",
    "recalled": "not every checkpoint is ranked",
    "same_weights": "the same weights twice",
    "exact_duplicate_leak": "the same images in train and val",
    "near_duplicate_leak": "val images that look like train images",
    "label_outline": "outlines taken as boxes",
    "outline_rectangle": "outlines that are no more than boxes",
}


def notice_title(code: str) -> str:
    """The title of a notice, in plain words."""
    return TITLES.get(code) or printable(code, limit=60).replace("_", " ")


def coded(text: str) -> Markup:
    """Escaped HTML, with text between backticks as <code>; the text after a lone last one stays as it is."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 and i < len(parts) - 1 else part
        for i, part in enumerate(parts)
    )


def print_notices(notices: Sequence[Notice], console: Console, *, mark: str = "!") -> None:
    """Write each notice on a line of its own."""
    for notice in notices:
        message = printable(notice.message, limit=1000)
        hint = f" {printable(notice.hint, limit=200)}" if notice.hint else ""
        title = f"{notice_title(notice.code)}: "
        style = "yellow" if mark == "!" else "dim"
        console.print(Text.assemble((f"{mark} ", f"bold {style}"), (title, style), message, (hint, "dim")))
