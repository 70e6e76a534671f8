"""The operators' view: readiness, metrics, an index that is swapped whole. Row L2."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.profile import ENCODER
from recommender.profile.shipped import builtin_profiles
from recommender.records import Profile
from recommender.store import Store
from service.metrics import Metrics
from service.workers.dataset_map import DatasetMapRefresher
from tests.service.kit import running, wait_until


def known(number: int) -> Profile:
    """A profile like a shipped one, under a hash of its own."""
    template = next(iter(builtin_profiles().values()))
    assert template.encoder == ENCODER
    return replace(template, dataset_hash=f"made-{number}", dataset_name=f"made {number}")


@pytest.mark.slow
def test_readiness_says_what_is_missing(tmp_path: Path) -> None:
    with running(tmp_path, ray_address="http://127.0.0.1:9", launcher=False) as service:
        wait_until(lambda: service.services.dataset_map.current() is not None, 20)
        answer = service.client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
        told = service.get("/readyz").json()
        assert told["store"] == told["index"] == "ok"
        assert "127.0.0.1:9" in told["ray"]
        sweep = {"datasets": ["ds_1"]}
        assert service.post("/v1/sweeps", json=sweep).status_code == 404
    with running(tmp_path, launcher=False) as service:
        wait_until(lambda: service.get("/readyz").status_code == 200, 20)


def test_metrics_count_what_happened(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        for _ in range(3):
            service.get("/v1/runs")
        service.get("/v1/runs/nothing")
        service.client.get("/v1/runs")
        page = service.get("/metrics").text
    assert 'recommender_requests_total{method="GET",route="/v1/runs",status="200"} 3.0' in page
    assert 'recommender_requests_total{method="GET",route="/v1/runs/{id}",status="404"} 1.0' in page
    assert 'status="401"' in page
    assert 'recommender_request_seconds_bucket{le="0.05",method="GET",route="/v1/runs"}' in page
    for name in ("questions", "runs", "jobs", "followers", "index_datasets", "index_swaps", "answer_seconds"):
        assert f"recommender_{name}" in page, name


def test_a_page_of_metrics_is_whole_whoever_else_asks(tmp_path: Path) -> None:
    with running(tmp_path, launcher=False) as service:
        service.store.jobs.create(
            kind="training", owner="ada", key="k", body_digests=("d",), cluster="local", spec="{}"
        )
        readiness = service.services.readiness
        with ThreadPoolExecutor(8) as threads:
            pages = list(threads.map(lambda _: readiness.metrics_page().decode(), range(64)))
    assert all('recommender_jobs{kind="training",status="queued"} 1.0' in page for page in pages)


def test_what_there_is_none_of_any_more_is_not_counted(tmp_path: Path) -> None:
    with running(tmp_path, launcher=False) as service:
        job, _ = service.store.jobs.create(
            kind="training", owner="ada", key="k", body_digests=("d",), cluster="local", spec="{}"
        )
        queued = 'recommender_jobs{kind="training",status="queued"}'
        assert queued in service.get("/metrics").text
        service.store.jobs.request_cancel(job.id)
        assert queued not in service.get("/metrics").text


@pytest.mark.slow
def test_whoever_holds_a_snapshot_sees_one_state_while_others_come(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite3") as store:
        refresher = DatasetMapRefresher(store, Metrics())
        refresher.refresh()
        stop = threading.Event()
        mixed: list[str] = []
        generations = set()

        def read() -> None:
            while not stop.is_set():
                snapshot = refresher.current()
                assert snapshot is not None
                generations.add(snapshot.generation)
                hits = snapshot.index.search(known(0), 50)
                if set(snapshot.index.hashes) != set(snapshot.points) or not {
                    h.dataset_hash for h in hits
                } <= set(snapshot.points):
                    mixed.append(snapshot.generation)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(8):
            store.profiles.put(known(number))
            if number % 3 == 2:
                store.profiles.remove(f"made-{number - 1}", ENCODER)
            refresher.refresh()
            time.sleep(0.05)
        stop.set()
        for reader in readers:
            reader.join()
        assert mixed == []
        assert len(generations) > 4


@pytest.mark.slow
def test_a_new_profile_of_any_service_reaches_the_map_within_seconds(tmp_path: Path) -> None:
    with running(tmp_path) as service, Store(tmp_path / "store.sqlite3") as elsewhere:
        wait_until(lambda: service.services.dataset_map.current() is not None, 20)
        elsewhere.profiles.put(known(7))

        def there() -> bool:
            snapshot = service.services.dataset_map.current()
            return snapshot is not None and "made-7" in snapshot.points

        wait_until(there, 20)
        places = service.get("/v1/map").json()["places"]
        assert "made 7" not in {place["name"] for place in places}  # nobody's source, not yours either
        assert len(places) == len(builtin_profiles())


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_leave_no_line_in_the_log(
    tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as service:
        capsys.readouterr()
        service.client.get(path)
        assert service.client.head(path).content == b""
        assert service.client.head(path).status_code == service.client.get(path).status_code
        assert "request" not in capsys.readouterr().out


def test_a_service_stops_whole_while_its_store_is_away(tmp_path: Path) -> None:
    with running(tmp_path, launcher=False):  # which raises what the stop raises
        (tmp_path / "store.sqlite3").write_bytes(b"no database")
