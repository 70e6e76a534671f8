"""Routes of full trainings: launch, list, get, follow, cancel, files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, Response, StreamingResponse

from service.artefacts import artefact
from service.dependencies import (
    CallerDep,
    PagingDep,
    ServicesDep,
    TrainingDep,
    limit_costly_requests,
)
from service.jobs import KIND, cancel_job, dataset_asked, job_page, launch_training
from service.routes.responses import events, failures
from service.routes.streams import LastEventId, job_events, stream
from service.routes.strict import StrictRoute
from service.schemas.from_records import training_answer
from service.schemas.trainings import TrainingAnswer, TrainingBody, TrainingList

router = APIRouter(tags=["trainings"], route_class=StrictRoute)
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="Sent again with the same body, the same job (training or sweep) is meant; with another body, 422.",
    ),
]


@router.post(
    "/trainings",
    status_code=202,
    response_model=TrainingAnswer,
    responses={
        200: {"model": TrainingAnswer, "description": "This key has launched it before."},
        **failures(403, 404, 409),
    },
    dependencies=[Depends(limit_costly_requests)],
)
def launch(
    services: ServicesDep, caller: CallerDep, body: TrainingBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Launch a full training on the cluster, exactly once for each Idempotency-Key."""
    held = dataset_asked(services.store, caller, body.dataset, idempotency_key)
    job, new = launch_training(services, caller, held, body, key=idempotency_key)
    answer = training_answer(services.store, job).model_dump(mode="json")
    return JSONResponse(answer, 202 if new else 200, {"Location": f"/v1/trainings/{job.id}"})


@router.get("/trainings", responses=failures())
def list_trainings(services: ServicesDep, caller: CallerDep, page: PagingDep) -> TrainingList:
    """Your trainings, newest first."""
    jobs, following = job_page(services, caller, KIND, page)
    return TrainingList(trainings=tuple(training_answer(services.store, job) for job in jobs), next=following)


@router.get("/trainings/{id}", responses=failures(404))
def get_training(services: ServicesDep, job: TrainingDep) -> TrainingAnswer:
    """One training as it stands."""
    return training_answer(services.store, job)


@router.get(
    "/trainings/{id}/events",
    response_class=Response,
    responses={**events("`status`, `epoch` and `note` events."), **failures(404)},
)
def follow_training(
    services: ServicesDep, caller: CallerDep, job: TrainingDep, last_event_id: LastEventId = None
) -> Response:
    """Follow a training epoch by epoch; the stream ends with its last status."""
    fetch = job_events(services.store, job.id)
    return stream(services, caller, f"job/{job.id}", fetch, ended=job.ended, last_event_id=last_event_id)


@router.get(
    "/trainings/{id}/files/{name:path}",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        **failures(404),
    },
)
def get_file(
    job: TrainingDep, name: Annotated[str, PathParameter(max_length=64, examples=["weights/best.pt"])]
) -> StreamingResponse:
    """Fetch what a finished training has left: results.csv, results.png, args.yaml, weights/best.pt."""
    return artefact(job, name)


@router.delete(
    "/trainings/{id}", status_code=202, responses={202: {"model": TrainingAnswer}, **failures(404)}
)
def cancel_training(services: ServicesDep, job: TrainingDep) -> TrainingAnswer:
    """Cancel a training; its status becomes `cancelled` once the cluster has let go. One that ended stays as it is."""
    return training_answer(services.store, cancel_job(services, job))
