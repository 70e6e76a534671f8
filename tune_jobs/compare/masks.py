"""Masks as rings in fractions of their image, few enough points to be kept and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.outlines import rings_of_mask, simplified

TOLERANCE = 0.002  # of the image's sides: 1.3 px of 640

Rings = tuple[tuple[float, ...], ...]


def kept_rings(rings: Iterable[NDArray[np.floating[Any]]]) -> Rings:
    """Rings of P2 fractions as they are kept: x, y, x, y, …"""
    found = []
    for ring_P2 in rings:
        clipped_P2 = np.clip(ring_P2, 0.0, 1.0)
        short_P2 = simplified(clipped_P2, TOLERANCE)
        found.append(short_P2 if len(short_P2) > 2 else clipped_P2)  # thin ones must not vanish
    return tuple(tuple(ring_P2.round(4).ravel().tolist()) for ring_P2 in found if len(ring_P2) > 2)


def rings_of_masks(masks_NHW: Any, seen: Mapping[str, Any]) -> tuple[Rings, ...]:
    """The rings of each predicted mask; `seen` is ultralytics' account of how the image was scaled and padded."""
    stride = seen["imgsz"][0] / masks_NHW.shape[1] if len(masks_NHW) else 1.0
    gains, (left, top) = seen["ratio_pad"]
    height, width = seen["ori_shape"]
    scale = np.array([width * gains[1], height * gains[0]])
    return tuple(
        kept_rings((ring_P2 * stride - (left, top)) / scale for ring_P2 in rings_of_mask(mask_HW))
        for mask_HW in masks_NHW.cpu().numpy().astype(bool)
    )
