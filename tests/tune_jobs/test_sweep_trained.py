"""Trained weights that are wanted afterwards: kept whole, sent in chunks, trained again where they are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.errors import StorageError
from recommender.store import Store
from tests.tune_jobs.sweep_kit import finished, paper_trials
from tune_jobs.chunks import CHUNK_BYTES
from tune_jobs.sweep.artefact_store import ArtefactStore
from tune_jobs.sweep.remote_driver import Host
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trained import keep_trained, trained_path


def test_a_known_run_is_asked_again_when_its_weights_are_wanted_and_gone(home: Path, tmp_path: Path) -> None:
    (spec,) = paper_trials(1)
    run = finished(spec, [0.1, 0.2, 0.3])
    with Store() as store:
        store.runs.add(run)
        assert RunRecorder(store).finished_run(spec.id) == run
        keeping = RunRecorder(store, keeping=[spec.id])
        assert keeping.finished_run(spec.id) is None
        weights = tmp_path / "best.safetensors"
        weights.write_bytes(b"weights")
        keep_trained(spec.id, weights)
        assert keeping.finished_run(spec.id) == run


def test_weights_come_through_the_artefact_store_apart_from_states(home: Path) -> None:
    (spec,) = paper_trials(1)
    artefact_store = ArtefactStore()
    artefact_store.keep("actor", spec.id, b"state")
    artefact_store.keep("actor-weights", spec.id, b"first ", "weights")
    artefact_store.keep("actor-weights", spec.id, b"second", "weights")
    assert not trained_path(spec.id).exists()  # whole or not at all
    artefact_store.keep("actor-weights", spec.id, None, "weights")
    assert trained_path(spec.id).read_bytes() == b"first second"


def test_the_host_hands_weights_out_chunk_by_chunk(home: Path) -> None:
    (spec,) = paper_trials(1)
    host = Host()
    assert host.trained(spec.id, 0) == b""
    content = bytes(CHUNK_BYTES) + b"end"
    trained_path(spec.id).write_bytes(content)
    assert b"".join(host.trained(spec.id, number) for number in range(3)) == content


def test_what_is_no_run_id_never_becomes_a_path(home: Path) -> None:
    with pytest.raises(StorageError, match="no run id"):
        trained_path("../../store.sqlite3")
