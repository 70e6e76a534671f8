"""Multipart uploads, streamed to disk: one file and a few short fields."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from unicodedata import category

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from recommender.errors import StorageError
from recommender.home import subfolder
from service.problems import HTTPProblem

FLUSH_BYTES = 1024 * 1024
FORM = "Send it as a form, `-F file=@…` of curl."
MAX_FIELD_BYTES = 4096
MAX_PARTS = 8
MAX_NAME_BYTES = 200  # file systems allow 255


@dataclass(kw_only=True)
class Upload:
    """One received form. The receiver deletes the folder, which contains the file only."""

    folder: Path
    file: Path | None = None
    file_name: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def uploads_folder() -> Path:
    """The folder of all uploads, which have a subfolder each."""
    return subfolder("uploads")


async def receive_upload(request: Request, *, fields: frozenset[str]) -> Upload:
    """Stream a multipart form to disk. Raises HTTPProblem or StorageError, after deleting what was written."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise HTTPProblem(
            415, "media-type", "A multipart/form-data body with a boundary is expected.", remedy=FORM
        )
    folder = uploads_folder() / secrets.token_hex(8)
    folder.mkdir()
    form = _Form(folder, fields)
    try:
        with form.parsing(boundary) as parser:
            async for chunk in request.stream():
                parser.write(chunk)
                if form.pending >= FLUSH_BYTES:
                    await run_in_threadpool(form.flush)
            parser.finalize()
        await run_in_threadpool(form.close)
        if form.upload.file is None:
            raise HTTPProblem(422, "request", "The form has no part named `file`.", remedy=FORM)
        if not form.ended:
            raise HTTPProblem(
                400, "form", "The form ends before its last boundary.", remedy="Send it again, whole."
            )
    except FormParserError as error:
        await run_in_threadpool(form.abandon)
        raise HTTPProblem(400, "form", "The multipart form is malformed.", remedy=FORM) from error
    except OSError as error:
        await run_in_threadpool(form.abandon)
        raise StorageError(
            f"The upload cannot be kept: {error.strerror or error}.", remedy="Free some disk space."
        ) from error
    except BaseException:
        await run_in_threadpool(form.abandon)
        raise
    return form.upload


class _Form:
    """Callbacks for the parts of one form."""

    def __init__(self, folder: Path, fields: frozenset[str]) -> None:
        self.upload = Upload(folder=folder)
        self.ended = False
        self._allowed = fields
        self._parts = 0
        self._headers: dict[str, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._field: tuple[str, bytearray] | None = None
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._in_file = False

    @property
    def pending(self) -> int:
        """Bytes of the file not yet written."""
        return len(self._buffer)

    @contextmanager
    def parsing(self, boundary: bytes) -> Iterator[MultipartParser]:
        yield MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def flush(self) -> None:
        """Write what is pending."""
        if self._file is not None and self._buffer:
            self._file.write(self._buffer)
            self._buffer.clear()

    def close(self) -> None:
        """Finish the file."""
        self.flush()
        if self._file is not None:
            self._file.close()

    def abandon(self) -> None:
        """Delete what was written."""
        if self._file is not None:
            self._buffer.clear()
            self._file.close()
        shutil.rmtree(self.upload.folder, ignore_errors=True)

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise HTTPProblem(
                422, "request", f"The form has more than {MAX_PARTS} parts.", remedy="Send each field once."
            )
        self._headers = {}

    def _header_end(self) -> None:
        name, value = (bytes(part) for part in self._header)
        self._headers[name.decode("latin-1").lower()] = value
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or (name != "file" and name not in self._allowed):
            allowed = ", ".join(sorted({"file", *self._allowed}))
            raise HTTPProblem(
                422, "request", f"The form has a part {name!r}.", remedy=f"Allowed are {allowed}."
            )
        self._in_file = name == "file"
        if not self._in_file:
            self._field = (name, bytearray())
            return
        if self.upload.file is not None:
            raise HTTPProblem(
                422, "request", "The form has two parts named `file`.", remedy="Send one file at a time."
            )
        self.upload.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        self.upload.file = self.upload.folder / safe_name(self.upload.file_name)
        self._file = self.upload.file.open("xb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._buffer += data[start:end]
        elif self._field is not None:
            self._field[1].extend(data[start:end])
            if len(self._field[1]) > MAX_FIELD_BYTES:
                raise HTTPProblem(
                    413,
                    "too-large",
                    f"The field {self._field[0]!r} is longer than {MAX_FIELD_BYTES} bytes.",
                    remedy="Shorten it.",
                )

    def _part_end(self) -> None:
        if self._field is not None:
            name, value = self._field
            if name in self.upload.fields:
                raise HTTPProblem(
                    422, "request", f"The field {name!r} is given twice.", remedy="Give it once."
                )
            self.upload.fields[name] = value.decode("utf-8", "replace")
            self._field = None

    def _end(self) -> None:
        self.ended = True


def safe_name(name: str) -> str:
    """A file name that cannot leave its folder, close to the one given: letters of any script are kept."""
    last = re.split(r"[/\\]", name)[-1]
    known = "".join(one if category(one)[0] in "LMN" or one in "._ -" else "\0" for one in last)
    safe = re.sub("\0+", "_", known).strip(". ")
    return safe.encode()[-MAX_NAME_BYTES:].decode(errors="ignore").lstrip(". ") or "upload"
