"""Sweeps: ask, follow trial by trial, cancel."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from service.context import CallerOf, PagingOf, ServicesOf, SweepOf, costly
from service.jobs import SWEEP, job_page, launch_sweep
from service.routes.documented import events, failures
from service.routes.streams import LastEventId, job_events, stream
from service.routes.trainings import IdempotencyKey
from service.schemas.sweeps import SweepAnswer, SweepBody, SweepList
from service.views import sweep_answer

router = APIRouter(tags=["sweeps"])


@router.post(
    "/sweeps",
    status_code=202,
    response_model=SweepAnswer,
    responses={
        200: {"model": SweepAnswer, "description": "This key has asked for it before."},
        **failures(403, 404, 409),
    },
    dependencies=[Depends(costly)],
)
def launch(
    parts: ServicesOf, who: CallerOf, body: SweepBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Train every start on every data set, within a hard budget; what the history knows is not repeated."""
    job, new = launch_sweep(parts, who, body, key=idempotency_key)
    answer = sweep_answer(parts.store, job).model_dump(mode="json")
    return JSONResponse(answer, 202 if new else 200, {"Location": f"/v1/sweeps/{job.id}"})


@router.get("/sweeps", responses=failures())
def list_sweeps(parts: ServicesOf, who: CallerOf, page: PagingOf) -> SweepList:
    """Your sweeps, newest first."""
    jobs, following = job_page(parts, who, SWEEP, page)
    return SweepList(sweeps=tuple(sweep_answer(parts.store, job) for job in jobs), next=following)


@router.get("/sweeps/{id}", responses=failures(404))
def get_sweep(parts: ServicesOf, job: SweepOf) -> SweepAnswer:
    """One sweep as it stands, with its result once it has ended."""
    return sweep_answer(parts.store, job)


@router.get(
    "/sweeps/{id}/events",
    response_class=Response,
    responses={**events("`status`, `progress`, `trial`, `cost` and `result` events."), **failures(404)},
)
def follow_sweep(
    parts: ServicesOf, who: CallerOf, job: SweepOf, last_event_id: LastEventId = None
) -> Response:
    """Follow a sweep; the stream ends with its last status."""
    fetch = job_events(parts.store, job)
    return stream(parts.feeds, who, f"job/{job.id}", fetch, ended=job.ended, last_event_id=last_event_id)


@router.delete("/sweeps/{id}", status_code=202, responses={202: {"model": SweepAnswer}, **failures(404)})
def cancel_sweep(parts: ServicesOf, job: SweepOf) -> SweepAnswer:
    """Cancel a sweep; its finished trials stay in the history."""
    cancelled = parts.store.request_cancel(job.id)
    parts.launching.wake()
    return sweep_answer(parts.store, cancelled)
