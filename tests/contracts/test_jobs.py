"""The promises of every store about jobs: asked for once, owed once per attempt, ended once; stale reports refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from recommender.errors import ConflictError, NotFoundError, UsageError
from recommender.records import Job, Lease
from recommender.store import Store
from tests.store.builders import checkpoint, point, run


def ask(store: Store, key: str = "key", *, body: str = "body", owner: str = "ada") -> Job:
    """The job of a key."""
    return store.jobs.create(
        kind="training", owner=owner, key=key, body_digests=(body,), cluster="here", spec='{"a": 1}'
    )[0]


def test_a_key_is_one_job_with_one_launch_owed(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: ask(store), range(50)))
    assert len({job.id for job in jobs}) == 1
    assert [(job.id, lease) for job, lease in store.launches.active("here")] == [
        (jobs[0].id, Lease(holder="", beat=0))
    ]
    assert [event.kind for event in store.jobs.events(jobs[0].id)] == ["status"]
    assert store.jobs.find(owner="ada", key="key") == store.jobs.get(jobs[0].id)


def test_a_key_used_for_another_request_is_refused(store: Store) -> None:
    first = ask(store)
    with pytest.raises(UsageError, match="used for another request"):
        ask(store, body="other")
    assert ask(store, owner="bob", body="other").id != first.id


def test_clusters_and_kinds_are_kept_apart(store: Store) -> None:
    ask(store)
    assert store.launches.active("elsewhere") == ()
    assert store.jobs.list(kind="sweep") == ()
    assert store.jobs.list(owner="bob") == ()


def test_pages_are_newest_first_and_hold_each_job_once(store: Store) -> None:
    ids = [ask(store, key=f"k{number}").id for number in range(7)]
    seen: list[str] = []
    last = None
    while page := store.jobs.list(before=last, limit=3):
        seen += [job.id for job in page]
        last = page[-1]
    assert sorted(seen) == sorted(ids)
    created = [store.jobs.require(id).created_at for id in seen]
    assert created == sorted(created, reverse=True)


def test_reports_are_counted_once_each(store: Store) -> None:
    job = ask(store)
    assert store.launches.collect(job.id, 1, batch=0, points=[point(1)])
    assert not store.launches.collect(job.id, 1, batch=0, points=[point(1)])
    assert not store.launches.collect(job.id, 1, batch=2, points=[point(3)])  # batch 1 has not come yet
    assert store.launches.collect(job.id, 1, batch=1, points=[point(2)])
    epochs = [json.loads(e.data)["epoch"] for e in store.jobs.events(job.id) if e.kind == "epoch"]
    assert epochs == [1, 2]
    assert store.jobs.require(job.id).metrics == point(2)


def test_a_later_attempt_shuts_the_earlier_one_out(store: Store) -> None:
    job = ask(store)
    store.launches.collect(job.id, 1, batch=0, points=[point(1), point(2), point(3)])
    later = store.launches.next_attempt(job.id, 1, reason="its node went silent")
    assert (later.attempt, later.status, later.submitted, later.crashes) == (2, "queued", False, 1)
    assert later.submission_id != job.submission_id
    for stale in (
        lambda: store.launches.collect(job.id, 1, batch=1, points=[point(4)]),
        lambda: store.launches.mark_running(job.id, 1),
        lambda: store.launches.note(job.id, 1, "I am back"),
        lambda: store.launches.finish(job.id, 1, status="succeeded", run=run(), checkpoint=checkpoint()),
    ):
        with pytest.raises(ConflictError, match="attempt 1, but attempt 2 counts"):
            stale()
    assert store.runs.list() == ()
    assert store.checkpoints.list() == ()
    assert store.launches.next_attempt(job.id, 1, reason="said twice").attempt == 2
    store.launches.collect(job.id, 2, batch=0, points=[point(3)])  # it went on after epoch 2
    assert store.jobs.require(job.id).crashes == 1
    store.launches.collect(job.id, 2, batch=1, points=[point(4)])
    assert store.jobs.require(job.id).crashes == 0  # only those in a row count
    events = store.jobs.events(job.id)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [json.loads(e.data)["epoch"] for e in events if e.kind == "epoch"] == [1, 2, 3, 4]


def test_an_end_is_one_transaction_and_final(store: Store) -> None:
    job = ask(store)
    assert store.launches.finish(
        job.id, 1, status="succeeded", run=run(), checkpoint=checkpoint(), artefacts="/x"
    )
    ended = store.jobs.require(job.id)
    assert (ended.status, ended.run_id, ended.checkpoint, ended.artefacts) == (
        "succeeded",
        run().id,
        checkpoint().name,
        "/x",
    )
    assert store.runs.list() == (run(),)
    assert store.checkpoints.get(checkpoint().name) == replace(checkpoint(), owner=job.owner)
    before = store.jobs.require(job.id)
    assert not store.launches.finish(job.id, 1, status="failed", error="late")
    store.launches.next_attempt(job.id, 1, reason="late")
    assert not store.launches.collect(job.id, 1, batch=0, points=[point(1)])
    store.jobs.request_cancel(job.id)
    assert not store.launches.begin(job.id, 1)
    assert store.jobs.require(job.id) == before
    assert store.launches.active("here") == ()


def test_a_refused_end_leaves_nothing_behind(store: Store) -> None:
    job = ask(store)
    broken = replace(checkpoint(), name="nul\x00")
    with pytest.raises(Exception, match="cannot be a key"):
        store.launches.finish(job.id, 1, status="succeeded", run=run(), checkpoint=broken)
    assert store.runs.list() == ()
    assert not store.jobs.require(job.id).ended


def test_a_name_taken_meanwhile_gets_a_number(store: Store) -> None:
    other = replace(checkpoint(), sha256="f" * 64)
    store.checkpoints.put(other)
    job = ask(store)
    store.launches.finish(job.id, 1, status="succeeded", run=run(), checkpoint=checkpoint())
    assert store.jobs.require(job.id).checkpoint == f"{checkpoint().name}-2"
    assert store.checkpoints.get(checkpoint().name) == other


def test_a_numbered_name_is_no_longer_than_any(store: Store) -> None:
    long = replace(checkpoint(), name="x" * 64)
    store.checkpoints.put(replace(long, sha256="f" * 64))
    job = ask(store)
    store.launches.finish(job.id, 1, status="succeeded", run=run(), checkpoint=long)
    assert store.jobs.require(job.id).checkpoint == "x" * 62 + "-2"


def test_a_cancel_between_attempts_is_left_to_the_launcher(store: Store) -> None:
    """The storage keeps the first one's inputs, which the store does not know."""
    job = ask(store)
    store.launches.begin(job.id, 1)
    store.launches.next_attempt(job.id, 1, reason="no node", crashed=False)
    asked = store.jobs.request_cancel(job.id)
    assert (asked.status, asked.cancel_requested) == ("queued", True)
    assert not store.launches.begin(job.id, 2)
    assert store.jobs.require(job.id).status == "cancelled"


@pytest.mark.slow
def test_events_of_one_kind_are_found_however_many_others_there_are(store: Store) -> None:
    job = ask(store)
    points = [point(epoch) for epoch in range(1, 1200)]
    store.launches.collect(job.id, 1, batch=0, points=points)
    store.launches.note(job.id, 1, "late")
    assert [event.kind for event in store.jobs.events(job.id, kind="note")] == ["note"]
    curve = store.jobs.every_event(job.id, "epoch")
    assert [json.loads(event.data)["epoch"] for event in curve] == list(range(1, 1200))


def test_a_cancel_before_any_launch_ends_the_job_at_once(store: Store) -> None:
    job = ask(store)
    assert store.jobs.request_cancel(job.id).status == "cancelled"
    assert not store.launches.begin(job.id, 1)


def test_a_cancel_after_a_launch_was_begun_waits_for_the_launcher(store: Store) -> None:
    job = ask(store)
    assert store.launches.begin(job.id, 1)
    asked = store.jobs.request_cancel(job.id)
    assert (asked.status, asked.cancel_requested) == ("queued", True)
    assert store.launches.begin(job.id, 1)  # again, by another launcher: it must look at the cluster
    assert len(store.jobs.events(job.id)) == len(store.jobs.events(store.jobs.request_cancel(job.id).id))


def test_a_confirmed_launch_is_not_owed_again(store: Store) -> None:
    job = ask(store)
    store.launches.begin(job.id, 1)
    assert store.launches.confirm(job.id, 1)
    assert store.jobs.require(job.id).submitted
    assert not store.launches.next_attempt(job.id, 1, reason="lost").submitted
    assert not store.launches.confirm(job.id, 1)  # by one that stood still: another attempt counts


def test_a_launch_confirmed_after_the_end_changes_nothing(store: Store) -> None:
    job = ask(store)
    store.launches.begin(job.id, 1)
    store.launches.finish(job.id, 1, status="cancelled")
    ended = store.jobs.require(job.id)
    assert not store.launches.confirm(job.id, 1)
    assert store.jobs.require(job.id) == ended


def test_one_of_many_takes_a_lease(store: Store) -> None:
    job = ask(store)
    seen = Lease(holder="", beat=0)
    with ThreadPoolExecutor(8) as pool:
        won = list(
            pool.map(lambda n: store.launches.take_lease(job.id, seen=seen, holder=f"l{n}"), range(16))
        )
    assert sum(won) == 1
    (_, lease), *_ = store.launches.active("here")
    assert lease == Lease(holder=f"l{won.index(True)}", beat=1)
    assert store.launches.renew_lease(job.id, holder=lease.holder)
    assert not store.launches.renew_lease(job.id, holder="somebody else")
    assert not store.launches.take_lease(job.id, seen=lease, holder="late")  # its beat has moved on


@pytest.mark.parametrize("text", ["nul \x00 inside", "lone \ud800 surrogate", "x" * 10_000])
def test_any_error_text_can_be_kept(store: Store, text: str) -> None:
    job = ask(store)
    store.launches.finish(job.id, 1, status="failed", error=text)
    kept = store.jobs.require(job.id).error
    assert kept is not None
    assert kept[:3] == text[:3]


def test_a_job_that_does_not_exist_is_said_so(store: Store) -> None:
    assert store.jobs.get("none") is None
    assert store.jobs.get("nul\x00") is None
    assert store.jobs.events("none") == ()
    with pytest.raises(NotFoundError, match="no job 'none'"):
        store.jobs.request_cancel("none")
