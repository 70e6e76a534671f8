"""Row H2: no, wrong, other people's and revoked keys, on every route there is."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Any

import pytest

from recommender.store.clock import utc_now
from recommender.store.service_records import ApiKey
from service.auth import caller_of_key, create_key
from service.middleware.authentication import OPEN_PATHS
from tests.service.kit import Service, running

WRONG = "ckr_0123456789_" + "x" * 43


def every_route(service: Service) -> list[tuple[str, str]]:
    """Method and path of every documented operation, ids filled in."""
    document = service.app.openapi()
    return [
        (method.upper(), re.sub(r"\{[a-z_]+\}", "1", path))
        for path, operations in document["paths"].items()
        for method in operations
    ]


def every_page() -> list[str]:
    return [
        "/",
        "/datasets/1",
        "/recommendations/1",
        "/trainings",
        "/trainings/1",
        "/runs",
        "/checkpoints",
        "/docs",
    ]


@pytest.mark.slow
def test_every_route_but_health_is_closed_without_a_key(service: Service) -> None:
    routes = every_route(service)
    assert len(routes) > 20
    for method, path in routes:
        answer = service.client.request(method, path)
        expected = {200, 503} if path in ("/healthz", "/readyz") else {401}
        assert answer.status_code in expected, (method, path, answer.status_code)
    for path in [*every_page(), "/openapi.json", "/nothing/here", "/v1/nothing", "/static/../settings.py"]:
        assert service.client.get(path).status_code == 401, path


@pytest.mark.parametrize(
    "header",
    [
        "Bearer " + WRONG,
        "Bearer ",
        "Bearer ckr_",
        "Basic YWRhOmFkYQ==",
        "Bearer " + "ckr_" + "a" * 10_000,
        "Bearer ckr_\u00e9_x",
        "bearer\tckr",
    ],
)
def test_no_other_header_opens_a_route(service: Service, header: str) -> None:
    answer = service.client.get("/v1/datasets", headers={b"authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_wrong_key_on_every_route(service: Service) -> None:
    for method, path in every_route(service):
        answer = service.request(method, path, WRONG)
        assert answer.status_code == (200 if path == "/healthz" else 401), (method, path)


def test_a_revoked_key_opens_nothing_from_then_on(service: Service) -> None:
    key, secret = create_key(service.store, owner="eve")
    assert service.get("/v1/datasets", secret).status_code == 200
    assert service.store.keys.revoke(key.id)
    for method, path in every_route(service):
        answer = service.request(method, path, secret)
        assert answer.status_code == (200 if path == "/healthz" else 401), (method, path)
    assert not service.store.keys.revoke(key.id)


def test_an_expired_key_opens_nothing(service: Service) -> None:
    key, secret = create_key(service.store, owner="eve", days=1)
    assert service.get("/v1/datasets", secret).status_code == 200
    expired = ApiKey(
        id=key.id,
        owner=key.owner,
        role=key.role,
        digest=key.digest,
        created_at=key.created_at,
        expires_at=utc_now(plus_s=-1),
    )
    service.store.keys.add(expired)
    assert service.get("/v1/datasets", secret).status_code == 401


@pytest.mark.slow
def test_other_peoples_things_do_not_exist(service: Service, small_zip: Path) -> None:
    held = service.upload(small_zip).json()
    addresses = [
        ("GET", f"/v1/datasets/{held['id']}"),
        ("GET", f"/v1/datasets/{held['id']}/neighbours"),
        ("GET", f"/v1/datasets/{held['id']}/pictures/0"),
        ("DELETE", f"/v1/datasets/{held['id']}"),
        ("GET", f"/datasets/{held['id']}"),
        ("POST", f"/datasets/{held['id']}/remove"),
    ]
    for method, path in addresses:
        assert service.request(method, path, service.bob).status_code == 404, (method, path)
    for path in ("/v1/recommendations", "/v1/trainings"):
        answer = service.post(path, service.bob, json={"dataset": held["id"], "start": "scratch"})
        assert answer.status_code in (404, 422), path  # `start` is no field of a recommendation
        assert "shapes" not in answer.text
    assert service.post("/v1/trainings", service.bob, json={"dataset": held["id"]}).status_code == 404
    assert held["id"] not in service.get("/v1/datasets", service.bob).text
    assert held["id"] in service.get("/v1/datasets", service.admin).text
    assert service.get(f"/v1/datasets/{held['id']}", service.reader).status_code == 200


def test_a_reader_changes_nothing(service: Service) -> None:
    for method, path in every_route(service):
        if method not in ("GET", "HEAD"):
            answer = service.request(method, path, service.reader)
            assert answer.status_code == 403, (method, path)


def test_secrets_are_compared_in_constant_time_whether_or_not_the_key_exists(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[Any, Any]] = []
    compare = hmac.compare_digest

    def watched(a: str, b: str) -> bool:
        compared.append((a, b))
        return compare(a, b)

    monkeypatch.setattr("service.auth.hmac.compare_digest", watched)
    known_id = service.ada.split("_")[1]
    for text in (service.ada, f"ckr_{known_id}_wrong", WRONG, "nonsense", ""):
        compared.clear()
        found = caller_of_key(service.store, text)
        assert len(compared) == 1
        assert len(compared[0][0]) == len(compared[0][1]) == 64
        assert (found is not None) == (text == service.ada)


def test_the_store_never_holds_a_secret(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        secret = service.ada.split("_", 2)[2]
        session = service.client.post("/login", data={"key": service.ada}).cookies["ckr_session"]
    held = (tmp_path / "store.sqlite3").read_bytes()
    assert secret.encode() not in held
    assert session.encode() not in held


def test_only_these_paths_are_open() -> None:
    assert {"/healthz", "/readyz", "/login", "/favicon.ico"} == OPEN_PATHS


def test_readiness_tells_strangers_nothing_but_whether(service: Service) -> None:
    assert set(service.client.get("/readyz").json()) == {"status"}
    assert set(service.get("/readyz").json()) == {"status", "store", "index", "ray", "disk"}
