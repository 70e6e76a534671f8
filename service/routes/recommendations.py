"""Recommendations: ask, read, follow, list, give up."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from recommender.checkpoints import get_checkpoint
from recommender.errors import ConflictError
from recommender.store.asks import topic_of
from recommender.store.service_records import FINAL
from service.context import AskOf, CallerOf, PagingOf, ServicesOf, costly, find_dataset
from service.routes.documented import events, failures
from service.routes.streams import LastEventId, ask_events, stream
from service.schemas.recommendations import RecommendationAnswer, RecommendationBody, RecommendationList
from service.views import is_profiled, recommendation_json, recommendation_summary

router = APIRouter(tags=["recommendations"])
_WAITERS = threading.BoundedSemaphore(16)  # of the server's 40 threads


@router.post(
    "/recommendations",
    response_model=RecommendationAnswer,
    responses={
        202: {"model": RecommendationAnswer, "description": "Queued: follow its events."},
        **failures(403, 404),
    },
)
def ask(parts: ServicesOf, who: CallerOf, body: RecommendationBody) -> Response:
    """Rank the starts for a data set: 200 with the answer where its profile is known, else 202.

    The same question about the same data gets the same answer at once until something new is learnt.
    """
    held = find_dataset(parts.store, who, body.dataset)
    for name in body.checkpoints:
        get_checkpoint(parts.store, name)
    asked = parts.desk.ask(who, held, body, allowance=lambda: costly(parts, who))
    if (
        asked.status not in FINAL
        and is_profiled(parts.store, held.dataset_hash)
        and _WAITERS.acquire(blocking=False)
    ):
        try:
            asked = parts.desk.wait(asked, parts.settings.answer_wait_s)
        finally:
            _WAITERS.release()
    status = 200 if asked.status in FINAL else 202
    headers = {"Location": f"/v1/recommendations/{asked.id}"}
    return Response(recommendation_json(asked), status, headers, "application/json")


@router.get("/recommendations", responses=failures())
def list_recommendations(
    parts: ServicesOf,
    who: CallerOf,
    page: PagingOf,
    dataset: Annotated[str | None, Query(max_length=64, description="Only about this data set.")] = None,
) -> RecommendationList:
    """Your recommendations, newest first."""
    found = parts.store.page_asks(owner=who.scope, dataset_id=dataset, cursor=page.cursor, limit=page.limit)
    return RecommendationList(
        recommendations=tuple(recommendation_summary(entry) for entry in found.items), next=found.next_cursor
    )


@router.get("/recommendations/{id}", response_model=RecommendationAnswer, responses=failures(404))
def get_recommendation(asked: AskOf) -> Response:
    """One recommendation, as far as it is."""
    return Response(recommendation_json(asked), media_type="application/json")


@router.get(
    "/recommendations/{id}/events",
    response_class=Response,
    responses={**events("`status` and `progress` events."), **failures(404)},
)
def follow_recommendation(
    parts: ServicesOf, who: CallerOf, asked: AskOf, last_event_id: LastEventId = None
) -> Response:
    """Follow a recommendation; the stream ends with its last status."""
    return stream(
        parts.feeds,
        who,
        topic_of(asked.id),
        ask_events(parts.store, asked),
        ended=asked.status in FINAL,
        last_event_id=last_event_id,
    )


@router.delete("/recommendations/{id}", status_code=204, responses=failures(404, 409))
def give_up(parts: ServicesOf, asked: AskOf) -> None:
    """Give up a question that is not answered yet."""
    if not parts.desk.cancel(asked.id):
        raise ConflictError("The recommendation is finished already.", remedy="Nothing is left to give up.")
