"""A recommendation made again from its published document, for pages drawn long after the answer."""

from __future__ import annotations

from recommender.records import (
    Cost,
    Decision,
    Evidence,
    FoldedStart,
    Profile,
    RankedStart,
    Recommendation,
    SizeOption,
    Start,
)
from recommender.report.document import EvidencePart, FoldedPart, RankedPart, RecommendationDocument
from recommender.tasks import TASKS


def restored(document: RecommendationDocument, profile: Profile) -> Recommendation:
    """The recommendation that was published so, for the profile of its data set.

    What only the making of an answer needs is left out: trials and the runs it rests on. Answers of version 0.1 know
    no decision; theirs is that the first start leads alone.
    """
    rows = tuple(map(_row, document.ranking))
    return Recommendation(
        profile=profile,
        budget=document.budget,
        ranking=rows,
        warnings=document.warnings,
        notes=document.notes,
        method=document.method,
        train_command=document.train_command or "",
        command=document.command,
        provenance=document.provenance,
        decision=_decision(document, rows),
        level_supported=document.level_supported,
        task=next(task.name for task in TASKS if task.name == document.dataset.task),
        verdict=document.verdict,
        device=document.device,
        limits=document.limits,
        max_latency_ms=document.max_latency_ms,
        max_hours=document.max_hours,
        max_flops_b=document.max_flops_b,
        folded=tuple(map(_folded, document.folded)),
    )


def _decision(document: RecommendationDocument, rows: tuple[RankedStart, ...]) -> Decision:
    published = document.decision
    if published is None:
        first = rows[0]
        return Decision(
            start=first.start,
            expected_loss=first.expected_loss,
            num_starts=len(rows),
            tied=(first.start,),
            tie_rule="",
            trials=None,
        )
    return Decision(
        start=_start(published.checkpoint, published.mode),
        expected_loss=published.expected_loss,
        num_starts=published.num_starts,
        tied=published.tied,
        tie_rule=published.tie_rule,
        trials=None,
    )


def _row(part: RankedPart) -> RankedStart:
    return RankedStart(
        rank=part.rank,
        start=_start(part.checkpoint, part.mode),
        score=part.score,
        p_best=part.p_best,
        expected_loss=part.expected_loss or 0.0,
        gain_over_scratch=part.gain_over_scratch,
        evidence=_evidence(part.evidence),
        reasons=part.reasons,
        available=part.available,
        architecture=part.architecture,
        hours=part.hours,
        imgsz=part.imgsz,
        fetch_mb=part.fetch_mb,
        on_front=part.on_front,
        sizes=tuple(
            SizeOption(
                imgsz=size.imgsz,
                score=size.score,
                allowed=size.allowed,
                cost=Cost(
                    flops_b=size.flops_b,
                    latency_ms=size.latency_ms,
                    latency_basis=size.latency_basis,
                    hours=size.hours,
                    money=size.cost,
                ),
            )
            for size in part.sizes
        ),
        cost=Cost(
            flops_b=part.flops_b,
            latency_ms=part.latency_ms,
            latency_basis=part.latency_basis,
            memory_mb=part.memory_mb,
            hours=part.hours,
            money=part.cost,
        ),
    )


def _folded(part: FoldedPart) -> FoldedStart:
    return FoldedStart(
        start=_start(part.checkpoint, part.mode),
        imgsz=part.imgsz,
        score=part.score,
        instead=part.instead,
        instead_score=part.score if part.instead_score is None else part.instead_score,
        cost=Cost(latency_ms=part.latency_ms, flops_b=part.flops_b, hours=part.hours),
    )


def _evidence(part: EvidencePart) -> Evidence:
    measured = {name: value for name, value in part.__pydantic_extra__.items() if value is not None}
    return Evidence(
        **{name: getattr(part, name) for name in EvidencePart.model_fields}, scores=dict(measured)
    )


def _start(checkpoint: str, mode: str) -> Start:
    return Start(checkpoint=checkpoint, mode=mode)  # type: ignore[arg-type]  # published from a Start
