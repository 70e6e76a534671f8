"""Ray nodes as `ray start` makes them, in the foreground: ours to kill, and nothing else is."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tune_jobs.local_environment import free_port

TOKEN = "0123456789abcdef" * 4
RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")


def without_ray(**more: str) -> dict[str, str]:
    """This process's environment without what concerns Ray, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def with_token(home: Path, **more: str) -> dict[str, str]:
    """An environment of a user of a cluster that asks for the token."""
    return without_ray(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN, RECOMMENDER_HOME=str(home), **more)


def ray_start(
    variables: dict[str, str], *arguments: str, prefix: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start a node of one CPU; it ends with `kill_with_children`."""
    limits = ("--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats")
    return subprocess.Popen(
        [*prefix, *RAY, "start", "--block", *limits, *arguments],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextlib.contextmanager
def running_head(variables: dict[str, str], *arguments: str) -> Iterator[int]:
    """A head on a free port; yields the port."""
    port = free_port()
    head = ray_start(variables, "--head", f"--port={port}", "--include-dashboard=false", *arguments)
    try:
        wait_for_port(port)
        yield port
    finally:
        kill_with_children(head)


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a node and all that it started."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()


def wait_for_port(port: int, host: str = "127.0.0.1") -> None:
    """Until somebody listens there, and a little longer: the raylet follows the head's GCS."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                time.sleep(3)
                return
        time.sleep(0.5)
    raise AssertionError(f"nothing listens on {host}:{port}")
