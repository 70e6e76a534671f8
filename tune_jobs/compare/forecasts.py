"""The forecast for the starts compared, made before their first run and stored: users see how far to trust it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from recommender.atomic_files import replacing
from recommender.checkpoints import coverage
from recommender.comparison.comparison_input import ComparedStart, ExpectedScore, PriorForecast
from recommender.errors import StorageError
from recommender.evidence import gather
from recommender.forecast.history import known_history, known_scales
from recommender.forecast.ranking import StartForecast, rank_starts
from recommender.forecast.situation import Situation
from recommender.forecast.warnings import notes, warnings
from recommender.profile.known import known_profile, source_profile, source_profiles
from recommender.progress import Progress
from recommender.records import Budget, Dataset, Evidence, Notice, Profile, TransferCoverage
from recommender.requests import CompareRequest
from recommender.store import Store
from recommender.store.records_json import decode, encode
from tune_jobs.compare.planning import ComparisonEntry


def compared_starts_of(
    entries: Sequence[ComparisonEntry], target: Dataset, store: Store, progress: Progress
) -> tuple[ComparedStart, ...]:
    """The starts of a comparison with all that is known of them before training; profiles the target if needed."""
    profile = known_profile(target, store, progress=progress)
    checkpoints = {entry.checkpoint.name: entry.checkpoint for entry in entries if entry.checkpoint}
    evidence = gather(
        target,
        profile,
        list(checkpoints.values()),
        source_profiles({c.source_hash for c in checkpoints.values() if c.source_hash}, store),
        store=store,
        max_feature_candidates=len(checkpoints),
        progress=progress,
    )
    return tuple(
        ComparedStart(
            start=entry.start,
            architecture=entry.architecture,
            checkpoint=entry.checkpoint,
            evidence=evidence[entry.checkpoint.name] if entry.checkpoint else Evidence(),
            coverage=_coverage(entry, target),
        )
        for entry in entries
    )


def forecast_starts(
    request: CompareRequest,
    target: Dataset,
    compared_starts: Sequence[ComparedStart],
    store: Store,
    *,
    hidden: Collection[str],
    file: Path,
) -> PriorForecast:
    """The forecast kept in `file`; made now, and kept, where there is none yet.

    `hidden` are the ids of this comparison's own runs: all else that the history knows may speak.
    """
    kept = _kept(file)
    if kept is not None:
        return kept
    profile = known_profile(target, store)
    history = tuple(seen for seen in known_history(store, task=profile.task) if seen.run.id not in hidden)
    expected: list[ExpectedScore] = []
    notices: dict[tuple[str, str], Notice] = {}
    for fraction in sorted(request.fractions, reverse=True):
        situations = [_situation(request, profile, one, fraction, store) for one in compared_starts]
        ranked = rank_starts(history, situations, scales=known_scales(profile.task))
        expected += [_expected(forecast, fraction) for forecast in ranked]
        told = (*warnings(ranked, batch=request.batch, scratch_asked=True), *notes(ranked))
        notices |= {(n.code, n.message): n for n in told}
    made = PriorForecast(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        history_runs=len(history),
        history_runs_here=sum(seen.run.target_hash == target.content_hash for seen in history),
        expected=tuple(expected),
        warnings=tuple(notices.values()),
    )
    with replacing(file) as part:
        part.write_text(encode(made), encoding="ascii")
    return made


def _kept(file: Path) -> PriorForecast | None:
    try:
        return decode(PriorForecast, file.read_text("ascii"))
    except (FileNotFoundError, StorageError, UnicodeDecodeError):
        return None  # never made, or damaged


def _situation(
    request: CompareRequest, profile: Profile, one: ComparedStart, fraction: float, store: Store
) -> Situation:
    checkpoint = one.checkpoint
    return Situation(
        target=profile,
        num_train_images=max(1, round(profile.num_images.train * fraction)),
        budget=Budget(epochs=request.epochs, imgsz=request.imgsz),
        start=one.start,
        checkpoint=checkpoint,
        source=None if checkpoint is None else source_profile(checkpoint.source_hash, store),
        evidence=one.evidence,
    )


def _expected(forecast: StartForecast, fraction: float) -> ExpectedScore:
    return ExpectedScore(
        start=forecast.situation.start,
        fraction=fraction,
        score=forecast.score,
        p_best=forecast.p_best,
    )


def _coverage(entry: ComparisonEntry, target: Dataset) -> TransferCoverage:
    if entry.checkpoint is not None:
        return coverage(entry.checkpoint, None, target.class_names)
    from recommender.families.ultralytics.models import tensor_shapes
    from recommender.families.ultralytics.transfer import TransferPlan, count_transfer

    nothing = TransferPlan(whole=frozenset(), row_tensors=frozenset(), row_pairs=())
    shapes = tensor_shapes(entry.architecture, len(target.class_names))
    return count_transfer(nothing, shapes, len(target.class_names))
