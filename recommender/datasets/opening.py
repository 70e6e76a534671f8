"""`open_dataset`: which format a path holds, and who reads it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from recommender.datasets.archive import (
    is_archive,
    is_zip_without_images,
    packed_kind,
    remove_unpacked,
    unpacked,
)
from recommender.datasets.assembly import assemble
from recommender.datasets.classification import read_classification, read_csv_file, refuse_no_classes
from recommender.datasets.coco import read_coco
from recommender.datasets.coco_files import find_coco, refuse_results, root_of, siblings_of
from recommender.datasets.defects import DefectLog
from recommender.datasets.description import Description, read_description
from recommender.datasets.disk import CACHE_SUFFIXES, UNREAD_IMAGES, Disk
from recommender.datasets.formats import (
    FORMATS,
    HEAD_BYTES,
    OF_ANYTHING,
    SAMPLED,
    Format,
    find_format,
    may_be_notes,
    unread,
)
from recommender.datasets.label_files import count_label_files
from recommender.datasets.limits import LIMITS, DatasetLimits
from recommender.datasets.mask_files import is_voc_mask
from recommender.datasets.masks import NAMELESS, read_masks
from recommender.datasets.other_tasks import error_without_labels, holds_packed_annotations
from recommender.datasets.raw import RawSet
from recommender.datasets.second_forms import tell_second_form
from recommender.datasets.split_names import split_of_words
from recommender.datasets.tables.boxes import classed_tables
from recommender.datasets.tables.split_lists import take_splits
from recommender.datasets.wrong_content import WrongContent, wrong_content
from recommender.datasets.yolo import read_described, read_layout, refuse_other_names, unlabelled
from recommender.errors import DatasetError, NotFoundError, UnsafeInputError, WrongTaskError
from recommender.home import expanded, subfolder
from recommender.progress import Progress, silent
from recommender.records import Dataset
from recommender.tasks import Task
from recommender.text import counted, printable

YAML_SUFFIXES = (".yaml", ".yml")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
ANNOTATION_SUFFIXES = tuple(
    {suffix for row in FORMATS if row.read for suffix in row.suffixes} - {*TABLE_SUFFIXES}
)
USUAL_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
COCO_START = re.compile(rb'"images"\s*:\s*\[')
MAX_NESTED = 3  # folders above a data.yaml
MAX_FOLDERS = 1000


def open_dataset(
    path: Path | str,
    *,
    task: Task | None = None,
    seed: int = 0,
    allowed_roots: tuple[Path, ...] = (),
    follow_links: bool = True,
    limits: DatasetLimits = LIMITS,
    progress: Progress | None = None,
) -> Dataset:
    """Read a data set of any format: a folder, a data.yaml, a COCO JSON, a VOC tree, an archive of one.

    `task` decides what a set is read for; None means what its labels are made for. `seed` divides train from val
    where the data set does not. Nothing outside the data set's own folder and `allowed_roots` is read, nothing in
    it is run, and none of its files is changed. Without `follow_links` `path` itself must hold no link: for callers
    that have checked where it leads, and others could swap it since.

    Raises NotFoundError for a path that is not there, UnsafeInputError for what tries to leave its
    folder or exhausts the machine, WrongTaskError for other tasks, DatasetError for the rest.
    """
    given = expanded(path)
    if not os.path.exists(given):  # noqa: PTH110 - Path.exists raises for NUL and names that are too long
        raise NotFoundError(
            f"There is no {printable(given)}.", remedy="Give a folder, data.yaml, JSON or archive."
        )
    place = given.resolve()
    if not follow_links and place != given:
        raise UnsafeInputError(
            f"{printable(given.name)} leads through a link.", remedy="Give the folder itself."
        )
    log = DefectLog()
    roots = tuple(root.resolve() for root in allowed_roots)
    if (
        place.is_file()
        and place.suffix.lower() not in (*YAML_SUFFIXES, *ANNOTATION_SUFFIXES, *TABLE_SUFFIXES)
        and is_archive(place)
        and not (
            holds_packed_annotations(place)
            and (place.suffix.lower() != ".zip" or is_zip_without_images(place, limits))
        )
    ):
        return _open_archive(place, log, limits, seed, progress or silent, task)
    raw, disk = _read(place, roots, log, limits, task)
    return assemble(raw, disk=disk, seed=seed, progress=progress or silent, task=task)


def _open_archive(
    place: Path, log: DefectLog, limits: DatasetLimits, seed: int, progress: Progress, task: Task | None
) -> Dataset:
    known = {each.name for each in subfolder("unpacked").iterdir()}  # read for another task, perhaps in use
    folder = unpacked(place, limits=limits).resolve()
    try:
        disk = Disk((folder,), limits=limits)
        raw = _read_folder(folder, disk, log, task)
        raw.config = None  # it lies among our own files, which come and go
        _report_unread(disk, log)
        return assemble(raw, disk=disk, seed=seed, progress=progress, task=task)
    except DatasetError:
        if folder.parent.name not in known:
            remove_unpacked(folder)
        raise


def _read(
    place: Path, allowed_roots: tuple[Path, ...], log: DefectLog, limits: DatasetLimits, task: Task | None
) -> tuple[RawSet, Disk]:
    suffix = place.suffix.lower()
    if place.is_dir():
        disk = Disk((place, *allowed_roots), limits=limits)
        raw = _read_folder(place, disk, log, task)
    elif not place.is_file():
        raise DatasetError(f"{printable(place.name)} is neither a file nor a folder.")
    elif suffix in YAML_SUFFIXES:
        disk = Disk((place.parent, *allowed_roots), limits=limits)
        raw = _read_yaml(place, disk, log)
    elif suffix in ANNOTATION_SUFFIXES:
        root = root_of(place)
        disk = Disk((root, *allowed_roots), limits=limits)
        raw = _read_file(place, root, disk, log)
    elif suffix in TABLE_SUFFIXES:
        root = root_of(place)
        disk = Disk((root, *allowed_roots), limits=limits)
        try:
            name = root.name or place.stem
            raw = read_csv_file(place, root, disk, log, name, asked=task == "classify")
        except DatasetError:
            if find_format([place], disk) is None:
                raise
            raw = _read_file(place, root, disk, log)
    else:
        disk = Disk((place.parent,), limits=limits)
        if refusal := _unread_file(place, place.parent, disk):
            raise refusal
        raise _no_dataset(place, disk)
    _report_unread(disk, log)
    return raw, disk


def _no_dataset(place: Path, disk: Disk) -> DatasetError:
    """The refusal of a file that is no data set by its content."""
    start = disk.head(place, 64)
    kind = packed_kind(start)
    found = wrong_content(start) or WrongContent(
        f"{kind}, which is not opened" if kind else "not a data set" if start else "empty",
        "Unpack it and give the folder, or pack it as zip."
        if kind
        else "Give a folder, data.yaml, COCO JSON, VOC tree, or a zip or tar of one.",
    )
    return DatasetError(f"{printable(place.name)} is {found.what}.", remedy=found.remedy)


def _read_file(place: Path, root: Path, disk: Disk, log: DefectLog) -> RawSet:
    """Read one file of annotations; of COCO's, the other splits' files beside it too."""
    name = root.name or place.stem
    found = find_format([place], disk)
    if found is None and place.suffix.lower() == ".json":
        return read_coco(siblings_of(place, disk), root, disk, log, name)
    if found is None:
        raise DatasetError(
            f"{printable(place.name)} is no annotation file of a known form.", remedy="Give the folder."
        )
    row, paths = found
    if row.per_image:
        raise DatasetError(
            f"{printable(place.name)} is {row.name}, one file an image.", remedy="Give the folder of them."
        )
    if row.read is None:
        raise unread(row, place, root, disk)
    return row.read(paths, root, disk, log, name)


def _unread_file(place: Path, root: Path, disk: Disk) -> DatasetError | None:
    """The refusal of a file whose form is known by name alone; None of any other."""
    found = find_format([place], disk)
    return unread(found[0], place, root, disk) if found is not None and found[0].read is None else None


def _read_yaml(place: Path, disk: Disk, log: DefectLog) -> RawSet:
    description = read_description(place, disk, log)
    if description is None:
        raise DatasetError(
            f"{printable(place.name)} describes no data set.", remedy="It needs `train`, `val` and `names`."
        )
    return read_described(description, disk, log, place.parent.name or place.stem)


def _read_folder(root: Path, disk: Disk, log: DefectLog, task: Task | None) -> RawSet:
    """Read what a folder holds, and tell where labels of another form beside YOLO's or COCO's disagree."""
    raw = _first_form(root, disk, log, task)
    if raw.format in ("yolo", "folder", "coco"):
        tell_second_form(raw, root, disk, log)
    return raw


def _first_form(root: Path, disk: Disk, log: DefectLog, task: Task | None) -> RawSet:
    """Try the formats from the most to the least explicit."""
    name = root.name or "dataset"
    classes = read_classification(root, disk, log, name, asked=True) if task == "classify" else None
    if classes is not None:
        _tell_beside(find_format(list(disk.walk(root)), disk), classes, disk, log)
        for path in [path for path in disk.walk(root) if path.suffix.lower() == ".json"][:SAMPLED]:
            if COCO_START.search(disk.head(path, HEAD_BYTES)):
                log.add("form_beside", disk.name(path), "COCO JSON")
        return classes
    described = None
    description = _description_below(root, disk, log)
    if description is not None:
        described = read_described(description, disk, log, name)
        if any(image.labelled for image in described.images):
            return described
    root = _unwrapped(root, disk)
    num_labelled, num_images = count_label_files(root, disk)
    if 2 * num_labelled > num_images:
        return read_layout(root, disk, log, name, described)
    # A few texts beside annotations of another form are notes, or left over from a tool's other setting.
    if files := find_coco(root, disk):
        return read_coco(files, root, disk, log, name)
    masks = _masks(root, disk, log, name) if task == "segment" else None  # beside VOC's boxes, too
    if masks is not None:
        return masks
    found = find_format(list(disk.walk(root)), disk)
    table = find_format(list(disk.walk(root)), disk, among=lambda row: row.notes and row.read is not None)
    if found is not None and table is not None and found[0].read is None and {*table[1]} <= {*found[1]}:
        table = None  # of a form that is known by name
    if found is not None and found[0].read is not None and found != table:
        if task is None and any(is_voc_mask(path) for path in disk.images(root)):
            log.add("task_detect", name, "boxes, and masks beside them")
        return found[0].read(found[1], root, disk, log, name)
    if num_labelled:
        return read_layout(root, disk, log, name, described)
    if found is None or may_be_notes(*found):
        labelled = _masks(root, disk, log, name)
        if labelled is not None and task is None:
            _tell_folders(labelled, root, disk, log)
        if labelled is None and (task is None or (table is None and task != "classify")):
            boxes = classed_tables(table[1], root, disk) if table is not None else []
            labelled = read_classification(root, disk, log, name, boxes)
            if labelled is not None and described is not None:
                refuse_other_names(labelled, described, disk)
        if labelled is not None:
            _tell_beside(found, labelled, disk, log)
            return labelled
    refuse_results(root, disk)
    has_images = next(disk.images(root), None) is not None
    if has_images or not any(path.suffix.lower() in UNREAD_IMAGES for path in disk.walk(root)):
        if table is not None and table[0].read is not None:
            return table[0].read(table[1], root, disk, log, name)
        if found is not None:
            raise unread(found[0], found[1][0], root, disk)
    if described is not None and described.images and task != "classify":
        raise unlabelled(described, disk, "no labels of another form are read either")
    raise refuse_no_classes(root) if has_images and task == "classify" else error_without_labels(root, disk)


def _masks(root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet | None:
    """Masks, divided by lists beside them where neither Pascal VOC's nor folders do; None where there are none."""
    raw = read_masks(root, disk, log, name)
    if raw is not None and all(image.split is None for image in raw.images):
        take_splits(raw, (), root, disk)
    return raw


def _tell_folders(raw: RawSet, root: Path, disk: Disk, log: DefectLog) -> None:
    """Tell of folders that may be classes, where masks are of no named class: `benign/1.png`, `benign/1_mask.png`."""
    with contextlib.suppress(DatasetError):
        found = (
            read_classification(root, disk, DefectLog(), raw.name) if raw.class_names == (NAMELESS,) else None
        )
        few = found is not None and 2 * len(found.class_names) <= len(raw.images)  # no folder an image
        if found is not None and few and found.format == "class folders":
            log.add("folders_beside", raw.name, ", ".join(found.class_names[:5]))


def _tell_beside(found: tuple[Format, list[Path]] | None, raw: RawSet, disk: Disk, log: DefectLog) -> None:
    """Tell of annotations beside classes or masks, unless these are the tables that were read."""
    if found is None or not OF_ANYTHING.isdisjoint(found[0].suffixes) or raw.tables.issuperset(found[1]):
        return
    readable = "; --task detect reads it" if found[0].read is not None and raw.classified else ""
    log.add("form_beside", disk.name(found[1][0]), f"{found[0].name}{readable}")


def _unwrapped(folder: Path, disk: Disk) -> Path:
    """Down through folders that hold one folder and nothing else, as archives often have them."""
    for _ in range(MAX_NESTED):
        listing = disk.listing(folder)
        if listing.files or len(listing.folders) != 1 or split_of_words(listing.folders[0]):
            break
        folder = folder / listing.folders[0]
    return folder


def _description_below(root: Path, disk: Disk, log: DefectLog) -> Description | None:
    """The one data.yaml of a folder, looked for from the top down: archives often wrap a folder around it."""
    level = [_unwrapped(root, disk)]
    for _ in range(MAX_NESTED + 1):
        found = [item for folder in level for item in _descriptions_in(folder, disk, log)]
        if len(found) > 1:
            shown = ", ".join(printable(disk.name(item.path)) for item in found[:5])
            raise DatasetError(
                f"{printable(root.name)} holds {counted(len(found), 'data set')}: {shown}.",
                remedy="Give one of them.",
            )
        if found:
            return found[0]
        level = [folder / name for folder in level for name in disk.listing(folder).folders]
        if len(level) > MAX_FOLDERS:
            break
    return None


def _descriptions_in(folder: Path, disk: Disk, log: DefectLog) -> list[Description]:
    names = [name for name in disk.listing(folder).files if name.lower().endswith(YAML_SUFFIXES)]
    usual = [name for name in names if name.lower() in USUAL_NAMES][:1]
    found = []
    for name in usual or names:
        try:
            description = read_description(folder / name, disk, log)
        except WrongTaskError:
            raise
        except DatasetError:
            if len(names) == 1 or usual or _speaks_of_splits(folder / name, disk):
                raise
            continue  # some other tool's settings
        if description is not None:
            found.append(description)
    return found


def _speaks_of_splits(path: Path, disk: Disk) -> bool:
    """True if a file that is not valid YAML was meant as a data.yaml."""
    with contextlib.suppress(DatasetError):
        lines = disk.read_text(path, disk.limits.yaml_bytes).splitlines()
        return {"train", "val"} <= {line.partition(":")[0].strip() for line in lines}
    return False


def _report_unread(disk: Disk, log: DefectLog) -> None:
    for path in disk.seen():
        if path.suffix.lower() in CACHE_SUFFIXES:
            log.add("planted_cache", disk.name(path))
        elif path.suffix.lower() in UNREAD_IMAGES:
            log.add("image_kind_unread", disk.name(path))
