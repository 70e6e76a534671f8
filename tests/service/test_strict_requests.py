"""Requests are taken as they are meant or refused: one error with its remedy, and nothing is changed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from recommender.home import subfolder
from tests.service.kit import Live, Service, live, wait_until

JSON = {"Content-Type": "application/json"}
POSTS = ("/v1/trainings", "/v1/recommendations", "/v1/sweeps", "/v1/datasets")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"dataset": "ds_1", "epochs": 1, "epochs": 2}', "has the key 'epochs' twice"),
        (b'{"dataset": "ds_1", "epochs": NaN}', "has a NaN"),
        (b'{"dataset": "ds_1", "epochs": -Infinity}', "has a -Infinity"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"dataset": "\xe9"}', "no Unicode text"),
        (b'{"epochs": ' + b"9" * 5000 + b"}", "too long"),
        (b'{"dataset": "ds_1"} x', "no JSON: Extra data at character 21"),
    ],
)
def test_json_that_is_not_plain_is_refused_with_the_reason(
    service: Service, path: str, body: bytes, told: str
) -> None:
    answer = service.post(path, content=body, headers=JSON)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/trainings", {"dataset": "ds_1", "start": "scratch", "epochs": True}, "epochs"),
        ("/v1/recommendations", {"dataset": "ds_1", "max_latency": True}, "max_latency"),
        ("/v1/sweeps", {"datasets": ["ds_1"], "budget": "1h", "seeds": [0, True]}, "seeds"),
    ],
)
def test_true_is_no_number(service: Service, path: str, body: dict[str, object], field: str) -> None:
    answer = service.post(path, json=body)
    assert answer.status_code == 422
    assert [(one["field"], "not true or false" in one["message"]) for one in answer.json()["errors"]] == [
        (f"body.{field}", True)
    ]


def test_query_parameters_that_nobody_reads_are_refused(service: Service) -> None:
    """`?limt=5` gave fifty."""
    unknown = service.get("/v1/datasets?limt=5")
    assert (unknown.status_code, unknown.json()["remedy"]) == (422, "Allowed here: cursor, limit.")
    twice = service.get("/v1/runs?limit=5&limit=6")
    assert (twice.status_code, twice.json()["remedy"]) == (422, "Give it once.")
    assert service.get("/v1/map?a=1").json()["remedy"] == "None is allowed here."
    assert service.get("/v1/checkpoints?limit=2&available=true").status_code == 200


@pytest.mark.parametrize("page", ["/", "/trainings", "/sweeps", "/runs", "/checkpoints", "/docs"])
def test_pages_refuse_what_they_do_not_read_as_the_api_does(service: Service, page: str) -> None:
    refused = service.get(f"{page}?limt=5")
    assert refused.status_code == 422
    assert "no query parameter" in refused.text
    assert "llowed here" in refused.text
    assert service.get(page).status_code == 200


def test_the_same_archive_under_another_name_leaves_nothing_behind(
    service: Service, small_zip: Path, tmp_path: Path
) -> None:
    held = service.upload(small_zip).json()["id"]
    before = set(subfolder("unpacked").iterdir())
    other = tmp_path / "another.zip"
    other.write_bytes(small_zip.read_bytes())
    assert service.upload(other).json()["id"] == held
    assert set(subfolder("unpacked").iterdir()) == before


@pytest.mark.slow
def test_a_client_that_leaves_within_its_upload_is_no_failure_of_ours(tmp_path: Path) -> None:
    with live(tmp_path) as server:
        _upload_half(server)

        def count(status: str) -> float:
            services = server.app.state.services
            return float(services.metrics.requests.labels("POST", "/v1/datasets", status)._value.get())

        wait_until(lambda: count("499") == 1, 20)
        assert count("500") == 0


def _upload_half(server: Live) -> None:
    head = (
        f"POST /v1/datasets HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.key}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK'
    )
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head.encode())


@pytest.mark.slow
def test_a_head_that_is_too_large_is_told_as_such(tmp_path: Path) -> None:
    with live(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))  # until the service closes
    assert b"larger than 32 kB" in answer
    assert b"fewer or shorter headers" in answer
