"""Registration of uploaded weights."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from recommender.checkpoints import check_name, get_checkpoint, remove_checkpoint
from recommender.records import Checkpoint
from recommender.text import counted
from service.auth import Caller
from service.dependencies import Services, find_dataset
from service.problems import HTTPProblem
from service.uploads import Upload
from service.waiting import finished
from service.workers import tasks
from service.workers.pools import TaskResult, task_result

CHECKPOINT_FIELDS = frozenset({"name", "dataset", "licence", "from_scratch"})  # of the form, beside the file


async def register_upload(request: Request, services: Services, caller: Caller, upload: Upload) -> Checkpoint:
    """Import the file in a worker process. Raises CheckpointError, ConflictError, NotFoundError."""
    try:
        future = await run_in_threadpool(_start_import, services, caller, upload)
        await finished(request, future)
        name = await run_in_threadpool(task_result, future)
        return await run_in_threadpool(get_checkpoint, services.store, name)
    finally:
        await run_in_threadpool(shutil.rmtree, upload.folder, True)


def _start_import(services: Services, caller: Caller, upload: Upload) -> Future[TaskResult[str]]:
    name, licence = upload.fields.get("name", ""), upload.fields.get("licence") or None
    if licence is not None and len(licence) > 100:
        raise HTTPProblem(
            422, "request", "The licence is longer than 100 characters.", remedy="Give its SPDX name."
        )
    from_scratch = upload.fields.get("from_scratch") or "false"
    if from_scratch not in ("true", "false"):
        raise HTTPProblem(
            422, "request", "from_scratch is neither true nor false.", remedy="Send true, or leave it out."
        )
    services.datasets.check_quota(caller)
    _check_quota(services, caller)
    check_name(services.store, name)
    source = upload.fields.get("dataset")
    held = find_dataset(services.store, caller, source) if source else None
    return services.pools.submit_inspection(
        caller.owner,
        services.settings.open_timeout_s,
        tasks.register_checkpoint,
        services.store.url,
        str(upload.file),
        name,
        services.datasets.source_of(held) if held else None,
        licence,
        from_scratch == "true",
        caller.owner,
    )


def delete_checkpoint(services: Services, caller: Caller, name: str) -> None:
    """Remove a checkpoint of the caller's, an administrator any. Raises NotFoundError, HTTPProblem, UsageError."""
    checkpoint = get_checkpoint(services.store, name)
    if caller.role != "admin" and checkpoint.owner != caller.owner:
        raise HTTPProblem(
            403,
            "role",
            f"The checkpoint {checkpoint.name!r} is not yours to remove.",
            remedy="Ask its owner, or an administrator.",
        )
    remove_checkpoint(services.store, checkpoint.name)


def _check_quota(services: Services, caller: Caller) -> None:
    own = sum(checkpoint.owner == caller.owner for checkpoint in services.store.checkpoints.list())
    if own >= services.settings.max_checkpoints:
        raise HTTPProblem(
            429,
            "quota",
            f"You have {counted(own, 'checkpoint')}, which is as many as this service keeps for one owner.",
            remedy="DELETE /v1/checkpoints/{name} for those you no longer need.",
        )
