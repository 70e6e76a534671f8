"""The share of disk, queue and cluster that one owner may take, and that it is given back. Rows of docs/security.md."""

from __future__ import annotations

import shutil
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.errors import ConflictError, UnsafeInputError
from recommender.home import subfolder
from recommender.leftovers import UPLOAD_QUIET_S, sweep_leftovers
from recommender.records import Checkpoint, Lease
from recommender.store.datasets import _row
from service.auth import Caller
from service.problems import HTTPProblem
from service.workers import tasks
from service.workers.pools import TaskResult
from service.workers.recommendation_queue import in_turn
from service.workers.thumbnails import thumbnail_folder
from tests.datagen import make_dataset, zip_of
from tests.service.kit import Service, running, wait_until
from tests.store.builders import recommendation_job, registered_dataset


def bulky_zip(folder: Path, number: int) -> Path:
    """An archive of some kB that unpacks to 6 MB."""
    data = folder / f"bulky{number}"
    make_dataset(data, format="yolo", seed=number)
    for picture in (1, 2):
        name = f"plain{picture}"
        pixels_HW3 = np.full((1000, 1000, 3), number, np.uint8)
        Image.fromarray(pixels_HW3).save(data / "images" / "train" / f"{name}.bmp")
        (data / "labels" / "train" / f"{name}.txt").write_text(f"0 .5 .5 .{picture} .{picture}\n")
    return zip_of(data, folder / f"bulky{number}.zip")


def folders(name: str) -> set[Path]:
    return {path for path in subfolder(name).iterdir() if not path.name.startswith(".")}


def test_what_is_deleted_leaves_neither_archive_nor_images(service: Service, tmp_path: Path) -> None:
    unpacked, uploads = folders("unpacked"), folders("uploads")
    answer = service.upload(bulky_zip(tmp_path, 1))
    assert answer.status_code == 201, answer.text
    id, pictures = answer.json()["id"], thumbnail_folder(answer.json()["hash"])
    wait_until(lambda: service.get(f"/v1/datasets/{id}").json()["health"] is not None, 60)
    assert len(folders("unpacked") - unpacked) == len(folders("uploads") - uploads) == 1
    assert pictures.is_dir()
    held = service.store.datasets.get(id)
    assert held is not None
    assert service.delete(f"/v1/datasets/{id}").status_code == 204
    assert (folders("unpacked"), folders("uploads")) == (unpacked, uploads)
    assert not pictures.exists()
    pictures.mkdir()  # by an inspection that ends later
    late: Future[TaskResult[str]] = Future()
    late.set_result(TaskResult(result="{}"))
    service.services.datasets._finish_inspection(held, late)
    assert not pictures.exists()


def test_what_another_owner_holds_too_stays_for_him(service: Service, tmp_path: Path) -> None:
    archive = bulky_zip(tmp_path, 2)
    ids = [service.upload(archive, key).json()["id"] for key in (service.ada, service.bob)]
    held = service.store.datasets.get(ids[1])
    assert held is not None
    assert held.unpacked is not None
    assert service.delete(f"/v1/datasets/{ids[0]}").status_code == 204
    assert Path(held.unpacked).is_dir()
    assert service.delete(f"/v1/datasets/{ids[1]}", service.bob).status_code == 204
    assert not Path(held.unpacked).exists()


def test_what_is_refused_leaves_nothing_unpacked(service: Service, tmp_path: Path) -> None:
    before = folders("unpacked")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").write_text("no data set " * 100_000)
    assert service.upload(zip_of(tmp_path / "set", tmp_path / "set.zip")).status_code == 422
    assert folders("unpacked") == before


@pytest.mark.slow
def test_the_quota_counts_what_is_unpacked(tmp_path: Path) -> None:
    with running(tmp_path, max_held_mb=5) as service:
        first = service.upload(bulky_zip(tmp_path, 3))
        assert first.status_code == 201, first.text
        refused = service.upload(bulky_zip(tmp_path, 4))
        assert refused.status_code == 429
        assert "MB; 5 MB are allowed" in refused.json()["detail"]
        assert service.upload(bulky_zip(tmp_path, 4), service.bob).status_code == 201
        assert service.delete(f"/v1/datasets/{first.json()['id']}").status_code == 204
        assert service.upload(bulky_zip(tmp_path, 4)).status_code == 201


def test_the_quota_counts_more_data_sets_than_a_page_holds(tmp_path: Path) -> None:
    with running(tmp_path, max_held_mb=500) as service:
        one = registered_dataset(num_bytes=2**20)
        rows = [replace(one, id=f"ds_{i}", dataset_hash=f"h{i}") for i in range(502)]
        service.store.write(lambda session: session.add_all(map(_row, rows)))
        caller = Caller(owner="ada", role="user", key_id="k", by_cookie=False)
        with pytest.raises(HTTPProblem, match="502 MB; 500 MB are allowed"):
            service.services.datasets.check_quota(caller)


def test_an_upload_is_known_from_the_moment_it_is_registered(
    tmp_path: Path, small_zip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may be stopped before its next round, and another with another store come by."""
    with running(tmp_path) as service:
        id = service.upload(small_zip).json()["id"]
        held = service.store.datasets.get(id)
        assert held is not None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # in two days others' folders there look forsaken
    later = time.time() + 2 * UPLOAD_QUIET_S
    monkeypatch.setattr(time, "time", lambda: later)
    sweep_leftovers()
    assert Path(held.path).exists()


def test_what_could_not_be_deleted_is_a_leftover(
    tmp_path: Path, small_zip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as service:
        id = service.upload(small_zip).json()["id"]
        held = service.store.datasets.get(id)
        assert held is not None
        folder = Path(held.path).parent
        assert sweep_leftovers([folder]) == ()  # marks it as known to a store
        monkeypatch.setattr("service.dataset_storage.shutil.rmtree", lambda path, **_: None)
        assert service.delete(f"/v1/datasets/{id}").status_code == 204
        monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # in two days others' folders there look forsaken
    later = time.time() + 2 * UPLOAD_QUIET_S
    monkeypatch.setattr(time, "time", lambda: later)
    assert folder in sweep_leftovers()


@pytest.mark.slow
def test_launches_at_the_same_moment_are_counted_one_after_the_other(tmp_path: Path, small_zip: Path) -> None:
    with running(tmp_path, max_trainings=1) as service:
        held = service.upload(small_zip).json()["id"]
        body = {"dataset": held, "start": "scratch"}
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: service.post("/v1/trainings", json=body), range(8)))
    assert sorted(one.status_code for one in found) == [202] + 7 * [429]
    refused = next(one.json() for one in found if one.status_code == 429)
    assert refused["detail"] == "You have 1 training under way, as many as are allowed at a time."


@pytest.mark.slow
def test_trainings_are_limited_in_size_and_number(tmp_path: Path, small_zip: Path) -> None:
    with running(tmp_path, max_trainings=2, max_epochs=50, max_imgsz=640) as service:
        held = service.upload(small_zip).json()["id"]
        body = {"dataset": held, "start": "scratch", "epochs": 50, "imgsz": 640}
        for larger in ({"epochs": 51}, {"imgsz": 672}):
            refused = service.post("/v1/trainings", json={**body, **larger})
            assert refused.status_code == 422
            assert "at most 50 epochs at 640 px" in refused.json()["detail"]
        sweep = service.post("/v1/sweeps", json={"datasets": [held], "epochs": 51})
        assert sweep.status_code == 422
        key = {"Idempotency-Key": "first"}
        first = service.post("/v1/trainings", json=body, headers=key)
        assert first.status_code == 202
        assert service.post("/v1/trainings", json=body).status_code == 202
        assert service.post("/v1/trainings", json=body).status_code == 429
        assert service.post("/v1/trainings", json=body, headers=key).status_code == 200  # the same one again
        service.delete(f"/v1/trainings/{first.json()['id']}")
        assert service.post("/v1/trainings", json=body).status_code == 202


@pytest.mark.slow
def test_checkpoints_are_limited_and_removed_by_their_owner(tmp_path: Path) -> None:
    with running(tmp_path, max_checkpoints=1) as service:
        weights = tmp_path / "weights.safetensors"
        weights.write_bytes(b"x")
        service.store.checkpoints.put(
            Checkpoint(name="hers", origin="registry", architecture="yolo11n", family="yolo11", owner="ada")
        )
        with weights.open("rb") as file:
            more = service.post("/v1/checkpoints", files={"file": file}, data={"name": "more"})
        assert more.status_code == 429
        assert "DELETE /v1/checkpoints" in more.json()["remedy"]
        assert service.delete("/v1/checkpoints/hers", service.bob).status_code == 403
        assert service.delete("/v1/checkpoints/hers", service.reader).status_code == 403
        assert service.delete("/v1/checkpoints/coco-yolo11n").status_code == 403
        assert service.delete("/v1/checkpoints/hers").status_code == 204
        assert service.get("/v1/checkpoints/hers").status_code == 404
        with weights.open("rb") as file:
            more = service.post("/v1/checkpoints", files={"file": file}, data={"name": "more"})
        assert more.status_code == 422  # there is room again; these bytes are no weights


def test_a_folder_that_becomes_a_link_while_it_waits_is_not_followed(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    make_dataset(allowed / "set", format="yolo")
    make_dataset(secret, format="yolo", seed=9)
    roots, path = (str(allowed),), str(allowed / "set")
    summary = tasks.read_dataset(path, 0, roots)
    source = tasks.Source(path=path, roots=roots, dataset_hash=summary.dataset_hash)
    shutil.rmtree(allowed / "set")
    (allowed / "set").symlink_to(secret)
    with pytest.raises(UnsafeInputError, match="not below a folder"):
        tasks.read_dataset(path, 0, roots)
    with pytest.raises(UnsafeInputError, match="not below a folder"):
        tasks.inspect_uploaded_dataset(source, 0, str(tmp_path / "pictures"))
    (allowed / "set").unlink()
    make_dataset(allowed / "set", format="yolo", seed=9)
    with pytest.raises(ConflictError, match="has changed"):
        tasks.inspect_uploaded_dataset(source, 0, str(tmp_path / "pictures"))
    assert not (tmp_path / "pictures").exists()


def test_recommendations_are_computed_owner_by_owner_in_turn() -> None:
    lease = Lease(holder="", beat=0)
    waiting = [(recommendation_job(f"a{i}", owner="ada"), lease) for i in range(3)] + [
        (recommendation_job("b0", owner="bob"), lease)
    ]
    assert [ask.id for ask, _ in in_turn(waiting, {})] == ["a0", "b0", "a1", "a2"]
    assert [ask.id for ask, _ in in_turn(waiting, {"ada": 5.0, "bob": 4.0})] == ["b0", "a0", "a1", "a2"]


@pytest.mark.slow
def test_a_full_disk_is_said_and_can_be_emptied(tmp_path: Path, small_zip: Path) -> None:
    with running(tmp_path, min_free_mb=10**9) as service:
        assert service.client.get("/readyz").status_code == 503
        assert "MB free" in service.get("/readyz").json()["disk"]
        id = service.upload(small_zip).json()["id"]
        assert service.delete(f"/v1/datasets/{id}").status_code == 204
