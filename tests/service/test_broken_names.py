"""Names that earlier versions stored as the bytes they were: every list and page answers, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from recommender.profile.shipped import builtin_profiles
from recommender.records import SplitCounts
from tests.service.kit import Service, SharedPools, running, wait_until
from tests.store.builders import checkpoint, registered_dataset, run

BROKEN = ("caf\udce9", "\ud800", "a\x00b\x1b[31m\r\n", "\u202egnp", "")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, pools: SharedPools) -> Iterator[Service]:
    """A service whose store holds a data set, profile, run and checkpoint of each name."""
    folder = tmp_path_factory.mktemp("old")
    with running(folder, pools=pools) as made:
        for number, name in enumerate(BROKEN):
            hash = f"hash-{number}"
            held = registered_dataset(f"ds_{number}", path=str(folder / "gone"), origin="path")
            made.store.datasets.add(
                replace(
                    held,
                    owner="ada",
                    name=name,
                    class_names=(name, "b"),
                    dataset_hash=hash,
                    num_images=SplitCounts(train=5, val=2),
                    health='{"healthy": "\\ud800"}',
                )
            )
            template = next(iter(builtin_profiles().values()))
            names = (name, *template.class_names[1:])
            made.store.profiles.put(
                replace(template, dataset_hash=hash, dataset_name=name, class_names=names)
            )
            made.store.runs.add(run(f"run-{number}", target=hash, target_name=name, error=name))
            made.store.checkpoints.put(
                checkpoint(
                    f"c{number}",
                    source_name=name,
                    class_names=(name,),
                    sha256=f"{number:064d}",
                    source_hash=hash,
                )
            )
        wait_until(lambda: made.services.dataset_map.current() is not None, 60)
        yield made


def test_every_list_and_page_answers(old: Service) -> None:
    paths = [
        "/",
        "/v1/datasets",
        "/v1/runs",
        "/v1/checkpoints",
        "/runs",
        "/checkpoints",
        "/trainings",
        "/v1/map",
    ]
    for number in range(len(BROKEN)):
        paths += [
            f"/v1/datasets/ds_{number}",
            f"/datasets/ds_{number}",
            f"/v1/datasets/ds_{number}/neighbours",
        ]
        paths += [f"/v1/runs/run-{number}", f"/runs/run-{number}", f"/v1/checkpoints/c{number}"]
    failed = {path: old.get(path).status_code for path in paths}
    assert {path: status for path, status in failed.items() if status != 200} == {}


def test_broken_names_are_shown_as_latin_1_with_the_remedy(old: Service) -> None:
    answer = old.get("/v1/datasets/ds_0").json()
    assert answer["name"] == "café"
    assert answer["classes"] == ["café", "b"]
    assert "give it again" in answer["names_note"]
    assert "give it again" in old.get("/datasets/ds_0").text
    assert old.get("/v1/datasets/ds_3").json()["names_note"] is None


def test_such_a_data_set_can_be_removed(old: Service) -> None:
    assert old.delete("/v1/datasets/ds_1").status_code == 204
    assert old.get("/v1/datasets/ds_1").status_code == 404
