"""The page of an answer that was published and stored long ago is that of the answer itself."""

from __future__ import annotations

import json
from dataclasses import replace

from markupsafe import escape

from recommender.records import Interval
from recommender.report.document import RecommendationDocument, document, restored
from recommender.report.headline import headline
from recommender.report.older_documents import current_json
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


def test_an_answer_that_an_earlier_build_stored_is_read_as_one_of_today() -> None:
    made = long_ranking()
    today = document(made).model_dump_json()
    published = json.loads(today)
    for row in published["ranking"]:
        for cost in (row, *row["sizes"]):
            cost["cost"] = cost.pop("money")
            del cost["training_mb"]
        del row["learning_rate"], row["freeze"]
    start = published["decision"].pop("start")
    published["decision"] |= start
    used = {"run": "r", "target": "t", "same_target": True, "epochs": 5, "imgsz": 640, "train_images": 9}
    published["rests_on"] = [used | start | {"score": 0.5, "effect": 0.1}]
    one = {**start, "imgsz": 640, "score": 0.4, "instead": start, "instead_score": None, "latency_ms": None}
    published["folded"] = [one]
    published["ranking"][-1]["expected_loss"] = None
    text = json.dumps(published)
    read = RecommendationDocument.model_validate_json(text)
    assert read.decision is not None
    assert (read.decision.start.checkpoint, read.decision.tied) == (start["checkpoint"], made.decision.tied)
    assert (read.rests_on[0].target_name, read.rests_on[0].start.mode) == ("t", start["mode"])
    assert read.folded[0].instead_score == 0.4
    assert [row.money for row in read.ranking] == [row.money for row in made.ranking]
    assert RecommendationDocument.model_validate_json(current_json(text)) == read
    assert current_json(today) == today
    assert page(restored(read, made.profile))
