"""Durations of the main job, from the command line, for a data set never seen and for a known one.

    python -m benchmarks.main_job_speed --data DIR --checkpoint A.pt --checkpoint B.pt

150 images and ten checkpoints: the eight built-in ones and two registered beforehand. Beside it, in the same run,
what people do instead: one epoch of fine-tuning one start on the same images.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageOps

from benchmarks.machine import arguments_of, recommend, stamp
from benchmarks.training import job_on
from recommender.checkpoints import COCO_NAMES, zoo
from recommender.datasets import export_yolo, open_dataset
from recommender.records import Dataset, Recipe
from tune_jobs.training import train

OUT = Path("benchmarks/results/main_job_speed.json")
IMAGES, IMGSZ, THREADS = 150, 320, 2


def main() -> int:
    """Measure, print and write."""
    parser = arguments_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    machine = stamp()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cold, cached, checkpoints = [], [], 0
        for i in range(options.rounds):
            data = mirrored(options.data, folder / f"data{i}", seed=i)
            home = folder / f"home{i}"
            for file in options.checkpoint:
                recommend(home, "checkpoints", "add", str(file), "--name", file.stem)
            seconds, answer = timed(home, data)
            cold.append(seconds)
            cached.append(timed(home, data)[0])
            rows = json.loads(answer)["ranking"]
            checkpoints = len({row["checkpoint"] for row in rows}) - 1  # scratch is none
        one_epoch = epoch_seconds(open_dataset(data), folder / "training")
    result = {
        "machine": machine,
        "images": IMAGES,
        "checkpoints": checkpoints,
        "cold_s": [round(s, 2) for s in cold],
        "cached_s": [round(s, 2) for s in cached],
        "one_epoch_of_one_start_s": round(one_epoch, 2),
        "epoch_imgsz": IMGSZ,
        "cold_in_epochs_of_one_start": round(min(cold) / one_epoch, 2),
    }
    text = json.dumps(result, indent=2) + "\n"
    options.out.write_text(text, "utf-8")
    print(text)
    return 0


def mirrored(source: Path, folder: Path, *, seed: int) -> Path:
    """150 of the images and boxes as in a mirror: a real data set that nothing here knows."""
    dataset = open_dataset(source)
    chosen = random.Random(seed).sample(dataset.images, min(IMAGES, len(dataset.images)))
    part = replace(dataset, images=tuple(chosen), config=None)
    export_yolo(part, folder)
    for file in folder.rglob("labels/**/*.txt"):
        rows = [line.split() for line in file.read_text().splitlines()]
        file.write_text("".join(f"{c} {1 - float(x):.6f} {y} {w} {h}\n" for c, x, y, w, h in rows))
    for file in sorted(path for path in folder.rglob("images/**/*") if path.is_file()):
        flipped = ImageOps.mirror(Image.open(file.resolve()).convert("RGB"))
        file.unlink()
        flipped.save(file.with_suffix(".png"))
    return folder


def timed(home: Path, data: Path) -> tuple[float, str]:
    """Wall seconds and stdout of the main job in a process of its own."""
    began = time.perf_counter()
    answer = recommend(home, "--dataset", str(data), "--json")
    return time.perf_counter() - began, answer


def epoch_seconds(dataset: Dataset, folder: Path) -> float:
    """One more epoch of fine-tuning from COCO: two epochs less one, so that the process start does not count."""
    coco = next(checkpoint for checkpoint in zoo() if checkpoint.name in COCO_NAMES)
    recipe = Recipe(epochs=2, imgsz=IMGSZ)
    job = job_on(dataset, folder / "data", coco, recipe, output=folder / "out", num_threads=THREADS)
    run = train(job)
    return run.curve[1].seconds - run.curve[0].seconds


if __name__ == "__main__":
    raise SystemExit(main())
