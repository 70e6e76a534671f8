"""What every store promises, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import ConflictError, StorageError
from recommender.records import Evidence
from recommender.store import RANKABLE, Store
from tests.store.builders import assert_same_profile, checkpoint, profile, run


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite3"
    return str(request.getfixturevalue("postgres").fresh_database())


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An open store."""
    with Store(address) as opened:
        yield opened


class TestProfiles:
    """Keyed by content and encoder, exact, and the index can tell that they changed."""

    def test_a_profile_comes_back_exactly(self, store: Store) -> None:
        store.put_profile(profile())
        found = store.get_profile("masks-0", "probe-1")
        assert found is not None
        assert_same_profile(profile(), found)

    def test_encoders_never_mix(self, store: Store) -> None:
        store.put_profile(profile())
        store.put_profile(profile("cells"))
        store.put_profile(profile(encoder="probe-2"))
        assert store.get_profile("masks-0", "probe-3") is None
        assert [p.dataset_name for p in store.list_profiles("probe-1")] == ["cells", "masks"]
        assert [p.dataset_name for p in store.list_profiles("probe-2")] == ["masks"]

    def test_the_generation_changes_with_content_and_only_with_it(self, store: Store) -> None:
        seen = [store.profiles_generation()]
        store.put_profile(profile())
        seen.append(store.profiles_generation())
        store.put_profile(profile())
        assert store.profiles_generation() == seen[-1]
        store.put_profile(replace(profile(), dataset_name="renamed"))
        seen.append(store.profiles_generation())
        assert store.remove_profile("masks-0", "probe-1")
        seen.append(store.profiles_generation())
        assert not store.remove_profile("masks-0", "probe-1")
        assert store.profiles_generation() == seen[-1]
        assert len(set(seen)) == len(seen)


class TestCheckpoints:
    """Keyed by name; a name means one thing."""

    def test_a_checkpoint_comes_back_exactly(self, store: Store) -> None:
        store.put_checkpoint(checkpoint())
        assert store.get_checkpoint("faces") == checkpoint()

    def test_a_taken_name_is_refused_and_the_first_kept(self, store: Store) -> None:
        store.put_checkpoint(checkpoint())
        store.put_checkpoint(checkpoint())  # the very same: nothing to refuse
        with pytest.raises(ConflictError, match="'faces' exists already"):
            store.put_checkpoint(checkpoint(images=7))
        assert store.get_checkpoint("faces") == checkpoint()
        store.put_checkpoint(checkpoint(images=7), replace=True)
        assert store.get_checkpoint("faces") == checkpoint(images=7)

    def test_they_are_listed_by_name_and_removed_once(self, store: Store) -> None:
        for name in ("cells", "faces", "animals"):
            store.put_checkpoint(checkpoint(name))
        assert [c.name for c in store.list_checkpoints()] == ["animals", "cells", "faces"]
        assert store.remove_checkpoint("cells")
        assert not store.remove_checkpoint("cells")
        assert store.get_checkpoint("cells") is None

    @pytest.mark.parametrize("name", ["", "a\x00b", "\ud800", "'; DROP TABLE checkpoints; --"])
    def test_hostile_names_find_nothing_and_break_nothing(self, store: Store, name: str) -> None:
        store.put_checkpoint(checkpoint())
        assert store.get_checkpoint(name) is None
        assert not store.remove_checkpoint(name)
        assert store.get_run(name) is None
        assert store.list_runs(target_hash=name or "\x00") == ()
        assert store.get_profile(name, name) is None
        assert store.get_evidence(name, name, name) is None
        assert [c.name for c in store.list_checkpoints()] == ["faces"]

    @pytest.mark.parametrize("name", ["", "a\x00b", "\ud800"])
    def test_what_cannot_be_a_key_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(StorageError, match="cannot be a key"):
            store.put_checkpoint(checkpoint(name))


class TestRuns:
    """Counted once, ranked only when sound, written only by their owner."""

    def test_a_run_is_counted_once(self, store: Store) -> None:
        assert store.add_run(run())
        assert not store.add_run(replace(run(), seconds=99.0))
        assert store.list_runs() == (run(),)

    def test_eight_writers_count_a_run_once(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            added = list(pool.map(lambda _: store.add_run(run()), range(24)))
        assert added.count(True) == 1
        assert store.list_runs() == (run(),)

    def test_a_repetition_may_improve_a_run_and_never_spoil_it(self, store: Store) -> None:
        assert store.add_run(run(status="failed"))
        assert store.add_run(run(status="stopped"))
        assert store.add_run(run())
        assert not store.add_run(run(status="stopped"))
        assert not store.add_run(run(status="failed"))
        found = store.get_run("run-1")
        assert found is not None
        assert found.status == "succeeded"

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    def test_numbers_that_are_not_finite_make_a_failed_run(self, store: Store, number: float) -> None:
        sound = run()
        broken_point = replace(sound.curve[1], score=number)
        broken = replace(
            sound, curve=(sound.curve[0], broken_point), best=broken_point, peak_memory_mb=number
        )
        assert store.add_run(broken)
        assert store.list_runs(statuses=RANKABLE) == ()
        found = store.get_run("run-1")
        assert found is not None
        assert (found.status, found.curve, found.best) == ("failed", sound.curve[:1], None)
        assert found.peak_memory_mb is None
        assert found.error == "not finite: peak_memory_mb, curve, best"
        assert store.add_run(sound)  # it may be tried again

    def test_filters_combine(self, store: Store) -> None:
        other = replace(run("run-3", target="target-2"), kind="trial", created_at="2025-01-01T00:00:00Z")
        for one in (run("run-1"), run("run-2", status="failed"), other):
            store.add_run(one)
        assert [r.id for r in store.list_runs()] == ["run-3", "run-1", "run-2"]
        assert [r.id for r in store.list_runs(limit=1)] == ["run-3"]
        assert [r.id for r in store.list_runs(target_hash="target-1")] == ["run-1", "run-2"]
        assert [r.id for r in store.list_runs(target_hash="target-1", statuses=RANKABLE)] == ["run-1"]
        assert [r.id for r in store.list_runs(kind="trial")] == ["run-3"]
        assert store.list_runs(checkpoint="faces", mode="freeze") == ()
        assert store.list_runs(statuses=()) == ()

    def test_a_removed_run_is_gone(self, store: Store) -> None:
        store.add_run(run())
        assert store.remove_run("run-1")
        assert not store.remove_run("run-1")
        assert store.list_runs() == ()

    def test_a_worker_that_was_given_up_cannot_write(self, store: Store) -> None:
        first, second = store.claim("run-1"), store.claim("run-1")
        assert first < second
        with pytest.raises(ConflictError, match=f"carries epoch {first}, but {second} has been given out"):
            store.add_run(run(), epoch=first)
        assert store.list_runs() == ()
        assert store.add_run(run(), epoch=second)

    def test_claims_made_at_once_are_distinct(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            epochs = list(pool.map(lambda _: store.claim("run-1"), range(16)))
        assert sorted(epochs) == list(range(1, 17))
        assert store.claim("run-2") == 1


class TestEvidence:
    """A cache: found under its whole key, or not at all."""

    def test_it_is_found_under_its_whole_key_only(self, store: Store) -> None:
        evidence = Evidence(similarity=0.5, knn_accuracy=0.75, nearest_sources=("faces", "cells"))
        store.put_evidence("data", "weights", "1", evidence)
        assert store.get_evidence("data", "weights", "1") == evidence
        for key in (("other", "weights", "1"), ("data", "other", "1"), ("data", "weights", "2")):
            assert store.get_evidence(*key) is None

    def test_all_about_a_data_set_comes_and_goes_together(self, store: Store) -> None:
        all_of_it = {"w1": Evidence(similarity=0.1), "w2": Evidence(similarity=0.2)}
        store.put_all_evidence("data", "1", all_of_it)
        store.put_evidence("data", "w2", "1", Evidence(similarity=0.3))
        store.put_evidence("other", "w1", "1", Evidence())
        assert store.list_evidence("data", "1") == all_of_it | {"w2": Evidence(similarity=0.3)}
        store.clear_evidence("data")
        assert store.list_evidence("data", "1") == {}
        assert store.get_evidence("other", "w1", "1") == Evidence()


class TestSharing:
    """Several stores on one database see one truth."""

    def test_what_one_writes_another_reads(self, address: str, store: Store) -> None:
        store.put_checkpoint(checkpoint())
        with Store(address) as second:
            assert second.get_checkpoint("faces") == checkpoint()
            second.add_run(run())
        assert store.list_runs() == (run(),)

    def test_many_may_open_a_new_database_at_once(self, address: str) -> None:
        with ThreadPoolExecutor(6) as pool:
            stores = list(pool.map(lambda _: Store(address), range(6)))
        for opened in stores:
            opened.put_checkpoint(checkpoint())
            opened.close()

    def test_a_failure_in_the_middle_leaves_nothing(self, store: Store) -> None:
        store.add_run(run("kept"))

        def work(session: object) -> None:
            from recommender.store.models import RunRow

            session.query(RunRow).delete()  # type: ignore[attr-defined]
            raise ConflictError("on purpose")

        with pytest.raises(ConflictError, match="on purpose"):
            store.write(work)
        assert [r.id for r in store.list_runs()] == ["kept"]
