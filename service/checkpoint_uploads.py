"""Registration of uploaded weights."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import Future

from starlette.concurrency import run_in_threadpool

from recommender.checkpoints import check_name, get_checkpoint
from recommender.records import Checkpoint
from service.auth import Caller
from service.dependencies import Services, find_dataset
from service.problems import HTTPProblem
from service.uploads import Upload
from service.workers import tasks
from service.workers.pools import TaskResult, task_result


async def register_upload(services: Services, caller: Caller, upload: Upload) -> Checkpoint:
    """Import the file in a worker process. Raises CheckpointError, ConflictError, NotFoundError."""
    try:
        future = await run_in_threadpool(_start_import, services, caller, upload)
        watched = asyncio.wrap_future(future)
        await asyncio.wait([watched])
        if not watched.cancelled():
            watched.exception()  # retrieved: task_result speaks of it
        name = await run_in_threadpool(task_result, future)
        return await run_in_threadpool(get_checkpoint, services.store, name)
    finally:
        await run_in_threadpool(shutil.rmtree, upload.folder, True)


def _start_import(services: Services, caller: Caller, upload: Upload) -> Future[TaskResult]:
    name, licence = upload.fields.get("name", ""), upload.fields.get("licence") or None
    if licence is not None and len(licence) > 100:
        raise HTTPProblem(422, "request", "The licence is longer than 100 characters.")
    from_scratch = upload.fields.get("from_scratch") or "false"
    if from_scratch not in ("true", "false"):
        raise HTTPProblem(422, "request", "from_scratch is neither true nor false.")
    check_name(services.store, name)
    source = upload.fields.get("dataset")
    held = find_dataset(services.store, caller, source) if source else None
    return services.pools.submit_inspection(
        services.settings.open_timeout_s,
        tasks.register_checkpoint,
        services.store.url,
        str(upload.file),
        name,
        held.path if held else None,
        licence,
        from_scratch == "true",
    )
