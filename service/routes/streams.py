"""Responses that stream the events of recommendations and jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import Header
from starlette.responses import Response

from recommender.records import JOB_ENDED
from recommender.store import Store
from service.auth import Caller, is_key_valid
from service.dependencies import Services
from service.event_streams import Fetch, StreamEvent
from service.problems import HTTPProblem
from service.server_paths import without_server_paths

LastEventId = Annotated[
    str | None,
    Header(max_length=20, description="Continue behind this event; EventSource sends it by itself."),
]


def stream(
    services: Services,
    caller: Caller,
    topic: str,
    fetch: Fetch,
    *,
    ended: bool,
    last_event_id: str | None,
) -> Response:
    """The events of a topic behind `last_event_id`; 204 where all of them were received, which ends EventSource."""
    after = _number(last_event_id)
    if after and not fetch(after - 1):
        after = 0  # no event of this job, as after a store was restored: waiting behind it would never end
    if ended and after and not fetch(after):
        return Response(status_code=204)
    return services.event_streams.response(
        caller.owner, topic, fetch, after, allowed=lambda: is_key_valid(services.store, caller.key_id)
    )


def job_events(store: Store, id: str) -> Fetch:
    """A function that reads the events of a job of any kind from the store."""

    def fetch(after: int) -> Sequence[StreamEvent]:
        return [
            StreamEvent(
                seq=event.seq,
                kind=event.kind,
                data=without_server_paths(event.data),
                last=event.kind == "status" and json.loads(event.data).get("status") in JOB_ENDED,
            )
            for event in store.jobs.events(id, after=after)
        ]

    return fetch


def _number(text: str | None) -> int:
    if text is None or text == "":
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise HTTPProblem(
            422,
            "request",
            "Last-Event-ID is not the number of an event.",
            remedy="Send the last `id:` of the stream, or none.",
        )
    return min(int(text), 2**31 - 1)
