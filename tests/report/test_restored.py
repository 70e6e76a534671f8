"""The page of an answer that was published and stored long ago is that of the answer itself."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import escape

from recommender.records import Interval
from recommender.report.document import RecommendationDocument, document, restored
from recommender.report.headline import headline
from recommender.report.page import page
from tests.report.kit import long_ranking


def test_the_page_of_a_published_answer_is_drawn_from_its_document() -> None:
    made = long_ranking()
    published = RecommendationDocument.model_validate_json(document(made).model_dump_json())
    again = restored(published, made.profile)
    assert again.provenance == made.provenance
    assert page(again) == page(made)


def test_numbers_on_the_edge_of_rounding_read_alike_in_every_form() -> None:
    made = long_ranking()
    edge = Interval(mean=0.104996, low=0.00499996, high=0.434996)
    first = replace(made.ranking[0], score=edge, p_best=0.124996, expected_loss=0.014996)
    made = replace(made, ranking=(first, *made.ranking[1:]))
    said = document(made).headline
    assert said is not None
    again = restored(
        RecommendationDocument.model_validate_json(document(made).model_dump_json()), made.profile
    )
    assert headline(again) == said
    assert escape(said.start) in page(made)
    assert escape(said.chance) in page(made)
