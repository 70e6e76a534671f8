"""Clients that try to hold up everybody else, or to leave something behind. Rows of docs/security.md."""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.service.kit import Live, live, wait_until

SENDERS = """
import socket, sys, threading
port, piece, head = int(sys.argv[1]), sys.argv[2].encode().decode("unicode_escape").encode(), sys.argv[3]
head = head.encode().decode("unicode_escape").encode()
def send():
    while True:
        try:
            line = socket.create_connection(("127.0.0.1", port), timeout=5)
            line.sendall(head)
            threading.Thread(target=read, args=(line,), daemon=True).start()
            while True:
                line.sendall(piece * 2000)
        except OSError:
            pass
def read(line):
    try:
        while line.recv(65536): pass
    except OSError: pass
threads = [threading.Thread(target=send) for _ in range(int(sys.argv[4]))]
[thread.start() for thread in threads]
"""
HEALTH = "GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"
CHUNKED = "POST /v1/datasets HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"


def health_s(server: Live) -> float:
    """Seconds until a new connection has its answer."""
    began = time.monotonic()
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    line.request("GET", "/healthz")
    assert line.getresponse().read() == b'{"status":"alive"}'
    line.close()
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("head", "piece"), [(CHUNKED, "1\\r\\nx\\r\\n"), ("", HEALTH)], ids=["tiny chunks", "pipelined requests"]
)
@pytest.mark.slow
def test_twelve_connections_without_a_key_stall_nobody(tmp_path: Path, head: str, piece: str) -> None:
    with live(tmp_path) as server:
        command = [sys.executable, "-c", SENDERS, str(server.port), piece, head, "12"]
        with subprocess.Popen(command) as senders:
            try:
                time.sleep(1)
                assert statistics.median(health_s(server) for _ in range(7)) < 1
            finally:
                senders.kill()


def test_pipelined_requests_are_all_answered_in_their_order(tmp_path: Path) -> None:
    with live(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        paths = ("/healthz", "/nowhere", "/healthz")
        line.sendall("".join(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" for path in paths).encode())
        answer = b""
        while answer.count(b"HTTP/1.1 ") < 3 or not answer.endswith(b"}"):
            answer += line.recv(65536)
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"401", b"200"]


def test_a_body_in_tiny_chunks_is_refused_with_the_reason(tmp_path: Path) -> None:
    with live(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        fields = (
            f"Host: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/json\r\n"
        )
        line.sendall(f"POST /v1/trainings HTTP/1.1\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode())
        line.sendall(b"1\r\n \r\n" * 1001)
        answer = line.recv(65536)
        while not answer.endswith(b"}"):
            answer += line.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"chunks that are too small" in answer
        assert b"application/problem+json" in answer


def finished_training(server: Live, folder: Path, num_bytes: int) -> str:
    """The id of a training of ada's whose weights are a file of this size."""
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "best.pt").write_bytes(b"w" * num_bytes)
    job, _ = server.store.jobs.create(
        kind="training", owner="ada", key="k", body_digests=("",), cluster="local", spec="{}"
    )
    server.store.launches.finish(job.id, 1, status="succeeded", artefacts=str(folder))
    return job.id


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", ["bytes=999999999999-", "lines=1", "bytes=5-2", "bytes=0-3,2-9", "bytes=-3"]
)
def test_a_range_leaves_no_copy_of_the_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temp))
    with live(tmp_path) as server:
        id = finished_training(server, tmp_path / "results", 1000)
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for _ in range(3):
            line.request(
                "GET",
                f"/v1/trainings/{id}/files/weights/best.pt",
                headers={**server.headers, "Range": wanted},
            )
            answer = line.getresponse()
            assert (answer.status, answer.read()) == (200, b"w" * 1000)
        line.close()
        assert list(temp.rglob("*")) == []


@pytest.mark.slow
def test_a_client_that_never_reads_is_given_up(tmp_path: Path) -> None:
    with live(tmp_path, write_timeout_s=0.5) as server:
        id = finished_training(server, tmp_path / "results", 40 * 2**20)
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
            fields = f"Host: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\n"
            line.sendall(f"GET /v1/trainings/{id}/files/weights/best.pt HTTP/1.1\r\n{fields}\r\n".encode())
            assert line.recv(15) == b"HTTP/1.1 200 OK"
            services = server.app.state.services
            wait_until(lambda: services.metrics.under_way._value.get() == 0, 20)


@pytest.mark.slow
@pytest.mark.alone
def test_a_log_reader_that_stalls_hangs_neither_requests_nor_the_shutdown(tmp_path: Path) -> None:
    environment = {**os.environ, "RECOMMENDER_HOME": str(tmp_path), "RECOMMENDER_SERVICE_LAUNCHER": "false"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("recommend")), "serve", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as server:
        try:
            wait_until(lambda: answers(port), 60)
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            for _ in range(1000):  # each is logged: several times what the pipe holds
                line.request("GET", "/v1/runs")
                assert line.getresponse().read()
            line.close()
            server.terminate()
            assert server.wait(timeout=30) == 0
        finally:
            server.kill()


def answers(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", "/healthz")
        return line.getresponse().read() != b""
    except OSError:
        return False
    finally:
        line.close()
