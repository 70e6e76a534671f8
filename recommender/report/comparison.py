"""A comparison as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from recommender.comparison.comparison_input import ComparedStart, ComparisonInput, FinishedTraining
from recommender.comparison.confusion import Confusion
from recommender.comparison.findings import Findings
from recommender.comparison.reasons import rates_tried, trainable_share
from recommender.comparison.rows import ComparisonRow
from recommender.comparison.summary import catch_up_text, size_text
from recommender.records import SplitCounts
from recommender.records.fields import same_fields
from recommender.report.comparison_confusion import MOST_PAIRS
from recommender.report.comparison_schema import (
    AskedPart,
    CatchUpPart,
    ClassesPart,
    ComparisonDocument,
    ConfusedPart,
    CurvePart,
    FailurePart,
    ForecastPart,
    ForecastRow,
    LossPart,
    ModePart,
    RatePart,
    RowPart,
    ScenePart,
    SizesPart,
)
from recommender.report.document import Document, rounded

PartT = TypeVar("PartT", bound=Document)
DIGITS = 5  # of published numbers
MOST_CLASSES = 200  # whose whole matrix is written: it grows with their square


def comparison_document(comparison: ComparisonInput, findings: Findings) -> ComparisonDocument:
    """The whole comparison as published."""
    plan, catch_up, sizes = comparison.plan, findings.catching_up, findings.sizes
    return ComparisonDocument(
        id=comparison.id,
        version=comparison.version,
        dataset=plan.dataset_name,
        dataset_hash=plan.dataset_hash,
        images=SplitCounts(train=plan.num_train, val=plan.num_val, test=plan.num_test),
        classes=plan.class_names,
        asked=AskedPart(**same_fields(AskedPart, plan), scored_on=comparison.held.split),
        sentences=findings.sentences,
        noise=findings.noise_sentence,
        seed_deviation=findings.noise.deviation,
        table=tuple(
            _part(RowPart, row, checkpoint=row.start.checkpoint, mode=row.start.mode) for row in findings.rows
        ),
        catch_up=None if catch_up is None else _part(CatchUpPart, catch_up, text=catch_up_text(catch_up)),
        sizes=None if sizes is None else _part(SizesPart, sizes, text=size_text(sizes)),
        modes=tuple(_mode(comparison, row) for row in findings.main),
        losses=tuple(
            _part(LossPart, loss, start=loss.row.start, against=loss.winner.start) for loss in findings.losses
        ),
        forecast=_forecast(comparison, findings),
        pictures=tuple(_part(ScenePart, one, image=one.scene.name) for one in findings.differences),
        by_class=tuple(_classes(one, plan.class_names) for one in findings.confusions),
        curves=tuple(_curve(trained) for trained in comparison.trained),
        warnings=tuple(findings.notices),
        failures=tuple(_part(FailurePart, failure) for failure in comparison.failures),
        ended_early=comparison.ended_early,
        hardware=comparison.hardware,
    )


def _part(model: type[PartT], record: object, **more: object) -> PartT:
    """The part of the document whose fields the record has under the same names, and `more`; numbers rounded."""
    return model(**same_fields(model, rounded(record, DIGITS)) | rounded(more, DIGITS))


def _classes(confusion: Confusion, names: Sequence[str]) -> ClassesPart:
    accuracies = zip(names, confusion.accuracies(), strict=True)
    return _part(
        ClassesPart,
        confusion,
        accuracy=dict(accuracies),
        confusion=tuple(map(tuple, confusion.counts_CC.tolist())) if len(names) <= MOST_CLASSES else (),
        most_confused=tuple(
            _part(ConfusedPart, one, true=names[one.true], predicted=names[one.predicted], images=one.count)
            for one in confusion.most_confused(MOST_PAIRS)
        ),
    )


def _curve(trained: FinishedTraining) -> CurvePart:
    run = trained.run
    return CurvePart(
        run=run.id,
        start=str(run.start),
        fraction=run.recipe.fraction,
        seed=run.recipe.seed,
        learning_rate=run.learning_rate_used,
        normalisation=run.recipe.normalisation,
        points=run.curve,
    )


def _mode(comparison: ComparisonInput, row: ComparisonRow) -> ModePart:
    one: ComparedStart = comparison.compared_start(row.start)
    coverage = one.coverage
    return _part(
        ModePart,
        one,
        transferred=coverage.share(),
        backbone_transferred=coverage.share("backbone"),
        neck_transferred=coverage.share("neck"),
        head_transferred=coverage.share("head"),
        classes_matched=coverage.classes_matched,
        trainable=trainable_share(one),
        rates_tried=tuple(
            RatePart(learning_rate=rate, val_score=round(value, DIGITS))
            for rate, value in rates_tried(comparison, row)
        ),
        similarity=one.evidence.similarity,
        images_seen=one.evidence.source_images_seen,
        blocks=coverage.layers,
    )


def _forecast(comparison: ComparisonInput, findings: Findings) -> ForecastPart:
    seen = findings.forecast_error
    rows = tuple(
        _part(ForecastRow, one, **same_fields(ForecastRow, one.expected), forecast=one.expected.score)
        for one in seen.outcomes
    )
    return _part(
        ForecastPart,
        comparison.prior_forecast,
        rows=rows,
        first_choice=seen.first_choice,
        regret=seen.regret,
    )
