"""The cost of an answer with many registered checkpoints or a long history, and the loss from recalling before ranking.

    python -m benchmarks.shelf_scale --checkpoints 1000 --json
    python -m benchmarks.shelf_scale --checkpoints 100 --runs 20000 --json

A fresh process answers for a known data set, as `recommend --dataset DIR --json` does: `cpu_s` is its whole processor
time, the interpreter's start included, `peak_mb` its memory. `agreement_top10` is the share of the first ten starts
that a forecast of every checkpoint has among its first ten too, over several targets; null above --exhaustive
checkpoints.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.demo import draw_data_set
from benchmarks.machine import arguments_of, stamp
from benchmarks.synthetic_registry import fill_history, fill_registry, own_weights, synthetic_profile
from recommender.candidates import recall
from recommender.candidates.choosing import choose_starts
from recommender.datasets import open_dataset
from recommender.forecast.history import known_history, known_scales
from recommender.forecast.ranking import rank_starts
from recommender.pipeline import with_evidence
from recommender.profile.index_files import update_index
from recommender.profile.known import known_profile
from recommender.profile.shipped import builtin_profiles
from recommender.progress import silent
from recommender.records import Dataset, Profile
from recommender.requests import RecommendRequest
from recommender.store import Store

# The peak is read by the process itself: what the system tells its parent includes the parent's before the exec.
COMMAND = """
import atexit, pathlib, sys
place = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: place.write_text(pathlib.Path("/proc/self/status").read_text()))
from recommender.cli import main
main()
"""


def main() -> int:
    """Measure and print."""
    parser = arguments_of(__doc__)
    parser.add_argument("--checkpoints", type=int, required=True)
    parser.add_argument("--runs", type=int, default=0, help="recorded runs beside the built-in ones")
    parser.add_argument("--exhaustive", type=int, default=2000, help="most checkpoints that are all forecast")
    parser.add_argument("--targets", type=int, default=6, help="for the agreement")
    parser.add_argument("--rounds", type=int, default=3, help="answers timed; the median counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["RECOMMENDER_HOME"] = name
        os.environ.pop("RECOMMENDER_STORE_URL", None)
        result = measured(Path(name), options)
    print(json.dumps(result, indent=None if options.json else 2))
    return 0


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The document that is printed."""
    data = draw_data_set(folder / "data")
    with Store() as store:
        fill_registry(store, options.checkpoints)
        fill_history(store, options.runs)
        update_index(store)
        dataset = open_dataset(data)
        profile = known_profile(dataset, store)
        for one in chosen(store, profile):
            if one.name.startswith("synthetic-"):
                store.checkpoints.put(own_weights(one, folder / "checkpoints"), replace=True)
        add_s = adding(store)
    ask(data)  # from now on the data set is known, and so is what its likeliest starts see in it
    rounds = [ask(data) for _ in range(options.rounds)]
    with Store() as store:
        agreement = (
            agreement_of(store, options.targets) if options.checkpoints <= options.exhaustive else None
        )
    return {
        "checkpoints": options.checkpoints,
        "cpu_s": round(float(np.median([one[0] for one in rounds])), 3),
        "peak_mb": round(max(one[1] for one in rounds)),
        "agreement_top10": agreement,
        "runs": options.runs,
        "add_cpu_s": round(add_s, 3),
        "machine": stamp(),
    }


def ask(data: Path) -> tuple[float, float]:
    """Processor seconds and peak MB of a fresh process that answers."""
    status_file = data.parent / "status"
    command = [sys.executable, "-c", COMMAND, str(status_file), "--dataset", str(data), "--json"]
    # As installed: where the environment forbids bytecode, compiling the program is half a second of each answer.
    variables = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=variables)
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(said.decode(errors="replace"))
    peak_kb = re.search(r"VmHWM:\s+(\d+) kB", status_file.read_text())
    return usage.ru_utime + usage.ru_stime, int(peak_kb.group(1)) / 1024 if peak_kb else math.nan


def adding(store: Store) -> float:
    """Processor seconds to remember one more checkpoint and its source's profile, its weights apart."""
    source = synthetic_profile(-1, np.random.default_rng(2))
    template = store.checkpoints.get("synthetic-000000")
    if template is None:
        return 0.0
    started = time.process_time()
    store.profiles.put(source)
    update_index(store)
    store.checkpoints.put(replace(template, name="one-more", source_hash=source.dataset_hash))
    return time.process_time() - started


def agreement_of(store: Store, count: int) -> float:
    """Mean share of the first ten starts that are among the exhaustive first ten, over shipped data sets as targets.

    Of detection alone, the task of every checkpoint that is made up here.
    """
    detection = [profile for profile in builtin_profiles().values() if profile.task == "detect"]
    targets = sorted(detection, key=lambda profile: profile.dataset_name)[:count]
    shares = []
    for target in targets:
        found = first_ten(store, target)
        limit, recall.RECALLED = recall.RECALLED, store.checkpoints.count() + 1
        try:
            shares.append(len(found & first_ten(store, target)) / len(found))
        finally:
            recall.RECALLED = limit
    return round(float(np.mean(shares)), 3)


def first_ten(store: Store, profile: Profile) -> set[str]:
    """The first ten starts for a known data set, from all but its images."""
    request = RecommendRequest.model_validate(
        {"dataset": profile.dataset_name, "here": True, "max_feature_candidates": 0}
    )
    bare, _ = choose_starts(request, store, profile, silent, imgsz=request.imgsz)
    situations = with_evidence(_without_images(profile), bare, request, store=store)
    history = known_history(store, target=profile)
    return {
        str(row.situation.start)
        for row in rank_starts(history, situations, scales=known_scales("detect"))[:10]
    }


def chosen(store: Store, profile: Profile) -> tuple[Any, ...]:
    """The checkpoints that a question about this data set looks at."""
    request = RecommendRequest.model_validate({"dataset": profile.dataset_name, "here": True})
    situations, _ = choose_starts(request, store, profile, silent, imgsz=request.imgsz)
    return tuple({one.start.checkpoint: one.checkpoint for one in situations if one.checkpoint}.values())


def _without_images(profile: Profile) -> Dataset:
    return Dataset(
        name=profile.dataset_name,
        root=Path(),
        format="yolo",
        class_names=profile.class_names,
        images=(),
        content_hash=profile.dataset_hash,
        split_origin="given",
    )


if __name__ == "__main__":
    raise SystemExit(main())
