"""One file over HTTP: resumed where it was cut, checked, and never left half under its final name."""

from __future__ import annotations

import errno
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from recommender.atomic_files import write_json
from recommender.errors import StorageError, UnavailableError, UsageError
from recommender.progress import Progress, silent

if TYPE_CHECKING:
    from requests import Response, Session

MAX_BYTES = 4 * 2**30
MAX_REDIRECTS = 5
MAX_FRUITLESS = 3  # attempts in a row that bring not one byte
CONNECT_S, READ_S = 10.0, 30.0
_PIECE = 2**16
_REDIRECTS = {301, 302, 303, 307, 308}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _CutError(Exception):
    """The connection ended early or the server was busy: worth another attempt."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The part of a download that is on disk already."""

    file: Path
    validator: str | None  # a strong ETag or a date, by which the server knows the same content
    total: int | None

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0


def download(
    url: str, target: Path, *, remedy: str, progress: Progress = silent, pause_s: float = 0.5
) -> Path:
    """Fetch `url` into `target`, going on from an earlier attempt where the server can.

    Args:
        url: https, or http where the user's own base URL says so; redirects may only lead to https.
        target: appears when complete; until then `target.part` grows beside it.
        remedy: told when the network fails.
        progress: called with KiB.
        pause_s: before the second attempt, doubled for each that brought nothing.

    Raises:
        UsageError: not a web address. UnavailableError: no network, no such file, a web page instead of it.
        StorageError: no space.
    """
    import requests

    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise UsageError(
            f"{url!r} is not an http(s) address.", remedy="Give a base URL such as https://host/folder."
        )
    part = target.with_name(target.name + ".part")
    fruitless = 0
    with requests.Session() as session:
        session.headers.update({"User-Agent": "checkpoint-recommender", "Accept-Encoding": "identity"})
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _attempt(session, url, part, progress, target.name)
                break
            except (_CutError, requests.ConnectionError, requests.Timeout) as error:
                gained = (part.stat().st_size if part.exists() else 0) != before
                fruitless = 0 if gained else fruitless + 1
                if fruitless >= MAX_FRUITLESS:
                    raise UnavailableError(
                        f"{url} cannot be fetched: {_plain(error)}.", remedy=remedy
                    ) from error
                time.sleep(pause_s * 2**fruitless)
            except requests.RequestException as error:
                raise UnavailableError(f"{url} cannot be fetched: {_plain(error)}.", remedy=remedy) from error
            except OSError as error:
                raise _disk_error(error, part) from error
    part.replace(target)
    _notes(part).unlink(missing_ok=True)
    return target


def _attempt(session: Session, url: str, file: Path, progress: Progress, stage: str) -> None:
    part = _known_part(file, url)
    headers = {}
    if part.validator and part.size:
        headers = {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    with _open(session, url, headers) as response:
        start = _start(response, part)
        total = _total(response, start)
        validator = _validator(response)
        if start == 0:
            file.write_bytes(b"")
        write_json(_notes(file), {"url": url, "validator": validator, "total": total})
        _receive(response, file, start, total, progress, stage)


def _open(session: Session, url: str, headers: dict[str, str]) -> Response:
    """The final response after redirects, with a status we can use."""
    here = url
    for _ in range(MAX_REDIRECTS + 1):
        response = session.get(
            here, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_S, READ_S)
        )
        if response.status_code not in _REDIRECTS:
            return _usable(response, here)
        there = urljoin(here, response.headers.get("Location", ""))
        response.close()
        same_host = urlsplit(there).netloc == urlsplit(url).netloc and urlsplit(url).scheme == "http"
        if urlsplit(there).scheme != "https" and not (same_host and urlsplit(there).scheme == "http"):
            raise UnavailableError(
                f"{here} leads to {there}, which is not https.", remedy="Use another base URL, or a mirror."
            )
        here = there
    raise UnavailableError(f"{url} leads in circles.", remedy="Use another base URL, or a mirror.")


def _usable(response: Response, url: str) -> Response:
    status = response.status_code
    if status in {200, 206, 416}:
        kind = response.headers.get("Content-Type", "").lower()
        if status != 416 and kind.startswith("text/html"):
            response.close()
            raise UnavailableError(
                f"{url} answers with a web page instead of the file (a login or proxy page?).",
                remedy="Open it in a browser to see what is wrong, or use a mirror.",
            )
        return response
    response.close()
    if status == 429 or status >= 500:
        raise _CutError(f"the server answers {status}")
    raise UnavailableError(
        f"{url} answers {status} {response.reason}.", remedy="Check the base URL; the file may have moved."
    )


def _start(response: Response, part: _Part) -> int:
    """The byte at which this response begins."""
    if response.status_code == 200:
        return 0
    told = response.headers.get("Content-Range", "")
    begins = told.removeprefix("bytes ").split("-")[0]
    if (
        response.status_code == 206
        and begins == str(part.size)
        and _validator(response) in {None, part.validator}
    ):
        return part.size
    part.file.unlink(missing_ok=True)  # 416, or a range nobody asked for: begin again
    raise _CutError(f"the server's range {told!r} does not go on from byte {part.size}")


def _total(response: Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    if total is not None and total > MAX_BYTES:
        raise UnavailableError(
            f"The file has {total / 2**30:.1f} GiB; at most {MAX_BYTES // 2**30} are fetched.",
            remedy="Check the base URL.",
        )
    return total


def _receive(
    response: Response, file: Path, start: int, total: int | None, progress: Progress, stage: str
) -> None:
    import urllib3

    got = start
    try:
        with file.open("ab") as stream:
            while piece := response.raw.read(_PIECE):
                stream.write(piece)
                got += len(piece)
                if got > MAX_BYTES:
                    raise UnavailableError(f"{stage} does not end.", remedy="Check the base URL.")
                progress(f"fetch {stage}", got // 1024, (total or 0) // 1024)
    except urllib3.exceptions.HTTPError as error:
        raise _CutError(f"the connection was cut after {got} bytes of {total or 'unknown'}") from error
    if total is not None and got != total:
        raise _CutError(f"the connection was cut after {got} bytes of {total}")


def _validator(response: Response) -> str | None:
    """The value of `If-Range`: weak ETags may not."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _known_part(file: Path, url: str) -> _Part:
    try:
        told = json.loads(_notes(file).read_text(encoding="utf-8"))
        known = told if told["url"] == url and file.exists() else {}
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    return _Part(file=file, validator=known.get("validator"), total=known.get("total"))


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _disk_error(error: OSError, part: Path) -> StorageError:
    if error.errno in _FULL:
        part.unlink(missing_ok=True)
        return StorageError(
            f"The download does not fit on the disk of {part.parent}.",
            remedy="Free some space there, or point RECOMMENDER_HOME elsewhere.",
        )
    return StorageError(f"{part} cannot be written: {error.strerror or error}.", remedy="Check its folder.")


def _plain(error: Exception) -> str:
    """The innermost cause, without the library's wrapping."""
    cause = error.args[0] if error.args else error
    text = str(getattr(cause, "reason", cause))
    return re.sub(r"^[^ ]*Connection\(.*?\): |^<.*?>: ", "", text).rstrip(".")
