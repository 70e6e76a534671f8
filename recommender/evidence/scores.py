"""Features of a target's boxes from a candidate's own backbone, and the scores of `Evidence` from these.

Every candidate's features are brought to the same number of dimensions first: wider networks would otherwise
score higher for their width alone, which is how such scores come to rank models instead of transfer.

Shapes: M boxes, K channels of a level, R reduced dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recommender.blas import single_blas_thread
from recommender.evidence.samples import TargetSample
from recommender.evidence.table import CandidateFeatures, estimators_for, standardise
from recommender.records import Checkpoint

if TYPE_CHECKING:
    from recommender.families.ultralytics.backbone import Backbone

BATCH_IMAGES = 16
REDUCED = 64  # dimensions
MIN_OBJECTS = 8  # fewer say nothing


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


@single_blas_thread()
def scores_of(
    levels: Mapping[int, NDArray[np.float32]], sample: TargetSample, checkpoint: Checkpoint | None = None
) -> dict[str, float | None]:
    """Every estimator of the table on these features, by name; None where it is not defined."""
    rows = estimators_for(sample.task)
    finite = all(np.isfinite(level_MK).all() for level_MK in levels.values())
    if sample.num_objects < MIN_OBJECTS or not levels or not finite:  # weights may hold anything
        return {row.name: None for row in rows}
    standard = {stride: standardise(level_MK) for stride, level_MK in levels.items()}
    reduced = {stride: reduce(level_MK) for stride, level_MK in standard.items()}
    together = reduce(np.concatenate(list(reduced.values()), axis=1))
    features = CandidateFeatures(
        levels=reduced,
        together=together,
        whole=np.concatenate(list(standard.values()), axis=1),
        sample=sample,
        checkpoint=checkpoint,
    )
    return {row.name: row.measure(features) for row in rows}


def reduce(features_MK: NDArray[np.float64], dimensions: int = REDUCED) -> NDArray[np.float64]:
    """The leading principal components, at most `dimensions` and a quarter of M, scaled to mean square 1."""
    # Here: loading it takes a second, which a known answer has no need of.
    from sklearn.decomposition import PCA

    kept = max(1, min(dimensions, features_MK.shape[1], len(features_MK) // 4))
    if not features_MK.any():  # of no variance, which has no components
        return np.zeros((len(features_MK), kept))
    reduced_MR: NDArray[np.float64] = PCA(kept, svd_solver="covariance_eigh").fit_transform(features_MK)
    scale = np.sqrt(np.mean(reduced_MR**2))
    return reduced_MR / scale if scale > 0 else reduced_MR
