"""Similar sources of a data set, with pictures of those that the caller holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from recommender.profile.shipped import builtin_profiles
from service.workers.thumbnails import ThumbnailIndex
from tests.service.kit import Service, wait_until
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
