"""Event streams: in order, resumed by number, ended with the last status."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.service.kit import Live, live, wait_until
from tests.service.test_recommendations import NOBODY
from tests.store.builders import recommendation_job


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("events"), max_followers=12) as made:
        made.app.state.services.queue.close()  # nobody answers: the tests do
        yield made


def numbers(text: str) -> list[int]:
    return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]


def begin(server: Live, id: str) -> str:
    server.store.recommendations.add(recommendation_job(id))
    server.store.recommendations.take_lease(id, seen=NOBODY, holder="me")
    return f"{server.address}/v1/recommendations/{id}/events"


@pytest.mark.slow
def test_events_come_while_they_happen_and_end_with_the_last(server: Live) -> None:
    address = begin(server, "rec_live")

    def happen() -> None:
        for i in range(3):
            time.sleep(0.3)
            server.store.recommendations.add_progress("rec_live", "x", i, 3)
        server.store.recommendations.finish("rec_live", holder="me", status="succeeded", document="{}")

    arrived: list[tuple[float, str]] = []
    with httpx.stream("GET", address, headers=server.headers, timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"  # nginx passes events on as they come
        threading.Thread(target=happen).start()
        for line in stream.iter_lines():
            arrived.append((time.monotonic(), line))
    text = "\n".join(line for _, line in arrived)
    assert numbers(text) == [1, 2, 3, 4, 5, 6]
    assert text.count("event: progress") == 3
    assert '"succeeded"' in text
    times = [at for at, line in arrived if line.startswith("id:")]
    assert times[-1] - times[1] > 0.5  # as they happened, not all at the end


def test_a_follower_resumes_behind_what_it_saw(server: Live) -> None:
    address = begin(server, "rec_resume")
    for i in range(5):
        server.store.recommendations.add_progress("rec_resume", "x", i, 5)
    server.store.recommendations.finish("rec_resume", holder="me", status="failed")
    everything = httpx.get(address, headers=server.headers, timeout=20)
    assert numbers(everything.text) == list(range(1, 9))
    rest = httpx.get(address, headers={**server.headers, "Last-Event-ID": "5"}, timeout=20)
    assert numbers(rest.text) == [6, 7, 8]
    over = httpx.get(address, headers={**server.headers, "Last-Event-ID": "8"}, timeout=20)
    assert over.status_code == 204  # EventSource then stops to ask
    never = httpx.get(address, headers={**server.headers, "Last-Event-ID": "99"}, timeout=20)
    assert numbers(never.text) == list(range(1, 9))  # of a store as it was before it was restored
    for bad in ("x", "-1", "1.5", "²"):
        headers = [
            (b"Last-Event-ID", bad.encode()),
            (b"Authorization", server.headers["Authorization"].encode()),
        ]
        assert httpx.get(address, headers=headers, timeout=20).status_code == 422


@pytest.mark.slow
def test_many_follow_one_topic_with_one_poll(server: Live) -> None:
    address = begin(server, "rec_many")
    texts: list[str] = []

    def follow() -> None:
        texts.append(httpx.get(address, headers=server.headers, timeout=30, verify=False).text)

    followers = [threading.Thread(target=follow) for _ in range(8)]
    for follower in followers:
        follower.start()
    streams = server.app.state.services.event_streams
    wait_until(lambda: sum(streams._of_owner.values()) == 8, 10)
    assert len(streams._polls) == 1
    server.store.recommendations.finish("rec_many", holder="me", status="succeeded", document="{}")
    for follower in followers:
        follower.join(timeout=20)
    assert [numbers(text) for text in texts] == [[1, 2, 3]] * 8
    wait_until(lambda: not streams._polls and not streams._of_owner, 10)


def test_followers_are_limited_and_those_who_leave_make_room(server: Live) -> None:
    begin(server, "rec_limit")
    path = "/v1/recommendations/rec_limit/events"
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n\r\n".encode()
    lines = []
    for _ in range(10):
        line = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        line.sendall(request)
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        lines.append(line)
    refused = httpx.get(f"{server.address}{path}", headers=server.headers, timeout=10)
    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    for line in lines:
        line.close()
    wait_until(lambda: not server.app.state.services.event_streams._of_owner, 20)
    server.store.recommendations.cancel("rec_limit")
    assert numbers(httpx.get(f"{server.address}{path}", headers=server.headers, timeout=10).text) == [1, 2, 3]


@pytest.mark.slow
def test_followers_who_come_at_once_are_counted_one_by_one(server: Live) -> None:
    """Forty of one owner, of whom ten are let in."""
    address = begin(server, "rec_crowd")
    statuses: list[int] = []

    def follow() -> None:
        with httpx.stream("GET", address, headers=server.headers, timeout=60, verify=False) as answer:
            statuses.append(answer.status_code)
            answer.read()

    followers = [threading.Thread(target=follow) for _ in range(40)]
    for follower in followers:
        follower.start()
    wait_until(lambda: len(statuses) == 40, 30)
    assert sorted(statuses) == [200] * 10 + [503] * 30
    server.store.recommendations.cancel("rec_crowd")
    for follower in followers:
        follower.join(timeout=30)
    wait_until(lambda: not server.app.state.services.event_streams._of_owner, 20)


def test_a_stream_ends_when_its_key_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.event_streams.RECHECK_S", 0.2)
    with live(tmp_path) as server:
        address = begin(server, "rec_revoked")
        with httpx.stream("GET", address, headers=server.headers, timeout=20) as answer:
            assert answer.status_code == 200
            server.store.keys.revoke(server.key.split("_")[1])
            assert numbers(answer.read().decode()) == [1, 2]  # and no more: the stream has ended


def test_stopping_does_not_wait_for_followers(tmp_path: Path) -> None:
    with live(tmp_path, shutdown_s=30) as server:
        address = begin(server, "rec_stop")
        server.app.state.services.queue.close()
        ended = threading.Event()

        def follow() -> None:
            httpx.get(address, headers=server.headers, timeout=60)
            ended.set()

        threading.Thread(target=follow, daemon=True).start()
        wait_until(lambda: server.app.state.services.event_streams._of_owner, 10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 15
    assert ended.wait(5)
