"""Random operations with crashes in between: the store and a dictionary always agree (R16)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recommender.errors import ConflictError
from recommender.records import Checkpoint, Run
from recommender.store import Store
from tests.store.builders import checkpoint, run

NAMES = st.sampled_from(["a", "b", "c"])
STATUSES = ["failed", "stopped", "succeeded"]

# Deletes everything, writes pages of it to the file before the commit (a tiny cache), and dies.
_DIE_WHILE_WRITING = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("PRAGMA synchronous = OFF")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM runs")
connection.execute("DELETE FROM checkpoints")
connection.execute("UPDATE claims SET attempt = 0")
for i in range(60):
    connection.execute("INSERT INTO meta VALUES (?, ?)", [f"junk-{i}", "x" * 4000])
os.kill(os.getpid(), signal.SIGKILL)
"""


class StoreMachine(RuleBasedStateMachine):
    """The model is a dictionary of each kind; a crash must not move it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "store.sqlite3"
        self.store = Store(self.file)
        self.runs: dict[str, Run] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.epochs: dict[str, int] = {}
        self.crashes = 0

    @initialize()
    def some_rows(self) -> None:
        """Enough rows that a transaction touches several pages."""
        for i in range(8):
            self.store.runs.add(run(f"first-{i}"))
            self.runs[f"first-{i}"] = run(f"first-{i}")

    @rule(
        id=NAMES,
        status=st.sampled_from(STATUSES),
        seconds=st.floats(0, 9),
        old=st.booleans(),
        fenced=st.booleans(),
    )
    def add_run(self, id: str, status: str, seconds: float, old: bool, fenced: bool) -> None:
        """Only improvements are kept, and only from the latest claim."""
        made = replace(run(id, status=status), seconds=seconds)
        latest = self.epochs.get(id, 0)
        epoch = (latest - 1 if old else latest) if fenced else None
        if fenced and old:
            with pytest.raises(ConflictError):
                self.store.runs.add(made, attempt=epoch)
            return
        known = self.runs.get(id)
        better = known is None or STATUSES.index(status) > STATUSES.index(known.status)
        assert self.store.runs.add(made, attempt=epoch) == better
        if better:
            self.runs[id] = made

    @rule(id=NAMES)
    def remove_run(self, id: str) -> None:
        """Gone once."""
        assert self.store.runs.remove(id) == (self.runs.pop(id, None) is not None)

    @rule(id=NAMES)
    def claim(self, id: str) -> None:
        """Epochs only grow."""
        self.epochs[id] = self.epochs.get(id, 0) + 1
        assert self.store.runs.claim(id) == self.epochs[id]

    @rule(name=NAMES, images=st.integers(1, 3), replace_it=st.booleans())
    def put_checkpoint(self, name: str, images: int, replace_it: bool) -> None:
        """A taken name is refused unless replacing was asked for."""
        made = checkpoint(name, images=images)
        if not replace_it and self.checkpoints.get(name, made) != made:
            with pytest.raises(ConflictError):
                self.store.checkpoints.put(made)
            return
        self.store.checkpoints.put(made, replace=replace_it)
        self.checkpoints[name] = made

    @rule(name=NAMES)
    def remove_checkpoint(self, name: str) -> None:
        """Gone once."""
        assert self.store.checkpoints.remove(name) == (self.checkpoints.pop(name, None) is not None)

    @rule()
    def reopen(self) -> None:
        """A process ends and another opens the store."""
        self.store.close()
        self.store = Store(self.file)

    @rule()
    def crash_while_writing(self) -> None:
        """A process is killed with half a transaction in the file."""
        if self.crashes < 2:  # each costs a process
            self.crashes += 1
            subprocess.run([sys.executable, "-S", "-c", _DIE_WHILE_WRITING, str(self.file)], check=False)
            journal = self.file.with_name(self.file.name + "-journal")
            assert journal.stat().st_size > 0, "the crash came too early to prove anything"

    @invariant()
    def agrees(self) -> None:
        """Records are read as they were written."""
        assert {r.id: r for r in self.store.runs.list()} == self.runs
        assert {c.name: c for c in self.store.checkpoints.list()} == self.checkpoints

    def teardown(self) -> None:
        """Give files and connections back."""
        self.store.close()
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
