"""A Ray head of our own with its job server, on this machine, for as long as we live."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recommender.errors import UnavailableError
from tune_jobs.cluster import QUIET_VARIABLES
from tune_jobs.head_security import ensure_token

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
PR_SET_PDEATHSIG = 1


@contextmanager
def local_job_server(log: Path, *, num_cpus: int | None = None) -> Iterator[str]:
    """Start a head and yield the address of its job server. Ends with this process, however that ends.

    By `ray start`, not `ray.init`, which gives every cluster of a machine the same port for job agents. Sets the
    token in this process's environment. Raises UnavailableError when it does not start; `log` says why.
    """
    ensure_token()
    os.environ.pop("RAY_ADDRESS", None)  # a cluster of our own was asked for
    port = free_port()
    with log.open("ab") as output:
        head = subprocess.Popen(  # noqa: S603
            head_command(port, num_cpus=num_cpus),
            env={**QUIET_VARIABLES, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,
        )
    try:
        _await(head, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        head.terminate()
        try:
            head.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            head.kill()  # its reaper ends the others
            head.wait()


def head_command(dashboard_port: int, *, num_cpus: int | None = None, port: int = 0) -> list[str]:
    """The command that starts a head on loopback, on ports that no other cluster of this machine has."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    command += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--ray-client-server-port={free_port()}"]
    command += [
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard_port}",
    ]
    command += ["--dashboard-agent-listen-port=0", "--disable-usage-stats"]
    return command if num_cpus is None else [*command, f"--num-cpus={num_cpus}"]


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(head: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and head.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise UnavailableError(
        f"A local Ray did not start within {START_TIMEOUT_S:.0f} s.",
        remedy=f"{log} says why; or start one by `ray start --head` and name its --address.",
    )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
