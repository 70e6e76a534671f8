"""The hardware of a run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from recommender.records import Environment

PACKAGES = (
    *("checkpoint-recommender", "torch", "torchvision", "ultralytics", "numpy"),
    *("opencv-python", "opencv-python-headless"),  # either gives cv2
)


def describe_environment(device: str, num_threads: int, num_processes: int = 1) -> Environment:
    """Hardware and library versions of this process, and how many such processes train together."""
    return Environment(
        hardware=_accelerator(device) or _processor(),
        device=device,
        num_threads=num_threads,
        versions={"python": platform.python_version()} | installed_versions(PACKAGES),
        num_processes=num_processes,
    )


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed here, by name."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _accelerator(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return str(torch.cuda.get_device_name(device)) if torch.cuda.is_available() else None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
