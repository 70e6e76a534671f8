"""The task that a data set is read for: the one asked for, else the one its labels are made for."""

from __future__ import annotations

from recommender.datasets.outlines import is_true_outline
from recommender.datasets.raw import RawSet
from recommender.errors import WrongTaskError
from recommender.tasks import Task, task_definition
from recommender.text import counted, printable

NEARLY_ALL = 0.95  # of the objects with an outline: the set was drawn for segmentation


def choose_task(raw: RawSet, asked: Task | None) -> Task:
    """The task to read `raw` for; the choice is noted in its log.

    Raises WrongTaskError where the labels do not serve the task asked for.
    """
    named = printable(raw.name)
    if raw.classified:
        if asked not in (None, "classify"):
            raise WrongTaskError(
                f"{named} holds a class for each image and no {task_definition(asked).objects}: "
                f"image classification, not {task_definition(asked).name_in_full}.",
                remedy="Read it with --task classify, or give a set with boxes or outlines.",
            )
        return "classify"
    if asked == "classify":
        raise WrongTaskError(
            f"{named} holds boxes or outlines within images, not one class for each image: no image classification.",
            remedy="Give folders of images by class or a CSV of file and label, or leave out --task.",
        )
    total = sum(len(image.classes_M) for image in raw.images)
    outlined = sum(is_true_outline(outline) for image in raw.images for outline in image.outlines)
    if raw.format == "masks":  # whatever the shape: a mask is an outline
        outlined = total
    if raw.log.count("label_outline") and not outlined:  # there would be nothing for --task segment to read
        drawn = raw.log.count("label_outline")
        raw.log.forget("label_outline")
        raw.log.add("outline_rectangle", raw.name, f"each of {counted(drawn, 'outline')} is", count=drawn)
    if asked == "detect":
        return "detect"
    if asked == "segment":
        if total and not outlined:
            raise WrongTaskError(
                f"{named} holds boxes and no outline: object detection, not instance segmentation.",
                remedy="Read it with --task detect, or export polygons or masks.",
            )
        return "segment"
    if total and outlined >= NEARLY_ALL * total:
        raw.log.forget("task_detect")
        raw.log.add("task_segment", raw.name, f"outlines for {outlined} of {counted(total, 'object')}")
        return "segment"
    if outlined and not any(raw.log.count(kind) for kind in ("label_outline", "task_detect")):
        raw.log.add("task_detect", raw.name, f"outlines for {outlined} of {counted(total, 'object')}")
    return "detect"
