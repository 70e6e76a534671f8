"""Notices about a whole ranking."""

from __future__ import annotations

from recommender.forecast.ranking import outlooks
from recommender.forecast.warnings import warnings
from recommender.records import Evidence
from tests.forecast.builders import profile, situation

TARGET, KIN, STRANGER = profile("target", 0.0), profile("kin", 0.1), profile("stranger", 2.8)


def codes(kin: Evidence) -> set[str]:
    starts = [
        situation(TARGET, KIN, evidence=kin),
        situation(TARGET, STRANGER, evidence=Evidence(similarity=0.2)),
        situation(TARGET, None),
    ]
    return {notice.code for notice in warnings(outlooks([], starts))}


def test_a_source_that_holds_the_targets_own_images_is_not_called_similar() -> None:
    assert "nothing_similar" not in codes(Evidence(similarity=0.95))
    leaking = codes(Evidence(similarity=0.95, source_images_seen=0.5))
    assert {"leak", "nothing_similar"} <= leaking
