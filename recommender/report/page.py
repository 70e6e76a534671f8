"""The answer as one self-contained HTML page: no script, no network, prints well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recommender.records import Profile, Recommendation
from recommender.report.dataset_map import dataset_map
from recommender.text import printable

TEMPLATES = Path(__file__).parent / "templates"


def page(recommendation: Recommendation, sources: Sequence[Profile] = ()) -> str:
    """The page's HTML. `sources` are the known data sets to draw around the target on the map."""
    profile = recommendation.profile
    others = {p.dataset_hash: p for p in sources if p.dataset_hash != profile.dataset_hash}
    top = max((row.score.high for row in recommendation.ranking), default=1.0) or 1.0
    total = max(sum(profile.class_counts), 1)
    balance = sorted(zip(profile.class_names, profile.class_counts, strict=True), key=lambda item: -item[1])
    return (
        environment()
        .get_template("recommendation.html")
        .render(
            recommendation=recommendation,
            profile=profile,
            top=top,
            classes=[(name, count, count / total) for name, count in balance[:30]],
            places=dataset_map((profile, *others.values())) if others else (),
            first=recommendation.ranking[0],
        )
    )


def environment() -> Environment:
    """Templates that escape everything they show and fail on what they do not know."""
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    filters: dict[str, Any] = {"printable": printable}
    made.filters.update(filters)
    return made
