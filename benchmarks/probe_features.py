"""Raw features of every candidate probe on every set, computed once and kept in a cache folder.

Shapes: N images, M objects, R feature dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recommender.datasets import open_dataset
from recommender.families.ultralytics.backbone import inputs_of
from recommender.profile.images import PreparedImage, prepare_image
from recommender.profile.probe import BATCH_IMAGES, mean_in_boxes
from recommender.records import FloatArray, IntArray

if TYPE_CHECKING:
    import torch

IMAGES_PER_SET = 120
SEED = 0
Extract = Callable[[list[PreparedImage]], list[FloatArray]]  # per image: whole first, then its objects


@dataclass(frozen=True, kw_only=True)
class Network:
    """A candidate network and every layer of it that some candidate probe uses."""

    name: str
    architecture: str | None  # None: hand-made features
    weights: str | None  # below the weights folder; None: random weights
    layers: tuple[int, ...] = ()


NETWORKS = (
    Network(
        name="yolo11n",
        architecture="yolo11n",
        weights="yolo11n_coco.pt",
        layers=(2, 4, 6, 8, 10, 13, 16, 19, 22),
    ),
    Network(
        name="yolov8n", architecture="yolov8n", weights="yolov8n_coco.pt", layers=(2, 4, 6, 8, 9, 15, 18, 21)
    ),
    Network(
        name="yolov5n",
        architecture="yolov5n",
        weights="yolov5n_coco.state_dict.pt",
        layers=(2, 4, 6, 8, 9, 17, 20, 23),
    ),
    Network(name="random", architecture="yolo11n", weights=None, layers=(4, 6, 10)),
    Network(name="hand-made", architecture=None, weights=None),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SetFeatures:
    """The features of one network on a sample of one set, each layer apart."""

    images: dict[int, FloatArray]  # layer → (N, R)
    objects: dict[int, FloatArray]  # layer → (M, R)
    owners_M: IntArray  # image of each object
    seconds_per_image: float


def features_of(network: Network, folder: Path, *, weights: Path, cache: Path) -> SetFeatures:
    """One network's features of a set, from the cache where it has been there before."""
    file = cache / f"{network.name}-{folder.name}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _compute(network, folder, weights, file)
    with np.load(file, allow_pickle=False) as arrays:
        layers = network.layers or (0,)
        return SetFeatures(
            images={layer: arrays[f"image{layer}"] for layer in layers},
            objects={layer: arrays[f"object{layer}"] for layer in layers},
            owners_M=arrays["owners"],
            seconds_per_image=float(arrays["seconds"]),
        )


def _compute(network: Network, folder: Path, weights: Path, file: Path) -> None:
    extract = _hand_made if network.architecture is None else _network_features(network, weights)
    images: dict[int, list[FloatArray]] = {layer: [] for layer in network.layers or (0,)}
    objects: dict[int, list[FloatArray]] = {layer: [] for layer in images}
    owners: list[int] = []
    count, started = 0, time.perf_counter()
    for batch in _batches(folder):
        per_layer = extract(batch)
        for index, image in enumerate(batch):
            owners += [count] * (len(image.boxes_M4) - 1)
            count += 1
            for layer, rows in zip(images, per_layer[index * len(images) :], strict=False):
                images[layer].append(rows[:1])
                objects[layer].append(rows[1:])
    arrays = {f"image{layer}": np.concatenate(rows) for layer, rows in images.items()}
    arrays |= {f"object{layer}": np.concatenate(rows) for layer, rows in objects.items()}
    seconds = (time.perf_counter() - started) / count
    np.savez(file, owners=np.array(owners, dtype=np.int64), seconds=np.array(seconds), **arrays)  # type: ignore[arg-type]


def _batches(folder: Path) -> list[list[PreparedImage]]:
    dataset = open_dataset(folder)
    chosen = np.random.default_rng(SEED).permutation(len(dataset.images))[:IMAGES_PER_SET]
    images = [one for index in chosen if (one := prepare_image(dataset.images[index])) is not None]
    return [images[start : start + BATCH_IMAGES] for start in range(0, len(images), BATCH_IMAGES)]


def _network_features(network: Network, weights: Path) -> Extract:
    """Features of a list of images, flattened: every layer of the first image, then of the second, …"""
    import torch

    model = _build(network, weights)

    def extract(batch: list[PreparedImage]) -> list[FloatArray]:
        squares = np.stack([image.square_3SS for image in batch])
        maps = _maps(model, torch.from_numpy(squares).float() / 255, network.layers)
        return [
            mean_in_boxes(maps[layer][index], image.boxes_M4)
            for index, image in enumerate(batch)
            for layer in network.layers
        ]

    return extract


def _build(network: Network, weights: Path) -> torch.nn.Module:
    import torch

    from recommender.checkpoints import build_model
    from recommender.checkpoints.containment import quarantined
    from recommender.ultralytics_safety import prepare_ultralytics

    prepare_ultralytics()
    torch.manual_seed(SEED)
    assert network.architecture is not None
    model = build_model(network.architecture, 80)
    if network.weights:
        from safetensors.torch import load_file

        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        with quarantined(weights / network.weights) as read:
            state = load_file(read.path)
        fitting = {name: tensor.float() for name, tensor in state.items() if shapes.get(name) == tensor.shape}
        wanted = [name for name in shapes if int(name.split(".")[1]) <= max(network.layers)]
        missing = [name for name in wanted if name not in fitting]
        if missing:
            raise SystemExit(f"{network.weights} lacks {missing[:3]} … of {network.architecture}")
        model.load_state_dict(fitting, strict=False)
    return model.eval()


def _maps(model: torch.nn.Module, batch: torch.Tensor, layers: tuple[int, ...]) -> dict[int, torch.Tensor]:
    import torch

    outputs: list[torch.Tensor] = []
    with torch.inference_mode():
        for module in list(model.model)[: max(layers) + 1]:  # type: ignore[arg-type]
            outputs.append(module(inputs_of(module.f, batch, outputs)))
    return {layer: outputs[layer] for layer in layers}


def _hand_made(batch: list[PreparedImage]) -> list[FloatArray]:
    """A colour histogram (4 × 4 × 4) beside oriented gradients (4 × 4 cells of 8): what needs no network."""
    result = []
    for image in batch:
        pixels_HW3 = image.square_3SS.transpose(1, 2, 0)
        rows = [_describe(pixels_HW3, box) for box in (image.boxes_M4 * len(pixels_HW3)).round().astype(int)]
        result.append(np.stack(rows))
    return result


def _describe(pixels_HW3: NDArray[np.uint8], box: IntArray) -> FloatArray:
    import cv2

    x1, y1, x2, y2 = box.clip(0, len(pixels_HW3) - 1)
    crop = np.ascontiguousarray(pixels_HW3[y1 : y2 + 1, x1 : x2 + 1])
    crop = np.asarray(cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    colours, _ = np.histogramdd(crop.reshape(-1, 3).astype(float), bins=4, range=[(0, 256)] * 3)
    down, across = np.gradient(crop.astype(float).mean(axis=2))
    strength, angle = np.hypot(down, across), np.arctan2(down, across) % np.pi
    cells = np.add.outer(np.arange(64) // 16 * 4, np.arange(64) // 16)
    bins = cells * 8 + np.minimum((angle / np.pi * 8).astype(int), 7)
    gradients = np.bincount(bins.ravel(), strength.ravel(), minlength=128)
    gradients = gradients / (np.linalg.norm(gradients) + 1e-6)
    return np.concatenate([np.sqrt(colours.ravel() / 4096), gradients]).astype(np.float32)
