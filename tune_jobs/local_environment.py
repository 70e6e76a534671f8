"""Environment variables for a Ray cluster of our own on this machine, and for calls to this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from recommender.errors import UnavailableError
from recommender.home import home
from recommender.text import counted

QUIET_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a trial without GPUs leaves CUDA_VISIBLE_DEVICES alone
}
# Ray then takes 127.0.0.1 for this node's address, and every process of it listens there only. The name is Ray's:
# the setting is meant for desktops whose firewall asks about each listening program.
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# No file travels through a cluster of one node. Ray would reserve a third of the memory, and all of /dev/shm.
OBJECT_STORE_BYTES = 256 * 2**20
LONGEST_SOCKET = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"  # below Ray's temp folder
MAX_SOCKET_BYTES = 103 if sys.platform == "darwin" else 107  # of the path of a Unix socket


@contextlib.contextmanager
def environment(variables: Mapping[str, str], *, replacing: bool = False) -> Iterator[None]:
    """Inside, those of `variables` that were not set, or all when `replacing`, are set; then as before."""
    before = {name: os.environ.get(name) for name in variables if replacing or name not in os.environ}
    os.environ.update({name: variables[name] for name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            taken_away = os.environ.pop(name, None) is None  # on purpose, meanwhile
            if value is not None and not taken_away:
                os.environ[name] = value


def absolute_paths() -> dict[str, str]:
    """Variables that name a file or folder of ours or Ray's, absolute: they hold in any current folder."""
    paths = {"RECOMMENDER_HOME": str(home())}
    if token := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        paths["RAY_AUTH_TOKEN_PATH"] = str(Path(token).absolute())
    return paths


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Inside, a cluster that this process starts listens on loopback addresses alone."""
    # Ray reads the variable when it is imported, which may have happened before.
    constants: Any = sys.modules.get("ray._private.ray_constants")
    before = None if constants is None else constants.ENABLE_RAY_CLUSTER
    with environment(LOOPBACK_ONLY):
        if constants is not None:
            constants.ENABLE_RAY_CLUSTER = False
        try:
            yield
        finally:
            if constants is not None:
                constants.ENABLE_RAY_CLUSTER = before


def require_short_temp_folder() -> None:
    """Raise UnavailableError where Ray's sockets would get longer paths than the system allows."""
    folder = ray_folder()
    excess = len(os.fsencode(folder / LONGEST_SOCKET)) - MAX_SOCKET_BYTES
    if excess > 0:
        name = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
        raise UnavailableError(
            f"Ray cannot start below {folder}: the path of a socket there is {counted(excess, 'byte')} longer than the "
            f"{MAX_SOCKET_BYTES} that the system allows.",
            remedy=f"{name} is too long: set RAY_TMPDIR to a shorter folder, such as /tmp.",
        )


def ray_folder() -> Path:
    """The folder of Ray's sockets and logs on this machine."""
    from ray._common.utils import get_default_ray_temp_dir

    return Path(get_default_ray_temp_dir())


def bypass_proxies() -> None:
    """Keep HTTP calls to this machine away from `http_proxy`, in this process and in those it starts."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if named.strip() == "*":
        return
    known = [host for part in named.split(",") if (host := part.strip())]
    both = dict.fromkeys([*known, *_own_hosts()])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(both)


def _own_hosts() -> list[str]:
    addresses = [
        found.address.split("%")[0]
        for interface in psutil.net_if_addrs().values()
        for found in interface
        if found.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return ["localhost", "127.0.0.1", "::1", socket.gethostname(), *addresses]


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
