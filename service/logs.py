"""Structured logs on stderr: one JSON object a line, with the request id; user input is escaped."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import Any

import structlog

from recommender.text import printable

LOGGER = "service"


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
    handler = logging.StreamHandler(sys.stderr)
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
    event["event"] = printable(event.get("event", ""), limit=1000)
    return event
