"""The promises of every store, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import ConflictError, StorageError
from recommender.records import Evidence
from recommender.store import RANKABLE, Store
from recommender.store.rows import columns_of
from tests.store.builders import assert_same_profile, checkpoint, profile, run


class TestProfiles:
    """Keyed by content and encoder, exact, and the index can tell that they changed."""

    def test_a_profile_comes_back_exactly(self, store: Store) -> None:
        store.profiles.put(profile())
        found = store.profiles.get("masks-0", "probe-1")
        assert found is not None
        assert_same_profile(profile(), found)

    def test_encoders_never_mix(self, store: Store) -> None:
        store.profiles.put(profile())
        store.profiles.put(profile("cells"))
        store.profiles.put(profile(encoder="probe-2"))
        assert store.profiles.get("masks-0", "probe-3") is None
        assert store.profiles.hashes("probe-1")[1] == {"cells-0", "masks-0"}
        assert store.profiles.hashes("probe-2")[1] == {"masks-0"}

    def test_the_generation_changes_with_content_and_only_with_it(self, store: Store) -> None:
        seen = [store.profiles.generation()]
        store.profiles.put(profile())
        seen.append(store.profiles.generation())
        store.profiles.put(profile())
        assert store.profiles.generation() == seen[-1]
        store.profiles.put(replace(profile(), dataset_name="renamed"))
        seen.append(store.profiles.generation())
        assert store.profiles.remove("masks-0", "probe-1")
        seen.append(store.profiles.generation())
        assert not store.profiles.remove("masks-0", "probe-1")
        assert store.profiles.generation() == seen[-1]
        assert len(set(seen)) == len(seen)


class TestCheckpoints:
    """Keyed by name; a name means one thing."""

    def test_a_checkpoint_comes_back_exactly(self, store: Store) -> None:
        store.checkpoints.put(checkpoint())
        assert store.checkpoints.get("faces") == checkpoint()

    def test_of_two_that_take_a_name_at_once_one_is_refused(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(record: object) -> dict[str, str]:
            time.sleep(0.1)  # both have found the name free
            return columns_of(record)

        monkeypatch.setattr("recommender.store.checkpoints.columns_of", slow)

        def taken(images: int) -> bool:
            try:
                store.checkpoints.put(checkpoint(images=images))
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(taken, (100, 200))) == [False, True]

    def test_a_taken_name_is_refused_and_the_first_kept(self, store: Store) -> None:
        store.checkpoints.put(checkpoint())
        store.checkpoints.put(checkpoint())  # the very same: nothing to refuse
        with pytest.raises(ConflictError, match="'faces' exists already"):
            store.checkpoints.put(checkpoint(images=7))
        assert store.checkpoints.get("faces") == checkpoint()
        store.checkpoints.put(checkpoint(images=7), replace=True)
        assert store.checkpoints.get("faces") == checkpoint(images=7)

    def test_they_are_listed_by_name_and_removed_once(self, store: Store) -> None:
        for name in ("cells", "a-b", "Faces", "aa"):
            store.checkpoints.put(checkpoint(name))
        # As cursors are compared; PostgreSQL's own order may be a language's.
        assert [c.name for c in store.checkpoints.list()] == ["Faces", "a-b", "aa", "cells"]
        assert store.checkpoints.remove("cells")
        assert not store.checkpoints.remove("cells")
        assert store.checkpoints.get("cells") is None

    @pytest.mark.parametrize("name", ["", "a\x00b", "\ud800", "'; DROP TABLE checkpoints; --"])
    def test_hostile_names_find_nothing_and_break_nothing(self, store: Store, name: str) -> None:
        store.checkpoints.put(checkpoint())
        assert store.checkpoints.get(name) is None
        assert not store.checkpoints.remove(name)
        assert store.runs.get(name) is None
        assert store.runs.list(target_hash=name or "\x00") == ()
        assert store.profiles.get(name, name) is None
        assert store.evidence.of([name], [name], name) == {}
        assert [c.name for c in store.checkpoints.list()] == ["faces"]

    @pytest.mark.parametrize("name", ["", "a\x00b", "\ud800"])
    def test_what_cannot_be_a_key_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(StorageError, match="cannot be a key"):
            store.checkpoints.put(checkpoint(name))


class TestRuns:
    """Counted once, ranked only when sound, written only by their owner."""

    def test_a_run_is_counted_once(self, store: Store) -> None:
        assert store.runs.add(run())
        assert not store.runs.add(replace(run(), seconds=99.0))
        assert store.runs.list() == (run(),)

    def test_eight_writers_count_a_run_once(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            added = list(pool.map(lambda _: store.runs.add(run()), range(24)))
        assert added.count(True) == 1
        assert store.runs.list() == (run(),)

    def test_a_repetition_may_improve_a_run_and_never_spoil_it(self, store: Store) -> None:
        assert store.runs.add(run(status="failed"))
        assert store.runs.add(run(status="stopped"))
        assert store.runs.add(run())
        assert not store.runs.add(run(status="stopped"))
        assert not store.runs.add(run(status="failed"))
        found = store.runs.get("run-1")
        assert found is not None
        assert found.status == "succeeded"

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    def test_numbers_that_are_not_finite_make_a_failed_run(self, store: Store, number: float) -> None:
        sound = run()
        broken_point = replace(sound.curve[1], score=number)
        broken = replace(
            sound, curve=(sound.curve[0], broken_point), best=broken_point, peak_memory_mb=number
        )
        assert store.runs.add(broken)
        assert store.runs.list(statuses=RANKABLE) == ()
        found = store.runs.get("run-1")
        assert found is not None
        assert (found.status, found.curve, found.best) == ("failed", sound.curve[:1], None)
        assert found.peak_memory_mb is None
        assert found.error == "not finite: peak_memory_mb, curve, best"
        assert store.runs.add(sound)  # it may be tried again

    def test_filters_combine(self, store: Store) -> None:
        other = replace(run("run-3", target="target-2"), kind="trial", created_at="2025-01-01T00:00:00Z")
        for one in (run("run-1"), run("run-2", status="failed"), other):
            store.runs.add(one)
        assert [r.id for r in store.runs.list()] == ["run-3", "run-1", "run-2"]
        assert [r.id for r in store.runs.list(limit=1)] == ["run-3"]
        assert [r.id for r in store.runs.list(target_hash="target-1")] == ["run-1", "run-2"]
        assert [r.id for r in store.runs.list(target_hash="target-1", statuses=RANKABLE)] == ["run-1"]
        assert [r.id for r in store.runs.list(kind="trial")] == ["run-3"]
        assert store.runs.list(checkpoint="faces", mode="freeze") == ()
        assert store.runs.list(statuses=()) == ()

    def test_a_removed_run_is_gone(self, store: Store) -> None:
        store.runs.add(run())
        assert store.runs.remove("run-1")
        assert not store.runs.remove("run-1")
        assert store.runs.list() == ()

    def test_a_worker_that_was_given_up_cannot_write(self, store: Store) -> None:
        first, second = store.runs.claim("run-1"), store.runs.claim("run-1")
        assert first < second
        with pytest.raises(ConflictError, match=f"attempt {first}, but attempt {second} has begun"):
            store.runs.add(run(), attempt=first)
        assert store.runs.list() == ()
        assert store.runs.add(run(), attempt=second)

    def test_claims_made_at_once_are_distinct(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            epochs = list(pool.map(lambda _: store.runs.claim("run-1"), range(16)))
        assert sorted(epochs) == list(range(1, 17))
        assert store.runs.claim("run-2") == 1


class TestEvidence:
    """A cache: found under its whole key, or not at all."""

    def test_it_is_found_under_its_whole_key_only(self, store: Store) -> None:
        evidence = Evidence(similarity=0.5, scores={"knn_accuracy": 0.75}, nearest_sources=("faces", "cells"))
        store.evidence.put_all("data", "1", {"weights": evidence})
        assert store.evidence.of(["data"], ["weights"], "1") == {("data", "weights"): evidence}
        for data, weights, version in (
            ("other", "weights", "1"),
            ("data", "other", "1"),
            ("data", "weights", "2"),
        ):
            assert store.evidence.of([data], [weights], version) == {}

    def test_what_is_measured_again_takes_the_place_of_what_was_there(self, store: Store) -> None:
        store.evidence.put_all("data", "1", {"w1": Evidence(similarity=0.1), "w2": Evidence(similarity=0.2)})
        store.evidence.put_all("data", "1", {"w2": Evidence(similarity=0.3)})
        store.evidence.put_all("other", "1", {"w1": Evidence()})
        assert store.evidence.of(["data", "other"], ["w1", "w2"], "1") == {
            ("data", "w1"): Evidence(similarity=0.1),
            ("data", "w2"): Evidence(similarity=0.3),
            ("other", "w1"): Evidence(),
        }

    def test_what_was_only_compared_leaves_what_was_measured(self, store: Store) -> None:
        measured, compared = Evidence(scores={"knn_accuracy": 0.75}), Evidence(similarity=0.5)
        store.evidence.put_all("data", "1", {"w1": measured})
        store.evidence.put_all("data", "1", {"w1": compared, "w2": compared}, replacing=False)
        found = store.evidence.of(["data"], ["w1", "w2"], "1")
        assert found == {("data", "w1"): measured, ("data", "w2"): compared}


class TestSharing:
    """Several stores on one database see one truth."""

    def test_what_one_writes_another_reads(self, address: str, store: Store) -> None:
        store.checkpoints.put(checkpoint())
        with Store(address) as second:
            assert second.checkpoints.get("faces") == checkpoint()
            second.runs.add(run())
        assert store.runs.list() == (run(),)

    def test_many_may_open_a_new_database_at_once(
        self, backend: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        address = f"sqlite:///{tmp_path}/new.sqlite3"
        if backend == "postgresql":
            address = request.getfixturevalue("postgres").fresh_database()
        with ThreadPoolExecutor(6) as pool:
            stores = list(pool.map(lambda _: Store(address), range(6)))
        for opened in stores:
            opened.checkpoints.put(checkpoint())
            opened.close()

    def test_a_failure_in_the_middle_leaves_nothing(self, store: Store) -> None:
        store.runs.add(run("kept"))

        def work(session: object) -> None:
            from recommender.store.models import RunRow

            session.query(RunRow).delete()  # type: ignore[attr-defined]
            raise ConflictError("on purpose")

        with pytest.raises(ConflictError, match="on purpose"):
            store.write(work)
        assert [r.id for r in store.runs.list()] == ["kept"]
