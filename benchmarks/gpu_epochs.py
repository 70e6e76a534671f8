"""Seconds of an epoch on this machine's GPU and the memory it takes, at three image sizes, with no other work there.

`python -m benchmarks.gpu_epochs --data ../shared/data/bccd` trains YOLO11n from random weights for a few epochs at each
size by the code that users run. The first epoch holds warm-up and caches and does not count.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.training import job_on
from recommender.datasets import open_dataset
from recommender.records import Recipe
from tune_jobs.training import train

SIZES = (320, 160, 320, 640)  # the first one warms up


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    dataset = open_dataset(options.data, task="detect")
    with tempfile.TemporaryDirectory() as folder:
        data, output = Path(folder) / "data", Path(folder) / "out"
        for number, imgsz in enumerate(SIZES):
            recipe = Recipe(epochs=options.epochs, imgsz=imgsz)
            run = train(job_on(dataset, data, None, recipe, output=output, device=options.device))
            epoch_s = (run.curve[-1].seconds - run.curve[0].seconds) / (len(run.curve) - 1)
            if number:
                print(
                    f"{run.environment.hardware}, {imgsz} px, {run.num_train_images} images: {epoch_s:.2f} s an epoch, "
                    f"{run.peak_memory_mb or 0:.0f} MB at most, {run.curve[0].seconds:.1f} s until the first one ended"
                )


if __name__ == "__main__":
    main()
