"""For operators and their machines: alive, ready, metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from service import metrics
from service.context import ServicesOf
from service.routes.documented import failures
from service.schemas.common import Answer

router = APIRouter(tags=["operations"])


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(Answer):
    """Whether requests can be served; what of it is missing is told to those with a key."""

    status: Literal["ready", "not ready"]
    store: str | None = None
    index: str | None = None
    ray: str | None = None


@router.head("/healthz", include_in_schema=False)  # what many monitors send
@router.get("/healthz")
async def healthz() -> Alive:
    """Alive: touches nothing, so that nothing can make it slow."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz", response_model=Readiness, responses={503: {"model": Readiness, "description": "Not ready."}}
)
def readyz(request: Request, parts: ServicesOf) -> Response:
    """Ready: the store answers, the index is built, the cluster takes jobs. Details only with a key."""
    state = parts.readiness.look()
    known = hasattr(request.state, "caller")
    said = Readiness(
        status="ready" if state.ready else "not ready",
        store=state.store if known else None,
        index=state.index if known else None,
        ray=state.ray if known else None,
    )
    return JSONResponse(said.model_dump(exclude_none=True), 200 if state.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, responses=failures())
def get_metrics(parts: ServicesOf) -> Response:
    """Prometheus' text format."""
    parts.readiness.measure()
    return Response(parts.metrics.page(), media_type=metrics.CONTENT_TYPE)
