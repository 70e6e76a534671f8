"""Comparisons nobody trained: curves, boxes and forecasts as given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recommender.comparison.comparison_input import (
    Box,
    ComparedStart,
    ComparisonInput,
    ComparisonPlan,
    Evaluation,
    ExpectedScore,
    FinishedTraining,
    HeldOutSplit,
    PriorForecast,
    Scene,
    Score,
)
from recommender.records import (
    Checkpoint,
    Environment,
    EpochMetrics,
    Evidence,
    Interval,
    LayerTransfer,
    Mode,
    Recipe,
    Start,
    TransferCoverage,
)
from tests.store.builders import run as finished_run

NUM_TRAIN = 100
SCRATCH = Start(checkpoint="scratch", mode="scratch")
COCO = Start(checkpoint="coco", mode="full")


def point(epoch: int, value: float) -> EpochMetrics:
    """One point of a curve; an epoch takes two seconds."""
    return EpochMetrics(
        epoch=epoch,
        score=value,
        details={"map50": min(1.0, 1.6 * value), "map75": 0.8 * value, "precision": value, "recall": value},
        seconds=2.0 * epoch,
    )


def curve(values: Sequence[float]) -> tuple[EpochMetrics, ...]:
    """A learning curve, one value an epoch."""
    return tuple(point(number, value) for number, value in enumerate(values, start=1))


def saturating(top: float, epochs: int, *, slowness: float = 3.0) -> tuple[EpochMetrics, ...]:
    """A curve that nears `top`: a − b / epoch, cut at zero."""
    return curve([max(0.0, top - top * slowness / (slowness + epoch)) for epoch in range(1, epochs + 1)])


def trained(
    start: Start,
    points: Sequence[EpochMetrics],
    *,
    seed: int = 0,
    fraction: float = 1.0,
    boxes: dict[str, tuple[Box, ...]] | None = None,
    **changes: Any,
) -> FinishedTraining:
    """A finished training with this curve; `changes` are fields of the run, or of its recipe."""
    names = Recipe.__dataclass_fields__
    recipe = Recipe(
        epochs=len(points),
        imgsz=64,
        seed=seed,
        fraction=fraction,
        **{k: v for k, v in changes.items() if k in names},
    )
    best = max(points, key=lambda p: (p.score, p.epoch))
    rate = recipe.learning_rate or 1e-3
    run = finished_run(
        hashlib.sha256(f"{start} {fraction} {seed} {rate}".encode()).hexdigest()[:24],
        kind="trial",
        target="t" * 64,
        start=start,
        recipe=recipe,
        num_train_images=round(fraction * NUM_TRAIN),
        curve=tuple(points),
        best=best,
        seconds=points[-1].seconds,
        batch_used=recipe.batch,
        learning_rate_used=rate,
        environment=Environment(hardware="a processor", device="cpu", num_threads=1, versions={}),
    )
    run = replace(run, **{k: v for k, v in changes.items() if k not in names})
    score = Score(score=best.score, details=best.details)
    return FinishedTraining(
        run=run, evaluation=Evaluation(run_id=run.id, split="val", score=score, boxes=boxes or {})
    )


def compared_start(
    start: Start, *, head: float = 1.0, classes_matched: int = 0, **known: Any
) -> ComparedStart:
    """A start of two blocks and a head; `known` are fields of its evidence or of its checkpoint."""
    filled = 0.0 if start.mode == "scratch" else 1.0
    layers = (
        LayerTransfer(
            layer=0, module="Conv", part="backbone", num_parameters=600, num_transferred=round(600 * filled)
        ),
        LayerTransfer(
            layer=1, module="C3k2", part="neck", num_parameters=300, num_transferred=round(300 * filled)
        ),
        LayerTransfer(
            layer=2,
            module="Detect",
            part="head",
            num_parameters=100,
            num_transferred=round(100 * filled * head),
        ),
    )
    evidence = {k: v for k, v in known.items() if k in Evidence.__dataclass_fields__}
    card = {k: v for k, v in known.items() if k not in evidence}
    checkpoint = Checkpoint(
        name=start.checkpoint, origin="registry", architecture="yolo11n", family="yolo11", **card
    )
    return ComparedStart(
        start=start,
        architecture="yolo11n",
        checkpoint=None if start.mode == "scratch" else checkpoint,
        evidence=Evidence(**evidence),
        coverage=TransferCoverage(layers=layers, classes_matched=classes_matched, num_classes=2),
    )


def comparison(
    runs: Sequence[FinishedTraining],
    compared_starts: Sequence[ComparedStart] = (),
    *,
    scenes: Sequence[Scene] = (),
    expected: Sequence[ExpectedScore] = (),
    **plan: Any,
) -> ComparisonInput:
    """A whole comparison of these runs; `plan` are fields of the plan."""
    starts = tuple(dict.fromkeys(one.start for one in runs))
    known = {one.start: one for one in compared_starts}
    asked = ComparisonPlan(
        dataset_name="masks",
        dataset_hash="t" * 64,
        class_names=("mask", "no mask"),
        num_train=NUM_TRAIN,
        num_val=20,
        num_test=0,
        starts=starts,
        fractions=tuple(sorted({one.fraction for one in runs}, reverse=True)) or (1.0,),
        seeds=max((one.run.recipe.seed for one in runs), default=0) + 1,
        epochs=max((one.run.recipe.epochs for one in runs), default=1),
        patience=None,
        imgsz=64,
        batch=16,
        optimizer="AdamW",
        learning_rates=(None,),
        confidence=0.5,
    )
    return ComparisonInput(
        id="0123456789abcdef",
        plan=replace(asked, **plan),
        compared_starts=tuple(known.get(start, compared_start(start)) for start in starts),
        prior_forecast=PriorForecast(
            made_at="2026-11-21T00:00:00+00:00",
            history_runs=0,
            history_runs_here=0,
            expected=tuple(expected),
        ),
        trained=tuple(runs),
        failures=(),
        held=HeldOutSplit(split="val", is_held_out=False, scenes=tuple(scenes)),
        version="0",
    )


def with_tta(whole: ComparisonInput, *, starts: Sequence[Start], gain: float) -> ComparisonInput:
    """The same comparison with test-time augmentation: it adds `gain` to these starts, and fits no other."""
    runs = []
    for one in whole.trained:
        seen = one.evaluation
        assert seen is not None
        score = replace(seen.score, score=seen.score.score + gain) if one.start in starts else None
        runs.append(replace(one, evaluation=replace(seen, tta=score, tried_tta=True)))
    return replace(whole, trained=tuple(runs), plan=replace(whole.plan, tta=True))


def expected(start: Start, mean: float, low: float, high: float, *, fraction: float = 1.0) -> ExpectedScore:
    """A forecast."""
    return ExpectedScore(
        start=start, fraction=fraction, score=Interval(mean=mean, low=low, high=high), p_best=0.5
    )


def box(x1: float, y1: float, x2: float, y2: float, label: int = 0, confidence: float = 1.0) -> Box:
    """A box in fractions of the image."""
    return Box(x1=x1, y1=y1, x2=x2, y2=y2, label=label, confidence=confidence)


def start(name: str, mode: Mode = "full") -> Start:
    """A pretrained start."""
    return Start(checkpoint=name, mode=mode)


def example() -> ComparisonInput:
    """Everything a report shows, at two sizes with three seeds: what the page's tests look at."""
    names = [
        ("scratch", "scratch"),
        ("coco", "full"),
        ("coco", "freeze"),
        ("wider_face-with-a-long-name", "full"),
    ]
    names += [("bccd", "full"), ("cards", "full"), ("<b>pothole</b>", "full"), ("ships", "freeze")]
    starts = [Start(checkpoint=name, mode=mode) for name, mode in names]  # type: ignore[arg-type]
    scenes = [
        Scene(
            name=f"val/{number}.jpg",
            width=320,
            height=240,
            truth=(box(0.1, 0.1, 0.3, 0.4), box(0.5, 0.5, 0.9, 0.9, 1)),
        )
        for number in range(3)
    ]
    poor = {
        scene.name: (box(0.1, 0.1, 0.3, 0.4, 0, 0.9), box(0.6, 0.1, 0.8, 0.3, 1, 0.7)) for scene in scenes
    }
    good = {
        scene.name: (box(0.11, 0.1, 0.3, 0.4, 0, 0.9), box(0.5, 0.5, 0.9, 0.9, 1, 0.8)) for scene in scenes
    }
    seen: tuple[dict[str, tuple[Box, ...]], ...] = ({}, {**poor}, {**good})
    runs = [
        trained(
            one,
            saturating((0.45 - 0.04 * rank) * (0.7 if fraction < 1 else 1.0) + 0.004 * seed, 30),
            seed=seed,
            fraction=fraction,
            boxes=seen[rank % 3],
        )
        for rank, one in enumerate(starts)
        for seed in range(3)
        for fraction in (1.0, 0.33)
    ]
    forecasts = [expected(one, 0.4, 0.2, 0.5, fraction=f) for one in starts for f in (1.0, 0.33)]
    known = [compared_start(one, similarity=0.9 - 0.1 * rank) for rank, one in enumerate(starts)]
    return comparison(runs, known, scenes=scenes, expected=forecasts)


def classified_example() -> ComparisonInput:
    """A classification set of three classes and three starts with two seeds: one that is always right, one that takes
    every rose for a tulip, one that sees nothing but tulips.
    """
    names = ("tulip", "rose", "<b>daisy</b> with a long name")
    truths = [0, 0, 0, 1, 1, 2]
    scenes = [
        Scene(name=f"val/{number}.jpg", width=120, height=160, truth=(box(0, 0, 1, 1, label),))
        for number, label in enumerate(truths)
    ]
    guesses = {"imagenet": [0, 0, 0, 1, 1, 2], "coco": [0, 0, 0, 0, 0, 2], "scratch": [0] * 6}
    runs = [
        trained(
            Start(checkpoint=name, mode="scratch" if name == "scratch" else "full"),
            saturating(0.99 - 0.2 * rank + 0.004 * seed, 8),
            seed=seed,
            boxes={s.name: (box(0, 0, 1, 1, label, 0.2),) for s, label in zip(scenes, labels, strict=True)},
        )
        for rank, (name, labels) in enumerate(guesses.items())
        for seed in range(2)
    ]
    return replace(comparison(runs, scenes=scenes, class_names=names), task="classify")
