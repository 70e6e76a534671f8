"""The OpenAPI document, with problem documents for failures and the key each route needs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from recommender import __version__
from service.middleware.authentication import OPEN_PATHS
from service.problems import MEDIA_TYPE
from service.schemas.datasets import DatasetByPath

DESCRIPTION = (
    "Which checkpoint to start a vision model from, and how. Upload a data set, ask for a recommendation, "
    "launch the training. Errors are RFC 9457 problem documents; lists are paged by `limit` and `cursor`; "
    "`…/events` are server-sent events that resume by Last-Event-ID."
)


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; made at the first call."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(
        title="Checkpoint Recommender", version=__version__, description=DESCRIPTION, routes=app.routes
    )
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["DatasetByPath"] = DatasetByPath.model_json_schema(ref_template="#/components/schemas/{model}")
    for leftover in ("HTTPValidationError", "ValidationError"):
        schemas.pop(leftover, None)
    schema["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "`recommend keys create` makes one."}
    }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in OPEN_PATHS else [{"key": []}]
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if status.startswith(("4", "5")) and MEDIA_TYPE in content:
                    response["content"] = {MEDIA_TYPE: content[MEDIA_TYPE]}
    app.openapi_schema = schema
    return schema
