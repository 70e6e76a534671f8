"""Routes for operators: liveness, readiness, metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from service import metrics
from service.dependencies import ServicesDep
from service.routes.responses import failures
from service.schemas.common import Answer

router = APIRouter(tags=["operations"])


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class ReadinessAnswer(Answer):
    """ "ready" when requests can be served. The components are listed for callers with a key."""

    status: Literal["ready", "not ready"]
    store: str | None = None
    index: str | None = None
    ray: str | None = None
    disk: str | None = None


@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers; no other component is asked."""
    return Alive()


@router.get(
    "/readyz",
    response_model=ReadinessAnswer,
    responses={503: {"model": ReadinessAnswer, "description": "Not ready."}},
)
def readyz(request: Request, services: ServicesDep) -> Response:
    """Ready: the store answers, the index is built, the cluster takes jobs. Details only with a key."""
    state = services.readiness.state()
    known = hasattr(request.state, "caller")
    answer = ReadinessAnswer(
        status="ready" if state.ready else "not ready",
        store=state.store if known else None,
        index=state.index if known else None,
        ray=state.ray if known else None,
        disk=state.disk if known else None,
    )
    return JSONResponse(answer.model_dump(exclude_none=True), 200 if state.ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, responses=failures())
def get_metrics(services: ServicesDep) -> Response:
    """Prometheus' text format."""
    return Response(services.readiness.metrics_page(), media_type=metrics.CONTENT_TYPE)
