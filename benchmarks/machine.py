"""Time, place and means of a benchmark, one line for the top of its result, and the command that it measures."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tune_jobs.training.hardware import describe_environment

PACKAGES = ("torch", "ultralytics", "faiss-cpu", "numpy", "opencv-python")


def stamp() -> str:
    """Date, processor, cores, versions, and how busy the machine was."""
    hardware = describe_environment("cpu", os.cpu_count() or 1).hardware
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    date = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    return f"{date}; {hardware}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}); {versions}."


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
