"""Error of the hours that users are told: real trainings on this machine, each estimated before it starts.

    python -m benchmarks.hours_accuracy --shared ../shared

Eleven trainings by `recommend train`, of three tasks, at the default image size (640 px, classifiers 224), batch and
number of threads, of subsets and few epochs, so that all take some ten minutes of two idle cores. Compared is what
`recommend train` prints before and after: the estimate in seconds, and the seconds of the clock on the wall that the
training took. Few epochs make this harder than in use: what happens once, such as loading and the first epoch's caches,
weighs more. Of each training there are two estimates:

* `calibration`: after `recommend calibrate`, where nothing was ever trained;
* `runs`: without a calibration, by the trainings before it in the list. The first has none, as users are told.

The machine must do nothing else.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.machine import arguments_of, recommend, stamp
from recommender.datasets import export_yolo, open_dataset
from recommender.records import Dataset, LabelledImage
from recommender.requests import TrainingRequest, at_usual_size
from recommender.store import Store
from recommender.tasks import Task
from tune_jobs.training_spec import Target, plan_training

OUT = Path("benchmarks/results/hours_accuracy.json")
BAR = 0.25
HOME = "RECOMMENDER_HOME"


@dataclass(frozen=True, kw_only=True)
class TimedTraining:
    """A training: a part of a data set, and the options of `recommend train`."""

    task: Task
    data: str
    train: int  # images
    val: int
    epochs: int
    start: str
    architecture: str | None = None


PLANS = (
    TimedTraining(task="detect", data="data/mask_wearing", train=40, val=12, epochs=3, start="coco:full"),
    TimedTraining(task="detect", data="data/bccd", train=40, val=12, epochs=4, start="coco:freeze"),
    TimedTraining(task="segment", data="seg/balloon", train=24, val=6, epochs=3, start="coco-seg:full"),
    TimedTraining(task="segment", data="seg/nuclei", train=24, val=8, epochs=3, start="coco-seg:freeze"),
    TimedTraining(task="classify", data="cls/flowers", train=300, val=150, epochs=5, start="imagenet:full"),
    TimedTraining(
        task="classify", data="cls/clothing", train=400, val=150, epochs=5, start="imagenet:freeze"
    ),
    TimedTraining(
        task="detect",
        data="data/ships",
        train=24,
        val=24,
        epochs=3,
        start="scratch",
        architecture="yolov8n",
    ),
    TimedTraining(task="segment", data="seg/steel_seg", train=16, val=8, epochs=4, start="coco:full"),
    TimedTraining(
        task="classify",
        data="cls/tile_cls",
        train=270,
        val=90,
        epochs=5,
        start="scratch",
        architecture="yolo11n-cls",
    ),
    TimedTraining(task="detect", data="data/fruit", train=24, val=6, epochs=5, start="raccoon-yolo11n:full"),
    TimedTraining(task="classify", data="cls/dogs_cats", train=120, val=60, epochs=10, start="imagenet:full"),
)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A training's estimates and what it took, in seconds of the clock on the wall."""

    task: Task
    what: str
    calibration: float | None
    runs: float | None
    took: float
    command: float  # the whole of `recommend train`: reading the data and starting Ray besides


def main() -> None:
    """Measure, print and write."""
    parser = arguments_of(__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="holds data/, seg/ and cls/")
    parser.add_argument(
        "--max-minutes", type=float, default=11.0, help="none of the trainings begins after that"
    )
    parser.add_argument("--tiny", action="store_true", help="some images and 2 epochs: only to see it work")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    machine, began_s = stamp(), time.monotonic()
    timed: list[Timed] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[HOME] = str(folder / "calibrated")  # of this process; trainings go to the other home
        recommend(folder / "calibrated", "calibrate")
        for number, plan in enumerate(map(tiny, PLANS) if options.tiny else PLANS):
            if time.monotonic() - began_s > 60 * options.max_minutes:
                break
            data = part(open_dataset(options.shared / plan.data, task=plan.task), plan, folder / f"{number}")
            timed.append(measure(plan, data, folder / "trained"))
            print(line(timed[-1]), flush=True)
    result = {
        "machine": machine,
        "minutes": round((time.monotonic() - began_s) / 60, 1),
        "trainings": [asdict(one) for one in timed],
        "left_out_for_time": len(PLANS) - len(timed),
        **{of: summary(timed, of) for of in ("calibration", "runs")},
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(table(timed))


def tiny(plan: TimedTraining) -> TimedTraining:
    """As small as it can be and still trains."""
    return replace(plan, train=4, val=2, epochs=2)


def part(dataset: Dataset, plan: TimedTraining, folder: Path) -> Path:
    """The data set with so many of its images, chosen by a fixed seed and written below `folder`."""
    chosen: list[LabelledImage] = []
    for split, number in (("train", plan.train), ("val", plan.val)):
        images = [image for image in dataset.images if image.split == split]
        chosen += random.Random(0).sample(images, min(number, len(images)))
    entry = export_yolo(replace(dataset, images=tuple(chosen), config=None), folder / "data")
    return entry if entry.is_dir() else entry.parent


def measure(plan: TimedTraining, data: Path, home: Path) -> Timed:
    """Both estimates before the training, then the training."""
    request = at_usual_size(
        TrainingRequest.model_validate(
            {
                "dataset": str(data),
                "start": plan.start,
                "epochs": plan.epochs,
                "architecture": plan.architecture,
                "task": plan.task,
            }
        ),
        plan.task,
    )
    dataset = open_dataset(data, task=plan.task)
    target = Target(
        path=str(data),
        hash=dataset.content_hash,
        name=dataset.name,
        task=plan.task,
        num_images=dataset.num_images,
    )
    with Store() as store:  # the calibrated one, in which nothing was trained
        estimate = plan_training(store, request, target, suffix="").estimate
    words = ["train", "--dataset", str(data), "--task", plan.task, "--start", plan.start]
    words += ["--epochs", str(plan.epochs), "--json"]
    words += ["--architecture", plan.architecture] if plan.architecture else []
    began_s = time.monotonic()
    told = json.loads(recommend(home, *words))
    return Timed(
        task=plan.task,
        what=f"{plan.start} {plan.architecture or ''} on {plan.data}, {plan.epochs} epochs",
        calibration=estimate.seconds if estimate else None,
        runs=told["estimate"]["seconds"],
        took=told["seconds"],
        command=round(time.monotonic() - began_s, 1),
    )


def errors(timed: Iterable[Timed], of: str) -> list[float]:
    """Of the trainings that had such an estimate: what it was too long by, as a share of what they took."""
    return [getattr(one, of) / one.took - 1 for one in timed if getattr(one, of) is not None]


def summary(timed: Sequence[Timed], of: str) -> dict[str, float | int | None]:
    """Number of estimates, share within `BAR`, and the median error without its sign."""
    found = errors(timed, of)
    return {
        "estimates": len(found),
        "within_25_percent": sum(abs(e) <= BAR for e in found) / len(found) if found else None,
        "median_error": statistics.median(map(abs, found)) if found else None,
    }


def line(one: Timed) -> str:
    """One training in words."""
    return (
        f"{one.task:9} {one.what:60} took {one.took:.0f} s (command {one.command:.0f} s); estimated by the calibration "
        f"{_seconds(one.calibration)}, by runs before {_seconds(one.runs)}"
    )


def table(timed: Sequence[Timed]) -> str:
    """Both kinds of estimate, of each task and in all."""
    rows = [f"{'estimated by':14} {'task':9} number  within 25 %  median error"]
    for of in ("calibration", "runs"):
        for task in (*sorted({one.task for one in timed}), "all"):
            found = summary([one for one in timed if task in (one.task, "all")], of)
            if found["estimates"]:
                rows.append(
                    f"{of:14} {task:9} {found['estimates']:6}  {found['within_25_percent']:11.0%}  "
                    f"{found['median_error']:12.0%}"
                )
    return "\n".join(rows)


def _seconds(value: float | None) -> str:
    return "not" if value is None else f"{value:.0f} s"


if __name__ == "__main__":
    main()
