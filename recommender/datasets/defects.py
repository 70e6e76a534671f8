"""Faults of a data set, counted by kind.

The table names every kind with its severity and its remedy. An `error` costs data: the row or the
image is left out. A `warning` is worth a look, nothing is lost. `info` is only told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from recommender.records import Defect
from recommender.text import printable

Severity = Literal["info", "warning", "error"]
MAX_EXAMPLES = 5

IMAGE_REMEDY = "Replace or remove these files."
KINDS: Mapping[str, tuple[Severity, str]] = {
    # rows of labels
    "label_not_number": (
        "error",
        "Rows read `class x y w h`, numbers apart from spaces; remove or fix these.",
    ),
    "label_not_finite": ("error", "NaN and infinity are no coordinates; fix the tool that wrote them."),
    "label_columns": (
        "error",
        "A row has 5 columns, or 1 + 2n with n ≥ 3 for a polygon; drop extra columns.",
    ),
    "label_class_fraction": ("error", "Class ids are whole numbers from 0."),
    "label_class_negative": ("error", "Class ids count from 0; remove rows of class −1."),
    "label_class_unknown": ("error", "The id has no name; complete `names` or fix the rows."),
    "label_negative": ("error", "Coordinates and sizes cannot be negative; export the labels again."),
    "label_out_of_range": ("error", "Coordinates are fractions of the image, within 0 … 1; export again."),
    "label_in_pixels": ("error", "Divide x and w by the image's width, y and h by its height."),
    "label_zero_area": ("error", "Remove boxes without area."),
    "label_clipped": ("warning", "Boxes reached beyond the image and were cut at its edge."),
    "label_corners_swapped": ("warning", "Minimum and maximum were swapped; they were put in order."),
    "label_duplicate": ("warning", "The same box of the same class twice; it counts once."),
    "label_crowd": ("info", "Crowd regions are no single objects and are left out."),
    "label_no_box": ("error", "The object has neither box nor outline; remove it."),
    "label_dangling_image": ("error", "The annotation names an image that is not listed; remove it."),
    "label_duplicate_id": ("warning", "Annotation ids should be unique; the rows were kept."),
    "label_missing_id": ("info", "Annotations without an id were kept."),
    # label files
    "label_not_utf8": ("error", "Save the label files as UTF-8."),
    "label_unreadable": ("error", "Fix or remove these label files."),
    "label_too_large": ("error", "Split the file or remove it; honest label files are small."),
    "label_without_image": ("warning", "Call them as their images are called, or add the images."),
    "image_without_label": ("info", "They count as background; add an empty label file to say so."),
    # images
    "image_missing": ("error", "Put the images where the annotations say, or remove their entries."),
    "image_empty": ("error", "The file has no bytes. " + IMAGE_REMEDY),
    "image_unreadable": ("error", "No image format that is known here. " + IMAGE_REMEDY),
    "image_truncated": ("error", "The file ends early. " + IMAGE_REMEDY),
    "image_too_large": ("error", "Scale these images down."),
    "image_too_small": ("error", "Detectors need at least 10 pixels a side. " + IMAGE_REMEDY),
    "image_unlabelled": ("error", "None of their label rows is usable; fix the labels."),
    "image_wrong_extension": ("warning", "The content decides; rename the files to match it."),
    "image_size_differs": (
        "warning",
        "The annotations give another size; boxes were scaled to the real one.",
    ),
    "image_listed_twice": ("warning", "The image is listed twice; its boxes were joined."),
    "image_unlisted": ("warning", "No list of a split names them, so they were left out; add them to one."),
    "image_in_two_splits": ("error", "An image in train must not be in val; it stayed in train."),
    "image_missing_id": ("error", "Every image entry needs an id."),
    "image_duplicate_id": ("error", "Image ids must be unique; the first one stayed."),
    # the description
    "names_missing": ("warning", "Name the classes in a data.yaml or classes.txt; ids stand for names now."),
    "names_incomplete": ("warning", "Complete `names`; ids stand for the missing ones."),
    "names_duplicate": ("warning", "Give each class a name of its own."),
    "names_odd": ("warning", "Names hold control characters; they are shown escaped."),
    "names_differ": ("warning", "Splits name different classes; they were matched by name."),
    "nc_mismatch": ("warning", "`nc` should equal the number of `names`; the names were believed."),
    "category_unused": ("info", "Roboflow's supercategory has no boxes; it is left out of the classes."),
    "category_broken": ("error", "Every category needs a whole-number id of its own and a name."),
    "yaml_path_ignored": (
        "info",
        "`path:` names this folder as it was elsewhere; the folder itself was used.",
    ),
    "download_ignored": ("info", "`download:` is never run here; the images were already there."),
    "planted_cache": ("warning", "Label caches and arrays are never loaded: they can run code. Delete them."),
    "split_missing": ("info", "The test split named is not there; nothing here needs it."),
    "val_is_train": ("warning", "val lists the images of train; a seeded split took its place."),
    # what inspection finds
    "exact_duplicate": ("warning", "Remove the copies, they only weigh more."),
    "near_duplicate": ("info", "Nearly the same picture twice in a split; thin them out."),
    "exact_duplicate_leak": ("error", "The val score is too good: keep copies on one side of the split."),
    "near_duplicate_leak": ("warning", "The val score is too good: split by scene, not by image."),
    "box_tiny": ("info", "Boxes below 4 pixels are hardly learnable; train at a larger image size."),
    "class_empty": ("warning", "The class has no box; remove it or label some."),
    "class_missing_in_val": (
        "warning",
        "The class has boxes in train and none in val: its score is unknown.",
    ),
    "class_missing_in_train": ("error", "The class has boxes in val and none in train: it cannot be learnt."),
}


class DefectLog:
    """Collects faults while a data set is read. Not thread-safe: one log, one thread."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, where: str, what: str = "", *, count: int = 1) -> None:
        """Count a fault of `kind`; `where` is a path relative to the root, `what` the value found."""
        if kind not in KINDS:
            raise KeyError(kind)
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(printable(f"{where}: {what}" if what else where, limit=200))

    def count(self, *kinds: str) -> int:
        """How often these kinds were seen."""
        return sum(self._counts.get(kind, 0) for kind in kinds)

    def errors(self, prefix: str) -> dict[str, int]:
        """Counts of the kinds of severity error whose code starts so."""
        return {
            kind: count
            for kind, count in self._counts.items()
            if kind.startswith(prefix) and KINDS[kind][0] == "error"
        }

    def defects(self) -> tuple[Defect, ...]:
        """All that was counted, the worst first."""
        order = {"error": 0, "warning": 1, "info": 2}
        found = [
            Defect(
                kind=kind,
                severity=KINDS[kind][0],
                count=count,
                examples=tuple(self._examples[kind]),
                remedy=KINDS[kind][1],
            )
            for kind, count in self._counts.items()
        ]
        return tuple(sorted(found, key=lambda defect: (order[defect.severity], -defect.count, defect.kind)))
