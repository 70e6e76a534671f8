"""Full trainings: launch exactly once, follow, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse, Response

from service.artefacts import artefact
from service.context import CallerOf, PagingOf, ServicesOf, TrainingOf, costly, find_dataset
from service.jobs import KIND, job_page, launch_training
from service.routes.documented import events, failures
from service.routes.streams import LastEventId, job_events, stream
from service.schemas.trainings import TrainingAnswer, TrainingBody, TrainingList
from service.views import training_answer

router = APIRouter(tags=["trainings"])
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="Sent again with the same body, the same training is meant; with another body, 422.",
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
    dependencies=[Depends(costly)],
)
def launch(
    parts: ServicesOf, who: CallerOf, body: TrainingBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Launch a full training on the cluster, exactly once for each Idempotency-Key."""
    held = find_dataset(parts.store, who, body.dataset)
    job, new = launch_training(parts, who, held, body, key=idempotency_key)
    answer = training_answer(parts.store, job).model_dump(mode="json")
    return JSONResponse(answer, 202 if new else 200, {"Location": f"/v1/trainings/{job.id}"})


@router.get("/trainings", responses=failures())
def list_trainings(parts: ServicesOf, who: CallerOf, page: PagingOf) -> TrainingList:
    """Your trainings, newest first."""
    jobs, following = job_page(parts, who, KIND, page)
    return TrainingList(trainings=tuple(training_answer(parts.store, job) for job in jobs), next=following)


@router.get("/trainings/{id}", responses=failures(404))
def get_training(parts: ServicesOf, job: TrainingOf) -> TrainingAnswer:
    """One training as it stands."""
    return training_answer(parts.store, job)


@router.get(
    "/trainings/{id}/events",
    response_class=Response,
    responses={**events("`status`, `epoch` and `note` events."), **failures(404)},
)
def follow_training(
    parts: ServicesOf, who: CallerOf, job: TrainingOf, last_event_id: LastEventId = None
) -> Response:
    """Follow a training epoch by epoch; the stream ends with its last status."""
    fetch = job_events(parts.store, job)
    return stream(parts.feeds, who, f"job/{job.id}", fetch, ended=job.ended, last_event_id=last_event_id)


@router.get(
    "/trainings/{id}/files/{name:path}",
    response_class=FileResponse,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        **failures(404),
    },
)
def get_file(
    job: TrainingOf, name: Annotated[str, PathParameter(max_length=64, examples=["weights/best.pt"])]
) -> FileResponse:
    """Fetch what a finished training has left: results.csv, results.png, args.yaml, weights/best.pt."""
    return artefact(job, name)


@router.delete(
    "/trainings/{id}", status_code=202, responses={202: {"model": TrainingAnswer}, **failures(404)}
)
def cancel_training(parts: ServicesOf, job: TrainingOf) -> TrainingAnswer:
    """Cancel a training; its status becomes `cancelled` once the cluster has let go. One that ended stays as it is."""
    cancelled = parts.store.request_cancel(job.id)
    parts.launching.wake()
    return training_answer(parts.store, cancelled)
