"""The checks of `recommend doctor`: one function per question, each cheap to read and safe to run."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from recommender.errors import RecommenderError
from recommender.home import home
from recommender.store import open_store
from recommender.text import counted

State = Literal["ok", "note", "bad"]
LIBRARIES = (
    "torch",
    "torchvision",
    "ultralytics",
    "ray",
    "faiss-cpu",
    "numpy",
    "sqlalchemy",
    "fastapi",
    "safetensors",
)
MIN_FREE_GB = 5
COPIES = ("unpacked", "shipments", "node_cache", "held")  # of data sets; made again when they are wanted
GB = 2**30


@dataclass(frozen=True)
class Finding:
    """The answer of one check."""

    state: State
    said: str
    remedy: str | None = None


Check = Callable[[], Iterator[Finding]]


def all_results(address: str | None) -> Iterator[tuple[str, Finding]]:
    """The findings of every check, each with its part; a check that breaks is itself a finding."""
    checks: tuple[tuple[str, Check], ...] = (
        ("versions", versions),
        ("home", home_folder),
        ("copies", copies),
        ("safety", safety_switches),
        ("store", store),
        ("weights", built_in_weights),
        ("offline", offline_readiness),
        ("hardware", hardware),
        ("cluster", lambda: cluster(address)),
        ("service", service_settings),
    )
    for part, check in checks:
        try:
            yield from ((part, finding) for finding in check())
        except RecommenderError as error:
            yield part, Finding("bad", error.message, error.remedy)
        except Exception as error:
            yield part, Finding("bad", f"{type(error).__name__}: {error}")


def versions() -> Iterator[Finding]:
    """Python and the libraries we stand on."""
    from recommender import __version__

    found = [f"checkpoint-recommender {__version__}", f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("bad", f"{name} is not installed", f"pip install {name}")
    yield Finding("ok", ", ".join(found))


def home_folder() -> Iterator[Finding]:
    """Check that the home is writable and has room."""
    folder = home()
    free_gb = shutil.disk_usage(folder).free / GB
    if not os.access(folder, os.W_OK):
        yield Finding("bad", f"{folder} is not writable", "Set RECOMMENDER_HOME.")
    state: State = "ok" if free_gb >= MIN_FREE_GB else "note"
    yield Finding(state, f"{folder}, {free_gb:.0f} GB free")


def copies() -> Iterator[Finding]:
    """Report the size of the copies of data sets, and how to remove them."""
    folders = [folder for name in COPIES if (folder := home() / name).is_dir()]
    taken = sum(_size(Path(top) / name) for f in folders for top, _, names in os.walk(f) for name in names)
    said = f"{taken / GB:.1f} GB of copies of data sets, kept so that no archive is unpacked twice"
    if taken >= GB:
        said += f"; while nothing runs they may go: rm -r {shlex.join(map(str, folders))}"
    yield Finding("ok", said)


def _size(path: Path) -> int:
    """The size in bytes; 0 when it has gone meanwhile."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def safety_switches() -> Iterator[Finding]:
    """Restricted loading in ultralytics and torch, proven by importing them as every command does."""
    from recommender.ultralytics_safety import SAFE_SWITCHES, prepare_ultralytics

    prepare_ultralytics()
    shown = ", ".join(f"{name}={value}" for name, value in SAFE_SWITCHES.items())
    yield Finding("ok", f"restricted loading is on: {shown}")
    yield _quarantine()


def _quarantine() -> Finding:
    """Check that the kernel of this machine can confine the reading of untrusted weights."""
    from recommender.checkpoints.quarantine.isolation import landlock_version
    from recommender.checkpoints.quarantine.system_calls import seccomp_filter

    landlock = landlock_version()
    seccomp = sys.platform == "linux" and seccomp_filter(platform.machine(), pid=0) is not None
    held = [*([f"Landlock {landlock}"] if landlock else []), *(["seccomp"] if seccomp else [])]
    if len(held) == 2:
        return Finding("ok", f"the quarantine is confined by {' and '.join(held)}")
    return Finding(
        "note",
        f"the quarantine is confined by {' and '.join([*held, 'a hook inside Python'])} only",
        "Linux from 5.13 on x86-64 or ARM 64 has both Landlock and seccomp.",
    )


def store() -> Iterator[Finding]:
    """The database opens, is whole, and has this version's schema."""
    with open_store() as opened:
        runs = sum(opened.runs.count().values())
        keys = sum(key.revoked_at is None for key in opened.keys.list())
        checkpoints = counted(len(opened.checkpoints.list()), "checkpoint")
        said = f"{opened.place}: {counted(runs, 'run')}, {checkpoints}, {counted(keys, 'API key')}"
        yield Finding("ok", said)


def built_in_weights() -> Iterator[Finding]:
    """Every checkpoint on this machine has the bytes that were recorded, and has been trained."""
    from recommender.checkpoints import all_checkpoints, load_state, verify
    from recommender.checkpoints.quarantine.cleaning import never_trained

    with open_store() as opened:
        here = [checkpoint for checkpoint in all_checkpoints(opened) if checkpoint.available]
    untrained = []  # from before such files were refused, and from before all of them were told
    for checkpoint in here:
        if checkpoint.origin != "registry":
            verify(checkpoint)
        elif never_trained(load_state(checkpoint)):
            untrained.append(checkpoint.name)
    yield Finding("ok", f"{counted(len(here), 'checkpoint')} here, every checksum as recorded")
    if untrained:
        yield Finding(
            "note",
            f"never trained, so that their forecasts mean nothing: {', '.join(untrained)}",
            f"recommend checkpoints remove {untrained[0]}",
        )


def offline_readiness() -> Iterator[Finding]:
    """Check that a recommendation needs no network: the probe and the zoo are part of the package."""
    from recommender.checkpoints import COCO, zoo
    from recommender.profile.shipped import builtin_profiles

    missing = [
        what
        for what, there in (
            ("the built-in checkpoints", bool(zoo())),
            ("a COCO checkpoint", any(COCO in checkpoint.name for checkpoint in zoo())),
            ("profiles of known data sets", bool(builtin_profiles())),
        )
        if not there
    ]
    if missing:
        yield Finding("bad", f"missing: {', '.join(missing)}", "Install the package again.")
    else:
        said = f"{len(zoo())} built-in checkpoints, {len(builtin_profiles())} known data sets: no network is needed"
        yield Finding("ok", said)


def hardware() -> Iterator[Finding]:
    """Report the hardware that trainings would run on."""
    import torch

    cpus = os.cpu_count() or 1
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("ok", f"{counted(cpus, 'CPU')}, {', '.join(names)}")
    else:
        yield Finding("note", f"{counted(cpus, 'CPU')}, no GPU: trainings take their time")


def cluster(address: str | None) -> Iterator[Finding]:
    """The Ray cluster named, or the one of the environment; without one a local is started on demand."""
    address = address or os.environ.get("RECOMMENDER_SERVICE_RAY_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not address or address == "local":
        yield Finding("ok", "none named: a local Ray is started when a training needs it")
        return
    if address.startswith("http"):
        from tune_jobs.head_security import require_token

        require_token(address, allow_loopback=False)
        yield Finding("ok", f"{address} answers and asks for a token")
        return
    from tune_jobs.cluster import connect

    with connect(address) as joined:
        nodes = joined.nodes()
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    yield Finding(
        "ok", f"{address}: {counted(len(nodes), 'node')}, {counted(cpus, 'CPU')}, {counted(gpus, 'GPU')}"
    )


def service_settings() -> Iterator[Finding]:
    """Check that `recommend serve` would start with the variables that are set."""
    from service.settings import ServiceSettings

    settings = ServiceSettings()
    settings.check()
    where = f"{settings.host}:{settings.port}"
    with socket.socket() as probe:
        busy = probe.connect_ex(("127.0.0.1" if not settings.public else settings.host, settings.port)) == 0
    said = f"would listen on {where}" + (", where something listens already" if busy else "")
    yield Finding("note" if busy else "ok", said)
    if sys.platform != "linux":
        yield Finding("note", "tested on Linux only")
