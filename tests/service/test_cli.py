"""`recommend keys`, `serve` and `doctor` as people type them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from recommender.cli.app import run
from recommender.cli.checks import copies
from recommender.store import Store
from service.auth import caller_of_key


def test_a_key_is_printed_alone_and_opens(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "--owner", "ada", "--role", "reader", "--days", "2"]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"ckr_[0-9a-f]{10}_[\w-]{43}\n", said.out)
    secret = said.out.strip()
    with Store() as store:
        found = caller_of_key(store, secret)
    assert found is not None
    assert (found.owner, found.role) == ("ada", "reader")
    assert run(["keys", "list", "--json"]) == 0
    listed = capsys.readouterr().out
    assert secret.split("_", 2)[2] not in listed
    [entry] = json.loads(listed)["keys"]
    assert (entry["owner"], entry["revoked_at"]) == ("ada", None)
    assert run(["keys", "list"]) == 0
    assert "ada" in capsys.readouterr().out
    assert run(["keys", "revoke", secret]) == 0
    with Store() as store:
        assert caller_of_key(store, secret) is None
    assert run(["keys", "revoke", entry["id"]]) == 2
    assert "no key" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--owner", ""], ["--role", "god"], ["--days", "-1"]])
def test_bad_keys_are_not_made(home: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(["keys", "create", *words]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "without TLS"),
        (["--host", "0.0.0.0", "--behind-tls-proxy"], "any host name"),
        (["--allow-root", "/no/such/folder"], "does not exist"),
        (["--port", "70000"], "port"),
        (["--workers", "0"], "workers"),
    ],
)
def test_the_service_does_not_start_unsafely(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(["serve", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_doctor_finds_a_sound_installation_sound(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"]
    parts = {finding["part"] for finding in document["findings"]}
    assert parts >= {
        "versions",
        "home",
        "safety",
        "store",
        "weights",
        "offline",
        "cluster",
        "service",
    }
    safety = [finding["said"] for finding in document["findings"] if finding["part"] == "safety"]
    assert any("ULTRALYTICS_SAFE_LOAD=true" in said for said in safety)
    assert any("the quarantine is confined" in said for said in safety)
    assert run(["doctor"]) == 0
    assert "restricted loading is on" in capsys.readouterr().out


def test_the_doctor_tells_what_copies_take_and_how_to_be_rid_of_them(home: Path) -> None:
    assert [finding.said[:3] for finding in copies()] == ["0.0"]
    (home / "unpacked" / "a set").mkdir(parents=True)
    with (home / "unpacked" / "a set" / "sparse").open("wb") as file:
        file.truncate(2 * 2**30)
    [finding] = copies()
    assert finding.said.startswith("2.0 GB")
    assert finding.said.endswith(shlex.join(["rm", "-r", str(home / "unpacked")]))


@pytest.mark.slow
def test_the_doctor_finds_what_is_broken(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(parents=True)
    (home / "store.sqlite3").write_bytes(b"no database at all")
    monkeypatch.setenv("RECOMMENDER_SERVICE_HOST", "0.0.0.0")
    assert run(["doctor", "--json", "--address", "ray://127.0.0.1:9"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["healthy"]
    bad = {finding["part"] for finding in document["findings"] if finding["state"] == "bad"}
    assert {"store", "service", "cluster"} <= bad
    assert all(finding["remedy"] for finding in document["findings"] if finding["state"] == "bad")
