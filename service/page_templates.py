"""Jinja templates and their filters. User-given text is escaped, control characters included."""

from __future__ import annotations

import functools
import math
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse

from recommender import __version__
from recommender.report.notices import coded, notice_title
from recommender.text import counted, printable

FOLDER = Path(__file__).parent / "web"
STATIC = FOLDER / "static"


def environment() -> Environment:
    """Templates that escape all they show and fail on what they do not know."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined
    )
    made.filters.update(
        printable=printable,
        percent=percent,
        moment=moment,
        duration=duration,
        grouped=grouped,
        signed=signed,
        coded=coded,
        counted=counted,
        notice_title=notice_title,
    )
    made.globals.update(version=__version__)
    return made


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page for whoever is logged in."""
    caller = getattr(request.state, "caller", None)
    page = TEMPLATES.get_template(name).render(caller=caller, path=request.url.path, **values)
    return HTMLResponse(page, status)


@functools.cache
def login_page(refused: str | None = None) -> str:
    """The login page, with a message when a key was refused."""
    return TEMPLATES.get_template("login.html").render(caller=None, path="/login", refused=refused)


def problem_page(problem: BaseModel) -> str:
    """A problem document as a page."""
    return TEMPLATES.get_template("problem.html").render(caller=None, path="", problem=problem)


def percent(share: float, digits: int = 0) -> str:
    """0.523 → 52%."""
    return f"{100 * share:.{digits}f}%"


def signed(value: float) -> str:
    """0.1 → +0.10, −0.02 with a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def grouped(number: int) -> str:
    """12345 → 12,345."""
    return f"{number:,}"


def moment(text: str) -> str:
    """An ISO time to the minute, in UTC."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """3700 → 1 h 2 min."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def axis_top(highest: float) -> float:
    """A round upper end, at most 1, for an axis from 0 to `highest`."""
    if not math.isfinite(highest) or highest <= 0:
        return 1.0
    step = 0.1 if highest > 0.3 else 0.05
    return min(1.0, math.ceil(highest / step - 1e-9) * step)


TEMPLATES = environment()  # last: it names the functions above
