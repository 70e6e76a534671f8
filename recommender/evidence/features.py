"""Features of the target's boxes from a candidate's own backbone, per pyramid level.

Shapes: M boxes, K channels of a level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recommender.evidence.samples import TargetSample
from recommender.records import Checkpoint

if TYPE_CHECKING:
    from recommender.families.ultralytics.backbone import Backbone

BATCH_IMAGES = 16


def load_backbone(checkpoint: Checkpoint) -> Backbone:
    """A checkpoint's backbone with its own weights. Raises CheckpointError where they do not fill its first layers."""
    from recommender.checkpoints import load_state
    from recommender.families.ultralytics.backbone import backbone_of

    return backbone_of(checkpoint.name, checkpoint.architecture, load_state(checkpoint))


def box_features(backbone: Backbone, sample: TargetSample) -> dict[int, NDArray[np.float32]]:
    """The mean of each level's map inside each box: stride → (M, K), boxes in the sample's order."""
    from recommender.profile.probe import mean_in_boxes

    rows: dict[int, list[NDArray[np.float32]]] = {}
    for start in range(0, len(sample.squares_N3SS), BATCH_IMAGES):
        maps = backbone.maps(sample.squares_N3SS[start : start + BATCH_IMAGES])
        for stride, map_NCHW in maps.items():
            boxes = sample.boxes[start : start + BATCH_IMAGES]
            rows.setdefault(stride, []).extend(map(mean_in_boxes, map_NCHW, boxes))
    return {stride: np.concatenate(parts) for stride, parts in sorted(rows.items())}
