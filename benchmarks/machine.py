"""Shared by benchmarks: command line, time and place in one line, a home of their own, memory, the command measured."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tune_jobs.training.hardware import describe_environment

PACKAGES = ("torch", "ultralytics", "faiss-cpu", "numpy", "opencv-python")


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """A command line whose help is this text as it stands."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def stamp() -> str:
    """Date, processor, cores, versions, and how busy the machine was."""
    hardware = describe_environment("cpu", os.cpu_count() or 1).hardware
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    date = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    return f"{date}; {hardware}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}); {versions}."


@contextmanager
def home_at(folder: Path) -> Iterator[None]:
    """A RECOMMENDER_HOME of the benchmark's own, so that the user's is neither known nor written to."""
    before = os.environ.get("RECOMMENDER_HOME")
    os.environ["RECOMMENDER_HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["RECOMMENDER_HOME"]
        if before is not None:
            os.environ["RECOMMENDER_HOME"] = before


def peak_mb() -> float:
    """The most memory that this process held. Not getrusage's, which is inherited from what started the process."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def recommend(home: Path, *words: str) -> str:
    """The output of `recommend WORDS` in a process of its own, as users start it."""
    done = subprocess.run(
        [sys.executable, "-c", "from recommender.cli import main; main()", *words],
        env={**os.environ, "RECOMMENDER_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
