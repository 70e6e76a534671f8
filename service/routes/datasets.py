"""Routes of data sets: add, list, get, delete, neighbours, map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from recommender.errors import NotFoundError
from recommender.store.service_records import RegisteredDataset
from recommender.tasks import TASKS, Task
from service.auth import Caller
from service.dependencies import (
    CallerDep,
    DatasetDep,
    PagingDep,
    Services,
    ServicesDep,
    limit_costly_requests,
)
from service.neighbours import neighbours, visible_map
from service.problems import HTTPProblem
from service.routes.responses import failures
from service.routes.strict import StrictRoute, strict_json
from service.schemas.datasets import DatasetAnswer, DatasetByPath, DatasetList, MapAnswer, NeighboursAnswer
from service.schemas.from_records import dataset_answer
from service.uploads import Upload, receive_upload
from service.waiting import finished
from service.workers.pools import task_result
from service.workers.thumbnails import MAX_THUMBNAILS, thumbnail_folder

router = APIRouter(tags=["data sets"], route_class=StrictRoute)
MAX_NAME = 200

_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "A zip or tar of the data set.",
                    },
                    "name": {"type": "string", "maxLength": 200},
                    "task": {
                        "type": "string",
                        "enum": [row.name for row in TASKS],
                        "description": "What it is read for; without it, what its labels are made for.",
                    },
                },
            }
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/DatasetByPath"}},
    },
}


@router.post(
    "/datasets",
    status_code=201,
    response_model=DatasetAnswer,
    responses={
        200: {"model": DatasetAnswer, "description": "You hold this content already."},
        **failures(403, 404, 408, 413, 415),
    },
    openapi_extra={"requestBody": _BODY},
    dependencies=[Depends(limit_costly_requests)],
)
async def add_dataset(request: Request, services: ServicesDep, caller: CallerDep) -> Response:
    """Upload a zip (form field `file`), or name a folder of the service's machine: `{"path": …}`.

    It is read and checked before the answer: a data set that cannot be used is refused with the reason.
    """
    upload: Upload | None = None
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        upload = await receive_upload(request, fields=frozenset({"name", "task"}))
        path, name = upload.file or upload.folder, upload.fields.get("name") or None
        task = await run_in_threadpool(task_field, services, upload)
    else:
        body = await json_body(request)
        path, name = await run_in_threadpool(services.datasets.resolve_allowed_path, body.path), body.name
        task = body.task
    held, new, findings = await read_and_register(request, services, caller, path, name, upload, task)
    answer = await run_in_threadpool(dataset_answer, services.store, held, findings)
    return JSONResponse(
        answer.model_dump(mode="json"), 201 if new else 200, {"Location": f"/v1/datasets/{held.id}"}
    )


@router.get("/datasets", responses=failures())
def list_datasets(services: ServicesDep, caller: CallerDep, page: PagingDep) -> DatasetList:
    """Your data sets, newest first."""
    found = services.store.datasets.page(owner=caller.scope, cursor=page.cursor, limit=page.limit)
    return DatasetList(
        datasets=tuple(dataset_answer(services.store, held) for held in found.items), next=found.next_cursor
    )


@router.get("/datasets/{id}", responses=failures(404))
def get_dataset(services: ServicesDep, held: DatasetDep) -> DatasetAnswer:
    """One data set, with its health once that has been looked at."""
    services.datasets.start_inspection(held)  # again, should a restart have cut it short
    return dataset_answer(services.store, held)


@router.delete("/datasets/{id}", status_code=204, responses=failures(404))
def remove_dataset(services: ServicesDep, held: DatasetDep) -> None:
    """Delete a data set; the files of an upload are deleted, a folder named by path is left as it is."""
    services.datasets.delete(held)


@router.get("/datasets/{id}/neighbours", responses=failures(404))
def get_neighbours(services: ServicesDep, caller: CallerDep, held: DatasetDep) -> NeighboursAnswer:
    """The most similar sources, and for some of its objects those that look most like them."""
    return neighbours(services, caller, held)


@router.get(
    "/datasets/{id}/pictures/{number}",
    response_class=FileResponse,
    responses={200: {"content": {"image/jpeg": {}}, "description": "A small JPEG."}, **failures(404)},
)
def get_picture(held: DatasetDep, number: Annotated[int, PathParameter(ge=0, lt=MAX_THUMBNAILS)]) -> Response:
    """A small picture of one of its images."""
    file = thumbnail_folder(held.dataset_hash) / f"{number}.jpg"
    if not file.is_file():
        raise NotFoundError(
            f"There is no picture {number}.", remedy="The neighbours name the pictures there are."
        )
    return FileResponse(file, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/map", responses=failures())
def get_map(services: ServicesDep, caller: CallerDep) -> MapAnswer:
    """The known data sets on a map of two dimensions, along which they differ most."""
    return visible_map(services, caller)


async def read_and_register(
    request: Request,
    services: Services,
    caller: Caller,
    path: Path,
    name: str | None,
    upload: Upload | None,
    task: Task | None = None,
) -> tuple[RegisteredDataset, bool, tuple[str, ...]]:
    """Read a data set in a worker and register it; returns it, True when new, and the kinds of what was found in it.

    Raises InputError, HTTPProblem.
    """
    try:
        if name is not None and len(name) > MAX_NAME:
            raise HTTPProblem(
                422, "request", f"The name is longer than {MAX_NAME} characters.", remedy="Shorten it."
            )
        if upload is not None:
            await run_in_threadpool(services.datasets.check_quota, caller)
        future = services.datasets.submit_read(caller, path, upload, task)
        await finished(request, future)
    except BaseException:
        if upload is not None:
            await run_in_threadpool(services.datasets.discard, upload)
        raise
    held, new = await run_in_threadpool(
        services.datasets.register, caller, future, path=path, name=name, upload=upload, task=task
    )
    return held, new, task_result(future).defects


def task_field(services: Services, upload: Upload) -> Task | None:
    """The task that a form names, None where it names none; the upload is deleted before HTTPProblem is raised."""
    named = upload.fields.get("task") or None
    found = next((row.name for row in TASKS if row.name == named), None)
    if found is None and named is not None:
        services.datasets.discard(upload)
        names = ", ".join(row.name for row in TASKS)
        raise HTTPProblem(422, "request", f"There is no task {named!r}.", remedy=f"The tasks are {names}.")
    return found


async def json_body(request: Request) -> DatasetByPath:
    """The JSON form of the body. Raises HTTPProblem for other media types, RequestValidationError for bad JSON."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise HTTPProblem(
            415,
            "media-type",
            "The body is neither multipart/form-data nor application/json.",
            remedy="Send the file as a form, `-F file=@set.zip`, or JSON with Content-Type: application/json.",
        )
    try:
        return DatasetByPath.model_validate(strict_json(await request.body()))
    except ValidationError as error:
        found = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_input=False)]
        raise RequestValidationError(found) from None
