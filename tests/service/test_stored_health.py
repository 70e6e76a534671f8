"""A stored inspection is published with its types, whatever version wrote it."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from recommender.datasets import open_dataset
from recommender.datasets.inspection import inspect_dataset
from recommender.report.inspection import InspectionDocument, inspection_document
from recommender.store import Store
from service.dataset_storage import MAX_INSPECTIONS, DatasetStorage
from service.schemas.datasets import InspectionFailed
from service.schemas.from_records import health_of
from service.settings import ServiceSettings
from service.workers.pools import TaskResult, WorkerPools
from tests.datagen import make_dataset
from tests.store.builders import registered_dataset


def test_what_was_stored_is_published_whole_and_a_failure_says_why(tmp_path: Path) -> None:
    document = inspection_document(inspect_dataset(open_dataset(make_dataset(tmp_path))))
    found = health_of(document.to_json())
    assert isinstance(found, InspectionDocument)
    assert found == document
    assert health_of('{"error": "It is gone."}') == InspectionFailed(error="It is gone.")
    other = health_of('{"healthy": true}')
    assert isinstance(other, InspectionFailed)
    assert "version" in other.error


def test_an_inspection_that_died_is_tried_again_and_not_for_ever(tmp_path: Path) -> None:
    class Pools(WorkerPools):
        asked = 0

        def __init__(self) -> None: ...

        def submit_inspection(self, *arguments: object) -> Future[TaskResult[Any]]:
            self.asked += 1
            future: Future[TaskResult[Any]] = Future()
            future.set_exception(BrokenProcessPool())
            return future

    pools = Pools()
    with Store(tmp_path / "store.sqlite3") as store:
        wanted = registered_dataset("ds_1", path=str(tmp_path), origin="path")
        store.datasets.add(wanted)
        storage = DatasetStorage(store, pools, ServiceSettings())
        for _ in range(MAX_INSPECTIONS - 1):
            storage.start_inspection(wanted)
            assert store.datasets.get("ds_1") == wanted
        storage.start_inspection(wanted)
        assert pools.asked == MAX_INSPECTIONS
        kept = store.datasets.get("ds_1")
        assert kept is not None
        assert kept.health is not None
        assert "died" in kept.health
