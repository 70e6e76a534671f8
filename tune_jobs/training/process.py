"""A warm training process, seen from what drives it: the actor of a sweep, or the head of a team."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from recommender.ultralytics_safety import safe_environment
from tune_jobs.address_space import limited_to
from tune_jobs.training.job import TrainingJob

MODULE = "tune_jobs.training.child"
LOG_TAIL_BYTES = 1500


class TrainingProcess:
    """Starts at once and imports while the data still travel. Owned by one thread."""

    def __init__(self, folder: Path, *, variables: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        self.log = folder / f"training-{os.getpid()}.log"
        environment = {**os.environ, **safe_environment(), "PYTHONUNBUFFERED": "1", **(variables or {})}
        with theirs, self.log.open("wb") as log:
            self._popen = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is the driver's to handle
            )
        self._link = Connection(ours.detach())
        self._seen = psutil.Process(self._popen.pid)
        self.is_ready = False

    @property
    def pid(self) -> int:
        """The id of the process on this node."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        """True if it still runs."""
        return self._popen.poll() is None

    def start(self, job: TrainingJob) -> None:
        """Hand it a job; only when it has none."""
        with contextlib.suppress(OSError):  # it died: the next poll says so
            self._link.send(job)

    def answer(self, *, go_on: bool) -> None:
        """Answer after an epoch: train on, or end the run cleanly."""
        with contextlib.suppress(OSError):
            self._link.send(go_on)

    def poll(self, timeout_s: float) -> tuple[str, Any] | None:
        """The next message from it, ("epoch", point), ("done", run), ("refused", text) or ("died", why)."""
        try:
            if not self._link.poll(timeout_s):
                return None
            word: tuple[str, Any] = self._link.recv()
        except (EOFError, OSError):
            self.kill()
            return ("died", self._how_it_died())
        if word[0] == "ready":
            self.is_ready = True
            return None
        return word

    def used(self) -> tuple[float, int]:
        """CPU seconds and resident bytes of it and its loader processes."""
        cpu_s, rss = 0.0, 0
        with contextlib.suppress(psutil.Error):
            for process in (self._seen, *self._seen.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    cpu_s += times.user + times.system
                    rss += process.memory_info().rss
        return cpu_s, rss

    def kill(self) -> None:
        """End it and its loader processes now; safe to repeat."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._link.close()

    def _how_it_died(self) -> str:
        code = self._popen.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        how += limited_to()
        with contextlib.suppress(OSError):
            tail = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
            return (
                f"the training process died with {how}: {tail}"
                if tail
                else f"the training process died with {how}"
            )
        return f"the training process died with {how}"
