"""Write the catalogue of public checkpoints: `python -m benchmarks.build_catalogue`.

Parameters are counted on the models themselves, class names copied from ultralytics' data set files; the published
mAP50-95 (640 px, own val split) and which files exist are those of the ultralytics documentation, release v8.4.0.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import yaml

from recommender.families.ultralytics.architectures import architecture
from recommender.families.ultralytics.models import tensor_shapes

OUT = Path(__file__).parents[1] / "recommender" / "checkpoints" / "catalogue.json"
SIZES = "nsmlx"
# family: published mAP50-95 of n, s, m, l, x
COCO = {
    "yolov8": (0.373, 0.449, 0.502, 0.529, 0.539),
    "yolo11": (0.395, 0.470, 0.515, 0.534, 0.547),
    "yolo12": (0.406, 0.480, 0.525, 0.537, 0.552),
    "yolo26": (0.409, 0.486, 0.531, 0.550, 0.575),
}
OPEN_IMAGES = {"yolov8": (0.184, 0.277, 0.336, 0.349, 0.363)}
SOURCES = {
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
}


def main() -> None:
    """Count, collect, write."""
    sources = {key: _source(facts) for key, facts in SOURCES.items()}
    checkpoints = [
        _entry(family, size, source, suffix, score, len(sources[source]["class_names"]))
        for source, suffix, families in (("coco", "", COCO), ("open-images-v7", "-oiv7", OPEN_IMAGES))
        for family, scores in families.items()
        for size, score in zip(SIZES, scores, strict=True)
    ]
    catalogue = {
        "comment": "Official ultralytics detection checkpoints. sha256 is of the download; null where unknown here, "
        "then the first fetch records it. Made by `python -m benchmarks.build_catalogue`.",
        "base_url": "https://github.com/ultralytics/assets/releases/download/v8.4.0",
        "licence": "AGPL-3.0",
        "attribution": "Ultralytics, https://github.com/ultralytics/assets",
        "train_imgsz": 640,
        "sources": sources,
        "checkpoints": checkpoints,
    }
    OUT.write_text(json.dumps(catalogue, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(checkpoints)} checkpoints in {OUT}")


def _entry(
    family: str, size: str, source: str, suffix: str, score: float, num_classes: int
) -> dict[str, Any]:
    name = architecture(f"{family}{size}").name
    return {
        "name": f"{name}{suffix}",
        "file": f"{name}{suffix}.pt",
        "architecture": name,
        "source": source,
        "num_parameters": tensor_shapes(name, num_classes).num_parameters,
        "score": score,
        "sha256": None,
    }


def _source(facts: dict[str, Any]) -> dict[str, Any]:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "datasets"
    names = yaml.safe_load((folder / facts["file"]).read_text(encoding="utf-8"))["names"]
    told = {key: value for key, value in facts.items() if key != "file"}
    return {**told, "class_names": [names[index] for index in range(len(names))]}


if __name__ == "__main__":
    main()
