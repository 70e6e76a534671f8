"""Files of a finished training, from its storage: a fixed list of names."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

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


def artefact(job: Job, name: str) -> FileResponse:
    """One of the files. Raises NotFoundError for any other name, and where the file is gone."""
    if name not in MEDIA_TYPES or job.artefacts is None:
        raise NotFoundError(f"This training has no file {name!r}.", remedy=f"There are {', '.join(FILES)}.")
    with tempfile.NamedTemporaryFile(prefix="artefact-", delete=False) as copy:
        place = Path(copy.name)
    if not UrlStorage(job.artefacts).get(name, place):
        place.unlink()
        raise NotFoundError(f"The file {name!r} is no longer in the storage.")
    return FileResponse(
        place,
        media_type=MEDIA_TYPES[name],
        filename=Path(name).name,
        content_disposition_type="inline" if name.endswith(".png") else "attachment",
        background=BackgroundTask(place.unlink),
    )
