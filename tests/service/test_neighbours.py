"""Similar sources of a data set, with pictures of those that the caller holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.profile.shipped import builtin_profiles
from recommender.store.datasets import _row
from service.workers.thumbnails import ThumbnailIndex
from tests.service.kit import Service, SharedPools, running, wait_until
from tests.store.builders import registered_dataset


def test_the_names_of_pictures_are_read_once_for_each_source(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an owner of many similar data sets: each pair of objects asked anew, which took most of a second."""
    read: Counter[str] = Counter()

    class Counted(ThumbnailIndex):
        def __init__(self, dataset_hash: str) -> None:
            read[dataset_hash] += 1
            super().__init__(dataset_hash)

    monkeypatch.setattr("service.neighbours.ThumbnailIndex", Counted)
    held = registered_dataset(name="many")
    for number, dataset_hash in enumerate(builtin_profiles()):
        service.store.datasets.add(replace(held, id=f"ds_{number}", dataset_hash=dataset_hash))
    wait_until(lambda: service.services.dataset_map.current() is not None, 60)
    answer = service.get("/v1/datasets/ds_0/neighbours")
    assert answer.status_code == 200, answer.text
    near = answer.json()
    assert len(near["pairs"]) > 1
    assert len(read) > 1
    assert set(read.values()) == {1}


def test_the_oldest_of_many_data_sets_stays_on_the_map(tmp_path: Path, pools: SharedPools) -> None:
    with running(tmp_path, pools=pools) as service:
        one = registered_dataset(name="first", dataset_hash=min(builtin_profiles()), created_at="2026-01-01")
        later = [
            replace(one, id=f"ds_l{i}", dataset_hash=f"h{i}", created_at="2026-01-02") for i in range(220)
        ]
        service.store.write(lambda session: session.add_all(map(_row, [one, *later])))
        wait_until(lambda: service.services.dataset_map.current() is not None, 60)
        places = {place["hash"]: place for place in service.get("/v1/map").json()["places"]}
        assert (places[one.dataset_hash]["kind"], places[one.dataset_hash]["name"]) == ("held", "first")
