"""Runs in the store: each counted once, none that failed ever ranked, none written by a stale owner."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from recommender.errors import ConflictError
from recommender.records import EpochMetrics, Run
from recommender.store.database import require_key, storable
from recommender.store.models import ClaimRow, IgnoredRunRow, RunRow
from recommender.store.repository import Repository, in_parts
from recommender.store.rows import checked, columns_of
from recommender.store.service_records import Page

# A run that is repeated may only improve on what is known of it.
_STATUS_RANK = {"failed": 0, "stopped": 1, "succeeded": 2}
RANKABLE = ("succeeded", "stopped")


class RunResult(NamedTuple):
    """A run in short."""

    id: str
    target_hash: str
    checkpoint: str
    mode: str
    score: float


class Runs(Repository):
    """Runs, keyed by the content hash of what was asked, so that the same training is never counted twice."""

    def add(self, run: Run, *, attempt: int | None = None) -> bool:
        """Record a run; False when it was known already, in which case nothing changes.

        A failed run is replaced by a finished one, never the reverse. Numbers that are not finite make a run
        a failed one. `attempt` is what `claim` returned to the writer: raises ConflictError when somebody has
        claimed the run since, for then the writer is a node that was given up and came back.
        """
        kept = without_broken_numbers(run)
        require_key("run id", kept.id)
        require_key("target hash", kept.target_hash)
        require_key("checkpoint name", kept.start.checkpoint)

        def work(session: Session) -> bool:
            if attempt is not None:
                _refuse_stale(session, kept.id, attempt)
            return record_run(session, kept)

        return self._write(work)

    def get(self, id: str) -> Run | None:
        """The run of this id, or None."""
        return self._record(Run, RunRow, id)

    def list(
        self,
        *,
        target_hash: str | None = None,
        checkpoint: str | None = None,
        mode: str | None = None,
        kind: str | None = None,
        statuses: Collection[str] | None = None,
        limit: int | None = None,
    ) -> tuple[Run, ...]:
        """Runs that match every filter given, oldest first; `statuses=RANKABLE` for what may teach."""
        given = (target_hash, checkpoint, mode, kind)
        if not all(value is None or storable(value) for value in given):
            return ()
        query = _filtered(target_hash=target_hash, checkpoint=checkpoint, mode=mode, kind=kind)
        if statuses is not None:
            query = query.where(RunRow.status.in_(list(statuses)))
        return self._records(Run, query.limit(limit))

    def page(
        self,
        *,
        checkpoint: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """Runs that match every filter given, newest first."""
        query = select(RunRow)
        for column, value in ((RunRow.checkpoint, checkpoint), (RunRow.kind, kind), (RunRow.status, status)):
            if value is not None:
                if not storable(value):
                    return Page(items=(), next_cursor=None)
                query = query.where(column == value)
        return self._page(partial(checked, Run), RunRow, query, cursor, limit)

    def by_target(self) -> dict[str, int]:
        """The number of rankable runs of each target, by its content hash."""
        query = (
            select(RunRow.target_hash, func.count())
            .where(RunRow.status.in_(RANKABLE))
            .group_by(RunRow.target_hash)
        )
        return {row[0]: row[1] for row in self._read(lambda session: session.execute(query).all())}

    def results(self, targets: Collection[str]) -> tuple[RunResult, ...]:
        """The results of runs on these targets, without their curves, oldest first."""
        asked = sorted(target for target in set(targets) if storable(target))
        query = select(RunRow.id, RunRow.target_hash, RunRow.checkpoint, RunRow.mode, RunRow.score)
        query = query.where(
            RunRow.target_hash.in_(asked), RunRow.status.in_(RANKABLE), RunRow.score.is_not(None)
        )
        query = query.order_by(RunRow.created_at, RunRow.id)
        rows = self._read(lambda session: session.execute(query).all())
        return tuple(RunResult(*row[:4], row[4] or 0.0) for row in rows)

    def of_ids(self, ids: Collection[str]) -> tuple[Run, ...]:
        """The runs of these ids, oldest first."""
        parts = (select(RunRow).where(RunRow.id.in_(part)) for part in in_parts(ids))
        found = [run for query in parts for run in self._records(Run, query)]
        return tuple(sorted(found, key=lambda run: (run.created_at, run.id)))

    def count(self) -> dict[str, int]:
        """Runs by status."""
        query = select(RunRow.status, func.count()).group_by(RunRow.status)
        return dict(self._read(lambda session: [(status, count) for status, count in session.execute(query)]))

    def remove(self, id: str) -> bool:
        """Forget a run; False when there was none."""
        mark = delete(IgnoredRunRow).where(IgnoredRunRow.run_id == id)
        return self._remove(RunRow, id, then=lambda session: session.execute(mark))

    def ignore(self, id: str, *, ignored: bool = True) -> None:
        """Keep a run out of the history that the forecast learns from, or let it back in. Any id will do."""
        require_key("run id", id)

        def work(session: Session) -> None:
            row = session.get(IgnoredRunRow, id)
            if ignored and row is None:
                session.add(IgnoredRunRow(run_id=id))
            elif not ignored and row is not None:
                session.delete(row)

        self._write(work)

    def ignored(self) -> frozenset[str]:
        """The ids of the runs that are kept out."""
        return frozenset(self._read(lambda session: session.scalars(select(IgnoredRunRow.run_id)).all()))

    def claim(self, key: str) -> int:
        """Become the only one whose results count for this key; returns the attempt to write with."""
        require_key("claim", key)

        def work(session: Session) -> int:
            row = session.get(ClaimRow, key, with_for_update=True)
            if row is None:
                # Not a merge: that would look again, find another's first claim, and give out its attempt twice.
                session.add(ClaimRow(key=key, attempt=1))
                return 1
            row.attempt += 1
            return row.attempt

        return self._write(work)


def record_run(session: Session, run: Run) -> bool:
    """Write a run inside a transaction; False when as much was known already. Its numbers must be finite."""
    columns = columns_of(run)
    row = session.get(RunRow, run.id, with_for_update=True)
    if row is not None and _STATUS_RANK.get(row.status, 0) >= _STATUS_RANK[run.status]:
        return False
    # A first insert must collide with another's, not overwrite it.
    put = session.add if row is None else session.merge
    put(
        RunRow(
            id=run.id,
            kind=run.kind,
            status=run.status,
            target_hash=run.target_hash,
            checkpoint=run.start.checkpoint,
            mode=run.start.mode,
            created_at=run.created_at,
            **columns,
            score=run.score,
        )
    )
    return True


def _filtered(**columns: str | None) -> Select[Any]:
    query = select(RunRow).order_by(RunRow.created_at, RunRow.id)
    for name, value in columns.items():
        if value is not None:
            query = query.where(getattr(RunRow, name) == value)
    return query


def _refuse_stale(session: Session, id: str, attempt: int) -> None:
    claim = session.get(ClaimRow, id, with_for_update=True)
    latest = 0 if claim is None else claim.attempt
    if attempt != latest:
        raise ConflictError(
            f"The result of run {id} comes from attempt {attempt}, but attempt {latest} has begun since.",
            remedy="This worker was replaced while it did not answer; its result is dropped on purpose.",
        )


def without_broken_numbers(run: Run) -> Run:
    """The run itself when every number is finite, else a failed one that keeps what is sound."""
    sound = tuple(point for point in run.curve if _finite(point))
    scalars = {
        name: getattr(run, name)
        for name in (
            "seconds",
            "starting_score",
            "peak_memory_mb",
            "learning_rate_used",
            "weights_transferred",
        )
    }
    broken = [name for name, value in scalars.items() if value is not None and not math.isfinite(value)]
    best_is_sound = run.best is None or _finite(run.best)
    if len(sound) == len(run.curve) and best_is_sound and not broken:
        return run
    where = broken + ["curve"] * (len(sound) < len(run.curve)) + ["best"] * (not best_is_sound)
    cleaned = {name: 0.0 if name == "seconds" else None for name in broken}
    reason = f"not finite: {', '.join(where)}"
    return replace(
        run,
        status="failed",
        curve=sound,
        best=run.best if best_is_sound else None,
        error=f"{run.error}; {reason}" if run.error else reason,
        **cleaned,  # type: ignore[arg-type]
    )


def _finite(point: EpochMetrics) -> bool:
    return all(math.isfinite(number) for number in (point.score, point.seconds, *point.details.values()))
