"""The answer as one self-contained HTML page: no script, no network, readable on a phone, prints well."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recommender.profile import compare
from recommender.profile.shipped import builtin_profiles
from recommender.records import Profile, Recommendation
from recommender.report.columns import columns_for
from recommender.report.cost_picture import cost_picture
from recommender.report.dataset_map import PlacedDataset, dataset_map
from recommender.report.document import as_published
from recommender.report.headline import LABELS, MODE_WORDS, UNSUPPORTED, about, headline, trials_worth
from recommender.report.map_labels import labels as map_labels
from recommender.report.notices import coded, notice_title
from recommender.report.rows import highest_score, names_of, shown_rows
from recommender.tasks import task_definition
from recommender.text import counted, printable

if TYPE_CHECKING:
    from recommender.report.answer_pictures import AnswerPictures

TEMPLATES = Path(__file__).parent / "templates"
MAPPED = 8  # data sets around the target on the map
CLASSES_SHOWN = 30


def page(recommendation: Recommendation, pictures: AnswerPictures | None = None) -> str:
    """The page's HTML. The map shows the built-in data sets alone: a page that is sent around names no others."""
    recommendation = as_published(recommendation)
    rows = shown_rows(recommendation.ranking)
    worth = trials_worth(recommendation)
    places = _map(recommendation.profile)
    return (
        environment()
        .get_template("recommendation.html")
        .render(
            recommendation=recommendation,
            profile=recommendation.profile,
            labels=LABELS,
            lines=headline(recommendation),
            worth=worth,
            unsupported=None if recommendation.level_supported else UNSUPPORTED,
            metric=task_definition(recommendation.task).metric.label,
            about=about(recommendation),
            rows=rows,
            on_these_images=names_of(rows.on_these_images),
            columns=columns_for(recommendation.ranking),
            modes=MODE_WORDS,
            top=highest_score(recommendation.ranking),
            classes=_balance(recommendation.profile),
            places=places,
            map_labels=map_labels(places, recommendation.profile.dataset_hash),
            pictures=pictures,
            costs=cost_picture(recommendation),
        )
    )


def fragment(recommendation: Recommendation) -> str:
    """The four lines, the table and the warnings, to stand inside another page such as a notebook."""
    recommendation = as_published(recommendation)
    return (
        environment()
        .get_template("fragment.html")
        .render(
            labels=LABELS,
            lines=asdict(headline(recommendation)),
            metric=task_definition(recommendation.task).metric.label,
            rows=shown_rows(recommendation.ranking),
            columns=columns_for(recommendation.ranking),
            num_classes=len(recommendation.profile.class_names),
            warnings=recommendation.warnings,
        )
    )


def environment() -> Environment:
    """Templates that escape everything they show and fail on what they do not know."""
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    filters: dict[str, Any] = {
        "printable": printable,
        "counted": counted,
        "notice_title": notice_title,
        "coded": coded,
    }
    made.filters.update(filters)
    return made


def _balance(profile: Profile) -> list[tuple[str, int, float]]:
    """(class, boxes, share of all) of the largest classes."""
    total = max(sum(profile.class_counts), 1)
    balance = sorted(zip(profile.class_names, profile.class_counts, strict=True), key=lambda item: -item[1])
    return [(name, count, count / total) for name, count in balance[:CLASSES_SHOWN]]


def _map(profile: Profile) -> tuple[PlacedDataset, ...]:
    """The target, first, among the built-in data sets most similar to it."""
    others = [one for one in builtin_profiles().values() if one.dataset_hash != profile.dataset_hash]
    comparable = [one for one in others if one.encoder == profile.encoder]
    nearest = sorted(comparable, key=lambda one: -compare(profile, one).whole)[:MAPPED]
    return dataset_map((profile, *nearest)) if nearest else ()
