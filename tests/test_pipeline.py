"""The rows of a ranking that the main job shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import UsageError
from recommender.forecast.ranking import rank_starts
from recommender.forecast.situation import PartialRun
from recommender.pipeline import _is_supported, answer
from recommender.ranked_starts import first_rows, ranked_starts
from recommender.requests import RecommendRequest
from recommender.store import Store
from tests.forecast.builders import observation, profile, situation

TARGET = profile("target", 0.0)


def test_coco_and_scratch_show_with_their_true_ranks_however_few_are_asked_for() -> None:
    sources = [
        profile("near", 0.1),
        profile("cousin", 0.3),
        profile("coco-yolo11n", 2.9),
        profile("far", 3.1),
    ]
    ranked = rank_starts([], [situation(TARGET, source) for source in (*sources, None)])
    places = {forecast.situation.start.checkpoint: i + 1 for i, forecast in enumerate(ranked)}
    assert places["coco-yolo11n"] > 1  # else this would prove nothing
    shown = {
        row.start.checkpoint: row.rank
        for row in first_rows(ranked_starts(ranked, (), runs={}, options={}, tried={}), 1)
    }
    assert shown == {name: places[name] for name in ("near", "coco-yolo11n", "scratch")}


def test_a_trial_that_broke_off_supports_no_budget() -> None:
    asked = situation(TARGET, profile("near", 0.1), epochs=300)
    finished = observation(asked, 0.4)
    broken_off = replace(finished, partial=PartialRun(group="here", offset=0.1, slope=1.0, noise=0.1))
    assert not _is_supported([broken_off], asked)
    assert _is_supported([broken_off, finished], asked)


@pytest.mark.parametrize("option", ["gpu", "device"])
def test_an_unknown_device_is_refused_before_the_data_are_read(option: str, tmp_path: Path) -> None:
    request = RecommendRequest.model_validate({"dataset": str(tmp_path / "nowhere"), option: "abacus"})
    with Store(tmp_path / "store.sqlite3") as store, pytest.raises(UsageError, match="abacus"):
        answer(request, store=store)
