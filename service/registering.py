"""Uploaded weights on their way into the registry."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import Future

from starlette.concurrency import run_in_threadpool

from recommender.checkpoints import check_name, get_checkpoint
from recommender.records import Checkpoint
from service import work
from service.auth import Caller
from service.context import Services, find_dataset
from service.pools import Outcome, result_of
from service.problems import Refusal
from service.uploads import Upload


async def register_upload(parts: Services, who: Caller, upload: Upload) -> Checkpoint:
    """Have a worker admit the file and profile its source. Raises CheckpointError, ConflictError, NotFoundError."""
    try:
        future = await run_in_threadpool(_begun, parts, who, upload)
        watched = asyncio.wrap_future(future)
        await asyncio.wait([watched])
        if not watched.cancelled():
            watched.exception()  # seen: result_of speaks of it
        name = await run_in_threadpool(result_of, future)
        return await run_in_threadpool(get_checkpoint, parts.store, name)
    finally:
        await run_in_threadpool(shutil.rmtree, upload.folder, True)


def _begun(parts: Services, who: Caller, upload: Upload) -> Future[Outcome]:
    name, licence = upload.fields.get("name", ""), upload.fields.get("licence") or None
    if licence is not None and len(licence) > 100:
        raise Refusal(422, "request", "The licence is longer than 100 characters.")
    from_scratch = upload.fields.get("from_scratch") or "false"
    if from_scratch not in ("true", "false"):
        raise Refusal(422, "request", "from_scratch is neither true nor false.")
    check_name(parts.store, name)
    source = upload.fields.get("dataset")
    held = find_dataset(parts.store, who, source) if source else None
    return parts.pools.examine(
        parts.settings.open_timeout_s,
        work.register_checkpoint,
        parts.store.url,
        str(upload.file),
        name,
        held.path if held else None,
        licence,
        from_scratch == "true",
    )
