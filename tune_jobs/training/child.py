"""The process that trains: `python -m tune_jobs.training.child FD`. It stays warm between trials.

Apart from what drives it (a Ray actor, or the head of a team), so that a training which hangs, eats the memory or
crashes can be killed alone, and so that ultralytics is only ever imported with its safety switches set from the start.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recommender.records import EpochMetrics

PARENT_CHECK_S = 0.5


def main() -> None:
    """Serve trainings over the inherited connection until it closes."""
    _end_with_parent()
    with contextlib.suppress(OSError):
        # Should the machine run out of memory, the kernel takes this process first and not Ray's.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    link = Connection(int(sys.argv[1]))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _serve(link)


def _serve(link: Connection) -> None:
    from recommender.errors import RecommenderError
    from tune_jobs.training import prepare_environment, train

    prepare_environment()  # seconds of imports: done while the data still travel
    link.send(("ready", os.getpid()))

    def on_epoch(point: EpochMetrics) -> bool:
        link.send(("epoch", point))
        return bool(link.recv())  # the driver decides: go on or stop

    while True:
        job = link.recv()
        try:
            link.send(("done", train(job, on_epoch=on_epoch)))
        except RecommenderError as error:
            link.send(("refused", str(error)))


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
