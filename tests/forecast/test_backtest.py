"""Metrics against hand-made values, and a backtest on a world whose law is known."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from recommender.errors import UsageError
from recommender.forecast.backtest import backtest, bootstrap, cases, check_of
from recommender.forecast.metrics import random_metrics, ranking_metrics
from recommender.forecast.rankers import always_reference
from recommender.forecast.ranking import rank_starts
from recommender.forecast.situation import Observation
from recommender.records import Evidence, Interval
from recommender.report.backtest import backtest_document, print_backtest
from recommender.tasks import Task
from tests.forecast.builders import observation, profile, situation

TRUTH = np.array([0.5, 0.4, 0.3, 0.2])


def world(num_targets: int = 8, task: Task = "detect") -> list[Observation]:
    """Results fall with the distance of source and target on the circle; scratch is poor everywhere."""
    targets = [replace(profile(f"t{i}", 0.35 * i), task=task) for i in range(num_targets)]
    sources = [profile(f"s{i}", 0.35 * i + 0.1) for i in range(num_targets)]
    found = []
    for target, source in itertools.product(targets, sources):
        case = situation(target, source)
        found.append(observation(case, 0.3 + 0.2 * (case.evidence.similarity or 0.0)))
    return found + [observation(situation(target, None), 0.02) for target in targets]


def test_marks_of_perfect_reversed_and_middling_orders() -> None:
    perfect, reverse = ranking_metrics(TRUTH, TRUTH), ranking_metrics(TRUTH, -TRUTH)
    assert (perfect.rel_at_1, perfect.rel_at_3, perfect.regret_at_1, perfect.top_1) == (1, 1, 0, 1)
    assert perfect.tau_w == pytest.approx(1)
    assert reverse.rel_at_1 == pytest.approx(0.4)
    assert reverse.rel_at_3 == pytest.approx(0.8)
    assert reverse.regret_at_1 == pytest.approx(0.3)
    assert reverse.tau_w == pytest.approx(-1)


def test_equal_scores_earn_the_mean_not_luck() -> None:
    tied = ranking_metrics(TRUTH, np.zeros(4))
    assert tied.rel_at_1 == pytest.approx(TRUTH.mean() / 0.5)
    assert tied.top_1 == pytest.approx(0.25)
    # Of four starts, three at random hold the best with probability 3/4, else the second best.
    assert tied.rel_at_3 == pytest.approx((0.75 * 0.5 + 0.25 * 0.4) / 0.5)


def test_weighted_tau_agrees_with_the_reference() -> None:
    folder = Path(__file__).parents[1] / "evidence" / "reference"
    arrays = np.load(folder / "estimators.npz", allow_pickle=False)
    expected = json.loads((folder / "estimators.json").read_text())["weighted_kendall_tau"]
    assert ranking_metrics(arrays["tau_truth"], arrays["tau_scores"]).tau_w == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.slow
def test_random_order_has_no_correlation() -> None:
    found = random_metrics(TRUTH, rng=np.random.default_rng(0), draws=2000)
    assert abs(found.tau_w) < 0.05
    assert found.rel_at_1 == pytest.approx(TRUTH.mean() / 0.5, abs=0.02)


def test_bootstrap_of_equal_values_has_no_width() -> None:
    interval = bootstrap([0.5] * 6)
    assert interval.low == interval.high == interval.mean == 0.5


@pytest.mark.parametrize(
    ("task", "custom", "metric"),
    [
        ("detect", "coco", "map50_95"),
        ("segment", "coco-seg", "mask_map50_95"),
        ("classify", "imagenet", "top1"),
    ],
)
@pytest.mark.slow
def test_the_forecast_learns_the_law_of_the_world_and_static_cannot(
    task: Task, custom: str, metric: str
) -> None:
    result = backtest(world(task=task))
    forecast, static = result.mean("forecast", "tau_w"), result.mean("static", "tau_w")
    assert forecast is not None
    assert static is not None
    assert forecast.mean > 0.85
    assert forecast.mean > static.mean
    assert result.difference("forecast", "static", "tau_w").low > 0
    document = json.loads(backtest_document(result).model_dump_json())
    assert (document["task"], document["metric"], document["targets"]) == (task, metric, 8)
    assert custom in document["methods"]
    assert ("linear_probe" in document["methods"]) == (task == "classify")
    assert set(document[f"forecast_minus_{custom}"]["tau_w"]) == {"mean", "low", "high", "level"}
    assert set(document["forecast_minus_static"]["tau_w"]) == {"mean", "low", "high", "level"}


def test_the_custom_start_is_the_one_of_the_same_task() -> None:
    target = replace(profile("t", 0.0), task="segment")
    detector = situation(target, profile("pictures", 1.0))
    assert detector.checkpoint is not None
    segmenter = replace(detector, checkpoint=replace(detector.checkpoint, task="segment"))
    first, second = always_reference((), (segmenter, detector))
    assert first > second


def test_a_perfect_result_lies_in_an_interval_that_reaches_the_scales_end() -> None:
    (case, *_) = cases(world(3))
    ranked = rank_starts((), case.candidates)
    sure = [replace(one, score=Interval(mean=0.99, low=0.97, high=0.999, level=0.8)) for one in ranked]
    perfect = replace(case, truth=(1.0,) * len(case.truth))
    assert check_of(perfect, sure).inside_N.all()
    short = [replace(one, score=replace(one.score, high=0.98)) for one in sure]
    assert not check_of(perfect, short).inside_N.any()


def test_runs_on_the_hidden_target_never_reach_its_forecast() -> None:
    for case in cases(world()):
        assert all(o.situation.target.dataset_hash != case.target for o in case.history)
        assert len(case.history) > 0


def test_runs_on_a_copy_of_the_hidden_target_do_not_reach_it_either() -> None:
    copy = [replace(o, situation=replace(o.situation, target=profile("copy", 0.001))) for o in world()[:8]]
    hidden = {
        case.target: {o.situation.target.dataset_name for o in case.history}
        for case in cases([*world(), *copy])
    }
    assert not {"t0", "copy"} & (hidden["hash-t0"] | hidden["hash-copy"])
    assert {"t0", "copy"} <= hidden["hash-t1"]


def test_checkpoints_that_saw_the_target_do_not_run() -> None:
    target = profile("t0", 0.0)
    cheat = situation(
        target, profile("cheat", 0.0), evidence=Evidence(similarity=1.0, source_images_seen=0.4)
    )
    own = situation(target, target)
    observations = [*world(), observation(cheat, 0.99), observation(own, 0.99)]
    for case in cases(observations):
        assert not {"cheat:full", "t0:full"} & {str(c.start) for c in case.candidates}


def test_too_little_history_is_said_not_scored() -> None:
    with pytest.raises(UsageError, match="recommend sweep"):
        backtest(world(2))


@pytest.mark.slow
def test_dead_targets_and_ties_are_marked_not_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    observations = [
        observation(o.situation, o.score / 10) if o.situation.target.dataset_name == "t3" else o
        for o in world()
    ]
    observations += [observation(situation(profile("t5", 1.75), profile("twin", 1.85)), 0.499)]
    result = backtest(observations)
    rows = {row.name: row for row in backtest_document(result).per_target}
    assert len(rows) == 8
    assert [name for name, row in rows.items() if row.dead] == ["t3"]
    best = max(o.score for o in observations if o.situation.target.dataset_name == "t5")
    near = [o for o in observations if o.situation.target.dataset_name == "t5" and o.score >= best - 0.02]
    assert rows["t5"].tied_with_best == len(near) > 1
    print_backtest(result, Console(width=140))
    told = capsys.readouterr().out
    marks = told[: told.index("mean [95 %")]
    assert marks.count("[") == marks.count("]") > 30
    assert all(line.count("[") == line.count("]") for line in marks.splitlines())  # no interval in two lines
    assert "mostly noise: t3;" in told
    assert f"t5 {len(near)} of" in told
