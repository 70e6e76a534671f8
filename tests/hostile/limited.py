"""Runs `open_dataset` in a process of its own with bounded memory and time, and measures it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.processes import PYTHON, run_command

CODE = """
import json, resource, sys, time
from pathlib import Path
def peak_kb():  # ru_maxrss would begin at the peak of the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
limit = int(sys.argv[2]) * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import numpy, yaml, PIL.Image, recommender.datasets
before, start = peak_kb(), time.process_time()
try:
    found = len(recommender.datasets.open_dataset(sys.argv[1]).images)
except recommender.errors.RecommenderError as error:
    found = f"{type(error).__name__}: {error}"
print(json.dumps([found, time.process_time() - start, (peak_kb() - before) / 1024]))
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The outcome of opening."""

    outcome: int | str  # images, or the error
    seconds: float  # of processor time
    grown_mb: float  # of peak memory, beyond what importing took


def open_limited(path: Path, *, memory_mb: int = 2048) -> Measured:
    """Open a data set with its address space bounded."""
    done = run_command(*PYTHON, CODE, path, memory_mb)
    outcome, seconds, grown_mb = json.loads(done.stdout)
    return Measured(outcome=outcome, seconds=seconds, grown_mb=grown_mb)
