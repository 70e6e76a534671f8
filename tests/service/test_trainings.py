"""Launches over HTTP: once for each key, never for other people's things. Row H8."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import UsageError
from recommender.home import home
from recommender.request_digests import request_digests
from recommender.requests import TrainingRequest
from recommender.store.records_json import decode
from service.auth import Caller
from service.jobs import _within, advised, launch_sweep, sweep_budgets
from service.schemas.sweeps import SweepBody
from tests.datagen import make_dataset, zip_of
from tests.service.kit import Service, settings_for_tests
from tests.service.test_recommendations import DOCUMENT
from tests.store.builders import recommendation_job
from tests.test_request_digests import SWEEP, TRAINING
from tune_jobs.training_spec import TrainingSpec


@pytest.fixture(scope="module")
def held(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set about which nobody has asked anything."""
    folder = tmp_path_factory.mktemp("own")
    make_dataset(folder / "set", seed=11)
    return str(service.upload(zip_of(folder / "set", folder / "set.zip")).json()["id"])


def launch(service: Service, key: str | None, **body: object) -> tuple[int, dict[str, object]]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = service.post("/v1/trainings", headers=headers, json=body)
    return answer.status_code, answer.json()


@pytest.mark.slow
def test_fifty_posts_with_one_key_are_one_training(service: Service, held: str) -> None:
    def post(_: int) -> tuple[int, dict[str, object]]:
        return launch(service, "fifty", dataset=held, start="scratch", epochs=1, imgsz=64)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(post, range(50)))
    assert sorted({status for status, _ in answers}) == [200, 202]
    assert [status for status, _ in answers].count(202) == 1
    [id] = {body["id"] for _, body in answers}
    jobs = [
        job for job in service.store.jobs.list(owner="ada", kind="training", limit=100) if job.key == "fifty"
    ]
    assert [job.id for job in jobs] == [id]


def test_a_key_means_one_body(service: Service, held: str) -> None:
    assert launch(service, "one-body", dataset=held, start="scratch", epochs=1)[0] == 202
    assert launch(service, "one-body", dataset=held, start="scratch", epochs=1)[0] == 200
    status, problem = launch(service, "one-body", dataset=held, start="scratch", epochs=2)
    assert (status, problem["status"]) == (422, 422)


def test_a_retry_is_recognised_from_before_learning_rate_and_freeze_depth_could_be_named(
    service: Service, held: str
) -> None:
    """The job is as an earlier version of the service kept it: under the digest of the request's fields of then."""
    stored = service.store.datasets.get(held)
    assert stored is not None
    told = launch(service, "as-today", dataset=held, start="scratch", epochs=3)[1]
    training = {"dataset": held, "start": "scratch", "epochs": 3}
    sweep = {"datasets": [held], "checkpoints": ["scratch"], "epochs": 3, "budget": "10m"}
    formerly = {
        "training": TRAINING.replace("/d", stored.path).replace("coco:full", "scratch"),
        "sweep": SWEEP.replace("/d", stored.path).replace('"checkpoints":[]', '"checkpoints":["scratch"]'),
    }
    specs = {"training": service.store.jobs.require(str(told["id"])).spec, "sweep": formerly["sweep"]}
    for kind, body in (("training", training), ("sweep", sweep)):
        digest = hashlib.sha256((formerly[kind] + stored.dataset_hash).encode()).hexdigest()
        job, _ = service.store.jobs.create(
            kind=kind,
            owner="ada",
            key=f"former-{kind}",
            body_digests=(digest,),
            cluster="away",
            spec=specs[kind],
        )
        headers = {"Idempotency-Key": f"former-{kind}"}
        again = service.post(f"/v1/{kind}s", headers=headers, json=body)
        assert (again.status_code, again.json()["id"]) == (200, job.id), again.text
        other = service.post(f"/v1/{kind}s", headers=headers, json={**body, "epochs": 4})
        assert other.status_code == 422
        service.delete(f"/v1/{kind}s/{job.id}")


def test_a_retry_of_a_sweep_without_epochs_is_recognised_from_before_the_default_changed(
    service: Service, held: str
) -> None:
    stored = service.store.datasets.get(held)
    assert stored is not None
    spec = SWEEP.replace("/d", stored.path).replace('"epochs":3,', '"epochs":25,')
    job, _ = service.store.jobs.create(
        kind="sweep",
        owner="ada",
        key="former-epochs",
        body_digests=(hashlib.sha256((spec + stored.dataset_hash).encode()).hexdigest(),),
        cluster="away",
        spec=spec,
    )
    headers = {"Idempotency-Key": "former-epochs"}
    body = {"datasets": [held], "budget": "10m"}
    again = service.post("/v1/sweeps", headers=headers, json=body)
    assert (again.status_code, again.json().get("id")) == (200, job.id), again.text
    assert service.post("/v1/sweeps", headers=headers, json={**body, "epochs": 100}).status_code == 422
    service.delete(f"/v1/sweeps/{job.id}")


def test_a_retry_without_a_start_is_recognised_from_before_advice_named_a_network(
    service: Service, held: str
) -> None:
    stored = service.store.datasets.get(held)
    assert stored is not None
    told = launch(service, "by-advice", dataset=held, start="scratch", epochs=3)[1]
    asked = TrainingRequest.model_validate({"dataset": stored.path, "start": "scratch", "epochs": 3})
    job, _ = service.store.jobs.create(
        kind="training",
        owner="ada",
        key="former-advice",
        body_digests=request_digests(asked, stored.dataset_hash),
        cluster="away",
        spec=service.store.jobs.require(str(told["id"])).spec,
    )
    status, again = launch(service, "former-advice", dataset=held, epochs=3)
    assert (status, again.get("id")) == (200, job.id), again
    assert launch(service, "former-advice", dataset=held, epochs=4)[0] == 422
    for one in (job.id, told["id"]):
        service.delete(f"/v1/trainings/{one}")


@pytest.mark.parametrize("kind", ["trainings", "sweeps"])
def test_a_retry_is_recognised_after_its_data_set_was_removed(
    service: Service, tmp_path: Path, kind: str
) -> None:
    make_dataset(tmp_path / "set", seed=12)
    held = service.upload(zip_of(tmp_path / "set", tmp_path / "set.zip")).json()["id"]
    headers = {"Idempotency-Key": f"removed-{kind}"}
    more: dict[str, object] = {"epochs": 2, "imgsz": 64}
    if kind == "sweeps":
        more |= {"datasets": [held], "checkpoints": ["scratch"], "budget": "10m"}
    else:
        more |= {"dataset": held, "start": "scratch"}
    first = service.post(f"/v1/{kind}", headers=headers, json=more)
    assert first.status_code == 202, first.text
    assert service.delete(f"/v1/datasets/{held}").status_code == 204
    again = service.post(f"/v1/{kind}", headers=headers, json=more)
    assert (again.status_code, again.json().get("id")) == (200, first.json()["id"]), again.text
    assert service.post(f"/v1/{kind}", headers=headers, json=more | {"epochs": 3}).status_code == 422
    other = {"datasets": ["ds_none"]} if kind == "sweeps" else {"dataset": "ds_none"}
    assert service.post(f"/v1/{kind}", headers=headers, json=more | other).status_code == 404
    assert service.post(f"/v1/{kind}", headers={"Idempotency-Key": "new"}, json=more).status_code == 404
    service.delete(f"/v1/{kind}/{first.json()['id']}")


def test_keys_belong_to_their_owner(service: Service, held: str, small_zip: Path) -> None:
    mine = launch(service, "shared", dataset=held, start="scratch")[1]
    his = service.upload(small_zip, service.bob).json()["id"]
    body = {"dataset": his, "start": "scratch"}
    answer = service.post("/v1/trainings", service.bob, headers={"Idempotency-Key": "shared"}, json=body)
    assert answer.status_code == 202
    assert answer.json()["id"] != mine["id"]
    for method in ("GET", "DELETE"):
        assert service.request(method, f"/v1/trainings/{mine['id']}", service.bob).status_code == 404
    assert service.get(f"/v1/trainings/{mine['id']}/events", service.bob).status_code == 404


def test_without_a_key_every_post_is_a_training(service: Service, held: str) -> None:
    ids = {launch(service, None, dataset=held, start="scratch")[1]["id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"start": "/etc/passwd:full"},
        {"start": "../../best.pt"},
        {"start": "nobody-knows-this:full"},
        {"start": "coco:scratch"},
        {"start": "coco-yolo11n:sideways"},
        {"start": ""},
        {"start": "scratch", "epochs": 0},
        {"start": "scratch", "learning_rate": 1e400},
        {"start": "scratch", "allow_roots": ["/"]},
        {"start": "scratch", "name": "../x"},
        {"recommendation": "rec_nobody"},
        {},
    ],
)
def test_bad_launches_are_refused(service: Service, held: str, body: dict[str, object]) -> None:
    text = json.dumps({"dataset": held, **body})
    answer = service.post("/v1/trainings", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 404, 422), answer.text


@pytest.mark.parametrize("key", ["", "a" * 129, "with space", "caf\u00e9"])
def test_bad_idempotency_keys_are_refused(service: Service, held: str, key: str) -> None:
    headers = [
        (b"idempotency-key", key.encode("latin-1")),
        (b"authorization", f"Bearer {service.ada}".encode()),
    ]
    answer = service.client.post("/v1/trainings", headers=headers, json={"dataset": held, "start": "scratch"})
    assert answer.status_code == 422


def test_the_first_advised_start_that_is_here_is_taken(service: Service, held: str) -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "level": 0.8}
    rows = [
        {
            "rank": rank,
            "checkpoint": name,
            "mode": mode,
            "score": interval,
            "p_best": 0.5,
            "gain_over_scratch": interval,
            "evidence": {},
            "reasons": [],
            "available": here,
            "imgsz": 96,
        }
        for rank, name, mode, here in ((1, "yolo11x", "full", False), (2, "coco-yolo11n", "freeze", True))
    ]
    advice = recommendation_job(
        "rec_advice",
        dataset_id=held,
        status="succeeded",
        document=json.dumps(DOCUMENT | {"ranking": rows}),
        question=json.dumps({"class_map": {"square": "stop sign"}}),
    )
    service.store.recommendations.add(advice)
    status, answer = launch(service, "advised", dataset=held, recommendation="rec_advice")
    assert status == 202, answer
    assert answer["start"] == "coco-yolo11n:freeze"
    assert launch(service, "advised", dataset=held, recommendation="rec_advice")[0] == 200
    spec = decode(TrainingSpec, service.store.jobs.require(str(answer["id"])).spec)
    assert spec.recipe.imgsz == 96  # that of the advised row
    assert spec.recipe.class_map == (("square", "stop sign"),)  # as it was asked about
    assert spec.weights_sha256  # pinned: other bytes under this name are refused


def test_scratch_is_the_network_that_the_answer_compared_it_with(service: Service) -> None:
    named = {"yolo26n": "", "yolo26s": ""}
    document = DOCUMENT | {"provenance": {"weights_sha256": named}}
    ask = recommendation_job("rec_scratch", document=json.dumps(document))
    found = advised(service.store, ask, {"checkpoint": "scratch", "mode": "scratch", "imgsz": 320})
    assert found["architecture"] == "yolo26n"
    assert (found["start"], found["imgsz"], found["class_map"]) == ("scratch", 320, {})


def test_hours_of_the_clock_are_no_device_time() -> None:
    assert _within("1gpu-h", "2gpu-h") == "1gpu-h"
    assert _within("2gpu-h", "24h") == "2gpu-h"
    with pytest.raises(UsageError, match="device time"):
        _within("1h", "2gpu-h")


@pytest.mark.parametrize(
    ("most", "offered"),
    [
        ("24h", ("10m", "30m", "2h", "8h")),
        ("1h", ("10m", "30m")),
        ("5m", ("5m",)),
        ("2gpu-h", ("0.5gpu-h", "1gpu-h", "2gpu-h")),
    ],
)
def test_a_form_offers_budgets_that_are_taken(most: str, offered: tuple[str, ...]) -> None:
    assert sweep_budgets(most) == offered
    assert [_within(one, most) for one in offered] == list(offered)


def test_a_size_is_limited_as_it_would_be_trained(service: Service, held: str) -> None:
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "level": 0.8}
    row = {"rank": 1, "checkpoint": "coco-yolo11n", "mode": "full", "available": True, "imgsz": 4096}
    document = DOCUMENT | {"ranking": [row | {"score": interval}]}
    service.store.recommendations.add(
        recommendation_job("rec_large", dataset_id=held, status="succeeded", document=json.dumps(document))
    )
    status, answer = launch(service, "large", dataset=held, recommendation="rec_large")
    assert status == 422
    assert "4096 px" in str(answer["detail"])


def test_a_cancelled_training_ends_and_lists_page_by_page(service: Service, held: str) -> None:
    id = launch(service, "cancel-me", dataset=held, start="scratch")[1]["id"]
    answer = service.delete(f"/v1/trainings/{id}")
    assert answer.status_code == 202
    assert answer.json()["status"] == "cancelled"  # no launcher had touched it
    assert service.delete(f"/v1/trainings/{id}").json()["status"] == "cancelled"
    events = service.get(f"/v1/trainings/{id}/events").text
    assert events.count("event: status") == 2
    seen: list[str] = []
    cursor = ""
    while True:
        page = service.get(f"/v1/trainings?limit=2{cursor}").json()
        seen += [entry["id"] for entry in page["trainings"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert (
        len(seen) == len(set(seen)) == len(service.store.jobs.list(owner="ada", kind="training", limit=500))
    )
    assert id in seen


def test_a_key_of_a_sweep_launches_no_training(service: Service, held: str) -> None:
    headers = {"Idempotency-Key": "both"}
    body = {"datasets": [held], "checkpoints": ["scratch"], "modes": ["scratch"], "budget": "1m"}
    answer = service.post("/v1/sweeps", headers=headers, json=body)
    assert answer.status_code == 202
    asked = answer.json()
    assert (asked["dataset_names"], asked["modes"], asked["seeds"]) == (["set"], ["scratch"], [0])
    status, problem = launch(service, "both", dataset=held, start="scratch")
    assert (status, problem["type"]) == (422, "urn:checkpoint-recommender:problem:request")
    service.delete(f"/v1/sweeps/{service.get('/v1/sweeps').json()['sweeps'][0]['id']}")


def test_a_retried_sweep_is_recognised_whatever_became_of_its_checkpoint_and_the_largest_budget(
    service: Service, held: str
) -> None:
    from recommender.checkpoints import get_checkpoint

    coco = get_checkpoint(service.store, "coco")
    service.store.checkpoints.put(replace(coco, name="gone-soon", origin="registry", owner="ada"))
    body = {"datasets": [held], "checkpoints": ["gone-soon"]}
    headers = {"Idempotency-Key": "outlives"}
    first = service.post("/v1/sweeps", headers=headers, json=body)
    assert first.status_code == 202, first.text
    service.store.checkpoints.remove("gone-soon")
    assert service.post("/v1/sweeps", json=body).status_code == 404
    ada = Caller(owner="ada", role="user", key_id="k", by_cookie=False)
    services = replace(service.services, settings=settings_for_tests(max_budget="1h"))
    job, new = launch_sweep(services, ada, SweepBody.model_validate(body), key="outlives")
    assert (job.id, new) == (first.json()["id"], False)
    assert service.post("/v1/sweeps", headers=headers, json={**body, "epochs": 4}).status_code == 422
    service.delete(f"/v1/sweeps/{job.id}")


@pytest.mark.parametrize("name", ["../../x.yaml", "/etc/passwd", "yolo99n", "a\x00b", "yolo11n.yaml"])
def test_an_architecture_nobody_ships_is_refused_at_once(service: Service, held: str, name: str) -> None:
    status, problem = launch(service, None, dataset=held, start="scratch", architecture=name)
    assert status == 422
    assert "is not a shipped architecture" in str(problem["detail"])


def test_an_architecture_that_ships_is_taken(service: Service, held: str) -> None:
    status, job = launch(service, "v8", dataset=held, start="scratch", architecture="yolov8n")
    assert status == 202
    spec = decode(TrainingSpec, service.store.jobs.require(str(job["id"])).spec)
    assert spec.architecture == "yolov8n"


def test_what_a_training_left_is_handed_to_its_owner_and_nothing_else(
    service: Service, held: str, tmp_path: Path
) -> None:
    id = str(launch(service, "leaves-files", dataset=held, start="scratch")[1]["id"])
    assert service.get(f"/v1/trainings/{id}").json()["files"] == []
    assert service.get(f"/v1/trainings/{id}/files/results.csv").status_code == 404
    results = tmp_path / "job" / "results"
    (results / "weights").mkdir(parents=True)
    (results / "weights" / "best.pt").write_bytes(b"weights")
    (results / "secret").write_text("not yours")
    service.store.launches.finish(id, 1, status="succeeded", artefacts=str(results))
    told = service.get(f"/v1/trainings/{id}")
    assert "weights/best.pt" in told.json()["files"]
    assert str(tmp_path) not in told.text
    answer = service.get(f"/v1/trainings/{id}/files/weights/best.pt")
    assert (answer.status_code, answer.content) == (200, b"weights")
    assert answer.headers["content-disposition"] == 'attachment; filename="best.pt"'
    assert service.get(f"/v1/trainings/{id}/files/weights/best.pt", service.bob).status_code == 404
    for name in ("secret", "results.png", "../results/secret", "%2e%2e/results/secret", "weights/../secret"):
        assert service.get(f"/v1/trainings/{id}/files/{name}").status_code == 404, name


def test_no_answer_about_a_training_names_a_path_of_the_server(service: Service, held: str) -> None:
    id = str(launch(service, "names-a-path", dataset=held, start="scratch")[1]["id"])
    place = home() / "uploads" / "secret-folder" / "set.zip"
    service.store.launches.note(id, 1, f"{place} cannot be read.")
    service.store.launches.finish(id, 1, status="failed", error=f"No space for {place}: remove {home()}.")
    told = service.get(f"/v1/trainings/{id}")
    assert told.json()["error"].startswith("No space for set.zip: remove ")
    events = service.get(f"/v1/trainings/{id}/events").text
    assert "set.zip cannot be read." in events
    for text in (told.text, events):
        assert str(home()) not in text
        assert "secret-folder" not in text
