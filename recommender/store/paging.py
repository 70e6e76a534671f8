"""Pages of rows, newest first, by keyset: a page stays right while rows are added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, or_

from recommender.errors import UsageError
from recommender.store.database import storable

MAX_PAGE = 500


def paged(query: Select[Any], row: Any, *, cursor: str | None, limit: int) -> Select[Any]:
    """The query for one page and one row beyond, which tells whether there is more. Raises UsageError."""
    if not 1 <= limit <= MAX_PAGE:
        raise UsageError(f"limit is {limit}; allowed are 1 to {MAX_PAGE}.")
    if cursor is not None:
        created_at, id = _decoded(cursor)
        query = query.where(or_(row.created_at < created_at, and_(row.created_at == created_at, row.id < id)))
    return query.order_by(row.created_at.desc(), row.id.desc()).limit(limit + 1)


def cursor_after(rows: Sequence[Any], limit: int) -> str | None:
    """The cursor that continues behind these rows, None when they are the last."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return base64.urlsafe_b64encode(f"{last.created_at}|{last.id}".encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[str, str]:
    try:
        text = base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode("ascii")).decode()
        created_at, id = text.split("|", 1)
    except (ValueError, binascii.Error) as error:
        raise UsageError(
            "The cursor is not one that this service gave out.", remedy="Use `next` of the page before."
        ) from error
    if not storable(text):
        raise UsageError("The cursor is not one that this service gave out.")
    return created_at, id
