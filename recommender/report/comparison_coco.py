"""The predictions of a comparison as COCO JSON, which FiftyOne, CVAT and pycocotools open."""

from __future__ import annotations

import json
import re

import numpy as np

from recommender.comparison.comparison_input import Box, ComparisonInput, FinishedTraining, Scene
from recommender.datasets.outlines import area_within, joined

FOLDER = "predictions"


def prediction_files(comparison: ComparisonInput) -> dict[str, str]:
    """COCO JSON by file name: the labels of the held-out images, and the predictions of every training.

    Each holds images, categories and annotations (boxes in pixels: left, top, width, height; of masks a polygon too),
    predictions a `score` too, so that each opens by itself.
    """
    files = {
        f"{FOLDER}/labels.json": _coco(comparison, {s.name: s.truth for s in comparison.held.scenes}, False)
    }
    for trained in comparison.trained:
        if trained.evaluation is not None:
            name = f"{FOLDER}/{_file_name(trained)}.json"
            files[name] = _coco(comparison, trained.evaluation.boxes, True)
    return files


def _coco(comparison: ComparisonInput, boxes: dict[str, tuple[Box, ...]], predicted: bool) -> str:
    scenes = comparison.held.scenes
    annotations: list[dict[str, object]] = []
    for image_id, scene in enumerate(scenes, start=1):
        for box in boxes.get(scene.name, ()):
            annotations.append(_annotation(len(annotations) + 1, image_id, scene, box, predicted))
    document = {
        "images": [
            {"id": i, "file_name": scene.name, "width": scene.width, "height": scene.height}
            for i, scene in enumerate(scenes, start=1)
        ],
        "categories": [
            {"id": i, "name": name} for i, name in enumerate(comparison.plan.class_names, start=1)
        ],
        "annotations": annotations,
    }
    return json.dumps(document, indent=1) + "\n"


def _annotation(id: int, image_id: int, scene: Scene, box: Box, predicted: bool) -> dict[str, object]:
    width, height = (box.x2 - box.x1) * scene.width, (box.y2 - box.y1) * scene.height
    found: dict[str, object] = {
        "id": id,
        "image_id": image_id,
        "category_id": box.label + 1,
        "bbox": [round(v, 2) for v in (box.x1 * scene.width, box.y1 * scene.height, width, height)],
        "area": round(width * height, 2),
        "iscrowd": 0,
    }
    if box.rings:
        rings = [np.reshape(ring, (-1, 2)) * (scene.width, scene.height) for ring in box.rings]
        found |= {
            "segmentation": [joined(rings).round(1).ravel().tolist()],
            "area": round(area_within(rings), 2),
        }
    return found | ({"score": round(box.confidence, 4)} if predicted else {})


def _file_name(trained: FinishedTraining) -> str:
    text = f"{trained.start}-{trained.fraction:g}-seed{trained.run.recipe.seed}-{trained.run.id[:8]}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)
