"""Rows H5 and H7: whatever comes in, what goes out is a problem document and tells nothing of the inside."""

from __future__ import annotations

import gzip
import io
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from recommender.errors import (
    CheckpointError,
    ConflictError,
    DatasetError,
    IntegrityError,
    NotFoundError,
    RecommenderError,
    StorageError,
    TrialError,
    UnavailableError,
    UnsafeInputError,
    UsageError,
    WrongTaskError,
)
from service import logs
from service.problems import in_fields, problem_of, status_of
from tests.service.kit import Service, quiet, running
from tests.store.builders import checkpoint

CANARY = "canary-5d41402abc4b2a76"


@pytest.fixture
def log(service: Service) -> Iterator[io.StringIO]:
    """The service's log, set up as when it serves."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure()
    text = io.StringIO()
    formatter = root.handlers[0].formatter
    root.handlers[:] = [logging.StreamHandler(text)]
    root.handlers[0].setFormatter(formatter)
    yield text
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    quiet()


@pytest.mark.slow
def test_an_unexpected_exception_shows_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"{CANARY} in /secret/place")

    with running(tmp_path) as service:
        for repository, name in (
            (service.store.runs, "page"),
            (service.store.datasets, "page"),
            (service.store.jobs, "list"),
        ):
            monkeypatch.setattr(repository, name, fail)
        for path in ("/v1/runs", "/v1/datasets", "/v1/trainings", "/runs", "/"):
            for accept in ("application/json", "text/html"):
                answer = service.get(path, headers={"Accept": accept})
                assert answer.status_code == 500, path
                for hidden in (CANARY, "/secret", "Traceback", "RuntimeError", str(tmp_path), ".py"):
                    assert hidden not in answer.text, (path, hidden)
                assert answer.headers["x-request-id"] in answer.text
                assert "content-security-policy" in answer.headers
    said = log.getvalue()
    assert CANARY not in said
    assert "/secret" not in said
    assert "Traceback" not in said
    assert ".py" not in said
    assert "RuntimeError > " in said  # the operator finds where, by the request's id
    assert answer.headers["x-request-id"] in said


def test_an_exception_outside_the_routes_is_caught_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(CANARY)

    with running(tmp_path) as service:
        monkeypatch.setattr("service.middleware.authentication.caller_of_key", fail)
        answer = service.get("/v1/runs")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert CANARY not in answer.text


def test_a_store_that_is_away_is_503_without_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageError(f"The store {CANARY} failed.")

    with running(tmp_path) as service:
        monkeypatch.setattr(service.store.runs, "page", fail)
        answer = service.get("/v1/runs")
        assert (answer.status_code, answer.json()["type"][-8:]) == (503, ":storage")
        assert CANARY not in answer.text
        monkeypatch.setattr(service.store.keys, "get", fail)
        assert service.get("/v1/runs").status_code == 503
        assert service.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError, 422),
        (UnsafeInputError, 422),
        (WrongTaskError, 422),
        (CheckpointError, 422),
        (IntegrityError, 422),
        (NotFoundError, 404),
        (ConflictError, 409),
        (UnavailableError, 503),
        (StorageError, 503),
        (TrialError, 500),
    ],
)
def test_every_error_has_its_status(error: type[RecommenderError], status: int) -> None:
    assert status_of(error("x"))[0] == status


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataset": NaN}',
        b'{"dataset": "ds_1", "epochs": NaN}',
        b'{"dataset": "ds_1", "epochs": Infinity}',
        b'{"dataset": "ds_1", "epochs": 1e999}',
        b'{"dataset": "ds_1", "epochs": ' + b"9" * 5000 + b"}",
        b'{"dataset": "ds_1", "epochs": 1.5}',
        b'{"dataset": "\\ud800"}',
        b'{"dataset": "ds_1", "checkpoints": ["\\ud800"]}',
        b'{"\\ud800": 1}',
        b'{"dataset": "\\u0000"}',
        b'{"dataset": "ds_1", "unknown": 1}',
        b'{"dataset": "ds_1", "allow_roots": ["/"]}',
        b'{"dataset": "ds_1", "checkpoints": ["/etc/passwd"]}',
        b'{"dataset": "ds_1", "checkpoints": ["../x.pt"]}',
        b"[" * 100_000,
        b'{"dataset":' * 20_000,
        b"\xff\xfe",
        b"null",
        b"",
        b'"text"',
        b'{"dataset": "ds_1"} trailing',
    ],
)
@pytest.mark.parametrize("path", ["/v1/recommendations", "/v1/trainings", "/v1/datasets"])
def test_broken_bodies_are_refused(service: Service, path: str, body: bytes) -> None:
    answer = service.post(path, content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert problem["status"] == answer.status_code
    assert len(answer.content) < 10_000  # never the input itself


@pytest.mark.parametrize(
    "id", ["%00", "%ED%A0%80", "%ff", "..%2f..%2fetc", "a" * 3000, "%0a", "<b>", "\u202e"]
)
def test_broken_ids_are_refused(service: Service, id: str) -> None:
    for collection in ("datasets", "recommendations", "trainings", "runs", "checkpoints"):
        answer = service.get(f"/v1/{collection}/{id}")
        assert answer.status_code in (400, 404, 422), (collection, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=9e9", "limit=" + "9" * 5000, "cursor=%00", "cursor=AAAA"]
)
def test_broken_pages_are_refused(service: Service, query: str) -> None:
    for collection in ("datasets", "recommendations", "trainings", "runs", "checkpoints"):
        answer = service.get(f"/v1/{collection}?{query}")
        assert answer.status_code in (404, 422), (collection, query, answer.text)


def test_pages_of_checkpoints_go_on_when_the_last_one_shown_is_removed(service: Service) -> None:
    first = service.get("/v1/checkpoints?limit=14").json()
    names = [f"paged-{number}" for number in range(4)]
    for name in names:
        service.store.checkpoints.put(checkpoint(name))
    seen, cursor = [], first["next"]
    for _ in names:
        page = service.get("/v1/checkpoints", params={"limit": 1, "cursor": cursor}).json()
        seen += [one["name"] for one in page["checkpoints"]]
        service.store.checkpoints.remove(seen[-1])
        cursor = page["next"]
    assert seen == names
    assert service.get("/v1/checkpoints", params={"cursor": cursor}).json()["checkpoints"]


def test_any_message_of_failed_work_can_be_kept() -> None:
    """A text that cannot be encoded would leave the question running for ever."""
    kept = problem_of(
        DatasetError("labels/caf\udce9.txt\x1b[31m", remedy="\ud800"), "/v1/recommendations/rec_1"
    )
    assert "caf\\\\udce9.txt" in kept.model_dump_json()


def test_unknown_paths_and_methods_are_problems_too(service: Service) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/datasets", 405),
        ("PATCH", "/v1/runs", 405),
    ):
        answer = service.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == path
    assert (
        service.post("/v1/datasets", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    )


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/datasets", "GET, HEAD, POST"),
        ("/v1/datasets/ds_1", "GET, HEAD, DELETE"),
        ("/v1/map", "GET, HEAD"),
        ("/login", "GET, HEAD, POST"),
        ("/sweeps/sw_1/cancel", "POST"),
        ("/static/app.js", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_that_the_path_knows(service: Service, path: str, allowed: str) -> None:
    answer = service.request("PUT", path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json()["remedy"] == f"Send {allowed}."


def test_head_is_answered_as_get_without_the_body(service: Service) -> None:
    for path in (
        "/",
        "/trainings",
        "/v1/datasets",
        "/v1/runs?limit=2",
        "/v1/datasets/none",
        "/docs",
        "/v1/map?x=1",
    ):
        got, asked = service.get(path), service.request("HEAD", path)
        assert asked.content == b"", path
        assert asked.status_code == got.status_code, path
        for header in ("content-type", "content-length"):
            assert asked.headers[header] == got.headers[header], (path, header)


def test_a_field_that_nobody_knows_is_named_with_where_to_look(service: Service) -> None:
    told = service.post("/v1/recommendations", json={"dataset": "ds_1", "epoch": 3}).json()
    assert "body.epoch: There is no such field." in told["detail"]
    assert "/docs lists the fields" in told["remedy"]


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/recommendations"])
def test_a_compressed_body_is_told_so(service: Service, path: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = service.post(path, content=gzip.compress(b'{"dataset": "ds_1"}'), headers=headers)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["remedy"]
    assert service.get("/v1/datasets", headers={"Content-Encoding": "identity"}).status_code == 200


def test_refusals_say_what_to_do(service: Service) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    refused = [
        service.post("/v1/datasets", headers={"Origin": "http://elsewhere.example"}),
        service.post("/v1/datasets", service.reader),
        service.post("/v1/datasets", headers=form, content=b"--x\r\n"),
        service.post("/v1/datasets", files={"other": b""}),
        service.post("/v1/datasets", files={"file": b""}, data={"name": "a" * 5000}),
        service.post("/v1/checkpoints", files={"file": b""}, data={"name": "a", "licence": "a" * 101}),
        service.post("/v1/checkpoints", files={"file": b""}, data={"name": "a", "from_scratch": "yes"}),
    ]
    assert [one.status_code for one in refused] == [403, 403, 422, 422, 413, 422, 422]
    assert all(one.json()["remedy"] for one in refused)


def test_json_that_is_not_said_to_be_json_is_told_so(service: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = service.post("/v1/sweeps", content=b'{"datasets": ["ds_1"]}', headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "Content-Type: application/json" in answer.json()["remedy"]
    assert (
        service.post("/v1/sweeps", content=b"[]", headers={"Content-Type": "application/json"}).status_code
        == 422
    )


def test_request_ids_are_taken_over_only_when_harmless(service: Service) -> None:
    given = service.get("/v1/runs", headers={"X-Request-Id": "abcd-1234"})
    assert given.headers["x-request-id"] == "abcd-1234"
    for bad in ("short", 'x" onload="', "a" * 100, "line%0abreak"):
        assert service.get("/v1/runs", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_logs_are_one_json_object_a_line_whatever_users_send(service: Service, log: io.StringIO) -> None:
    service.get("/v1/datasets/%0a%1b[31m{evil}", headers={"User-Agent": "a\tb"})
    logging.getLogger("uvicorn.error").warning("bad\nline \x1b[31m%s", CANARY)
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        logging.getLogger("uvicorn.error").error(traceback.format_exc())  # of its start and its stop
    try:
        raise ExceptionGroup("several", [ValueError(f"{CANARY}\n{CANARY}: {CANARY}"), KeyError(CANARY)])
    except ExceptionGroup:
        logging.getLogger("uvicorn.error").error(traceback.format_exc())
    try:
        raise OSError(f"{CANARY}\n{CANARY}: {CANARY}")
    except OSError:
        logging.getLogger("uvicorn.error").error(traceback.format_exc())
    lines = log.getvalue().splitlines()
    assert lines
    records = [json.loads(line) for line in lines]
    assert all("\x1b" not in line for line in lines)
    failed_in = [one["failed_in"].partition(" ")[0] for one in records[-4:]]
    assert failed_in == ["ValueError", "ValueError", "ExceptionGroup", "OSError"]
    assert "Traceback" not in log.getvalue()
    assert all(CANARY not in line for line in lines[-4:])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "--max-cost needs the price of an hour: --price 0.35/h",
            "max_cost needs the price of an hour: price 0.35/h",
        ),
        ("Ask for --max-latency 3ms, or --all", "Ask for max_latency 3ms, or everything"),
        ("`recommend train --gpu 1` and --no-such-option", "`recommend train --gpu 1` and --no-such-option"),
    ],
)
def test_messages_name_fields_of_the_request_not_options_of_the_command_line(said: str, told: str) -> None:
    assert in_fields(said) == told
