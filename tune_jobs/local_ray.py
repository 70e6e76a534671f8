"""A Ray head of our own with its job server, on this machine, for as long as we live."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recommender.errors import UnavailableError
from tune_jobs.address_space import require_address_space
from tune_jobs.head_security import ensure_token, is_open
from tune_jobs.local_environment import (
    LOOPBACK_ONLY,
    OBJECT_STORE_BYTES,
    QUIET_VARIABLES,
    bypass_proxies,
    free_port,
    require_short_temp_folder,
)

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
PR_SET_PDEATHSIG = 1
LOG_BYTES, LONGEST_LINE = 2**16, 300
EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")


@contextmanager
def local_job_server(log: Path, *, num_cpus: int | None = None) -> Iterator[str]:
    """Start a head and yield the address of its job server. Ends with this process, however that ends.

    By `ray start`, not `ray.init`, which gives every cluster of a machine the same port for job agents. Sets the
    token in this process's environment. Raises UnavailableError when it does not start; `log` says why.
    """
    ensure_token()
    require_short_temp_folder()
    require_address_space()
    bypass_proxies()
    os.environ.pop("RAY_ADDRESS", None)  # a cluster of our own was asked for
    port = free_port()
    with log.open("ab") as output:
        begin = output.tell()
        head = subprocess.Popen(  # noqa: S603
            head_command(port, num_cpus=num_cpus),
            env={**QUIET_VARIABLES, **os.environ, **LOOPBACK_ONLY},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,
        )
    try:
        _await(head, port, log, begin)
        _require_closed(port)
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
    command += [f"--object-store-memory={OBJECT_STORE_BYTES}"]
    return command if num_cpus is None else [*command, f"--num-cpus={num_cpus}"]


def _await(head: subprocess.Popen[bytes], port: int, log: Path, begin: int) -> None:
    """Wait until the job server listens. What the head wrote into `log` after byte `begin` tells why it does not."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and head.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    code = head.poll()
    how = (
        f"did not start within {START_TIMEOUT_S:.0f} s"
        if code is None
        else f"ended at once, with code {code}"
    )
    raise UnavailableError(
        f"A local Ray {how}: {_last_error(log, begin)}.",
        remedy=f"{log} says more; or start one by `ray start --head` and name its --address.",
    )


def _last_error(log: Path, begin: int) -> str:
    """The last exception that the log shows after byte `begin`, else its last line."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read()[-LOG_BYTES:].decode("utf-8", "replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if EXCEPTION.match(line)]
    return (errors or said or ["it said nothing"])[-1][:LONGEST_LINE].rstrip(".")


def _require_closed(port: int) -> None:
    """Raise UnavailableError if the head just started runs code for whoever asks."""
    if is_open(f"http://127.0.0.1:{port}"):
        raise UnavailableError(
            "The local Ray asked for no token, and was ended: whoever reaches it could run code as you.",
            remedy="Unset the variables RAY_AUTH_*, or start one by `ray start --head` and name its --address.",
        )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
