"""Trained weights that are wanted afterwards: kept whole, sent in chunks, trained again where they are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recommender.errors import StorageError
from recommender.store import Store
from tests.tune_jobs.sweep_kit import finished, paper_trials
from tune_jobs.actor_storage import ActorStorage, StorageActor
from tune_jobs.chunks import CHUNK_BYTES
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trained import trained_name, trained_path


def test_a_known_run_is_asked_again_when_its_weights_are_wanted_and_gone(home: Path, tmp_path: Path) -> None:
    (spec,) = paper_trials(1)
    run = finished(spec, [0.1, 0.2, 0.3])
    with Store() as store:
        store.runs.add(run)
        assert RunRecorder(store).finished_run(spec.id) == run
        keeping = RunRecorder(store, keeping=[spec.id])
        assert keeping.finished_run(spec.id) is None
        trained_path(spec.id).parent.mkdir()
        trained_path(spec.id).write_bytes(b"weights")
        assert keeping.finished_run(spec.id) == run


def test_weights_come_chunk_by_chunk_and_are_there_whole_or_not_at_all(home: Path) -> None:
    (spec,) = paper_trials(1)
    actor, name = StorageActor(), trained_name(spec.id)
    assert actor.read(name, 0) is None
    content = bytes(CHUNK_BYTES) + b"end"
    actor.write(name, "one", 0, content[:CHUNK_BYTES], last=False)
    actor.write(name, "other", 0, b"of another actor", last=False)
    assert not trained_path(spec.id).exists()
    actor.write(name, "one", CHUNK_BYTES, content[CHUNK_BYTES:], last=True)
    assert actor.read(name, 0) == (content[:CHUNK_BYTES], len(content))
    assert trained_path(spec.id).read_bytes() == content


def test_a_file_that_is_replaced_while_it_is_sent_arrives_as_it_was(home: Path, tmp_path: Path) -> None:
    source, new, target = (tmp_path / name for name in ("state", "new", "target"))
    source.write_bytes(b"a" * (CHUNK_BYTES + 5))
    new.write_bytes(b"b" * (CHUNK_BYTES + 5))
    actor = StorageActor()

    class Sent(ActorStorage):
        def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
            if new.exists():
                new.replace(source)  # as a training does after its next epoch
            return getattr(actor, method)(*arguments, **options)

    storage = Sent(lambda: actor)
    storage.put("states/one.pt", source)
    assert storage.get("states/one.pt", target)
    assert target.read_bytes() == b"a" * (CHUNK_BYTES + 5)


def test_what_is_no_run_id_never_becomes_a_path(home: Path) -> None:
    with pytest.raises(StorageError, match="no run id"):
        trained_path("../../store.sqlite3")
