"""Documented responses of the routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from service.problems import MEDIA_TYPE, Problem

_MEANINGS = {
    400: "The request is malformed.",
    401: "No valid key.",
    403: "The key's role does not allow it, or the request comes from another site.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The body came too slowly.",
    409: "The name is taken, or the thing has changed.",
    413: "The body is too large.",
    415: "The media type is not understood.",
    422: "The request, or a file in it, cannot be used.",
    429: "Too many requests; Retry-After says how long to wait.",
    503: "The store or the cluster cannot be reached.",
}
_ALWAYS = (400, 401, 422, 429, 503)


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented failures of a route: those every route has, and these."""
    return {
        status: {
            "description": _MEANINGS[status],
            "model": Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*_ALWAYS, *statuses})
    }


def events(description: str) -> dict[int | str, dict[str, Any]]:
    """The documented stream of a route."""
    return {
        200: {"description": description, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "Everything up to the end was received before."},
    }
