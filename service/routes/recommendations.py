"""Routes of recommendations: ask, get, follow, list, cancel."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from recommender.checkpoints import get_checkpoint
from recommender.errors import ConflictError
from recommender.records import JOB_ENDED
from service.dependencies import (
    CallerDep,
    PagingDep,
    RecommendationDep,
    ServicesDep,
    find_dataset,
    limit_costly_requests,
)
from service.routes.responses import events, failures
from service.routes.streams import LastEventId, job_events, stream
from service.routes.strict import StrictRoute
from service.schemas.from_records import is_profiled, recommendation_json, recommendation_summary
from service.schemas.recommendations import (
    RecommendationAnswer,
    RecommendationBody,
    RecommendationList,
    RecommendationStatus,
)

router = APIRouter(tags=["recommendations"], route_class=StrictRoute)
_WAITERS = threading.BoundedSemaphore(16)  # of the server's 40 threads


@router.post(
    "/recommendations",
    response_model=RecommendationAnswer | RecommendationStatus,
    responses={
        202: {"model": RecommendationStatus, "description": "Queued: follow its events."},
        **failures(403, 404),
    },
)
def ask(services: ServicesDep, caller: CallerDep, body: RecommendationBody) -> Response:
    """Rank the starts for a data set: 200 with the answer where its profile is known, else 202.

    The same question about the same data gets the same answer at once until something new is learnt.
    """
    held = find_dataset(services.store, caller, body.dataset)
    for name in body.checkpoints:
        get_checkpoint(services.store, name)
    asked = services.queue.submit(
        caller, held, body, on_new_work=lambda: limit_costly_requests(services, caller)
    )
    if (
        asked.status not in JOB_ENDED
        and is_profiled(services.store, held.dataset_hash)
        and _WAITERS.acquire(blocking=False)
    ):
        try:
            asked = services.queue.wait(asked, services.settings.answer_wait_s)
        finally:
            _WAITERS.release()
    status = 200 if asked.status in JOB_ENDED else 202
    headers = {"Location": f"/v1/recommendations/{asked.id}"}
    return Response(recommendation_json(asked), status, headers, "application/json")


@router.get("/recommendations", responses=failures())
def list_recommendations(
    services: ServicesDep,
    caller: CallerDep,
    page: PagingDep,
    dataset: Annotated[str | None, Query(max_length=64, description="Only about this data set.")] = None,
) -> RecommendationList:
    """Your recommendations, newest first."""
    found = services.store.recommendations.page(
        owner=caller.scope, dataset_id=dataset, cursor=page.cursor, limit=page.limit
    )
    return RecommendationList(
        recommendations=tuple(recommendation_summary(entry) for entry in found.items), next=found.next_cursor
    )


@router.get(
    "/recommendations/{id}",
    response_model=RecommendationAnswer | RecommendationStatus,
    responses=failures(404),
)
def get_recommendation(asked: RecommendationDep) -> Response:
    """One recommendation, with its answer once it has succeeded."""
    return Response(recommendation_json(asked), media_type="application/json")


@router.get(
    "/recommendations/{id}/events",
    response_class=Response,
    responses={**events("`status` and `progress` events."), **failures(404)},
)
def follow_recommendation(
    services: ServicesDep, caller: CallerDep, asked: RecommendationDep, last_event_id: LastEventId = None
) -> Response:
    """Follow a recommendation; the stream ends with its last status."""
    return stream(
        services,
        caller,
        f"recommendation/{asked.id}",
        job_events(services.store, asked.id),
        ended=asked.status in JOB_ENDED,
        last_event_id=last_event_id,
    )


@router.delete("/recommendations/{id}", status_code=204, responses=failures(404, 409))
def cancel_recommendation(services: ServicesDep, asked: RecommendationDep) -> None:
    """Cancel a recommendation that is not finished."""
    if not services.queue.cancel(asked.id):
        raise ConflictError("The recommendation is finished already.", remedy="Nothing is left to cancel.")
