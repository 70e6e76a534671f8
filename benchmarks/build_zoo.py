"""Train the built-in zoo: `python -m benchmarks.build_zoo --shared SHARED [--names NAME ...]`.

Detectors and segmenters on openly licensed sets, from COCO weights, and classifiers from ImageNet's. Finished
checkpoints are skipped, so it can be stopped at will.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.public_weights import load_classes, to_safetensors
from benchmarks.training import job_on
from recommender.checkpoints.files import sha256_of
from recommender.checkpoints.zoo import FOLDER, zoo
from recommender.datasets import open_dataset
from recommender.families.ultralytics.architectures import architecture
from recommender.records import Dataset, Recipe, Run
from recommender.tasks import Task, task_definition
from tune_jobs.training import train

ARCHITECTURE = "yolo11n"
WEIGHTS_LICENCE = "AGPL-3.0-or-later"
COCO_SAMPLE = "coco_mini"  # stands for COCO where its images are compared
MIN_MAP50 = 0.25  # below that on its own val images a source teaches nothing
EASY = Recipe(epochs=30, imgsz=256)
FINE = Recipe(epochs=40, imgsz=320)  # objects of a few pixels
CLASSIFY = Recipe(epochs=15, imgsz=128)
SEGMENT = Recipe(epochs=12, imgsz=224)
SEGMENT_FEW = Recipe(epochs=40, imgsz=320)  # 14 train images

FOLDERS: dict[Task, str] = {"detect": "data", "segment": "seg", "classify": "cls"}  # of the shared data sets
PARENTS: dict[Task, str] = {
    "detect": "coco-yolo11n",
    "segment": "coco-yolo11n-seg",
    "classify": "imagenet-yolov8n-cls",
}
RECOVERED = (
    "Recovered from a public int8 TFLite export: weights turned back to floats, batch norm re-estimated; slightly "
    "below the official file."
)
OF_COCO = {
    "source_name": "COCO",
    "source_licence": "CC-BY-4.0 annotations; images under their owners' terms",
    "source_images": 118_287,
    "train_imgsz": 640,
}
# Public checkpoints by name: their file below the shared weights, and what their cards say.
PUBLIC: dict[str, tuple[str, dict[str, Any]]] = {
    "coco-yolo11n": (
        "yolo11n_coco.pt",
        OF_COCO
        | {
            "attribution": f"Ultralytics YOLO11n, trained on COCO 2017. {RECOVERED} "
            "Its source is known here by a sample of 126 images (COCO128).",
        },
    ),
    "imagenet-yolov8n-cls": (
        "yolov8n-cls_imagenet.pt",
        {
            "architecture": "yolov8n-cls",
            "source_name": "ImageNet",
            "source_licence": "ImageNet's terms of access: non-commercial research",
            "source_images": 1_281_167,
            "attribution": f"Ultralytics YOLOv8n-cls, trained on ImageNet-1k. {RECOVERED}",
            "train_imgsz": 224,
        },
    ),
    "coco-yolo11n-seg": (
        "yolo11n-seg_coco.pt",
        OF_COCO
        | {
            "architecture": "yolo11n-seg",
            "attribution": f"Ultralytics YOLO11n-seg, trained on COCO 2017. {RECOVERED}",
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set whose licence lets us ship weights, and how they are trained."""

    recipe: Recipe
    licence: str
    task: Task = "detect"

    @property
    def architecture(self) -> str:
        """Of the parent, and so of the checkpoint."""
        return task_definition(self.task).architecture

    @property
    def parent(self) -> str:
        """Name of the built-in checkpoint that the training begins from."""
        return PARENTS[self.task]


SOURCES: dict[str, Source] = {
    "mask_wearing": Source(recipe=EASY, licence="Public Domain"),
    "bccd": Source(recipe=EASY, licence="MIT"),
    "ships": Source(recipe=EASY, licence="CC-BY-4.0"),
    "raccoon": Source(recipe=EASY, licence="MIT"),
    "pothole": Source(recipe=EASY, licence="ODbL-1.0"),
    "cards": Source(recipe=EASY, licence="Apache-2.0"),
    "gtsdb_de": Source(recipe=FINE, licence="free for any purpose, with citation"),
    "clothing": Source(recipe=CLASSIFY, licence="CC0-1.0", task="classify"),
    "sign_digits": Source(recipe=CLASSIFY, licence="Apache-2.0", task="classify"),
    "leaf_coffee_seg": Source(recipe=SEGMENT, licence="MIT", task="segment"),
    "fruits_nuts": Source(recipe=SEGMENT_FEW, licence="MIT", task="segment"),
}
# website_ui (MIT) is left out: mAP50-95 0.066 on its own val images after 25 epochs on twice the images
# (../shared/weights/domain/RESULTS.md), far below MIN_MAP50. nuclei (CC0) waits for a
# machine with more time: 44 nuclei an image make an epoch at 224 px cost six times that of leaf_coffee_seg.


def main() -> None:
    """Build what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="data sets and public weights")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "zoo-build")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--names", nargs="*", choices=SOURCES, help="train only on these data sets")
    parser.add_argument("--refresh-cards", action="store_true", help="rewrite the cards, train nothing")
    options = parser.parse_args()
    for name in PUBLIC:
        build_public(name, options)
    for name in SOURCES if options.names is None else options.names:
        build_source(name, options)
    print_table()


def build_public(name: str, options: argparse.Namespace) -> None:
    """A public checkpoint as safetensors, with its card."""
    file_name, facts = PUBLIC[name]
    file, weights = options.shared / "weights" / file_name, FOLDER / f"{name}.safetensors"
    if not weights.exists():
        to_safetensors(file, weights)
    if facts["source_name"] == "COCO":
        facts = facts | {"source_hash": open_dataset(options.shared / "data" / COCO_SAMPLE).content_hash}
    write_card(weights, {"class_names": list(load_classes(file)), **facts, "train_epochs": None})


def build_source(name: str, options: argparse.Namespace) -> None:
    """Train one checkpoint, unless it is there."""
    source = SOURCES[name]
    weights = FOLDER / f"{name}-{source.architecture}.safetensors"
    record = options.work / "runs" / f"{name}.json"
    dataset = open_dataset(options.shared / FOLDERS[source.task] / name, task=source.task)
    if not weights.exists() and not options.refresh_cards:
        run = train_source(dataset, source, options)
        if run.status != "succeeded" or run.best is None:
            raise SystemExit(f"{name}: {run.status} {run.error}")
        label = task_definition(source.task).metric.label
        print(f"{name}: {label} {run.best.score:.3f} in {run.seconds:.0f} s", flush=True)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(run_facts(run)))
        (options.work / name / "best.safetensors").replace(weights)
    if weights.exists():
        known = record if record.exists() else weights.with_suffix(".json")
        facts = json.loads(known.read_text("utf-8")) | {
            "source_name": name,
            "source_hash": dataset.content_hash,
            "source_licence": source.licence,
            "attribution": attribution((dataset.root / "SOURCE.md").read_text("utf-8")),
        }
        write_card(weights, facts)


def train_source(dataset: Dataset, source: Source, options: argparse.Namespace) -> Run:
    """One full training from the task's public weights."""
    name = dataset.name
    job = job_on(
        dataset,
        options.work / "data" / name,
        next(one for one in zoo() if one.name == source.parent),
        source.recipe,
        output=options.work / name,
        architecture=source.architecture,
        num_threads=options.threads,
        keep=True,
    )
    return train(
        job,
        on_epoch=lambda p: print(f"  {name} {p.epoch}: {p.score:.3f} {p.seconds:.0f} s", flush=True),
    )


def run_facts(run: Run) -> dict[str, Any]:
    """The card's fields about the training itself; its scores by the names of the task's metrics."""
    assert run.best is not None
    task = architecture(run.architecture).kind.task
    scores = {task_definition(task).metric.name: run.best.score} | run.best.details
    return {
        "architecture": run.architecture,
        "train_imgsz": run.recipe.imgsz,
        "train_epochs": run.recipe.epochs,
        "optimizer": run.optimizer_used,
        "learning_rate": run.learning_rate_used,
        "seed": run.recipe.seed,
        "source_images": run.num_train_images,
        **{name: round(value, 4) for name, value in scores.items()},
        "initialised_from": run.start.checkpoint,
        "seconds": round(run.seconds),
        "hardware": run.environment.hardware,
        "versions": run.environment.versions,
    }


def attribution(source_md: str) -> str:
    """The part of SOURCE.md above its first section: domain, repository, licence."""
    head = source_md.split("\n## ")[0].split("\n", 1)[1]
    return " ".join(head.split())


def write_card(weights: Path, facts: dict[str, Any]) -> None:
    """The JSON card beside the weights."""
    if "class_names" not in facts:
        from safetensors import safe_open

        with safe_open(weights, framework="numpy") as file:
            facts = {"class_names": json.loads(file.metadata()["class_names"])} | facts
    card = {
        "name": weights.stem,
        "architecture": ARCHITECTURE,
        "licence": WEIGHTS_LICENCE,
        "source_hash": None,
        **facts,
        "sha256": sha256_of(weights),
    }
    weights.chmod(0o644)
    part = weights.with_suffix(".part")
    part.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(weights.with_suffix(".json"))  # its presence means that the checkpoint is complete


def print_table() -> None:
    """Every card, one line each, and the size of the folder."""
    print(f"{'checkpoint':28} {'px':>4} {'epochs':>6} {'score':>6} {'mAP50':>6}  source licence")
    for file in sorted(FOLDER.glob("*.json")):
        card = json.loads(file.read_text("utf-8"))
        metric = task_definition(architecture(card["architecture"]).kind.task).metric.name
        score, score50 = card.get(metric), card.get("mask_map50", card.get("map50"))
        weak = "  <- too weak, leave it out" if score50 is not None and score50 < MIN_MAP50 else ""
        print(
            f"{card['name']:28} {card['train_imgsz'] or '':>4} {card['train_epochs'] or '':>6} "
            f"{'' if score is None else f'{score:.3f}':>6} {'' if score50 is None else f'{score50:.3f}':>6}  "
            f"{card['source_licence']}{weak}"
        )
    total = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{total / 1e6:.1f} MB in all, 80 MB allowed")


if __name__ == "__main__":
    main()
