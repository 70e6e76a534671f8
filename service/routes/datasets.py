"""Data sets: upload, name by path, list, look at, give back; what lies near."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from recommender.errors import NotFoundError
from recommender.store.service_records import HeldDataset
from service.context import CallerOf, DatasetOf, PagingOf, Services, ServicesOf, costly
from service.neighbours import map_of, neighbours_of
from service.problems import Refusal
from service.routes.documented import failures
from service.schemas.datasets import DatasetAnswer, DatasetByPath, DatasetList, MapAnswer, NeighboursAnswer
from service.thumbnails import MOST, folder_of
from service.uploads import Upload, receive_upload
from service.views import dataset_answer

router = APIRouter(tags=["data sets"])
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
    dependencies=[Depends(costly)],
)
async def add_dataset(request: Request, parts: ServicesOf, who: CallerOf) -> Response:
    """Upload a zip (form field `file`), or name a folder of the service's machine: `{"path": …}`.

    It is read and checked before the answer: a data set that cannot be used is refused with the reason.
    """
    upload: Upload | None = None
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        upload = await receive_upload(request, fields=frozenset({"name"}))
        path, name = upload.file or upload.folder, upload.fields.get("name") or None
    else:
        body = await json_body(request)
        path, name = await run_in_threadpool(parts.holdings.inside_roots, body.path), body.name
    held, new = await take_in(parts, who, path, name, upload)
    answer = await run_in_threadpool(dataset_answer, parts.store, held)
    return JSONResponse(
        answer.model_dump(mode="json"), 201 if new else 200, {"Location": f"/v1/datasets/{held.id}"}
    )


@router.get("/datasets", responses=failures())
def list_datasets(parts: ServicesOf, who: CallerOf, page: PagingOf) -> DatasetList:
    """Your data sets, newest first."""
    found = parts.store.page_held_datasets(owner=who.scope, cursor=page.cursor, limit=page.limit)
    return DatasetList(
        datasets=tuple(dataset_answer(parts.store, held) for held in found.items), next=found.next_cursor
    )


@router.get("/datasets/{id}", responses=failures(404))
def get_dataset(parts: ServicesOf, held: DatasetOf) -> DatasetAnswer:
    """One data set, with its health once that has been looked at."""
    parts.holdings.examine(held)  # again, should a restart have cut it short
    return dataset_answer(parts.store, held)


@router.delete("/datasets/{id}", status_code=204, responses=failures(404))
def remove_dataset(parts: ServicesOf, held: DatasetOf) -> None:
    """Give a data set back; the files of an upload are deleted, a folder named by path is left as it is."""
    parts.holdings.release(held)


@router.get("/datasets/{id}/neighbours", responses=failures(404))
def get_neighbours(parts: ServicesOf, who: CallerOf, held: DatasetOf) -> NeighboursAnswer:
    """The most similar sources, and for some of its objects those that look most like them."""
    return neighbours_of(parts, who, held)


@router.get(
    "/datasets/{id}/pictures/{number}",
    response_class=FileResponse,
    responses={200: {"content": {"image/jpeg": {}}, "description": "A small JPEG."}, **failures(404)},
)
def get_picture(held: DatasetOf, number: Annotated[int, PathParameter(ge=0, lt=MOST)]) -> Response:
    """A small picture of one of its images."""
    file = folder_of(held.dataset_hash) / f"{number}.jpg"
    if not file.is_file():
        raise NotFoundError(
            f"There is no picture {number}.", remedy="The neighbours name the pictures there are."
        )
    return FileResponse(file, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/map", responses=failures())
def get_map(parts: ServicesOf, who: CallerOf) -> MapAnswer:
    """Where the known data sets lie, in the two directions in which they differ most."""
    return map_of(parts, who)


async def take_in(
    parts: Services, who: CallerOf, path: Path, name: str | None, upload: Upload | None
) -> tuple[HeldDataset, bool]:
    """Have a worker read a data set and file it; returns it and whether it is new. Raises InputError, Refusal."""
    try:
        if name is not None and len(name) > MAX_NAME:
            raise Refusal(422, "request", f"The name is longer than {MAX_NAME} characters.")
        if upload is not None:
            await run_in_threadpool(parts.holdings.room_for, who)
        future = parts.holdings.read(path)
        watched = asyncio.wrap_future(future)
        await asyncio.wait([watched])
        if not watched.cancelled():
            watched.exception()  # seen: `taken_in` speaks of it
    except BaseException:
        if upload is not None:
            await run_in_threadpool(shutil.rmtree, upload.folder, True)
        raise
    return await run_in_threadpool(parts.holdings.taken_in, who, future, path=path, name=name, upload=upload)


async def json_body(request: Request) -> DatasetByPath:
    """The JSON form of the body. Raises Refusal for other media types, RequestValidationError for bad JSON."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "media-type", "The body is neither multipart/form-data nor application/json.")
    try:
        return DatasetByPath.model_validate_json(await request.body())
    except ValidationError as error:
        found = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_input=False)]
        raise RequestValidationError(found) from None
