"""A checkpoint's own answers on the target's images, untrained, where it knows classes of the target by name.

Shapes: N images, S the square's side in pixels, M objects, K classes that target and checkpoint share, C classes of the
checkpoint.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.class_names import overlap
from recommender.evidence.samples import BACKGROUND, TargetSample
from recommender.leftovers import TEMPORARY
from recommender.records import Checkpoint
from recommender.tasks import task_definition

MIN_CLASSES = 2  # of whole images: fewer leave no choice
MIN_IMAGES = MIN_OBJECTS = 8  # by judgement: of fewer one answer moves the score by more than an eighth
OBJECT_IMAGES = 32  # that a detector or segmenter is run on: some 30 ms each for the smallest
BATCH_IMAGES = 16
MASK_STRIDE = 4  # pixels a cell of the masks that segmenters predict


def zero_shot_accuracy(checkpoint: Checkpoint | None, sample: TargetSample) -> float | None:
    """Share of the images of shared classes that the checkpoint puts into the right one of these, untrained.

    In [0, 1], higher is better; 1 / K is chance. None for other heads, and with fewer than two shared classes or eight
    images of them. It fails where names agree and things do not: a crane is a bird and a machine.
    """
    row_of = _shared_rows(checkpoint, sample) if task_definition(sample.task).whole_images else {}
    whole = sample.labels_M != BACKGROUND
    shared = [
        n for n, label in zip(sample.images_M[whole], sample.labels_M[whole], strict=True) if label in row_of
    ]
    if checkpoint is None or len(row_of) < MIN_CLASSES or len(shared) < MIN_IMAGES:
        return None
    label_of = dict(zip(sample.images_M[whole].tolist(), sample.labels_M[whole].tolist(), strict=True))
    classes = sorted(row_of)
    scores_NK = _scores(checkpoint, sample.squares_N3SS[shared])[:, [row_of[c] for c in classes]]
    found_N = np.array(classes)[scores_NK.argmax(axis=1)]
    return float(np.mean(found_N == np.array([label_of[int(n)] for n in shared])))


def zero_shot_map(checkpoint: Checkpoint | None, sample: TargetSample) -> float | None:
    """Mean over the shared classes of the checkpoint's AP50-95, untrained: of masks for segmentation, else of boxes.

    In [0, 1], higher is better. Counted by ultralytics' validator on at most OBJECT_IMAGES squares, those with a shared
    class first. None for heads of another task, without a shared class, and with fewer than MIN_OBJECTS objects of
    them. It fails as the accuracy does, and at the squares' size small objects are missed that training would find.
    """
    row_of = {} if task_definition(sample.task).whole_images else _shared_rows(checkpoint, sample)
    num_shared = [sum(int(c) in row_of for c in image.classes_M) for image in sample.labelled]
    order = sorted(range(len(num_shared)), key=lambda n: num_shared[n] == 0)[:OBJECT_IMAGES]
    if checkpoint is None or sum(num_shared[n] for n in order) < MIN_OBJECTS:
        return None
    by_class = _class_scores(checkpoint, sample, order, row_of)
    return float(np.mean([by_class[row] for row in sorted(set(row_of.values()) & by_class.keys())]))


def _shared_rows(checkpoint: Checkpoint | None, sample: TargetSample) -> dict[int, int]:
    """The row of the checkpoint's head for each class of the target that it knows; none for a head of another task."""
    if checkpoint is None or not checkpoint.class_names or checkpoint.foreign_task is not None:
        return {}
    if checkpoint.task != sample.task:
        return {}
    return {match.target: match.source for match in overlap(sample.class_names, checkpoint.class_names)}


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


def _class_scores(
    checkpoint: Checkpoint, sample: TargetSample, numbers: Sequence[int], row_of: Mapping[int, int]
) -> dict[int, float]:
    """AP50-95 of each of the checkpoint's rows that has an object in these squares."""
    import torch

    from recommender.checkpoints import restore_model
    from recommender.families.ultralytics.architectures import architecture
    from recommender.families.ultralytics.validation import scores_by_class, validator_class

    model: Any = restore_model(checkpoint).eval()
    options = {"imgsz": sample.squares_N3SS.shape[-1], "task": sample.task, "overlap_mask": False}
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        validator = validator_class(architecture(checkpoint.architecture).kind)(
            None, save_dir=Path(folder), args=options | {"plots": False}
        )
        validator.device, validator.data, validator.training = torch.device("cpu"), {}, True
        validator.args.quantize = None
        validator.init_metrics(model)
        with torch.inference_mode():
            for start in range(0, len(numbers), BATCH_IMAGES):
                batch = validator.preprocess(_batch(sample, numbers[start : start + BATCH_IMAGES], row_of))
                validator.update_metrics(validator.postprocess(model(batch["img"])), batch)
        validator.get_stats()
    return scores_by_class(sample.task, validator)


def _batch(sample: TargetSample, numbers: Sequence[int], row_of: Mapping[int, int]) -> dict[str, Any]:
    """Squares with their objects of shared classes, as ultralytics' validators take them."""
    import torch

    from recommender.datasets.outlines import draw_mask

    cells = sample.squares_N3SS.shape[-1] // MASK_STRIDE
    classes, boxes, owners, masks = [], [], [], []
    for place, number in enumerate(numbers):
        image, content = sample.labelled[number], sample.contents[number]
        low, size = np.array(content[:2]), np.array(content[2:]) - content[:2]
        for row, label in enumerate(image.classes_M.tolist()):
            if label not in row_of:
                continue
            classes.append(row_of[label])
            boxes.append(image.boxes_M4[row] * np.tile(size, 2) + [*low, 0, 0])
            owners.append(place)
            if image.polygons is not None:
                masks.append(draw_mask([ring * size + low for ring in image.polygons[row]], cells, cells))
    return {
        "img": torch.from_numpy(sample.squares_N3SS[list(numbers)]),
        "cls": torch.tensor(classes, dtype=torch.float32).reshape(-1, 1),
        "bboxes": torch.tensor(np.array(boxes), dtype=torch.float32).reshape(-1, 4),
        "batch_idx": torch.tensor(owners),
        "masks": torch.tensor(np.array(masks)).reshape(-1, cells, cells),
        "ori_shape": [sample.squares_N3SS.shape[2:]] * len(numbers),
        "ratio_pad": [((1.0, 1.0), (0.0, 0.0))] * len(numbers),
        "im_file": [f"{number}.jpg" for number in numbers],
    }
