"""Write the catalogue of public checkpoints: `python -m benchmarks.build_catalogue`.

Parameters are counted on the models themselves, class names copied from ultralytics' data set files; the published
mAP50-95 (640 px, own val split; of the masks where there are any) or top-1 accuracy (224 px) and which files exist are
those of the ultralytics documentation, release v8.4.0.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

import yaml

from recommender.checkpoints import zoo
from recommender.families.ultralytics.architectures import architecture
from recommender.families.ultralytics.models import build_model, tensor_shapes
from recommender.tasks import task_definition

OUT = Path(__file__).parents[1] / "recommender" / "checkpoints" / "catalogue.json"
COCO, OPEN_IMAGES, OBJECTS365, IMAGENET = "coco", "open-images-v7", "objects365", "imagenet"
BASE_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
# name, architecture, source, published mAP50-95 (None: not known here)
Row = tuple[str, str, str, float | None]


def _sizes(name: str, architecture_name: str, source: str, scores: dict[str, float | None]) -> list[Row]:
    """One row a size; `{}` in the names stands for it."""
    return [
        (name.format(size), architecture_name.format(size), source, score) for size, score in scores.items()
    ]


NOT_KNOWN: dict[str, float | None] = dict.fromkeys("nsmlx")
# Published mAP50-95 at 640 px: ultralytics' documentation; YOLOv9 and YOLOv10 as their papers give them. Those of v5u
# are .005 to .009 above what LibreYOLO measured (../shared/external/device-latency), as YOLO11's and YOLOv8's are;
# RT-DETR's stand in its authors' README (PaddleDetection, configs/rtdetr).
DETECTORS: list[Row] = [
    *_sizes("yolov3{}u", "yolov3{}", COCO, dict.fromkeys(("", "-spp", "-tiny"))),
    *_sizes("yolov5{}u", "yolov5{}", COCO, {"n": 0.343, "s": 0.430, "m": 0.490, "l": 0.522, "x": 0.532}),
    *_sizes("yolov5{}6u", "yolov5{}-p6", COCO, NOT_KNOWN),
    *_sizes("yolov8{}", "yolov8{}", COCO, {"n": 0.373, "s": 0.449, "m": 0.502, "l": 0.529, "x": 0.539}),
    *_sizes(
        "yolov8{}-oiv7", "yolov8{}", OPEN_IMAGES, {"n": 0.184, "s": 0.277, "m": 0.336, "l": 0.349, "x": 0.363}
    ),
    *_sizes("yolov9{}", "yolov9{}", COCO, {"t": 0.383, "s": 0.468, "m": 0.514, "c": 0.530, "e": 0.556}),
    *_sizes(
        "yolov10{}",
        "yolov10{}",
        COCO,
        {"n": 0.385, "s": 0.463, "m": 0.511, "b": 0.525, "l": 0.532, "x": 0.544},
    ),
    *_sizes("yolo11{}", "yolo11{}", COCO, {"n": 0.395, "s": 0.470, "m": 0.515, "l": 0.534, "x": 0.547}),
    ("yolo11n-grayscale", "yolo11n", COCO, None),
    *_sizes("yolo12{}", "yolo12{}", COCO, {"n": 0.406, "s": 0.480, "m": 0.525, "l": 0.537, "x": 0.552}),
    *_sizes("yolo26{}", "yolo26{}", COCO, {"n": 0.409, "s": 0.486, "m": 0.531, "l": 0.550, "x": 0.575}),
    *_sizes("yolo26{}-distill", "yolo26{}", COCO, NOT_KNOWN),
    *_sizes("yolo26{}-objv1-150", "yolo26{}", OBJECTS365, NOT_KNOWN),
    *_sizes("rtdetr-{}", "rtdetr-{}", COCO, {"l": 0.530, "x": 0.548}),
]
# YOLO26's COCO weights began from Objects365: its training recipe, docs/en/guides/yolo26-training-recipe.md.
BEGAN_FROM = {f"yolo26{size}": f"yolo26{size}-objv1-150" for size in "nsmlx"}
# Mask mAP50-95 as the same documentation gives it.
SEGMENTERS: list[Row] = [
    *_sizes(
        "yolov8{}-seg", "yolov8{}-seg", COCO, {"n": 0.305, "s": 0.368, "m": 0.408, "l": 0.426, "x": 0.434}
    ),
    *_sizes("yolov9{}-seg", "yolov9{}-seg", COCO, {"c": 0.422, "e": 0.443}),
    *_sizes(
        "yolo11{}-seg", "yolo11{}-seg", COCO, {"n": 0.320, "s": 0.378, "m": 0.415, "l": 0.429, "x": 0.438}
    ),
    *_sizes(
        "yolo26{}-seg", "yolo26{}-seg", COCO, {"n": 0.339, "s": 0.400, "m": 0.441, "l": 0.455, "x": 0.470}
    ),
    *_sizes("yolo26{}-objv1-seg", "yolo26{}-seg", OBJECTS365, NOT_KNOWN),
]
# Top-1 accuracy at 224 px: ../shared/external/ultralytics/model_cards.csv, which has none of YOLOv8.
CLASSIFIERS: list[Row] = [
    *_sizes("yolov8{}-cls", "yolov8{}-cls", IMAGENET, NOT_KNOWN),
    *_sizes(
        "yolo11{}-cls", "yolo11{}-cls", IMAGENET, {"n": 0.700, "s": 0.754, "m": 0.773, "l": 0.783, "x": 0.795}
    ),
    *_sizes(
        "yolo26{}-cls", "yolo26{}-cls", IMAGENET, {"n": 0.714, "s": 0.760, "m": 0.781, "l": 0.790, "x": 0.799}
    ),
]
SOURCES: dict[str, dict[str, Any]] = {
    "coco": {
        "name": "COCO",
        "licence": "COCO terms of use (annotations CC-BY-4.0; images: their owners')",
        "train_images": 118_287,
        "file": "coco.yaml",
    },
    "open-images-v7": {
        "name": "Open Images V7",
        "licence": "annotations CC-BY-4.0; images CC-BY-2.0 as listed, each to be checked",
        "train_images": 1_743_042,
        "file": "open-images-v7.yaml",
    },
    "objects365": {
        "name": "Objects365",
        "licence": None,
        "train_images": 1_742_289,
        "file": "Objects365.yaml",
    },
    "imagenet": {
        "name": "ImageNet",
        "licence": "ImageNet's terms of access: non-commercial research",
        "train_images": 1_281_167,
        "file": "ImageNet.yaml",
    },
}


def main() -> None:
    """Count, collect, write."""
    sources = {key: _source(facts) for key, facts in SOURCES.items()}
    rows = (*DETECTORS, *SEGMENTERS, *CLASSIFIERS)
    checkpoints = [_entry(row, len(sources[row[2]]["class_names"])) for row in rows]
    catalogue = {
        "comment": "Official ultralytics checkpoints. sha256 is of the download; null where unknown here, "
        "then the first fetch records it. Made by `python -m benchmarks.build_catalogue`.",
        "base_url": BASE_URL,
        "licence": "AGPL-3.0",
        "attribution": "Ultralytics, https://github.com/ultralytics/assets",
        "train_imgsz": 640,
        "sources": sources,
        "checkpoints": checkpoints,
    }
    OUT.write_text(json.dumps(catalogue, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(checkpoints)} checkpoints in {OUT}")


def _entry(row: Row, num_classes: int) -> dict[str, Any]:
    name, architecture_name, source, score = row
    known = architecture(architecture_name)
    return {
        "name": name,
        "file": f"{name}.pt",
        "architecture": known.name,
        "source": source,
        "num_parameters": tensor_shapes(known.name, num_classes).num_parameters,
        "flops_b": flops_b(known.name),
        "score": score,
        "train_imgsz": 1280 if name.endswith("6u") else task_definition(known.kind.task).imgsz,
        "began_from": BEGAN_FROM.get(name),
        "sha256": None,
    }


@functools.cache
def flops_b(name: str) -> float:
    """10^9 operations of the model as it is trained (80 classes, not fused) for one image of 640 × 640 pixels."""
    model = build_model(name, 80).eval()
    from ultralytics.utils.torch_utils import get_flops

    return round(float(get_flops(model, 640)), 1)


def _source(facts: dict[str, Any]) -> dict[str, Any]:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "datasets"
    names = yaml.safe_load((folder / facts["file"]).read_text(encoding="utf-8"))["names"]
    told = {key: value for key, value in facts.items() if key != "file"}
    if facts["name"] == "COCO":  # profiled by a sample that is shipped with the built-in checkpoint
        told["hash"] = next(entry.source_hash for entry in zoo() if entry.name == "coco-yolo11n")
    if facts["name"] == "ImageNet":  # as the official files call them; that file simplifies the names
        told["class_names"] = next(e.class_names for e in zoo() if e.name == "imagenet-yolov8n-cls")
        return told
    return {**told, "class_names": [names[index] for index in range(len(names))]}


if __name__ == "__main__":
    main()
