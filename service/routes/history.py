"""Routes of checkpoints and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, Response

from recommender.checkpoints import all_checkpoints, get_checkpoint
from recommender.errors import NotFoundError, UsageError
from recommender.records import Checkpoint
from recommender.report.checkpoints import CheckpointSummary, checkpoint_summary, listed_checkpoints
from recommender.report.runs import RunDetail, run_detail, run_summary
from recommender.text import printable
from service.checkpoint_uploads import CHECKPOINT_FIELDS, delete_checkpoint, register_upload
from service.dependencies import CallerDep, PagingDep, ServicesDep, limit_costly_requests
from service.routes.responses import failures
from service.routes.strict import StrictRoute
from service.schemas.common import CheckpointName
from service.schemas.history import CheckpointList, RunList
from service.uploads import receive_upload

router = APIRouter(tags=["checkpoints and runs"], route_class=StrictRoute)

_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "name"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "A .pt, state dict or safetensors.",
                    },
                    "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
                    "dataset": {"type": "string", "description": "Id of the data set it was trained on."},
                    "licence": {"type": "string", "maxLength": 100, "description": "Of the weights, SPDX."},
                    "from_scratch": {
                        "type": "string",
                        "enum": ["true", "false"],
                        "description": "Whether its training began from random weights.",
                    },
                },
            }
        }
    },
}


@router.get("/checkpoints", responses=failures())
def list_checkpoints(
    services: ServicesDep,
    page: PagingDep,
    available: Annotated[
        bool | None, Query(description="Only those whose weights are here, or are not.")
    ] = None,
) -> CheckpointList:
    """Every checkpoint known: built in, registered, of the public catalogue."""
    known = all_checkpoints(services.store)
    start = 0 if page.cursor is None else _behind(known, page.cursor)
    found = [c for c in known[start:] if available is None or c.available == available]
    shown = found[: page.limit]
    more = f"{shown[-1].origin}:{shown[-1].name}" if len(found) > page.limit else None
    return CheckpointList(checkpoints=listed_checkpoints(shown, known), next=more)


def _behind(known: Sequence[Checkpoint], cursor: str) -> int:
    """The place behind the checkpoint of a cursor; one removed since was registered, and those are listed by name.

    Raises UsageError.
    """
    origin, _, name = cursor.partition(":")
    place = next((place for place, c in enumerate(known) if (c.origin, c.name) == (origin, name)), None)
    if place is None and origin != "registry":
        raise UsageError(
            "The cursor is not one that this service gave out.", remedy="Use `next` of the page before."
        )
    if place is not None:
        return place + 1
    return sum(c.origin == "zoo" or (c.origin == "registry" and c.name < name) for c in known)


@router.get("/checkpoints/{name}", responses=failures(404))
def get_one_checkpoint(services: ServicesDep, name: CheckpointName) -> CheckpointSummary:
    """One checkpoint."""
    return checkpoint_summary(get_checkpoint(services.store, name))


@router.post(
    "/checkpoints",
    status_code=201,
    response_model=CheckpointSummary,
    responses=failures(403, 404, 408, 409, 413, 415),
    openapi_extra={"requestBody": _BODY},
    dependencies=[Depends(limit_costly_requests)],
)
async def add_one_checkpoint(request: Request, services: ServicesDep, caller: CallerDep) -> Response:
    """Register weights of your own. The file is read in quarantine: nothing in it is ever run."""
    upload = await receive_upload(request, fields=CHECKPOINT_FIELDS)
    checkpoint = await register_upload(request, services, caller, upload)
    return JSONResponse(
        checkpoint_summary(checkpoint).model_dump(mode="json"),
        201,
        {"Location": f"/v1/checkpoints/{checkpoint.name}"},
    )


@router.delete("/checkpoints/{name}", status_code=204, responses=failures(403, 404))
def remove_one_checkpoint(services: ServicesDep, caller: CallerDep, name: CheckpointName) -> None:
    """Remove a checkpoint of yours and its weights."""
    delete_checkpoint(services, caller, name)


@router.get("/runs", responses=failures())
def list_runs(
    services: ServicesDep,
    page: PagingDep,
    checkpoint: Annotated[str | None, Query(max_length=200)] = None,
    kind: Annotated[Literal["trial", "full"] | None, Query()] = None,
    status: Annotated[Literal["succeeded", "stopped", "failed"] | None, Query()] = None,
) -> RunList:
    """The history of runs that forecasts learn from, newest first."""
    found = services.store.runs.page(
        checkpoint=checkpoint, kind=kind, status=status, cursor=page.cursor, limit=page.limit
    )
    return RunList(runs=tuple(run_summary(run) for run in found.items), next=found.next_cursor)


@router.get("/runs/{id}", responses=failures(404))
def get_run(
    services: ServicesDep, id: Annotated[str, PathParameter(min_length=1, max_length=128)]
) -> RunDetail:
    """One run with its learning curve."""
    run = services.store.runs.get(id)
    if run is None:
        raise NotFoundError(f"There is no run '{printable(id)}'.", remedy="GET /v1/runs lists them.")
    return run_detail(run)
