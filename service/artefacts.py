"""Files of a finished training, from its storage: a fixed list of names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from recommender.errors import NotFoundError
from recommender.records import Job
from tune_jobs.storage import UrlStorage

# No other file is reachable, whatever name is asked for.
MEDIA_TYPES = {
    "results.csv": "text/csv",
    "results.png": "image/png",
    "args.yaml": "text/plain",
    "weights/best.pt": "application/octet-stream",
    "weights/best.safetensors": "application/octet-stream",
}
FILES = tuple(MEDIA_TYPES)
PIECE_BYTES = 256 * 1024


def artefact(job: Job, name: str) -> StreamingResponse:
    """One of the files, streamed out of the storage: no copy is made, so none can be left behind.

    Always the whole file; a Range header is ignored. Raises NotFoundError for any other name, and where the file is
    gone.
    """
    if name not in MEDIA_TYPES or job.artefacts is None:
        raise NotFoundError(f"This training has no file {name!r}.", remedy=f"There are {', '.join(FILES)}.")
    opened = UrlStorage(job.artefacts).open(name)
    if opened is None:
        raise NotFoundError(f"The file {name!r} is no longer in the storage.")
    file, num_bytes = opened
    disposition = "inline" if name.endswith(".png") else "attachment"
    headers = {
        "Content-Length": str(num_bytes),
        "Content-Disposition": f'{disposition}; filename="{Path(name).name}"',
        "Accept-Ranges": "none",
    }
    return StreamingResponse(_pieces(file), media_type=MEDIA_TYPES[name], headers=headers)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while piece := await run_in_threadpool(file.read, PIECE_BYTES):
            yield piece
    finally:
        file.close()
