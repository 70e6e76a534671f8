"""One file of weights under the names of several users who add and remove at the same time."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recommender.checkpoints import add_checkpoint, load_state, remove_checkpoint
from recommender.checkpoints.containment import quarantined
from recommender.checkpoints.kept_weights import keeping, user_of
from recommender.datasets import open_dataset
from recommender.errors import CheckpointError
from recommender.leftovers import sweep_leftovers
from recommender.profile import known
from recommender.records import Profile
from recommender.store import Store
from tests.datagen import make_dataset

WAIT_S = 60.0


@pytest.mark.slow
def test_an_add_that_profiles_for_long_hinders_nobody_and_loses_nothing(
    store: Store, nano_pt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(make_dataset(tmp_path / "data", format="yolo"))
    profiling, go_on = threading.Event(), threading.Event()
    embedded = known.known_profile

    def long(*asked: Any, **options: Any) -> Profile:
        profiling.set()
        go_on.wait(WAIT_S)
        return embedded(*asked, **options)

    monkeypatch.setattr(known, "known_profile", long)

    def add_with_data() -> None:
        with Store() as own:
            add_checkpoint(own, nano_pt, name="bob", dataset=dataset, owner="bob")

    add_checkpoint(store, nano_pt, name="ada", owner="ada")
    adding = threading.Thread(target=add_with_data)
    adding.start()
    assert profiling.wait(WAIT_S)
    add_checkpoint(store, nano_pt, name="eve", owner="eve")
    assert store.checkpoints.get("bob") is None  # nobody waited for his data
    for name in ("eve", "ada"):
        remove_checkpoint(store, name)
    go_on.set()
    adding.join()
    added = store.checkpoints.get("bob")
    assert added is not None
    assert load_state(added)


@pytest.mark.slow
def test_what_waits_for_a_long_profiling_is_no_leftover(home: Path, nano_pt: Path) -> None:
    with quarantined(nano_pt) as read:
        for path in (*read.path.parent.iterdir(), read.path.parent):
            os.utime(path, (0, 0))
        assert sweep_leftovers() == ()
        assert read.path.exists()


@pytest.mark.slow
def test_a_bad_file_is_refused_before_its_data_are_profiled(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(make_dataset(tmp_path / "data", format="yolo"))
    monkeypatch.setattr(known, "known_profile", lambda *_, **__: pytest.fail("profiled"))
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    with pytest.raises(CheckpointError):
        add_checkpoint(store, tmp_path / "bad.pt", name="bad", dataset=dataset)


@pytest.mark.slow
def test_a_removal_waits_until_the_same_weights_are_registered(store: Store, nano_pt: Path) -> None:
    first = add_checkpoint(store, nano_pt, name="ada")

    def remove() -> None:
        with Store() as own:
            remove_checkpoint(own, "ada")

    removing = threading.Thread(target=remove)
    with quarantined(nano_pt) as read, keeping(read.path, read.sha256, user_of(store)) as place:
        removing.start()
        removing.join(timeout=1)  # in vain
        store.checkpoints.put(replace(first, name="bob"))
    removing.join()
    assert store.checkpoints.get("ada") is None
    assert place.exists()


@pytest.mark.slow
def test_a_removal_leaves_what_another_store_of_this_home_uses(
    store: Store, nano_pt: Path, tmp_path: Path
) -> None:
    added = add_checkpoint(store, nano_pt, name="ada")
    with Store(tmp_path / "other.sqlite3") as other:
        again = add_checkpoint(other, nano_pt, name="bob")
        assert again.path == added.path
        remove_checkpoint(store, "ada")
        assert load_state(again)
        remove_checkpoint(other, "bob")
    assert not again.path.exists()  # type: ignore[union-attr]


def test_a_store_reached_by_a_link_is_the_same_user_of_weights(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with Store(real / "a.sqlite3") as direct, Store(link / "a.sqlite3") as linked:
        assert user_of(direct).name == user_of(linked).name
    (tmp_path / "linked-home").symlink_to(home)
    with Store() as direct:
        monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "linked-home"))
        with Store() as linked:
            assert user_of(direct).name == user_of(linked).name == "store.sqlite3"
