"""The user's own images on the page of an answer: those nearest to the first start's training data, and
what the first starts see on them before any training. No image of another data set is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from recommender.blas import torch_threads
from recommender.checkpoints import restore_model
from recommender.datasets import read_image
from recommender.errors import RecommenderError
from recommender.forecast.situation import Situation
from recommender.pipeline import Study
from recommender.profile.embedding import unit_rows
from recommender.profile.images import letterbox
from recommender.records import ByteArray, Checkpoint, LabelledImage, Profile, Recommendation
from recommender.report.photos import jpeg_of, svg_photo
from recommender.text import printable

NUM_NEAREST = 4
NUM_SCENES = 3  # images on which predictions are drawn
NUM_STARTS = 3  # checkpoints that draw them
THUMB_SIDE, SCENE_SIDE = 200, 420  # pixels
INPUT_SIDE = 416  # pixels of the networks' square input
CONFIDENCE = 0.25
MAX_BOXES = 30


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The most similar objects of one checkpoint's source, image by image in the order of `AnswerPictures.scenes`."""

    checkpoint: str
    drawings: tuple[Markup, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerPictures:
    """Everything drawn from the user's images; empty where they cannot be read any more."""

    nearest_to: str | None = None  # the checkpoint whose training data the images below are nearest to
    nearest: tuple[tuple[Markup, str], ...] = ()  # picture, name
    scenes: tuple[Markup, ...] = ()  # placed once, referred to by the drawings
    predictions: tuple[Predictions, ...] = ()


def pictures_of(case: Study, recommendation: Recommendation) -> AnswerPictures:
    """The pictures of an answer; a checkpoint or an image that cannot be read is left out."""
    situations = {situation.start: situation for situation in case.situations}
    ranked = [situations[row.start] for row in recommendation.ranking if row.start in situations]
    pretrained = _each_once(
        [one for one in ranked if one.checkpoint is not None and one.checkpoint.available]
    )
    images = {image.name: image for image in case.target.images}
    first = next((one for one in pretrained if one.source is not None), None)
    names = () if first is None or first.source is None else nearest_images(case.profile, first.source)
    shown = [
        (images[name], pixels)
        for name in names
        if name in images and (pixels := _read(images[name])) is not None
    ]
    scenes = _scenes(case)
    return AnswerPictures(
        nearest_to=first.start.checkpoint if first else None,
        nearest=tuple((_thumbnail(pixels), printable(image.name, limit=60)) for image, pixels in shown),
        scenes=tuple(_scene(number, pixels) for number, pixels in enumerate(scenes)),
        predictions=tuple(
            found
            for one in pretrained[:NUM_STARTS]
            if one.checkpoint is not None and (found := _predictions(one.checkpoint, scenes)) is not None
        )
        if scenes
        else (),
    )


def nearest_images(target: Profile, source: Profile) -> tuple[str, ...]:
    """Names of the target's sampled images that look most like any sampled image of the source."""
    if not len(target.image_vectors_NK) or not len(source.image_vectors_NK):
        return ()
    closeness_N = (unit_rows(target.image_vectors_NK) @ unit_rows(source.image_vectors_NK).T).max(axis=1)
    return tuple(target.image_names[index] for index in np.argsort(-closeness_N, kind="stable")[:NUM_NEAREST])


def _each_once(situations: Sequence[Situation]) -> list[Situation]:
    """The first situation of each checkpoint: its mode changes nothing before the training."""
    return list({one.start.checkpoint: one for one in reversed(situations)}.values())[::-1]


def _scenes(case: Study) -> list[ByteArray]:
    """The first few val images with objects, by content: the same set shows the same ones; none of other tasks."""
    if case.target.task != "detect":
        return []  # what is drawn on them are a detector's boxes
    labelled = [image for image in case.target.of_split("val") if len(image.boxes_M4)]
    found = []
    for image in sorted(labelled, key=lambda image: image.sha256)[: 3 * NUM_SCENES]:
        pixels = _read(image)
        if pixels is not None:
            found.append(pixels)
    return found[:NUM_SCENES]


def _read(image: LabelledImage) -> ByteArray | None:
    try:
        return read_image(image.path, max_side=SCENE_SIDE)
    except (OSError, RecommenderError):
        return None  # moved or changed since


def _thumbnail(pixels_HW3: ByteArray) -> Markup:
    data, width, height = jpeg_of(pixels_HW3, THUMB_SIDE)
    return Markup('<img alt="" width="{}" height="{}" src="data:image/jpeg;base64,{}">').format(
        width, height, data
    )


def _scene(number: int, pixels_HW3: ByteArray) -> Markup:
    height, width = pixels_HW3.shape[:2]
    return svg_photo(f"scene{number}", pixels_HW3, width, height, side=SCENE_SIDE)


def _predictions(checkpoint: Checkpoint, scenes: Sequence[ByteArray]) -> Predictions | None:
    try:
        boxes = detect(checkpoint, scenes)
    except (RecommenderError, RuntimeError):
        return None  # a network that cannot run shows nothing; the ranking has said why
    names = checkpoint.class_names or ()
    drawings, captions = [], []
    for number, (pixels_HW3, rows_M6) in enumerate(zip(scenes, boxes, strict=True)):
        drawings.append(_drawing(number, pixels_HW3, rows_M6, names))
        captions.append(_caption(rows_M6, names))
    return Predictions(
        checkpoint=printable(checkpoint.name), drawings=tuple(drawings), captions=tuple(captions)
    )


def detect(checkpoint: Checkpoint, images: Sequence[ByteArray]) -> list[NDArray[np.float32]]:
    """The checkpoint's own detections, before any training: per image (M, 6), x1 y1 x2 y2 in pixels, score, class."""
    import torch

    squares = [letterbox(pixels, INPUT_SIDE) for pixels in images]
    # Several threads wait for each other in every layer of so small a network on a busy machine.
    with torch_threads(1):
        model = restore_model(checkpoint).eval()
        from ultralytics.utils.nms import non_max_suppression

        batch = torch.from_numpy(np.stack([square for square, _ in squares])).float().div_(255)
        with torch.inference_mode():
            seen = model(batch)
        found = non_max_suppression(seen, conf_thres=CONFIDENCE, max_det=MAX_BOXES, max_time_img=5.0)
    result = []
    for pixels_HW3, (_, content), rows in zip(images, squares, found, strict=True):
        rows_M6 = rows.cpu().numpy().astype(np.float32)
        left, top, right, _ = (edge * INPUT_SIDE for edge in content)
        scale = pixels_HW3.shape[1] / max(right - left, 1.0)
        rows_M6[:, [0, 2]] = (rows_M6[:, [0, 2]] - left) * scale
        rows_M6[:, [1, 3]] = (rows_M6[:, [1, 3]] - top) * scale
        result.append(rows_M6)
    return result


def _drawing(
    number: int, pixels_HW3: ByteArray, rows_M6: NDArray[np.float32], names: Sequence[str]
) -> Markup:
    height, width = pixels_HW3.shape[:2]
    marks = [
        Markup('<g><title>{}</title><rect class="halo" {}/><rect class="seen" {}/></g>').format(
            f"{_name(int(label), names)}, {score:.0%} sure", place, place
        )
        for x1, y1, x2, y2, score, label in rows_M6.tolist()
        for place in [
            Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"').format(
                x1, y1, max(x2 - x1, 0.0), max(y2 - y1, 0.0)
            )
        ]
    ]
    return Markup('<svg class="scene" viewBox="0 0 {} {}" role="img"><use href="#scene{}"/>{}</svg>').format(
        width, height, number, Markup("").join(marks)
    )


def _caption(rows_M6: NDArray[np.float32], names: Sequence[str]) -> str:
    labels = [_name(int(label), names) for label in rows_M6[:, 5].tolist()]
    counts = {label: labels.count(label) for label in labels}
    if not counts:
        return "nothing"
    often = sorted(counts.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{count} {label}" for label, count in often)


def _name(label: int, names: Sequence[str]) -> str:
    return printable(names[label], limit=30) if label < len(names) else f"class {label}"
