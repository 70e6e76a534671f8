"""The page of an answer that was published and stored long ago is that of the answer itself."""

from __future__ import annotations

from recommender.report.document import RecommendationDocument, document, restored
from recommender.report.page import page
from tests.report.kit import long_ranking


def test_the_page_of_a_published_answer_is_drawn_from_its_document() -> None:
    made = long_ranking()
    published = RecommendationDocument.model_validate_json(document(made).model_dump_json())
    again = restored(published, made.profile)
    assert again.provenance == made.provenance
    assert page(again) == page(made)
