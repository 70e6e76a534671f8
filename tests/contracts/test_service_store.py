"""The promises of the service's part of a store, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from recommender.errors import NotFoundError, UsageError
from recommender.records import Lease
from recommender.store import Store
from recommender.store.clock import utc_now
from service.auth import (
    caller_of_cookie,
    caller_of_key,
    create_first_key,
    create_key,
    digest,
    open_session,
)
from tests.store.builders import recommendation_job
from tests.store.builders import registered_dataset as held

NOBODY = Lease(holder="", beat=0)


class TestKeys:
    """Kept by digest, in force until revoked or expired."""

    def test_a_key_opens_until_it_is_revoked(self, store: Store) -> None:
        assert store.keys.list() == ()
        key, secret = create_key(store, owner="ada", role="admin")
        found = caller_of_key(store, secret)
        assert found is not None
        assert (found.owner, found.role) == ("ada", "admin")
        cookie = open_session(store, found, hours=1)
        assert caller_of_cookie(store, cookie) is not None
        assert store.keys.revoke(key.id)
        assert caller_of_key(store, secret) is None
        assert caller_of_cookie(store, cookie) is None
        assert [entry.id for entry in store.keys.list()] == [key.id]

    def test_sessions_end_by_time_and_by_logging_out(self, store: Store) -> None:
        key, secret = create_key(store, owner="ada")
        found = caller_of_key(store, secret)
        assert found is not None
        store.keys.open_session(digest("old"), key.id, utc_now(plus_s=-1))
        assert caller_of_cookie(store, "old") is None
        cookie = open_session(store, found, hours=1)
        store.keys.close_session(digest(cookie))
        assert caller_of_cookie(store, cookie) is None

    @pytest.mark.parametrize("text", ["", "\x00", "ckr_\x00_x", "ckr_\ud800_x", "ckr__", "x" * 10_000])
    def test_odd_keys_open_nothing(self, store: Store, text: str) -> None:
        assert caller_of_key(store, text) is None

    @pytest.mark.parametrize("owner", ["", "a\nb", "a" * 65, "\u202e"])
    def test_odd_owners_are_refused(self, store: Store, owner: str) -> None:
        with pytest.raises(UsageError):
            create_key(store, owner=owner)
        with pytest.raises(UsageError):
            create_key(store, owner="ada", role="god")  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            create_key(store, owner="ada", days=0)


class TestHeldDatasets:
    """One owner holds a content once; names of any bytes survive."""

    def test_it_comes_back_exactly_and_once(self, store: Store) -> None:
        first = held()
        assert store.datasets.add(first) == first
        assert store.datasets.add(held("ds_2")) == first
        assert store.datasets.add(held("ds_3", owner="bob")).id == "ds_3"
        assert store.datasets.get("ds_1") == first
        store.datasets.set_health("ds_1", json.dumps({"healthy": True}))
        assert store.datasets.get("ds_1") == replace(first, health='{"healthy": true}')
        assert [dataset.id for dataset in store.datasets.of_hashes(["hash", "none"])] == ["ds_1", "ds_3"]
        assert [dataset.id for dataset in store.datasets.page(owner="ada").items] == ["ds_1"]
        assert {dataset.id for dataset in store.datasets.page(owner=None).items} == {"ds_1", "ds_3"}
        assert store.datasets.remove("ds_1")
        assert not store.datasets.remove("ds_1")
        assert store.datasets.get("ds_1") is None

    def test_many_at_once_are_one(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as threads:
            added = list(threads.map(lambda n: store.datasets.add(held(f"ds_{n}")), range(40)))
        assert len({dataset.id for dataset in added}) == 1
        assert [dataset.id for dataset in store.datasets.page(owner="ada").items] == [added[0].id]

    @pytest.mark.parametrize("id", ["", "\x00", "\ud800"])
    def test_odd_ids_find_nothing(self, store: Store, id: str) -> None:
        assert store.datasets.get(id) is None
        assert not store.datasets.remove(id)
        assert store.datasets.of_hashes([id]) == ()


class TestRecommendationJobs:
    """A queue that survives its readers, and a cache of its answers."""

    def test_the_same_question_many_times_at_once_is_one(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as threads:
            asked = [recommendation_job(f"rec_{n}", cache_key="key") for n in range(40)]
            kept = list(threads.map(store.recommendations.add, asked))
        assert len({one.id for one in kept}) == 1
        assert store.recommendations.count_open("ada") == 1
        assert store.recommendations.cancel(kept[0].id)
        assert store.recommendations.add(recommendation_job("rec_new", cache_key="key")).id == "rec_new"

    def test_many_takers_get_it_once(self, store: Store) -> None:
        store.recommendations.add(recommendation_job())
        with ThreadPoolExecutor(6) as threads:
            taken = list(
                threads.map(
                    lambda i: store.recommendations.take_lease("rec_1", seen=NOBODY, holder=str(i)), range(12)
                )
            )
        assert taken.count(True) == 1
        assert store.recommendations.num_attempts("rec_1") == 1

    def test_only_the_holder_files_the_answer(self, store: Store) -> None:
        store.recommendations.add(recommendation_job())
        store.recommendations.add(recommendation_job())  # again: nothing happens
        assert store.recommendations.take_lease("rec_1", seen=NOBODY, holder="a")
        [(_, lease)] = store.recommendations.open()
        assert store.recommendations.take_lease("rec_1", seen=lease, holder="b")
        assert not store.recommendations.renew_lease("rec_1", holder="a")
        assert not store.recommendations.finish("rec_1", holder="a", status="succeeded", document="{}")
        assert store.recommendations.finish("rec_1", holder="b", status="succeeded", document="{}")
        found = store.recommendations.find("key of rec_1", "succeeded", owner="ada", dataset_id="ds_1")
        assert found is not None
        assert found.document == "{}"
        for owner, dataset_id in (("bob", "ds_1"), ("ada", "ds_2")):
            assert not store.recommendations.find(
                "key of rec_1", "succeeded", owner=owner, dataset_id=dataset_id
            )
        assert store.recommendations.open() == ()
        numbers = [event.seq for event in store.jobs.events("rec_1")]
        assert numbers == [1, 2, 3, 4]

    def test_owners_see_their_own_pages(self, store: Store) -> None:
        for i in range(5):
            store.recommendations.add(
                recommendation_job(
                    f"rec_{i}", owner="ada" if i % 2 else "bob", created_at=f"2026-01-0{i + 1}"
                )
            )
        assert [entry.id for entry in store.recommendations.page(owner="ada").items] == ["rec_3", "rec_1"]
        first = store.recommendations.page(owner=None, limit=2)
        second = store.recommendations.page(owner=None, limit=2, cursor=first.next_cursor)
        assert [entry.id for entry in (*first.items, *second.items)] == ["rec_4", "rec_3", "rec_2", "rec_1"]
        assert store.recommendations.page(owner="ada", dataset_id="\x00").items == ()
        with pytest.raises(UsageError):
            store.recommendations.page(owner="ada", limit=0)


class TestEvents:
    """In order, once each, whoever writes them."""

    def test_writers_of_one_job_leave_no_gap(self, store: Store) -> None:
        store.recommendations.add(recommendation_job())
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda i: store.recommendations.add_progress("rec_1", "x", i, 24), range(24)))
        events = store.jobs.events("rec_1")
        assert [event.seq for event in events] == list(range(1, 26))
        assert sorted(json.loads(event.data)["done"] for event in events[1:]) == list(range(24))
        assert [event.seq for event in store.jobs.events("rec_1", after=22)] == [23, 24, 25]

    def test_a_job_that_ended_takes_no_more_progress(self, store: Store) -> None:
        store.recommendations.add(recommendation_job())
        store.recommendations.cancel("rec_1")
        store.recommendations.add_progress("rec_1", "x", 1, 2)
        store.recommendations.add_progress("rec_none", "x", 1, 2)
        assert [event.kind for event in store.jobs.events("rec_1")] == ["status", "status"]
        assert store.jobs.events("rec_none") == ()

    def test_recommendations_are_no_launched_jobs(self, store: Store) -> None:
        """One table, but nothing that launches, lists or cancels jobs of a cluster meets a recommendation."""
        store.recommendations.add(recommendation_job())
        assert store.jobs.get("rec_1") is None
        assert store.jobs.list() == ()
        assert store.jobs.count() == {}
        assert store.launches.active("") == ()
        with pytest.raises(NotFoundError):
            store.jobs.request_cancel("rec_1")
        assert not store.launches.take_lease("rec_1", seen=NOBODY, holder="launcher")
        assert store.recommendations.count() == {"queued": 1, "running": 0}


def test_of_services_started_at_once_one_makes_the_first_key(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [key for key in threads.map(lambda _: create_first_key(store), range(8)) if key is not None]
    assert len(made) == len(store.keys.list()) == 1
    caller = caller_of_key(store, made[0])
    assert caller is not None
    assert caller.role == "admin"
    store.keys.revoke(caller.key_id)
    assert create_first_key(store) is None
