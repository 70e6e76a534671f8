"""One file over HTTP: resumed, checked, never left half under its final name."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from recommender.checkpoints.downloading import download
from recommender.errors import StorageError, UnavailableError, UsageError
from tests.checkpoints.kit import Behaviour, serve

CONTENT = np.random.default_rng(0).bytes(700_000)
REMEDY = "Fetch it by hand."


def fetch(behaviour: Behaviour, folder: Path) -> Path:
    """Download from a server that behaves so, without waiting between attempts."""
    with serve(behaviour) as base:
        return download(f"{base}/x.pt", folder / "x.pt", remedy=REMEDY, pause_s=0.001)


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != "x.pt")


@pytest.mark.parametrize("with_length", [True, False])
def test_a_plain_download(with_length: bool, tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, with_length=with_length)
    assert fetch(behaviour, tmp_path).read_bytes() == CONTENT
    assert behaviour.asked == [None]
    assert leftovers(tmp_path) == []


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with serve(Behaviour(content=CONTENT)) as base:
        download(
            f"{base}/x.pt",
            tmp_path / "x.pt",
            remedy=REMEDY,
            progress=lambda _, done, total: told.append((done, total)),
        )
    assert told[-1] == (len(CONTENT) // 1024, len(CONTENT) // 1024)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_cut_connection_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, cut_after=[300_000, 200_000])
    assert fetch(behaviour, tmp_path).read_bytes() == CONTENT
    assert behaviour.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_goes_on_too(tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, cut_after=[300_000, 0, 0, 0])
    with pytest.raises(UnavailableError, match=r"cut after 300000 bytes of 700000") as caught:
        fetch(behaviour, tmp_path)
    assert caught.value.remedy == REMEDY
    assert not (tmp_path / "x.pt").exists()
    assert leftovers(tmp_path) == ["x.pt.part", "x.pt.part.json"]
    # Another port is another address, so tell it that the same server moved back.
    notes = tmp_path / "x.pt.part.json"
    again = Behaviour(content=CONTENT)
    with serve(again) as base:
        import json

        notes.write_text(json.dumps(json.loads(notes.read_text()) | {"url": f"{base}/x.pt"}))
        download(f"{base}/x.pt", tmp_path / "x.pt", remedy=REMEDY)
    assert (tmp_path / "x.pt").read_bytes() == CONTENT
    assert again.asked == ["bytes=300000-"]


def test_parts_of_another_address_are_not_mixed_in(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        fetch(Behaviour(content=CONTENT, cut_after=[300_000, 0, 0, 0]), tmp_path)
    other = CONTENT[::-1]
    assert fetch(Behaviour(content=other), tmp_path).read_bytes() == other


def test_a_file_replaced_on_the_server_is_fetched_anew(tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, cut_after=[300_000])

    class Renewed(Behaviour):
        """Changes content and tag after the first answer."""

        def __getattribute__(self, name: str) -> object:
            asked = object.__getattribute__(self, "asked")
            if len(asked) > 1 and name in {"content", "etag"}:
                return {"content": CONTENT[::-1], "etag": '"v2"'}[name]
            return object.__getattribute__(self, name)

    renewed = Renewed(content=CONTENT, cut_after=behaviour.cut_after)
    assert fetch(renewed, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": None}, {"etag": 'W/"weak"'}])
def test_servers_that_cannot_resume_start_again(change: dict[str, object], tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, cut_after=[300_000], **change)  # type: ignore[arg-type]
    assert fetch(behaviour, tmp_path).read_bytes() == CONTENT
    assert len(behaviour.asked) == 2


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    assert fetch(Behaviour(content=CONTENT, statuses=[503, 429]), tmp_path).read_bytes() == CONTENT


def test_a_range_nobody_asked_for_is_not_appended(tmp_path: Path) -> None:
    (tmp_path / "x.pt.part").write_bytes(b"x" * 10)
    assert fetch(Behaviour(content=CONTENT, statuses=[416]), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_absent_file_is_said_so_at_once(status: int, tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, statuses=[status])
    with pytest.raises(UnavailableError, match=str(status)):
        fetch(behaviour, tmp_path)
    assert len(behaviour.asked) == 1
    assert leftovers(tmp_path) == []


def test_a_web_page_with_status_200_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="web page"):
        fetch(Behaviour(content=b"<html>Sign in</html>", content_type="text/html; charset=utf-8"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["http://elsewhere.example/x.pt", "ftp://host/x", "file:///etc/passwd"])
def test_redirects_lead_to_https_only(there: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="not https"):
        fetch(Behaviour(content=CONTENT, redirect=there), tmp_path)


def test_redirects_in_circles_end(tmp_path: Path) -> None:
    behaviour = Behaviour(content=CONTENT, redirect="/x.pt")
    with pytest.raises(UnavailableError, match="circles"):
        fetch(behaviour, tmp_path)
    assert len(behaviour.asked) == 6


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/x", "/local/path", "https://", "x"])
def test_other_addresses_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http"):
        download(address, tmp_path / "x.pt", remedy=REMEDY)


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    with serve(Behaviour(content=b"")) as base:
        pass  # its port is closed again
    with pytest.raises(UnavailableError, match="refused") as caught:
        download(f"{base}/x.pt", tmp_path / "x.pt", remedy=REMEDY, pause_s=0.001)
    assert caught.value.remedy == REMEDY


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """As good as a full disk: the kernel refuses to write on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_so_and_freed(tmp_path: Path) -> None:
    with files_of_at_most(200_000), pytest.raises(StorageError, match="does not fit") as caught:
        fetch(Behaviour(content=CONTENT), tmp_path)
    assert "RECOMMENDER_HOME" in str(caught.value)
    assert not (tmp_path / "x.pt.part").exists()
    assert not (tmp_path / "x.pt").exists()
