"""The speed at which data sets are embedded, and a check that memory does not grow with them.

    python -m benchmarks.embedding_speed --data ../shared/data/mask_wearing

In one run, taking turns so that a busy machine disturbs all alike: our profiling of a data set (decoding, hashing,
forward, pooling, embedding); the same network's bare forward on batches already in memory, the fastest of three
ways; ultralytics' own `YOLO.embed` on the same files, as it is called by default (640 px) and at the probe's 320.
Then peak memory for 100 to 10,000 images, each in a process of its own. Writes
benchmarks/results/embedding_speed.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import arguments_of, peak_mb, stamp
from recommender.datasets import open_dataset
from recommender.profile.images import prepare_image
from recommender.profile.probe import PROBE_SIZE, Probe, load_probe
from recommender.profile.profiling import profile_dataset
from recommender.records import Dataset

if TYPE_CHECKING:
    import torch

RESULT = Path("benchmarks/results/embedding_speed.json")
MEMORY_IMAGES = (100, 1000, 10_000)


def main() -> None:
    """Measure, print and write."""
    parser = arguments_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["speed", "memory"], choices=["speed", "memory"])
    parser.add_argument("--memory-of", type=int, help="only print the peak memory for so many images")
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(json.dumps(memory_of(arguments.data, arguments.memory_of)))
        return
    result: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    origin = {"data": arguments.data.name, "machine": stamp(), "scheduling": _scheduling()}
    if "speed" in arguments.parts:
        result["speed"] = origin | speeds(open_dataset(arguments.data), rounds=arguments.rounds)
    if "memory" in arguments.parts:
        runs = [_memory_in_own_process(arguments.data, count) for count in MEMORY_IMAGES]
        result["memory"] = origin | {"runs": runs}
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def _scheduling() -> str:
    """A shared machine's other work disturbs less where this process has real-time priority (`chrt -f 10`)."""
    return "real-time" if os.sched_getscheduler(0) == os.SCHED_FIFO else "normal"


def speeds(dataset: Dataset, *, rounds: int) -> dict[str, Any]:
    """Images a second of each way, the median of the rounds, and the two ratios."""
    probe = load_probe()
    ways: dict[str, Callable[[], object]] = {"ours": lambda: profile_dataset(dataset, max_images=None)}
    for batch_images in (8, 16):
        ways[f"raw, batch {batch_images}, all threads on a batch"] = _raw(probe, dataset, batch_images)
    ways["raw, batch 8, one thread a batch"] = _raw_parallel(probe, dataset)
    with tempfile.TemporaryDirectory() as folder:
        ways |= _ultralytics(Path(folder), dataset)
        for run in ways.values():
            run()  # warm: kernels chosen, files in the page cache
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, run in ways.items():
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    speed = {
        name: round(len(dataset.images) / float(np.median(values)), 1) for name, values in seconds.items()
    }
    raw = max(value for name, value in speed.items() if name.startswith("raw"))
    return {
        "images": len(dataset.images),
        "rounds": rounds,
        "images_per_second": speed,
        "ours_over_raw": round(speed["ours"] / raw, 3),
        "ours_over_ultralytics": {
            name: round(speed["ours"] / value, 2) for name, value in speed.items() if "ultralytics" in name
        },
    }


def _tensors(dataset: Dataset, batch_images: int) -> list[torch.Tensor]:
    import torch

    squares = [one.square_3SS for one in map(prepare_image, dataset.images) if one is not None]
    return [
        torch.from_numpy(np.stack(squares[start : start + batch_images]))
        .float()
        .contiguous(memory_format=torch.channels_last)
        for start in range(0, len(squares), batch_images)
    ]


def _forward(probe: Probe, batch: torch.Tensor) -> None:
    import torch

    with torch.inference_mode():
        for layer in probe.layers:
            batch = layer(batch)


def _raw(probe: Probe, dataset: Dataset, batch_images: int) -> Callable[[], None]:
    batches = _tensors(dataset, batch_images)

    def run() -> None:
        for batch in batches:
            _forward(probe, batch)

    return run


def _raw_parallel(probe: Probe, dataset: Dataset) -> Callable[[], None]:
    import torch

    batches = _tensors(dataset, 8)

    def run() -> None:
        workers = torch.get_num_threads()

        def work(part: int) -> None:
            torch.set_num_threads(1)
            for batch in batches[part::workers]:
                _forward(probe, batch)

        threads = [threading.Thread(target=work, args=(part,)) for part in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        torch.set_num_threads(workers)

    return run


def _ultralytics(folder: Path, dataset: Dataset) -> dict[str, Callable[[], object]]:
    """`YOLO.embed` as its documentation shows it, over a folder of the same files, and at the probe's size."""
    from recommender.checkpoints import export_pt, zoo
    from recommender.ultralytics_safety import prepare_ultralytics

    prepare_ultralytics()
    from ultralytics import YOLO

    coco = next(checkpoint for checkpoint in zoo() if checkpoint.name.startswith("coco"))
    model = YOLO(str(export_pt(coco, folder / "coco.pt")))
    images = folder / "images"
    images.mkdir()
    for number, image in enumerate(dataset.images):
        (images / f"{number:06d}{image.path.suffix}").write_bytes(image.path.read_bytes())

    return {
        "ultralytics embed, its default 640 px": lambda: model.embed(str(images), verbose=False),
        "ultralytics embed, 320 px": lambda: model.embed(str(images), imgsz=PROBE_SIZE, verbose=False),
    }


def memory_of(folder: Path, count: int) -> dict[str, float]:
    """Peak resident memory after profiling `count` images (the set's, over and over), every one embedded."""
    dataset = open_dataset(folder)
    profile_dataset(replace(dataset, images=dataset.images[:16]), max_images=None)
    before = peak_mb()
    repeated = tuple(islice(cycle(dataset.images), count))
    started = time.perf_counter()
    profile_dataset(replace(dataset, images=repeated), max_images=None)
    return {
        "images": count,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mb_after_16_images": round(before),
        "peak_mb": round(peak_mb()),
    }


def _memory_in_own_process(folder: Path, count: int) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.embedding_speed",
        "--data",
        str(folder),
        "--memory-of",
        str(count),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
