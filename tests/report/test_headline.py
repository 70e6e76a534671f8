"""The four lines say what the table says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.records import SCRATCH, Notice, TrialValue
from recommender.report.headline import headline, trials_worth
from tests.report.kit import answer_of, long_ranking, ranked


def test_every_number_of_the_headline_stands_in_the_first_row() -> None:
    said = headline(
        answer_of(ranked(1, "coco", "freeze", loss=0.013, p_best=0.36), ranked(2, "b", "full", loss=0.1))
    )
    assert said.start == "coco:freeze at 160 px, backbone frozen; mAP50-95 0.49 (0.44–0.54) expected"
    assert said.chance.startswith(
        "36% to be the best of 2 starts; choosing it is expected to lose 0.01 mAP50-95"
    )
    assert said.tied == "nothing; the next, b:full, is expected to end 0.09 lower"
    assert said.command == "recommend train --dataset target --start coco:freeze"


def test_how_little_a_few_val_images_show_stands_beside_the_chance() -> None:
    answer = answer_of(ranked(1, "coco", "freeze", p_best=0.89), ranked(2, "b", "full", loss=0.1))
    assert "val image" not in headline(answer).chance
    few = replace(answer.profile, num_images=replace(answer.profile.num_images, val=2))
    said = headline(replace(answer, profile=few)).chance
    assert said.endswith("against the best; 2 val images can hardly show which is")


def test_the_latency_stands_beside_the_start_where_a_device_was_named() -> None:
    row = replace(ranked(1, "coco", "full"), latency_ms=81.24, latency_basis="measured", imgsz=480)
    assert headline(answer_of(row)).start.startswith("coco:full at 480 px, ")
    assert headline(answer_of(row)).start.endswith("expected, 81.2 ms an image")
    guessed = replace(row, latency_basis="estimated from yolo11n at 640 px")
    assert headline(answer_of(guessed)).start.endswith("expected, about 81.2 ms an image")


@pytest.mark.parametrize(
    ("hours", "said"),
    [(2.24, "2.2 h"), (0.9999, "1 h"), (0.98, "59 min"), (0.004, "1 min"), (1.0, "1 h"), (74.6, "75 h")],
)
def test_how_long_it_trains_stands_beside_what_is_expected(hours: float, said: str) -> None:
    row = replace(ranked(1, "coco", "full"), hours=hours)
    assert headline(answer_of(row)).start.endswith(f"expected after about {said} of training")


def test_what_cannot_be_told_apart_is_named_and_the_rest_counted() -> None:
    assert headline(long_ranking()).tied == "cannot be told apart from it: c1:full, c2:full"
    turned = replace(long_ranking().decision, tied=long_ranking().decision.tied[::-1])
    named = headline(replace(long_ranking(), decision=turned)).tied
    assert named == "cannot be told apart from it: c1:full, c2:full"  # as the table has them
    cut = replace(long_ranking(), ranking=long_ranking().ranking[:1])  # --top 1
    assert headline(cut).tied == "cannot be told apart from it: c1:full, c2:full"
    many = replace(long_ranking(), decision=answer_of(*long_ranking().ranking, tied=6).decision)
    assert headline(many).tied == "cannot be told apart from it: c1:full, c2:full and 3 more"


def test_a_start_that_was_trained_on_these_images_is_no_next_one() -> None:
    first, scratch = ranked(1, "coco", "full"), ranked(2, SCRATCH, "scratch", loss=0.3)
    own = ranked(3, "own", "full", loss=0.08, seen=1.0)
    assert headline(answer_of(first, scratch, own)).tied == "nothing: scratch is behind"
    rival = ranked(4, "b", "full", loss=0.1)
    assert "the next, b:full," in headline(answer_of(first, own, rival)).tied


def test_where_no_start_gets_anywhere_nothing_is_told_apart() -> None:
    rows = [ranked(1, "a", "full", loss=0.47), ranked(2, "b", "full", loss=0.48)]
    low = [replace(row, score=replace(row.score, low=0.0, high=0.07)) for row in rows]
    own = ranked(3, "own", "full", seen=1.0)  # its score says nothing
    said = headline(answer_of(*low, own, tied=2)).tied
    assert said.startswith(
        "nothing can be told apart at this budget: no start is likely to reach 0.08 mAP50-95"
    )
    dead = answer_of(*low, tied=2)
    value = TrialValue(starts=dead.decision.tied, gain=0.01, cost=2.0, hours=None)
    assert trials_worth(replace(dead, decision=replace(dead.decision, trials=value))) is None
    hopeful = replace(low[1], score=replace(low[1].score, high=0.09))
    assert headline(answer_of(low[0], hopeful, tied=2)).tied == "cannot be told apart from it: b:full"
    assert headline(answer_of(low[0])).tied == "nothing: it is the only start"


def test_what_trials_would_bring_is_said_where_it_is_worth_it() -> None:
    recommendation = long_ranking()
    assert trials_worth(recommendation) is None
    value = TrialValue(starts=recommendation.decision.tied, gain=0.0042, cost=2.6, hours=None)
    tried = replace(recommendation, decision=replace(recommendation.decision, trials=value))
    assert trials_worth(tried) == (
        "To be surer, train the 3 that lead and keep the best: expected to win back 0.004 mAP50-95 of that loss, "
        "for 2.6 full trainings of YOLO11n's size."
    )
    timed = replace(value, cost=107.0, hours=0.8)
    tried = replace(recommendation, decision=replace(recommendation.decision, trials=timed))
    assert "of that loss, for some 48 min." in str(trials_worth(tried))


def test_scratch_left_alone_is_said_first_and_is_no_best_start() -> None:
    notice = Notice(code="only_scratch", message="No pretrained start here is under a permissive licence.")
    said = headline(answer_of(ranked(1, SCRATCH, "scratch", p_best=1.0), warnings=(notice,)))
    assert said.start.startswith("No pretrained start here is under a permissive licence.")
    assert "100%" not in said.chance
    assert "nothing to compare" in said.chance
