"""Rows, sizes, reasons, forecast_error and the sentences, from comparisons whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recommender.comparison.comparison_input import ComparisonInput, Evaluation, FinishedTraining, Score
from recommender.comparison.findings import Findings, findings_of
from recommender.comparison.rows import chosen_rates, rows_of
from recommender.records import Notice, Start
from tests.compare import builders
from tests.compare.builders import (
    COCO,
    SCRATCH,
    compared_start,
    comparison,
    curve,
    expected,
    saturating,
    start,
    trained,
)

EPOCHS = 20


def runs_of(
    *tops: tuple[Start, float], seeds: int = 3, fraction: float = 1.0, **changes: Any
) -> list[FinishedTraining]:
    return [
        trained(one, saturating(top + 0.004 * (seed - 1), EPOCHS), seed=seed, fraction=fraction, **changes)
        for one, top in tops
        for seed in range(seeds)
    ]


def reasons_of(found: Findings, name: str) -> dict[str, str]:
    loss = next(loss for loss in found.losses if str(loss.row.start) == name)
    return {reason.code: reason.text for reason in loss.reasons}


def test_rows_are_means_over_seeds_the_best_first() -> None:
    rows = rows_of(comparison(runs_of((SCRATCH, 0.2), (COCO, 0.5))))
    assert [str(row.start) for row in rows] == ["coco:full", "scratch"]
    assert rows[0].score.seeds == 3
    assert rows[0].score.mean == pytest.approx(0.5 * EPOCHS / (EPOCHS + 3), abs=1e-3)
    assert rows[0].epochs_to_best.mean == EPOCHS


def test_held_back_images_score_the_models_when_there_are_some() -> None:
    made = comparison(runs_of((COCO, 0.5), seeds=1))
    run = made.trained[0].run
    score = Score(score=0.11, details={"map50": 0.2, "map75": 0.1, "precision": 0.3, "recall": 0.4})
    tested = replace(
        made.trained[0], evaluation=Evaluation(run_id=run.id, split="test", score=score, boxes={})
    )
    held = replace(made.held, split="test", is_held_out=True)
    (row,) = rows_of(replace(made, trained=(tested,), held=held))
    assert row.score.mean == 0.11
    assert row.val_score.mean > 0.4  # what the forecast spoke of stays the validation's
    assert rows_of(replace(made, trained=(replace(tested, evaluation=None),), held=held)) == ()


def test_starting_score_says_what_it_was_measured_on() -> None:
    here = [replace(one, run=replace(one.run, starting_score=0.3)) for one in runs_of((COCO, 0.5))]
    elsewhere = start("bccd")
    made = comparison(
        [*here, *runs_of((elsewhere, 0.4), (SCRATCH, 0.1))], [compared_start(elsewhere, source_score=0.6)]
    )
    found = {str(row.start): row.starting for row in rows_of(made)}
    assert (found["coco:full"].score, found["coco:full"].measured_on) == (0.3, "target")
    assert (found["bccd:full"].score, found["bccd:full"].measured_on) == (0.6, "own domain")
    assert found["scratch"].measured_on == "random weights"


def test_each_start_goes_on_at_its_best_learning_rate() -> None:
    tried = [
        trained(COCO, saturating(0.3, EPOCHS), learning_rate=1e-2),
        trained(COCO, saturating(0.5, EPOCHS), learning_rate=1e-4),
        trained(COCO, saturating(0.4, EPOCHS), learning_rate=1e-4, seed=1),
    ]
    made = comparison([*tried, *runs_of((SCRATCH, 0.1))])
    assert chosen_rates(made)[COCO] == 1e-4
    row = next(row for row in rows_of(made) if row.start == COCO)
    assert row.learning_rate == 1e-4
    assert row.score.seeds == 2


# ── sizes ──


def by_size(gains: dict[float, float]) -> ComparisonInput:
    runs = [
        run
        for fraction, gain in gains.items()
        for run in runs_of((SCRATCH, 0.3), (COCO, 0.3 + gain), fraction=fraction)
    ]
    return comparison(runs)


def test_size_below_which_pretraining_matters_is_between_the_sizes_tried() -> None:
    sizes = findings_of(by_size({1.0: 0.0, 0.33: 0.1, 0.1: 0.3})).sizes
    assert sizes is not None
    assert sizes.kind == "below"
    assert 33 < (sizes.train_images or 0) < 100
    assert [gain.train_images for gain in sizes.gains] == [10, 33, 100]


def test_one_size_tells_nothing_of_sizes() -> None:
    """The JSON document said "at every size tried, from 61 training images (+0.340) to 61 (+0.340)"."""
    assert findings_of(by_size({1.0: 0.2})).sizes is None


def test_everywhere_nowhere_and_only_above() -> None:
    kinds = {
        "everywhere": {1.0: 0.2, 0.1: 0.3},
        "nowhere": {1.0: 0.0, 0.1: 0.001},
        "above": {1.0: 0.2, 0.1: 0.0},
    }
    for kind, gains in kinds.items():
        sizes = findings_of(by_size(gains)).sizes
        assert sizes is not None
        assert sizes.kind == kind


# ── why some lost ──


def test_a_frozen_start_is_told_what_thawing_brings() -> None:
    frozen = start("coco", "freeze")
    found = findings_of(comparison(runs_of((COCO, 0.5), (frozen, 0.3), (SCRATCH, 0.2))))
    texts = reasons_of(found, "coco:freeze")
    assert "40% of the weights train" in texts["frozen"]
    assert "batch norms keep" in texts["frozen"]
    assert "trained in full reach +0.17" in texts["frozen"]


def test_freezing_is_not_blamed_where_it_makes_no_difference() -> None:
    both = ((start("bccd"), 0.3), (start("bccd", "freeze"), 0.3))
    found = findings_of(comparison(runs_of((COCO, 0.5), *both)))
    assert "frozen" not in reasons_of(found, "bccd:freeze")


def test_domain_head_and_source_size_are_named_with_their_numbers() -> None:
    far = start("bccd")
    known = [
        compared_start(COCO, similarity=0.82, source_images=118_287, classes_matched=1),
        compared_start(far, similarity=0.21, source_images=320, head=0.6),
    ]
    texts = reasons_of(findings_of(comparison(runs_of((COCO, 0.5), (far, 0.3)), known)), "bccd:full")
    assert "0.21" in texts["domain"]
    assert "0.82" in texts["domain"]
    assert "60% of its head" in texts["head"]
    assert "none of your 2 classes" in texts["head"]
    assert "320" in texts["source_size"]


def test_class_rows_that_began_at_random_in_both_are_no_reason() -> None:
    frozen, whole = start("imagenet", "freeze"), start("imagenet")
    unknown = [compared_start(one, source_images=1_281_167, classes_matched=0) for one in (frozen, whole)]
    found = findings_of(comparison(runs_of((frozen, 0.5), (whole, 0.3)), unknown))
    assert "head" not in reasons_of(found, "imagenet:full")


def test_the_rates_tried_are_those_of_the_seed_that_tried_them() -> None:
    far = start("bccd")
    lost = [trained(far, saturating(0.1, EPOCHS), learning_rate=1e-2, seed=5)]
    lost += [trained(far, saturating(0.3, EPOCHS), learning_rate=1e-4, seed=seed) for seed in (5, 6, 7)]
    won = [trained(COCO, saturating(0.5, EPOCHS), learning_rate=1e-4, seed=seed) for seed in (5, 6, 7)]
    text = reasons_of(findings_of(comparison([*won, *lost])), "bccd:full")["learning_rate"]
    assert "only one learning rate was tried" not in text
    assert "0.01: " in text


def test_the_learning_rate_is_shown_where_others_were_tried_and_a_suspect_where_not() -> None:
    far = start("bccd")
    tried = [
        trained(far, saturating(0.1, EPOCHS), learning_rate=1e-2),
        *[trained(far, saturating(0.3, EPOCHS), learning_rate=1e-4, seed=seed) for seed in range(3)],
    ]
    winner = [trained(COCO, saturating(0.5, EPOCHS), learning_rate=1e-4, seed=seed) for seed in range(3)]
    text = reasons_of(findings_of(comparison([*winner, *tried])), "bccd:full")["learning_rate"]
    assert "alone moves it by 0.17" in text
    alone = reasons_of(findings_of(comparison(runs_of((COCO, 0.5), (far, 0.3)))), "bccd:full")
    assert "only one learning rate was tried" in alone["learning_rate"]


def test_a_start_that_forgets_itself_at_once_is_seen() -> None:
    forgetful = start("near")
    falls = [
        replace(one, run=replace(one.run, starting_score=0.4))
        for one in (trained(forgetful, curve([0.01, 0.02, *[0.2 + 0.001 * s] * 8]), seed=s) for s in range(3))
    ]
    text = reasons_of(findings_of(comparison([*runs_of((COCO, 0.5)), *falls])), "near:full")["learning_rate"]
    assert "fell from 0.400 to 0.020" in text


def test_within_noise_nobody_lost() -> None:
    assert findings_of(comparison(runs_of((COCO, 0.5), (start("bccd"), 0.499)))).losses == ()


# ── sentences ──


def test_three_sentences_each_with_a_number() -> None:
    found = findings_of(comparison(runs_of((COCO, 0.5), (start("bccd"), 0.2), (SCRATCH, 0.3))))
    assert len(found.sentences) == 3
    assert all(any(letter.isdigit() for letter in sentence) for sentence in found.sentences)
    assert found.sentences[0].startswith("Start from coco:full: mAP50-95 0.4")
    assert "over random weights" in found.sentences[1]
    assert found.sentences[2].startswith("Do not start from bccd:full: 0.0")
    assert "below random weights" in found.sentences[2]


def test_a_difference_within_seed_noise_is_called_that() -> None:
    found = findings_of(comparison(runs_of((COCO, 0.500), (start("bccd"), 0.499), (SCRATCH, 0.1))))
    assert "cannot be told apart" in found.sentences[0]
    assert "seed noise" in found.sentences[0]


def test_among_equals_the_one_that_is_clearly_sooner_there_is_taken() -> None:
    equal = runs_of((COCO, 0.500), (start("bccd"), 0.499))
    assert findings_of(comparison(equal)).sentences[0].endswith("any of them will do.")
    slow = [
        replace(one, run=replace(one.run, best=replace(one.run.curve[-1], seconds=900.0)))
        if one.start == COCO
        else one
        for one in equal
    ]
    sentence = findings_of(comparison(slow)).sentences[0]
    assert sentence.endswith("take bccd:full, which got there in 40 s instead of 15.0 min.")


def test_the_forecast_is_judged_when_nothing_is_more_pressing() -> None:
    forecasts = [expected(COCO, 0.2, 0.1, 0.3), expected(start("bccd"), 0.4, 0.3, 0.5)]
    found = findings_of(comparison(runs_of((COCO, 0.500), (start("bccd"), 0.495)), expected=forecasts))
    assert "would have taken bccd:full, which costs 0.004" in found.sentences[1]
    assert "1 of 2 outcomes" in found.sentences[1]


def test_one_seed_promises_nothing() -> None:
    found = findings_of(comparison(runs_of((COCO, 0.5), (SCRATCH, 0.1), seeds=1)))
    assert "may be chance" in found.sentences[0]
    assert "not measured" in found.noise_sentence
    assert found.losses == ()


def test_starts_that_have_hardly_learnt_are_no_choice() -> None:
    found = findings_of(comparison(runs_of((COCO, 0.03), (SCRATCH, 0.005))))
    assert found.sentences[0].startswith(
        "No start has learnt enough to choose by: the best, coco:full, is at"
    )
    assert "--epochs" in found.sentences[0]


def test_nothing_finished_says_so() -> None:
    found = findings_of(comparison([]))
    assert found.sentences == (
        "No training came to its end, so there is nothing to compare: see what failed below.",
    )


# ── forecast_error and normalisation ──


def test_forecast_and_outcome_side_by_side() -> None:
    runs = runs_of((COCO, 0.5), (SCRATCH, 0.2))
    forecasts = [expected(SCRATCH, 0.5, 0.4, 0.6), expected(COCO, 0.4, 0.3, 0.5)]
    seen = findings_of(comparison(runs, expected=forecasts)).forecast_error
    assert [one.inside for one in seen.outcomes] == [False, True]
    assert seen.first_choice == SCRATCH
    assert seen.regret == pytest.approx(0.3 * EPOCHS / (EPOCHS + 3), abs=1e-6)


def test_small_batches_are_warned_of_unless_scratch_had_group_norm() -> None:
    def codes(**changes: Any) -> set[str]:
        found = findings_of(comparison(runs_of((SCRATCH, 0.2), (COCO, 0.5), **changes)))
        return {notice.code for notice in found.notices}

    assert codes(batch=16) == {"normalisation"}
    assert codes(batch=2) == {"normalisation", "small_batch"}
    assert codes(batch=2, normalisation="group") == {"normalisation"}
    text = findings_of(comparison(runs_of((SCRATCH, 0.2), batch=2, normalisation="group"))).notices[0].message
    assert "group norm for scratch" in text
    assert "gathered over 8 batches" in text


def test_a_warning_about_every_share_is_given_once_but_every_leak() -> None:
    said = [
        ("leak", "a"),
        ("small_for_scratch", "100 images"),
        ("small_for_scratch", "33 images"),
        ("leak", "b"),
    ]
    made = replace(
        comparison(runs_of((COCO, 0.5))),
        notices=tuple(Notice(code=code, message=text) for code, text in said),
    )
    notices = findings_of(made).notices
    assert {n.message for n in notices if n.code != "normalisation"} == {"a", "b", "100 images"}


def test_the_order_of_runs_changes_nothing() -> None:
    made = builders.example()
    assert (
        findings_of(replace(made, trained=tuple(reversed(made.trained)))).sentences
        == findings_of(made).sentences
    )


def test_one_seed_is_not_read_against_three() -> None:
    alone = runs_of((COCO, 0.5), seeds=1)
    found = findings_of(comparison([*alone, *runs_of((SCRATCH, 0.2))]))
    assert "only 1 of 3 seeds" in found.sentences[0]
    assert "Start from" not in found.sentences[0]


def test_a_start_that_began_at_its_best_is_not_called_quick() -> None:
    made = comparison(runs_of((COCO, 0.5), (SCRATCH, 0.3)))
    began = [
        replace(one, run=replace(one.run, starting_score=one.run.best.score))
        if one.start == COCO and one.run.best
        else one
        for one in made.trained
    ]
    said = " ".join(findings_of(replace(made, trained=tuple(began))).sentences)
    assert "quickest to its best was coco" not in said


def test_with_one_seed_every_difference_says_so() -> None:
    found = findings_of(comparison(runs_of((COCO, 0.5), (SCRATCH, 0.2), seeds=1)))
    assert "may be chance" in found.sentences[0]
    assert "may be chance" in found.sentences[1]
