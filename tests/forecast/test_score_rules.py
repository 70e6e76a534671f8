"""The transferability scores that the forecast heeds, and the parts a detector lacks that is to draw masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.forecast.rules import RULES, SCORED, features
from recommender.forecast.situation import Situation
from recommender.records import Checkpoint, Evidence, Mode, Start, TrainingStep
from recommender.tasks import Task
from tests.forecast.builders import profile, situation

IMAGENET = TrainingStep(source_name="ImageNet", source_images=1_281_167)


def starts(mode: Mode, task: Task) -> list[Situation]:
    """Three starts whose every score rises from the first to the last."""
    target = replace(profile("target", 0.3), task=task)
    return [
        situation(
            target,
            profile(f"source{i}", 0.2 * i),
            mode=mode,
            evidence=Evidence(scores={row.name: 0.1 * i for row in SCORED}),
        )
        for i in range(3)
    ]


@pytest.mark.parametrize(
    ("mode", "task", "heeded"),
    [
        ("full", "detect", set()),
        ("freeze", "detect", {row.name for row in SCORED if row.of_frozen}),
        ("full", "classify", {row.name for row in SCORED}),
        ("freeze", "classify", {row.name for row in SCORED}),
    ],
)
def test_scores_count_where_the_features_stay(mode: Mode, task: Task, heeded: set[str]) -> None:
    columns = features(starts(mode, task))[:, len(RULES) :]
    assert {row.name for row, column in zip(SCORED, columns.T, strict=True) if column.any()} == heeded
    assert (np.diff(columns, axis=0) >= 0).all()


def test_what_is_said_of_others_does_not_depend_on_what_a_user_adds() -> None:
    """One weak network or fifty of it must not stretch the scale by which the public ones are told apart."""
    public = [replace(one, checkpoint=of(one, origin="zoo")) for one in starts("freeze", "detect")]
    mine = of_scores(public[0], "mine", 0.15)
    alone = features([*public, mine])[:, len(RULES) :]
    assert alone[-1].any()
    for number in (1, 50):
        weak = [of_scores(public[0], f"weak{i}", -9.0 - 1e-3 * i) for i in range(number)]
        nothing = of_scores(public[0], "no number", float("nan"))
        among = features([*public, mine, *weak, nothing])[:, len(RULES) :]
        assert np.array_equal(among[: len(alone)], alone)
        assert not among[-1].any()
    # Where too few are public, there is nothing else to go by.
    few = features([mine, of_scores(mine, "b", 0.1), of_scores(mine, "c", 0.3)])[:, len(RULES) :]
    assert few.any()


def of(situation: Situation, **changes: object) -> Checkpoint:
    assert situation.checkpoint is not None
    return replace(situation.checkpoint, **changes)  # type: ignore[arg-type]


def of_scores(like: Situation, name: str, score: float) -> Situation:
    """A registered checkpoint with this number for every score."""
    return replace(
        like,
        start=Start(checkpoint=name, mode=like.start.mode),
        checkpoint=of(like, name=name, origin="registry", sha256=name),
        evidence=Evidence(scores={row.name: score for row in SCORED}),
    )


def test_a_detector_starts_masks_at_random_until_long_training_has_made_up_for_it() -> None:
    column = [rule.name for rule in RULES].index("masks_at_random")
    detector = starts("full", "segment")[0]
    checkpoint = detector.checkpoint
    assert checkpoint is not None
    detector = replace(detector, budget=replace(detector.budget, epochs=2))
    segmenter = replace(detector, checkpoint=replace(checkpoint, task="segment"))
    long = replace(detector, budget=replace(detector.budget, epochs=300))
    short_value, own_value, long_value = features((detector, segmenter, long))[:, column]
    assert short_value > 0.5
    assert own_value == 0.0
    assert long_value < 0.1


def test_a_classifier_trained_anew_on_few_images_trails_the_one_it_began_from() -> None:
    column = [rule.name for rule in RULES].index("classify_retrained")
    few = starts("freeze", "classify")[0]
    assert few.checkpoint is not None
    classifier = replace(few.checkpoint, task="classify", source_images=600, lineage=(IMAGENET,))
    few = replace(few, checkpoint=classifier)
    first = replace(few, checkpoint=replace(classifier, source_images=1_281_167, lineage=None))
    detector = replace(few, checkpoint=replace(classifier, task="detect"))
    assert RULES[column].weight * features((few,))[0, column] < -0.1
    assert features((first, detector))[:, column].tolist() == [0.0, 0.0]
