"""Structured logs on stderr: one JSON object a line, with the request id; user input is escaped."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import sys
import threading
import time
from types import TracebackType
from typing import Any

import structlog

from recommender.text import printable

LOGGER = "service"
MAX_PENDING_LINES = 10_000
FLUSH_S = 2.0
RAISED = re.compile(r"^(?: *\| )?([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)  # the class below a trace's frames


def logger() -> Any:
    """The service's logger."""
    return structlog.get_logger(LOGGER)


def configure(*, as_json: bool = True) -> None:
    """Set up logging for a process that serves. Tests and libraries never call this."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_traces,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("uvicorn.access", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class StderrHandler(logging.Handler):
    """Writes to stderr in a thread of its own, so that a reader that has stalled stops nothing but the log.

    While it stalls up to `MAX_PENDING_LINES` are kept; further ones are dropped, and their number is logged later.
    """

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(MAX_PENDING_LINES)
        self._num_dropped = 0
        threading.Thread(target=self._write_lines, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; never blocks."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._num_dropped += 1

    def flush(self) -> None:
        """Wait until everything is written, for `FLUSH_S` at most."""
        end_s = time.monotonic() + FLUSH_S
        while self._lines.unfinished_tasks and time.monotonic() < end_s:
            time.sleep(0.01)

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            if self._num_dropped:
                line += (
                    f'\n{{"event": "log lines dropped", "level": "warning", "number": {self._num_dropped}}}'
                )
                self._num_dropped = 0
            data = f"{line}\n".encode("utf-8", "backslashreplace")
            with contextlib.suppress(OSError):  # the reader has gone: there is nobody to tell
                while (
                    data
                ):  # not sys.stderr: its lock, held while we wait, would block the interpreter's exit
                    data = data[os.write(self._descriptor, data) :]
            self._lines.task_done()


def where(error: BaseException, *, limit: int = 6) -> str:
    """The error's class and the functions it came through, without messages, values or paths, which may be secret."""
    frames = []
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", "?")).rsplit("/", 1)[-1]  # a template's is its file
        frames.append(f"{module}:{frame.f_code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join((type(error).__name__, *frames[-limit:]))


def _without_traces(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Turn exceptions into where they happened, and escape what could forge a line."""
    found = event.pop("exc_info", None)
    record = event.get("_record")
    if found is None and record is not None and record.exc_info:
        found, record.exc_info, record.exc_text = record.exc_info, None, None
    error = found[1] if isinstance(found, tuple) else found
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["failed_in"] = where(error)
    text = str(event.get("event", ""))
    if "Traceback (most recent call last)" in text:  # as uvicorn writes what start and stop raise
        raised = RAISED.search(text.rpartition("Traceback (most recent call last)")[2])
        text, event["failed_in"] = "failed", raised[1] if raised else "Exception"
    event["event"] = printable(text, limit=1000)
    return event
