"""Multipart forms, however they are cut into pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request

from recommender.errors import StorageError
from service.problems import HTTPProblem
from service.uploads import Upload, receive_upload, safe_name, uploads_folder

FILE = b"\x00\r\n--b\r\nnot the boundary\xff" * 5
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="name"\r\n\r\nours\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a b.zip"\r\nContent-Type: x/y\r\n\r\n'
    + FILE
    + b"\r\n--edge--\r\n"
)
KIND = "multipart/form-data; boundary=edge"


def receive(body: bytes, *, kind: str = KIND, size: int = 7) -> Upload:
    """Send a form in pieces of so many bytes."""

    async def pieces() -> AsyncIterator[dict[str, object]]:
        for i in range(0, len(body), size):
            yield {"type": "http.request", "body": body[i : i + size], "more_body": i + size < len(body)}

    source = pieces()

    async def next_piece() -> dict[str, object]:
        return await anext(source)

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return asyncio.run(receive_upload(Request(scope, next_piece), fields=frozenset({"name"})))


@pytest.mark.parametrize("size", [1, 3, 16, 64, 1000, 10**6])
def test_pieces_of_any_size_make_the_same_file(home: Path, size: int) -> None:
    upload = receive(FORM, size=size)
    assert upload.file is not None
    assert upload.file.read_bytes() == FILE
    assert upload.file.name == "a b.zip"
    assert upload.fields == {"name": "ours"}
    assert upload.file.parent == upload.folder
    assert upload.folder.parent == uploads_folder()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (FORM, "text/plain", 415),
        (FORM, "multipart/form-data", 415),
        (FORM, "multipart/form-data; boundary=", 415),
        (FORM, "multipart/form-data; boundary=other", 400),
        (FORM[:-20], KIND, 400),
        (b"--edge--\r\n", KIND, 422),
        (b"nonsense", KIND, 400),
        (FORM.replace(b"form-data; name", b"a" * 100_000 + b"; name", 1), KIND, 400),  # else kept in memory
        (FORM.replace(b'name="name"', b'name="other"'), KIND, 422),
        (FORM.replace(b'name="file"', b'name="nofile"'), KIND, 422),
        (FORM.replace(b"--edge--", b"--edge") + FORM, KIND, 400),
        (FORM.replace(b"--edge--", b"--edge") + FORM.split(b"\r\n", 1)[1], KIND, 422),
        (FORM.replace(b"ours", b"o" * 5000), KIND, 413),
        (FORM.replace(b"form-data; name", b"attachment; name"), KIND, 422),
        (
            b'--edge\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n' * 20 + b"--edge--\r\n",
            KIND,
            422,
        ),
    ],
)
def test_bad_forms_are_refused_and_leave_nothing(home: Path, body: bytes, kind: str, status: int) -> None:
    with pytest.raises(HTTPProblem) as refused:
        receive(body, kind=kind)
    assert refused.value.status_code == status
    assert list(uploads_folder().iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.uploads._Form.flush", full)
    with pytest.raises(StorageError, match="No space left"):
        receive(FORM)
    assert list(uploads_folder().iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.zip", "a.zip"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\a.zip", "a.zip"),
        ("..", "upload"),
        (".hidden", "hidden"),
        ("", "upload"),
        ("<b>\n\x00.zip", "_b_.zip"),
        ("a" * 300 + ".zip", "a" * 196 + ".zip"),
        ("é" * 300 + ".zip", "é" * 98 + ".zip"),
        ("Döner 数据 हिन्दी.zip", "Döner 数据 हिन्दी.zip"),
        ("\u202egpj.zip", "_gpj.zip"),
    ],
)
def test_names_of_files_stay_in_their_folder(name: str, expected: str) -> None:
    found = safe_name(name)
    assert found == expected
    assert Path(found).name == found
