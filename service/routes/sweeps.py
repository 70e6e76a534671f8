"""Routes of sweeps: launch, list, get, follow, cancel."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from service.dependencies import CallerDep, PagingDep, ServicesDep, SweepDep, limit_costly_requests
from service.jobs import SWEEP, cancel_job, job_page, launch_sweep
from service.routes.responses import events, failures
from service.routes.streams import LastEventId, job_events, stream
from service.routes.strict import StrictRoute
from service.routes.trainings import IdempotencyKey
from service.schemas.from_records import sweep_answer
from service.schemas.sweeps import SweepAnswer, SweepBody, SweepList

router = APIRouter(tags=["sweeps"], route_class=StrictRoute)


@router.post(
    "/sweeps",
    status_code=202,
    response_model=SweepAnswer,
    responses={
        200: {"model": SweepAnswer, "description": "This key has asked for it before."},
        **failures(403, 404, 409),
    },
    dependencies=[Depends(limit_costly_requests)],
)
def launch(
    services: ServicesDep, caller: CallerDep, body: SweepBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Train every start on every data set, within a hard budget; what the history knows is not repeated."""
    job, new = launch_sweep(services, caller, body, key=idempotency_key)
    answer = sweep_answer(services.store, job).model_dump(mode="json")
    return JSONResponse(answer, 202 if new else 200, {"Location": f"/v1/sweeps/{job.id}"})


@router.get("/sweeps", responses=failures())
def list_sweeps(services: ServicesDep, caller: CallerDep, page: PagingDep) -> SweepList:
    """Your sweeps, newest first."""
    jobs, following = job_page(services, caller, SWEEP, page)
    return SweepList(sweeps=tuple(sweep_answer(services.store, job) for job in jobs), next=following)


@router.get("/sweeps/{id}", responses=failures(404))
def get_sweep(services: ServicesDep, job: SweepDep) -> SweepAnswer:
    """One sweep as it stands, with its result once it has ended."""
    return sweep_answer(services.store, job)


@router.get(
    "/sweeps/{id}/events",
    response_class=Response,
    responses={**events("`status`, `progress`, `trial`, `cost` and `result` events."), **failures(404)},
)
def follow_sweep(
    services: ServicesDep, caller: CallerDep, job: SweepDep, last_event_id: LastEventId = None
) -> Response:
    """Follow a sweep; the stream ends with its last status."""
    fetch = job_events(services.store, job.id)
    return stream(services, caller, f"job/{job.id}", fetch, ended=job.ended, last_event_id=last_event_id)


@router.delete("/sweeps/{id}", status_code=202, responses={202: {"model": SweepAnswer}, **failures(404)})
def cancel_sweep(services: ServicesDep, job: SweepDep) -> SweepAnswer:
    """Cancel a sweep; its finished trials stay in the history."""
    return sweep_answer(services.store, cancel_job(services, job))
