"""Trained weights on the held-out images: their score as ultralytics counts it, and their boxes."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.atomic_files import replacing
from recommender.comparison.comparison_input import Box, Evaluation, HeldOutSplit, Scene, Score
from recommender.datasets import export_yolo
from recommender.errors import CheckpointError, StorageError
from recommender.families import FAMILIES, ModelFamily, family_of_head
from recommender.families.ultralytics.validation import validator_class
from recommender.home import subfolder
from recommender.leftovers import TEMPORARY
from recommender.records import Dataset, LabelledImage, Split
from recommender.store.records_json import decode, encode
from tune_jobs.compare.masks import Rings, kept_rings, rings_of_masks
from tune_jobs.training.score import metrics_of

if TYPE_CHECKING:
    from torch import nn

KEPT_CONFIDENCE = 0.05  # fainter boxes count for the score, but nobody asks to see them
MAX_BOXES = 100  # kept of one image
BATCH = 16


def held_out_images(target: Dataset, split: Split) -> HeldOutSplit:
    """The images that score the trained models, and what is on them."""
    return HeldOutSplit(
        split=split,
        is_held_out=split == "test",
        scenes=tuple(_scene(image) for image in target.of_split(split)),
    )


def export_held_out(target: Dataset, split: Split) -> Path:
    """A clean copy of those images alone, once per data set."""
    folder = subfolder("held") / f"{target.content_hash}-{split}"
    export_yolo(target, folder, splits=(split,))
    return folder


def evaluation_file(run_id: str, split: Split) -> Path:
    """The file that keeps a run's evaluation."""
    return subfolder("evaluations") / f"{run_id}-{split}.json.gz"


def known_evaluation(run_id: str, split: Split, *, tta: bool = False) -> Evaluation | None:
    """The evaluation kept; None when there is none, it is damaged, or lacks the test-time augmentation asked for."""
    try:
        found = decode(
            Evaluation, gzip.decompress(evaluation_file(run_id, split).read_bytes()).decode("ascii")
        )
    except (OSError, EOFError, UnicodeDecodeError, StorageError):
        return None
    return found if found.tried_tta or not tta else None


def evaluate(
    run_id: str, weights: Path, data: Path, held: HeldOutSplit, *, imgsz: int, tta: bool = False
) -> Evaluation:
    """Score a run's weights on the export of `export_held_out` and keep the result; with `tta` augmented too.

    Raises CheckpointError when the file holds no weights of ours, UnavailableError when ultralytics cannot be
    used safely in this process, StorageError when the disk refuses.
    """
    from tune_jobs.training import prepare_environment

    prepare_environment()
    import torch

    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    model = load_trained(weights).to(device).eval()
    score, boxes = validate(model, data, held.split, imgsz=imgsz, device=device)
    augmented = None
    if tta and can_augment(model):
        augmented, _ = validate(model, data, held.split, imgsz=imgsz, device=device, augment=True)
    names = {f"{number:06d}": scene.name for number, scene in enumerate(held.scenes)}
    found = Evaluation(
        run_id=run_id,
        split=held.split,
        score=score,
        boxes={names[stem[:6]]: kept for stem, kept in boxes.items()},
        tta=augmented,
        tried_tta=tta,
    )
    file = evaluation_file(run_id, held.split)
    try:
        with replacing(file) as part:
            part.write_bytes(gzip.compress(encode(found).encode("ascii"), mtime=0))
    except OSError as error:
        raise StorageError(
            f"The evaluation cannot be kept in {file.parent}: {error.strerror}.",
            remedy="Free some space there.",
        ) from error
    return found


def can_augment(model: Any) -> bool:
    """True if ultralytics can join what this model says of several sizes; where it cannot, it would say nothing."""
    from ultralytics.nn.modules import Detect

    return type(model.model[-1]) is Detect and not getattr(model, "end2end", False)


def load_trained(file: Path) -> nn.Module:
    """The model of a `best.safetensors` that a training left, floats as fp32. Raises CheckpointError."""
    from safetensors import SafetensorError, safe_open

    from recommender.families.ultralytics.models import build_like
    from tune_jobs.training.normalisation import use_group_norm

    try:
        with safe_open(file, framework="pt") as opened:
            told = opened.metadata()
            state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        architecture, names = told["architecture"], tuple(json.loads(told["class_names"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} is not what a training of ours left: {error}.") from error
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    model = build_like(architecture, len(names), shapes)
    if told.get("normalisation") == "group":
        use_group_norm(model)
    floats = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    model.load_state_dict(floats)
    model.names = dict(enumerate(names))  # type: ignore[assignment]
    return model


def validate(
    model: Any, data: Path, split: Split, *, imgsz: int, device: str, augment: bool = False
) -> tuple[Score, Mapping[str, tuple[Box, ...]]]:
    """The score of a model in evaluation mode on an export's split, and its boxes by the stem of each image's file."""
    import torch

    family = family_of_head(type(model.model[-1]).__name__) or FAMILIES[0]
    if family.task == "classify":
        return _classify(model, family, data, split, imgsz=imgsz, device=device)
    boxes: dict[str, tuple[Box, ...]] = {}
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        loader = _loader(family, data, split, imgsz=imgsz, stride=int(model.stride.max()))
        validator = validator_class(family)(
            loader, save_dir=Path(folder), args={"imgsz": imgsz, "task": family.task, "plots": False}
        )
        validator.device, validator.data, validator.training = torch.device(device), {"val": str(data)}, True
        validator.args.quantize = None
        validator.init_metrics(model)
        with torch.inference_mode():
            for batch in loader:
                prepared = validator.preprocess(batch)
                found = validator.postprocess(model(prepared["img"], augment=augment))
                for index, image in enumerate(found):
                    seen = validator._prepare_batch(index, prepared)
                    boxes[Path(seen["im_file"]).stem] = _predicted(validator, image, seen)
                validator.update_metrics(found, prepared)
        validator.get_stats()
        score, details = metrics_of(family.task, validator.metrics)
    return Score(score=score, details=details), boxes


def _classify(
    model: Any, family: ModelFamily, data: Path, split: Split, *, imgsz: int, device: str
) -> tuple[Score, Mapping[str, tuple[Box, ...]]]:
    """The score of a classifier, and its first guess for each image as a box around the whole of it."""
    import torch
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_dataloader

    from tune_jobs.training.classification import CleanPhotos

    photos = CleanPhotos(data / split, get_cfg(overrides={"imgsz": imgsz, "cache": "ram"}), augment=False)
    loader = build_dataloader(photos, batch=BATCH, workers=0, shuffle=False, device="cpu", pin_memory=False)
    paths = iter([Path(str(sample[0])) for sample in photos.samples])
    boxes: dict[str, tuple[Box, ...]] = {}
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        options = {"imgsz": imgsz, "task": "classify", "plots": False}
        validator = validator_class(family)(loader, save_dir=Path(folder), args=options)
        validator.device, validator.training = torch.device(device), True
        validator.args.quantize = None
        validator.init_metrics(model)
        with torch.inference_mode():
            for batch in loader:
                prepared = validator.preprocess(batch)
                likely = validator.postprocess(model(prepared["img"]))
                for confidence, label in zip(*(part.tolist() for part in likely.max(1)), strict=True):
                    boxes[next(paths).stem] = (_box((0, 0, 1, 1), (1, 1), int(label), confidence),)
                validator.update_metrics(likely, prepared)
        validator.get_stats()
    score, details = metrics_of(family.task, validator.metrics)
    return Score(score=score, details=details), boxes


def _loader(family: ModelFamily, data: Path, split: Split, *, imgsz: int, stride: int) -> Any:
    from ultralytics.data.build import build_dataloader
    from ultralytics.utils import DEFAULT_CFG

    from tune_jobs.training.dataset import dataset_class, read_data_yaml

    dataset = dataset_class(family)(
        img_path=str(data / "images" / split),
        imgsz=imgsz,
        batch_size=BATCH,
        augment=False,
        hyp=DEFAULT_CFG,
        rect=not family.square_images,
        stride=max(stride, 32),
        pad=0.5,
        task=family.task,
        data=read_data_yaml(data),
    )
    return build_dataloader(dataset, batch=BATCH, workers=0, shuffle=False, device="cpu", pin_memory=False)


def _predicted(validator: Any, found: Mapping[str, Any], seen: Mapping[str, Any]) -> tuple[Box, ...]:
    """The surest predictions on an image, at most MAX_BOXES, with the rings of their masks where there are any."""
    from ultralytics.models.yolo.detect import DetectionValidator

    order = found["conf"].argsort(descending=True, stable=True)[:MAX_BOXES]
    kept = order[found["conf"][order] >= KEPT_CONFIDENCE]
    surest = {key: values[kept] for key, values in found.items()}
    if (
        "masks" in surest
    ):  # left as small as they are: a segmenter would blow each up to the size of the photo
        scaled = DetectionValidator.scale_preds(validator, surest, seen)
        rings = rings_of_masks(surest["masks"], seen)
    else:
        scaled = validator.scale_preds(surest, seen)
        rings = ((),) * len(kept)
    height, width = seen["ori_shape"]
    rows = zip(scaled["bboxes"].tolist(), scaled["cls"].tolist(), scaled["conf"].tolist(), rings, strict=True)
    return tuple(
        _box(corners, (width, height), int(label), confidence, of_mask)
        for corners, label, confidence, of_mask in rows
    )


def _box(
    corners: Sequence[float], size: tuple[int, int], label: int, confidence: float, rings: Rings = ()
) -> Box:
    x1, y1, x2, y2 = (
        round(min(1.0, max(0.0, value / size[axis % 2])), 4) for axis, value in enumerate(corners)
    )
    return Box(x1=x1, y1=y1, x2=x2, y2=y2, label=label, confidence=round(confidence, 3), rings=rings)


def _scene(image: LabelledImage) -> Scene:
    truth = []
    rings = [kept_rings(outline) for outline in image.polygons or ()] or [()] * len(image.classes_M)
    rows = zip(image.classes_M.tolist(), image.boxes_M4.tolist(), rings, strict=True)
    for label, (x, y, w, h), of_mask in rows:
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        truth.append(_box(corners, (1, 1), int(label), 1.0, of_mask))
    return Scene(name=image.name, width=image.width, height=image.height, truth=tuple(truth))
