"""The probe: one fixed, built-in network whose features every data set is seen through.

It is the backbone of YOLO11n trained on COCO. `benchmarks/probe_choice.py` compares it with others.

Shapes: N images of a batch, S the probe's side in pixels, M boxes, K feature dimensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recommender.errors import StorageError
from recommender.profile.embedding import CARD, ENCODER
from recommender.ultralytics_safety import prepare_ultralytics

if TYPE_CHECKING:
    import torch

PROBE_SIZE = 320  # pixels; every image is letterboxed to this square, so a vector never depends on its batch
BATCH_IMAGES = 4  # on one core as fast an image as 8 or 16, and less is left over at the end
GREY = 114  # of the border, as in the probe's own training
LEVELS = (8, 10)  # layers whose maps are averaged, both of stride 32
WEIGHTS_FILE = Path(__file__).with_name("probe.safetensors")
# module, arguments: the first eleven layers of yolo11n.yaml, written out so that no YAML is read
LAYERS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("Conv", (3, 16, 3, 2)),
    ("Conv", (16, 32, 3, 2)),
    ("C3k2", (32, 64, 1, False, 0.25)),
    ("Conv", (64, 64, 3, 2)),
    ("C3k2", (64, 128, 1, False, 0.25)),
    ("Conv", (128, 128, 3, 2)),
    ("C3k2", (128, 128, 1, True)),
    ("Conv", (128, 256, 3, 2)),
    ("C3k2", (256, 256, 1, True)),
    ("SPPF", (256, 256, 5)),
    ("C2PSA", (256, 256, 1)),
)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The network, ready to run on the CPU. Safe to share between threads: it is never written."""

    layers: torch.nn.ModuleList
    levels: tuple[int, ...]

    def maps(self, batch_N3SS: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of each level for uint8 RGB images; inference mode, float32."""
        import torch

        with torch.inference_mode():
            features = batch_N3SS.to(memory_format=torch.channels_last).float()
            kept = []
            for index, layer in enumerate(self.layers):
                features = layer(features)
                if index in self.levels:
                    kept.append(features)
            return kept

    def pooled(
        self,
        squares: list[NDArray[np.uint8]],
        boxes: list[NDArray[np.float64]],
        masks: Sequence[NDArray[np.bool_] | None] = (),
    ) -> list[NDArray[np.float32]]:
        """For each (3, S, S) image an array (boxes, R): the mean of every level's map inside each box.

        `masks` gives for an image with outlines the filled outline of each of its boxes but the first, the whole
        image. They cut the objects out of the map, not out of the picture: a blanked background would draw edges
        that no photo has, and the vectors could not be compared with those of boxes.

        Boxes are x1, y1, x2, y2 in fractions of the square. At most BATCH_IMAGES images; a short batch is
        filled up with grey ones, since the CPU kernels' last bits depend on the batch size.
        """
        import torch

        if not squares:
            return []
        batch_NSS3 = np.full((BATCH_IMAGES, PROBE_SIZE, PROBE_SIZE, 3), GREY, dtype=np.uint8)
        for number, square_3SS in enumerate(squares):
            batch_NSS3[number] = square_3SS.transpose(1, 2, 0)
        maps = self.maps(torch.from_numpy(batch_NSS3).permute(0, 3, 1, 2))
        ends = np.cumsum([len(boxes_M4) for boxes_M4 in boxes])
        levels = []
        for map_NCHW in maps:
            weights = [_box_weights(boxes_M4, *map_NCHW.shape[2:]) for boxes_M4 in boxes]
            for weights_MP, masks_MGG in zip(weights, masks, strict=False):
                if masks_MGG is not None:
                    weights_MP[1:] = _mask_weights(masks_MGG, weights_MP[1:], *map_NCHW.shape[2:])
            weights_MP = np.concatenate(weights)
            parts = zip(torch.from_numpy(weights_MP).tensor_split(ends.tolist()), map_NCHW, strict=False)
            levels.append(torch.cat([part_MP @ _cells(map_CHW) for part_MP, map_CHW in parts]))
        return np.split(torch.cat(levels, dim=1).numpy(), ends[:-1])


@cache
def load_probe() -> Probe:
    """The shipped probe. Raises StorageError when its file is not the one this version was built with."""
    from safetensors.torch import load

    return build_probe(load(read_shipped(WEIGHTS_FILE, CARD["probe_sha256"])), levels=LEVELS)


def read_shipped(file: Path, sha256: str) -> bytes:
    """A file of this package, checked. Raises StorageError when it is not the encoder's."""
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StorageError(
            f"{file.name} differs from the one shipped as encoder {ENCODER} (sha256 {sha256[:12]}…).",
            remedy="Reinstall checkpoint-recommender.",
        )
    return content


def build_probe(state: dict[str, torch.Tensor], *, levels: tuple[int, ...]) -> Probe:
    """A probe from the tensors of its layers, named `<layer>.…`, with batch norm folded for speed."""
    import torch

    prepare_ultralytics()
    from ultralytics.nn import modules

    layers = torch.nn.ModuleList(getattr(modules, name)(*arguments) for name, arguments in LAYERS)
    layers.load_state_dict({key: tensor.float() for key, tensor in state.items()})
    layers = layers[: max(levels) + 1].eval().requires_grad_(False)
    for module in layers.modules():
        if isinstance(module, modules.Conv):
            module.conv = torch.nn.utils.fusion.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = torch.nn.Identity()
            module.act = torch.nn.SiLU(inplace=True)
    layers[0].conv.weight /= 255  # type: ignore[union-attr, operator]  # so that bytes go in as they are
    layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Probe(layers=layers, levels=levels)


def mean_in_boxes(map_CHW: torch.Tensor, boxes_M4: NDArray[np.float64]) -> NDArray[np.float32]:
    """The exact mean of a map, constant within each cell, over each box; a tiny box counts as one cell."""
    import torch

    weights_MP = torch.from_numpy(_box_weights(boxes_M4, *map_CHW.shape[1:]))
    mean_MC: NDArray[np.float32] = (weights_MP @ _cells(map_CHW)).numpy()
    return mean_MC


def _cells(map_CHW: torch.Tensor) -> torch.Tensor:
    """The cells of a map as rows (P, C): without a copy where channels come last in memory."""
    return map_CHW.permute(1, 2, 0).flatten(0, 1)


def _box_weights(boxes_M4: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """The share of each cell in each box (M, P); rows sum to one."""
    across_MW = _cell_weights(boxes_M4[:, 0], boxes_M4[:, 2], width)
    down_MH = _cell_weights(boxes_M4[:, 1], boxes_M4[:, 3], height)
    weights_MHW = down_MH[:, :, None] * across_MW[:, None, :]
    return weights_MHW.reshape(len(boxes_M4), height * width)


def _mask_weights(
    masks_MGG: NDArray[np.bool_], boxes_MP: NDArray[np.float32], height: int, width: int
) -> NDArray[np.float32]:
    """The share of each cell in each mask (M, P), rows sum to one; a mask smaller than a cell counts as its box."""
    count, side = masks_MGG.shape[:2]
    shares = masks_MGG.reshape(count, height, side // height, width, side // width).mean(axis=(2, 4))
    covered_MP = shares.reshape(count, height * width)
    total_M1 = covered_MP.sum(axis=1, keepdims=True)
    weights_MP: NDArray[np.float32] = np.where(
        total_M1 >= 1.0, covered_MP / np.maximum(total_M1, 1.0), boxes_MP
    ).astype(np.float32)
    return weights_MP


def _cell_weights(low_M: NDArray[np.float64], high_M: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """Share of each interval (fractions of the side) in each cell; rows sum to one.

    An interval narrower than a cell is widened to one, which is linear interpolation between two cells.
    """
    width_M = np.clip((high_M - low_M) * cells, 1.0, cells)
    centre_M = np.clip((high_M + low_M) / 2 * cells, width_M / 2, cells - width_M / 2)
    edges = np.arange(cells)
    overlap_MG = np.minimum((centre_M + width_M / 2)[:, None], edges + 1) - np.maximum(
        (centre_M - width_M / 2)[:, None], edges
    )
    weights_MG = np.clip(overlap_MG, 0.0, None)
    normalised_MG: NDArray[np.float64] = weights_MG / weights_MG.sum(axis=1, keepdims=True)
    return normalised_MG.astype(np.float32)
