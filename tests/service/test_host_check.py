"""Rows H6 and H10: hosts, origins, sessions and bursts."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.errors import UsageError
from service.rate_limits import TokenBuckets
from service.server import _require_free
from service.settings import ServiceSettings
from tests.service.kit import Service, running, settings_for_tests

SITES = [
    "https://evil.example",
    "http://127.0.0.1.evil.example",
    "null",
    "http://127.0.0.1:81",
    "file://",
    "http://[",
]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "",
        "127.0.0.1:x",
        "[::1",
        "127.0.0.1/x",
    ],
)
def test_unknown_hosts_are_refused(service: Service, host: str) -> None:
    assert service.get("/v1/datasets", headers={"Host": host}).status_code == 400
    assert service.client.get("/healthz", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:8000"])
def test_names_of_loopback_are_known(service: Service, host: str) -> None:
    assert service.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", SITES)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_other_sites_can_cause_nothing(service: Service, origin: str, method: str) -> None:
    answer = service.request(method, "/v1/datasets/ds_1", headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":origin")


def test_what_browsers_say_of_the_sender_counts(service: Service) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert service.post("/v1/trainings", headers=headers, json={}).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}
    assert service.post("/v1/trainings", headers=own, json={}).status_code == 422


def test_a_session_needs_the_pages_own_origin_to_change_anything(service: Service) -> None:
    answer = service.client.post("/login", data={"key": service.ada})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    session = {
        "Cookie": f'theme={{"dark": 1}}; {cookie.split(";")[0]}'
    }  # ports of a host share their cookies
    assert service.client.get("/v1/datasets", headers=session).status_code == 200
    assert service.client.delete("/v1/datasets/ds_1", headers=session).status_code == 403
    own = {**session, "Origin": "http://127.0.0.1"}
    assert service.client.delete("/v1/datasets/ds_1", headers=own).status_code == 404
    for origin in SITES:
        assert (
            service.client.delete("/v1/datasets/ds_1", headers={**session, "Origin": origin}).status_code
            == 403
        )
    answer = service.client.post("/login", data={"key": service.reader})
    reading = {"Cookie": answer.headers["set-cookie"].split(";")[0], "Origin": "http://127.0.0.1"}
    for headers in (own, reading):  # who may change nothing may still leave
        assert service.client.post("/logout", headers=headers).status_code == 303
        assert service.client.get("/v1/datasets", headers=headers).status_code == 401


def test_a_session_ends_with_its_key(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        answer = service.client.post("/login", data={"key": service.ada})
        session = {"Cookie": answer.headers["set-cookie"].split(";")[0]}
        assert service.client.get("/v1/datasets", headers=session).status_code == 200
        service.store.keys.revoke(service.ada.split("_")[1])
        assert service.client.get("/v1/datasets", headers=session).status_code == 401


def test_behind_a_tls_proxy_cookies_travel_over_tls_only(tmp_path: Path) -> None:
    with running(
        tmp_path, behind_tls_proxy=True, allowed_hosts=("ml.example.org",), host="0.0.0.0"
    ) as service:
        here = {"Host": "ml.example.org"}
        answer = service.client.post("/login", data={"key": service.ada}, headers=here)
        assert answer.headers["set-cookie"].startswith("__Host-ckr_session=")
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]
        assert service.client.get("/healthz").status_code == 400  # loopback's names are not its names


def test_a_public_address_needs_a_proxy_and_names() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "ml.example.org"):
        with pytest.raises(UsageError, match="without TLS"):
            ServiceSettings(host=host).check()
        with pytest.raises(UsageError, match="any host name"):
            ServiceSettings(host=host, behind_tls_proxy=True).check()
        ServiceSettings(host=host, behind_tls_proxy=True, allowed_hosts=("ml.example.org",)).check()
    for proxies in ("10.0.0.0/8", "fd00::/8", "*"):
        with pytest.raises(UsageError, match="more than 256 addresses"):
            ServiceSettings(trusted_proxies=("127.0.0.1", proxies)).check()
    ServiceSettings(trusted_proxies=("10.1.2.3", "10.1.3.0/24", "proxy")).check()
    with pytest.raises(UsageError, match="wildcard"):
        ServiceSettings(allowed_hosts=("*.example.org",)).check()
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        ServiceSettings(host=host).check()
    with pytest.raises(UsageError, match="'lots' is not understood"):  # at the start, not on a page
        ServiceSettings(max_budget="lots").check()
    for host in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(UsageError, match=f"cannot listen on {host}"):
            _require_free(host, 0)


@pytest.mark.slow
def test_a_burst_is_cut_off_and_another_key_is_not(tmp_path: Path) -> None:
    with running(tmp_path, requests_per_s=5) as service:
        answers = [service.get("/v1/datasets") for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 200
        assert len(refused) >= 15
        assert int(refused[0].headers["retry-after"]) >= 1
        assert refused[0].json()["status"] == 429
        assert service.get("/v1/datasets", service.bob).status_code == 200
        assert service.client.get("/healthz").status_code == 200


def test_costly_requests_have_an_allowance_of_their_own(tmp_path: Path) -> None:
    with running(tmp_path, costly_per_minute=3) as service:
        body = {"dataset": "ds_1", "start": "scratch"}
        statuses = [service.post("/v1/trainings", json=body).status_code for _ in range(5)]
        assert statuses == [404, 404, 404, 429, 429]
        assert service.get("/v1/trainings").status_code == 200


def test_guessing_keys_is_slowed_down(tmp_path: Path) -> None:
    with running(tmp_path, attempts_per_minute=5) as service:
        tried = [service.get("/v1/datasets", f"ckr_0000000000_{i}").status_code for i in range(9)]
        assert tried == [401] * 5 + [429] * 4
        logins = [service.client.post("/login", data={"key": f"ckr_0_{i}"}).status_code for i in range(9)]
        assert logins == [401] * 5 + [429] * 4
        assert service.get("/v1/datasets").status_code == 200
        assert service.client.post("/login", data={"key": service.ada}).status_code == 303  # same address


def test_buckets_refill_steadily_and_forget_the_oldest() -> None:
    now = [0.0]
    buckets = TokenBuckets(per_s=2, burst=3, clock=lambda: now[0], max_names=2)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(0.5)
    now[0] += 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    now[0] += 100
    assert [buckets.take("a") > 0 for _ in range(4)] == [False, False, False, True]
    buckets.take("b")
    buckets.take("c")
    assert buckets.take("a") == 0  # forgotten, so full again
    assert (
        TokenBuckets(per_s=0.5, burst=0.5, clock=lambda: now[0]).take("a") == 0
    )  # else nobody ever gets through


def test_settings_read_lists_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMMENDER_SERVICE_ALLOWED_HOSTS", "a.example.org, b.example.org")
    assert ServiceSettings().allowed_hosts == ("a.example.org", "b.example.org")
    assert settings_for_tests().hosts >= {"127.0.0.1", "localhost", "a.example.org"}


def test_a_variable_set_to_nothing_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMMENDER_SERVICE_STORAGE", "")
    monkeypatch.setenv("RECOMMENDER_SERVICE_RAY_ADDRESS", "")
    assert (ServiceSettings().storage, ServiceSettings().ray_address) == (None, None)
