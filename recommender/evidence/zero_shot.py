"""A classifier's own answers on the target's images, where it knows several of its classes by name.

Shapes: N images, K classes that target and checkpoint share, C classes of the checkpoint.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommender.class_names import overlap
from recommender.evidence.samples import BACKGROUND, TargetSample
from recommender.records import Checkpoint
from recommender.tasks import task_definition

MIN_CLASSES = 2  # fewer leave no choice
MIN_IMAGES = 8
BATCH_IMAGES = 16


def zero_shot_accuracy(checkpoint: Checkpoint | None, sample: TargetSample) -> float | None:
    """Share of the images of shared classes that the checkpoint puts into the right one of these, untrained.

    In [0, 1], higher is better; 1 / K is chance. None for other heads, and with fewer than two shared classes or eight
    images of them. It fails where names agree and things do not: a crane is a bird and a machine.
    """
    if checkpoint is None or not checkpoint.class_names or not task_definition(checkpoint.task).whole_images:
        return None
    row_of = {match.target: match.source for match in overlap(sample.class_names, checkpoint.class_names)}
    whole = sample.labels_M != BACKGROUND
    shared = [
        n for n, label in zip(sample.images_M[whole], sample.labels_M[whole], strict=True) if label in row_of
    ]
    if len(row_of) < MIN_CLASSES or len(shared) < MIN_IMAGES:
        return None
    label_of = dict(zip(sample.images_M[whole].tolist(), sample.labels_M[whole].tolist(), strict=True))
    classes = sorted(row_of)
    scores_NK = _scores(checkpoint, sample.squares_N3SS[shared])[:, [row_of[c] for c in classes]]
    found_N = np.array(classes)[scores_NK.argmax(axis=1)]
    return float(np.mean(found_N == np.array([label_of[int(n)] for n in shared])))


def _scores(checkpoint: Checkpoint, squares_N3SS: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each class's probability, (N, C)."""
    import torch

    from recommender.checkpoints import restore_model

    model = restore_model(checkpoint).eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(squares_N3SS), BATCH_IMAGES):
            batch = torch.from_numpy(squares_N3SS[start : start + BATCH_IMAGES]).float() / 255
            output = model(batch)
            found.append((output[0] if isinstance(output, tuple) else output).numpy())
    return np.concatenate(found)
