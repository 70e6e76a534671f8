"""A launcher that dies by SIGKILL at a chosen point: `python -m tests.faults.doomed_launcher FOLDER URL POINT`.

POINT is `before:NAME` or `after:NAME` of the step it dies at, or `never`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recommender.store import Store
from tests.tune_jobs.launch_kit import ProcessCluster, make_launcher
from tune_jobs import launcher as launching
from tune_jobs.storage import UrlStorage

STEPS = ("begin", "prepare", "submit", "confirm", "collect", "finalise", "finish")
# In the order in which one job meets them; nothing is left to be killed after its end.
POINTS = (*(f"{side}:{name}" for name in STEPS[:5] for side in ("before", "after")), "before:finalise")
POINTS += ("before:finish", "after:finish")


def deadly(call: Callable[..., Any], name: str, point: str) -> Callable[..., Any]:
    """The same call, with death before or after it."""

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if point == f"before:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **options)
        if point == f"after:{name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def main() -> None:
    folder, url, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    cluster = ProcessCluster(folder / "cluster")
    with Store(url) as store:
        for name in ("begin", "confirm", "collect", "finish"):
            setattr(store.launches, name, deadly(getattr(store.launches, name), name, point))
        cluster.submit = deadly(cluster.submit, "submit", point)  # type: ignore[method-assign]
        for name in ("prepare", "finalise"):
            setattr(launching, name, deadly(getattr(launching, name), name, point))
        launcher = make_launcher(store, cluster, UrlStorage(str(folder / "storage")))
        while launcher.step():
            time.sleep(0.02)


if __name__ == "__main__":
    main()
