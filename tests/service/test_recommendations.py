"""Questions and answers: asked once, leased, cached, given up, taken up again after a crash."""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recommender.home import home
from recommender.records import Lease
from recommender.report.document import RecommendationDocument
from recommender.requests import RecommendRequest
from recommender.store import Store
from service.auth import Caller
from service.schemas.recommendations import RecommendationAnswer
from service.workers.recommendation_queue import RecommendationQueue
from tests.datagen import make_dataset, zip_of
from tests.service.kit import Service, SharedPools, running, wait_until
from tests.service.test_dataset_task import HELD
from tests.store.builders import recommendation_job

FRESH = "fresh.zip"
BODY = {"epochs": 50, "imgsz": 96, "offline": True, "max_feature_candidates": 1}
NOBODY = Lease(holder="", beat=0)
DOCUMENT = {
    "dataset": {"name": "shapes", "hash": "h", "images": {"train": 9, "val": 3, "test": 0}, "classes": ["a"]},
    "budget": {"epochs": 50, "imgsz": 640},
    "metric": "map50_95",
    "ranking": [],
    "warnings": [],
    "method": "rules",
    "command": "yolo detect train",
    "provenance": {
        "version": "0",
        "weights_sha256": {},
        "seed": 0,
        "history_runs": 0,
        "encoder": "e",
        "libraries": {},
    },
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "asks.sqlite3")


def test_a_question_is_answered_by_one_holder_only(store: Store) -> None:
    store.recommendations.add(recommendation_job())
    [(ask, lease)] = store.recommendations.open()
    assert lease == NOBODY
    assert store.recommendations.take_lease(ask.id, seen=lease, holder="a")
    assert not store.recommendations.take_lease(ask.id, seen=lease, holder="b")  # it has seen an older lease
    assert store.recommendations.renew_lease(ask.id, holder="a")
    [(_, now)] = store.recommendations.open()
    assert (now.holder, now.beat) == ("a", 2)
    assert store.recommendations.take_lease(ask.id, seen=now, holder="b")  # a has not moved for long enough
    assert not store.recommendations.renew_lease(ask.id, holder="a")
    assert not store.recommendations.finish(ask.id, holder="a", status="succeeded", document="{}")
    assert store.recommendations.finish(ask.id, holder="b", status="succeeded", document="{}")
    assert not store.recommendations.finish(ask.id, holder="b", status="failed")
    assert store.recommendations.open() == ()
    kinds = [json.loads(event.data)["status"] for event in store.jobs.events(ask.id)]
    assert kinds == ["queued", "running", "running", "succeeded"]


def test_two_takers_at_once_get_it_once(store: Store) -> None:
    store.recommendations.add(recommendation_job())
    taken: list[bool] = []

    def take(name: str) -> None:
        taken.append(store.recommendations.take_lease("rec_1", seen=NOBODY, holder=name))

    threads = [threading.Thread(target=take, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]


def test_a_cancelled_question_takes_no_answer(store: Store) -> None:
    store.recommendations.add(recommendation_job())
    store.recommendations.take_lease("rec_1", seen=NOBODY, holder="a")
    assert store.recommendations.cancel("rec_1")
    assert not store.recommendations.cancel("rec_1")
    assert not store.recommendations.finish("rec_1", holder="a", status="succeeded", document="{}")
    assert store.recommendations.count() == {"queued": 0, "running": 0}


def test_what_a_service_puts_back_counts_no_attempt(store: Store) -> None:
    store.recommendations.add(recommendation_job())
    store.recommendations.take_lease("rec_1", seen=NOBODY, holder="a")
    assert store.recommendations.num_attempts("rec_1") == 1
    store.recommendations.release("a")
    assert store.recommendations.num_attempts("rec_1") == 0
    [(ask, lease)] = store.recommendations.open()
    assert (ask.status, lease.holder) == ("queued", "")


def test_pages_go_newest_first_and_miss_nothing_while_rows_are_added(store: Store) -> None:
    for i in range(7):
        store.recommendations.add(recommendation_job(f"rec_{i}", created_at=f"2026-01-0{i // 2 + 1}"))
    first = store.recommendations.page(owner="ada", limit=3)
    store.recommendations.add(recommendation_job("rec_9", created_at="2026-02-01"))
    second = store.recommendations.page(owner="ada", limit=3, cursor=first.next_cursor)
    third = store.recommendations.page(owner="ada", limit=3, cursor=second.next_cursor)
    ids = [ask.id for page in (first, second, third) for ask in page.items]
    assert ids == [f"rec_{i}" for i in reversed(range(7))]
    assert third.next_cursor is None
    assert store.recommendations.page(owner="bob").items == ()


def test_knowledge_changes_with_checkpoints_and_runs_alone(store: Store) -> None:
    from recommender.records import Checkpoint

    before = store.fingerprint()
    store.recommendations.add(recommendation_job())
    assert store.fingerprint() == before
    store.checkpoints.put(Checkpoint(name="own", origin="registry", architecture="yolo11n", family="yolo11"))
    assert store.fingerprint() != before
    before = store.fingerprint()
    store.runs.ignore("a-run")
    assert store.fingerprint() != before


def known_places(service: Service) -> set[str]:
    snapshot = service.services.dataset_map.current()
    return set(snapshot.points) if snapshot else set()


@pytest.fixture(scope="module")
def fresh(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A data set of these tests alone: the profile of the common one may be known, and the answer be there at once."""
    folder = tmp_path_factory.mktemp("fresh")
    held: dict[str, Any] = service.upload(
        zip_of(make_dataset(folder / "set", seed=71), folder / FRESH)
    ).json()
    return held


@pytest.mark.slow
def test_from_upload_to_answer_and_again_from_the_cache(service: Service, fresh: dict[str, Any]) -> None:
    held = fresh
    body = BODY | {"dataset": held["id"]}
    first = service.post("/v1/recommendations", json=body)
    assert first.status_code == 202, first.text
    address = first.headers["location"]
    repeated = service.post("/v1/recommendations", json=body)
    assert repeated.json()["id"] == first.json()["id"]  # the same question is asked once
    wait_until(lambda: service.get(address).json()["status"] not in ("queued", "running"), 240, every_s=0.3)
    answer = RecommendationAnswer.model_validate_json(service.get(address).text)
    assert answer.status == "succeeded", answer.problem
    assert answer.ranking
    assert {"scratch", "coco-yolo11n"} <= {row.checkpoint for row in answer.ranking}
    published = {
        name: value
        for name, value in service.get(address).json().items()
        if name in RecommendationDocument.model_fields
    }
    RecommendationDocument.model_validate(published)  # the document of the command line, field by field
    assert (
        str(home()) not in service.get(address).text
    )  # where the service keeps an upload is nobody's business
    assert FRESH in str(answer.command)
    again = service.post("/v1/recommendations", json=body)
    assert again.status_code == 200
    assert again.json() == service.get(address).json()
    assert service.get(f"/v1/datasets/{held['id']}").json()["profiled"]
    kinds = [event.kind for event in service.store.jobs.events(answer.id)]
    assert kinds[0] == "status"
    assert kinds[-1] == "status"
    assert "progress" in kinds
    wait_until(lambda: held["hash"] in known_places(service), 20)
    near = service.get(f"/v1/datasets/{held['id']}/neighbours").json()
    assert near["sources"]
    assert near["pairs"]
    assert (
        near["pairs"][0]["picture"] is None
        or service.get(near["pairs"][0]["picture"]).content[:2] == b"\xff\xd8"
    )
    places = {place["hash"]: place for place in service.get("/v1/map").json()["places"]}
    assert places[held["hash"]]["kind"] == "held"
    assert held["hash"] not in {
        place["hash"] for place in service.get("/v1/map", service.bob).json()["places"]
    }


@pytest.mark.slow
def test_an_answer_is_read_first_in_lines_and_downloads_as_a_page(
    service: Service, fresh: dict[str, Any]
) -> None:
    """The page names no flag of the command line outside its commands, and the report is the same answer."""
    asked = service.post("/v1/recommendations", json=BODY | {"dataset": fresh["id"]}).json()
    wait_until(lambda: service.get(f"/v1/recommendations/{asked['id']}").json()["status"] == "succeeded", 300)
    answer = service.get(f"/v1/recommendations/{asked['id']}").json()
    shown = service.get(f"/recommendations/{asked['id']}").text
    head = shown.split("</thead>")[0]
    headings = re.findall('<th scope="col"[^>]*>([^<]+)</th>', head)[3:]  # beyond rank, start and forecast
    assert "Vs scratch" in headings
    assert {heading.lower() for heading in headings} <= set(re.findall("<dt>([^<]+)</dt>", shown))
    assert shown.index(answer["headline"]["chance"][:20]) < shown.index("<table")
    assert "--" not in re.sub(r"<!--.*?-->|<code>.*?</code>", "", shown, flags=re.DOTALL)
    assert shown.split("</table>")[0].count('<th scope="row">') == 5
    report = service.get(f"/recommendations/{asked['id']}/report")
    assert report.headers["content-disposition"].startswith("attachment")
    assert answer["headline"]["start"] in report.text
    assert service.get(f"/recommendations/{asked['id']}/report", service.bob).status_code == 404


def test_an_answer_filed_by_another_service_is_found(service: Service, small_zip: Path) -> None:
    """Its page shows a command inside a notice as one."""
    held = service.upload(small_zip).json()
    notice = {
        "code": "unknown_source",
        "message": "Name its set (`recommend checkpoints add <FILE> --dataset PATH`).",
    }
    document = DOCUMENT | {"dataset": DOCUMENT["dataset"] | {"hash": held["hash"]}, "warnings": [notice]}  # type: ignore[operator]
    document["budget"] = {"epochs": 1, "imgsz": 640}
    done = recommendation_job(
        "rec_elsewhere", dataset_id=held["id"], status="succeeded", document=json.dumps(document)
    )
    service.store.recommendations.add(done)
    answer = service.get("/v1/recommendations/rec_elsewhere")
    assert answer.status_code == 200
    assert RecommendationAnswer.model_validate_json(answer.text).method == "rules"
    page = service.get("/recommendations/rec_elsewhere").text
    assert "Full training of 1 epoch at 640 px" in page
    assert "Name its set (<code>recommend checkpoints add &lt;FILE&gt; --dataset PATH</code>)." in page
    assert service.get("/v1/recommendations/rec_elsewhere", service.bob).status_code == 404
    assert service.delete("/v1/recommendations/rec_elsewhere").status_code == 409


def test_the_same_question_twice_at_once_is_one(
    tmp_path: Path, pools: SharedPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clicks, or two programs of one owner: each answer may take a minute of a worker."""
    monkeypatch.setattr(RecommendationQueue, "open", lambda _: None)
    with running(tmp_path, pools=pools) as service:
        find = service.store.recommendations.find

        def slow_find(*arguments: Any, **named: Any) -> Any:
            found = find(*arguments, **named)
            time.sleep(0.05)
            return found

        monkeypatch.setattr(service.store.recommendations, "find", slow_find)
        caller = Caller(owner="ada", role="user", key_id="k", by_cookie=False)
        question = RecommendRequest.model_validate({"dataset": HELD.id, "epochs": 7})

        def ask(_: int) -> str:
            queue = service.services.queue
            return queue.submit(caller, HELD, question, on_new_work=lambda: None).id

        with ThreadPoolExecutor(8) as threads:
            ids = set(threads.map(ask, range(8)))
        assert len(ids) == 1
        cached_answer = RecommendationQueue._cached_answer

        def looked_up_too_early(*arguments: Any) -> None:
            """The answer is filed right after this look."""
            assert cached_answer(*arguments) is None
            [(job, _)] = service.store.recommendations.open()
            assert service.store.recommendations.take_lease(job.id, seen=NOBODY, holder="h")
            service.store.recommendations.finish(job.id, holder="h", status="succeeded", document="{}")

        monkeypatch.setattr(RecommendationQueue, "_cached_answer", looked_up_too_early)
        assert {ask(8)} == ids


@pytest.mark.slow
def test_a_question_about_a_data_set_that_is_gone_fails_with_a_reason(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.store.recommendations.add(recommendation_job(dataset_id="ds_gone"))
        wait_until(lambda: service.get("/v1/recommendations/rec_1").json()["status"] == "failed", 10)
        problem = service.get("/v1/recommendations/rec_1").json()["problem"]
        assert problem["status"] == 409
        assert "removed" in problem["detail"]


def test_a_question_that_another_version_took_fails_alone(service: Service, small_zip: Path) -> None:
    held = service.upload(small_zip).json()
    question = json.dumps({"epochs": 7, "a_field_of_a_later_version": 1})
    asked = recommendation_job(
        "rec_later", dataset_id=held["id"], dataset_hash=held["hash"], question=question
    )
    service.store.recommendations.add(asked)
    wait_until(lambda: service.get("/v1/recommendations/rec_later").json()["status"] == "failed", 60)
    problem = service.get("/v1/recommendations/rec_later").json()["problem"]
    assert "Another version took this question" in problem["detail"]
    listed = service.get("/v1/recommendations?limit=100").json()["recommendations"]
    assert {entry["id"]: entry["epochs"] for entry in listed}["rec_later"] == 7


def test_names_of_checkpoints_are_looked_up_never_opened(service: Service, small_zip: Path) -> None:
    held = service.upload(small_zip).json()
    answer = service.post("/v1/recommendations", json={"dataset": held["id"], "checkpoints": ["best.pt"]})
    assert answer.status_code == 404


@pytest.mark.slow
def test_the_queue_of_one_owner_is_bounded(tmp_path: Path, small_zip: Path) -> None:
    with running(tmp_path, max_waiting=2, answer_wait_s=0) as service:
        held = service.upload(small_zip).json()
        for i in range(2):
            service.store.recommendations.add(
                recommendation_job(f"rec_{i}", dataset_id=held["id"], status="running")
            )
        answer = service.post("/v1/recommendations", json={"dataset": held["id"], "epochs": 7})
        assert answer.status_code == 429


def test_answers_in_memory_are_kept_apart_and_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.workers.recommendation_queue.MAX_CACHED_ANSWERS", 2)
    with running(tmp_path) as service:
        queue = service.services.queue
        for i in range(4):
            service.store.recommendations.add(
                recommendation_job(f"rec_{i}", cache_key=f"k{i}", status="succeeded", document="{}")
            )
        for i in range(4):
            found = queue._cached_answer(f"k{i}", "ada", "ds_1")
            assert found is not None
            assert found.id == f"rec_{i}"
        assert [key for key, _, _ in queue._answers] == ["k2", "k3"]
        assert queue._cached_answer("k3", "bob", "ds_1") is None
        # The same content, removed and given again: an answer about what was removed leads nowhere.
        assert queue._cached_answer("k3", "ada", "ds_2") is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("health", "size"), [(None, None), ({"dataset": {"task": "classify"}}, 224), ({"dataset": {}}, None)]
)
def test_the_size_of_a_data_set_nobody_has_read_yet_stays_open(
    health: object, size: int | None, tmp_path: Path
) -> None:
    """For boxes it stays open too: the answer chooses it."""
    with running(tmp_path) as service:
        given = HELD if health is None else replace(HELD, health=json.dumps(health))
        asked = service.services.queue.submit(
            Caller(owner="ada", role="user", key_id="k", by_cookie=False),
            given,
            RecommendRequest.model_validate({"dataset": given.id}),
            on_new_work=lambda: None,
        )
        assert json.loads(asked.question).get("imgsz") == size
