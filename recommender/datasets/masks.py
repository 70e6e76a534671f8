"""Instance segmentation by mask pictures: one a class, one an object, colours with a legend, or numbers."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import ImageError, read_mask
from recommender.datasets.mask_edges import EXTREMES, Values, hardened, is_black_and_white, is_jpeg, snapped
from recommender.datasets.mask_files import MaskFile, find_mask_files, is_mask_file, is_voc_mask
from recommender.datasets.mask_legends import Legend, find_legend, fitted
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.outlines import Mask, rings_of_mask
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.split_names import split_of_path
from recommender.datasets.voc_lists import find_image_sets
from recommender.datasets.voc_masks import Seen, boxes_by_stem, legend_by_boxes
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import counted, printable

NAMELESS = "object"
LOOKED_AT = 12  # masks that tell whether these are masks, and of what kind
FEW_VALUES = 64
FEW_CLASSES = 20  # that the names of masks may name, however few masks there are
NAMED_BY = 200  # masks whose boxes name the values, at most about so many
SPECK = 4  # pixels; smaller pieces are the rim of another colour
MOSTLY = 0.9
IGNORED = 255  # of numbered masks, by custom


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The reading of mask values that have no class of their own."""

    legend: Legend | None
    instances: bool  # values number objects
    void: bool = False  # Pascal VOC's masks mark the rims of objects with IGNORED


def read_masks(root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet | None:
    """Read a folder of images and masks; None where there are none.

    A mask of a class may hold several objects: its connected pieces count as objects, which is told. Raises
    DatasetError for colours or numbers without a legend.
    """
    masks = find_mask_files(root, disk, log)
    paths = [each.path for own in masks.values() for each in own]
    if not masks or not (_are_masks(paths, None, disk) or _are_masks(paths, find_legend(root, disk), disk)):
        return None
    _refuse_too_many_classes(masks, root)
    splits = _splits(masks, root, disk, log)
    masks = {path: own for path, own in masks.items() if path in splits}
    reading = _reading(masks, root, disk, log)
    entries = []
    edges: list[tuple[str, bool]] = []
    for path, own in masks.items():
        objects: list[Object] = []
        size = None
        instances = next((each for each in own if each.instances), None)
        for each in own:
            if instances is not None and not each.instances and len(own) > 1:
                continue  # the classes of the objects in the other one
            try:
                values_HW = _values(each, disk, reading.legend, log)
            except ImageError as error:
                log.add("label_unreadable", disk.name(each.path), error.message)
                objects.append(("", None))
                continue
            size = (float(values_HW.shape[1]), float(values_HW.shape[0]))
            if reading.legend is None and not (reading.instances or each.instances or each.single):
                edges.append((disk.name(each.path), _is_white_along_its_edge(values_HW)))
            found = _parts(each, values_HW, reading, own, disk, log)
            objects += [(kind, piece.shape()) for kind, piece in found]
        entries.append(
            NamedImage(
                reference=str(path),
                near=path,
                objects=tuple(objects),
                size=size,
                split=splits[path],
            )
        )
    white = [where for where, is_white in edges if is_white]
    if len(white) > MOSTLY * len(edges):
        log.add("mask_inverted", white[0], f"{len(white)} of {len(edges)}", count=len(white))
    if any(kind == NAMELESS for entry in entries for kind, _ in entry.objects):
        log.add("names_missing", name, f"{NAMELESS!r} stands for the class")
    return named_set(entries, format="masks", root=root, disk=disk, log=log, name=name, others="passed over")


def _is_white_along_its_edge(values_HW: Values) -> bool:
    """True where nearly all pixels at the mask's edge show something and some within do not, as in inverted masks."""
    edge = np.concatenate([values_HW[0], values_HW[-1], values_HW[:, 0], values_HW[:, -1]])
    return bool((edge > 0).mean() > MOSTLY and (values_HW == 0).any())


def _splits(
    masks: dict[Path, list[MaskFile]], root: Path, disk: Disk, log: DefectLog
) -> dict[Path, Split | None]:
    """The split of each image that is read: by Pascal VOC's lists where it has some, else by its folders."""
    stems = {path.stem for path in masks}
    lists = find_image_sets(root, disk, stems, ("segmentation", "main"))
    by_folder = {path: split_of_path(path, root) for path in masks}
    apart = len(stems) < len(masks) and None not in by_folder.values()  # a line of a list would mean several
    if apart or not any(map(lists.of, masks)):
        for path in disk.images(root):
            if path not in masks and not is_mask_file(path, root):
                log.add("image_without_mask", disk.name(path))
        return by_folder
    for stem in lists.without(stems):
        log.add("image_without_mask", stem, "a list of a split names it")
    found: dict[Path, Split | None] = {path: split for path in masks if (split := lists.of(path)) is not None}
    for path in masks.keys() - found.keys():
        log.add("image_unlisted", disk.name(path))
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """One object's pixels, cut out of the mask at `left` and `top`."""

    mask_HW: Mask
    left: int
    top: int

    @property
    def corners(self) -> Corners:
        """Its extent in pixels of the whole mask."""
        height, width = self.mask_HW.shape
        return float(self.left), float(self.top), float(self.left + width), float(self.top + height)

    def shape(self) -> Shape:
        """Its extent and its outline in pixels of the whole mask."""
        return Shape(self.corners, rings_of_mask(self.mask_HW, self.left, self.top))


def _cut_out(numbers_HW: NDArray[np.int32], disk: Disk) -> Iterator[tuple[int, Piece]]:
    """The pixels of each number but 0, cut out. Raises DatasetError for more numbers than an image has objects."""
    flat = numbers_HW.reshape(-1)
    order = np.argsort(flat, kind="stable")
    values, starts = np.unique(flat[order], return_index=True)
    if len(values) > disk.limits.label_rows:
        raise DatasetError(
            f"A mask holds {len(values)} values, at most {disk.limits.label_rows} objects are read.",
            remedy="Is it a mask?",
        )
    for value, places in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
        if value == 0:
            continue
        rows, columns = np.divmod(places, numbers_HW.shape[1])
        top, left = int(rows.min()), int(columns.min())
        mask_HW = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), bool)
        mask_HW[rows - top, columns - left] = True
        yield value, Piece(mask_HW=mask_HW, left=left, top=top)


def _are_masks(paths: Sequence[Path], legend: Legend | None, disk: Disk) -> bool:
    """True if pictures have few values, are black and white, or show a legend's colours: photos lie in folders
    called "mask" too.
    """
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            values_HW = read_mask(path, limits=disk.limits)
        except ImageError:
            continue
        values, counts = np.unique(values_HW, return_counts=True)
        few = len(values) <= FEW_VALUES or 256 <= values.max() <= 2**16 or is_black_and_white(values, counts)
        if not few and not (legend and legend.by_colour and _shows(values_HW, legend, path)):
            return False
    return True


def _shows(values_HW: Values, legend: Legend, path: Path) -> bool:
    """True if nearly all pixels have colours of a legend, softened edges aside."""
    known = [*legend.names, *legend.background]
    return bool(np.isin(snapped(values_HW, legend, path), known).mean() > EXTREMES)


def _values(mask: MaskFile, disk: Disk, legend: Legend | None, log: DefectLog | None = None) -> Values:
    """The values of a mask, softened edges made sharp again, which is told to `log`."""
    by_colour = legend is not None and legend.by_colour
    stored_HW = read_mask(mask.path, limits=disk.limits, as_colours=by_colour)
    if legend is None or (is_jpeg(mask.path) and not by_colour):
        values_HW = hardened(stored_HW, mask.path, one_class=mask.kind is not None)
    else:
        values_HW = snapped(stored_HW, legend, mask.path) if by_colour else stored_HW
    if log is not None and values_HW is not stored_HW:
        log.add("mask_soft", disk.name(mask.path))
    return values_HW


def _reading(masks: dict[Path, list[MaskFile]], root: Path, disk: Disk, log: DefectLog) -> Reading:
    """The masks read by a legend, else by their values: one alone, or numbers of objects, anew in each mask.

    Values of Pascal VOC's masks may be named by the boxes beside them.
    """
    _refuse_several_values(
        [each for own in masks.values() for each in own if each.kind and not each.single], disk
    )
    plain = [each for own in masks.values() for each in own if each.kind is None and not each.single]
    plain = [each for each in plain if not each.instances]
    numbered = any(each.instances for own in masks.values() for each in own)
    legend = find_legend(root, disk) if plain or numbered else None
    if legend is not None and plain:
        by_number = len(legend.names) > 1 and not legend.by_colour and not legend.counts
        if by_number and any(is_jpeg(each.path) for each in plain):
            raise DatasetError(
                f"The masks of {printable(root.name)} number classes, and JPEG keeps no number exactly.",
                remedy="Export masks as PNG.",
            )
        legend = fitted(legend, _shown(plain, legend, disk), root.name)
    if legend is not None or not plain:
        return Reading(legend=legend, instances=False)
    if of_classes := [each for each in plain if is_voc_mask(each.path)]:
        legend = _legend_by_boxes(of_classes, masks, root, disk, log)
        if legend is not None:
            return Reading(legend=legend, instances=False)
    most: Counter[int] = Counter()
    alone: set[int] = set()
    contiguous = not of_classes
    void = False
    for each in plain[:: max(1, len(plain) // LOOKED_AT)]:
        try:
            values = np.unique(_values(each, disk, None))
        except ImageError:
            continue
        values = values[values != 0]
        if of_classes:
            void |= IGNORED in values and len(values) > 1
            values = values[values != IGNORED]
        most[len(values)] += 1
        alone.update(values.tolist())
        contiguous &= len(values) < 2 or values.tolist() == list(range(1, len(values) + 1))
    if max(most, default=0) <= 1 and (len(alone) <= 1 or alone <= {1, IGNORED}):  # white is 1 or 255
        return Reading(legend=None, instances=False, void=void)
    if contiguous and len(most) > 1 and max(most) > 1:
        return Reading(legend=None, instances=True)
    raise DatasetError(
        f"The masks of {printable(root.name)} hold several colours or numbers, and no file says what they mean.",
        remedy="Add classes.txt (one name a line, from the value 0), a legend.csv of lines `value,name`, or for "
        "colours one of lines `name r g b`.",
    )


def _shown(plain: Sequence[MaskFile], legend: Legend, disk: Disk) -> set[int]:
    """The values in some of the masks."""
    seen: set[int] = set()
    for each in plain[:: max(1, len(plain) // LOOKED_AT)]:
        with contextlib.suppress(ImageError):
            seen.update(np.unique(_values(each, disk, legend)).tolist())
    return seen


def _refuse_too_many_classes(masks: dict[Path, list[MaskFile]], root: Path) -> None:
    """Raise DatasetError where the names of masks say what differs from mask to mask: numbers or dates, no classes."""
    kinds = [each.kind for own in masks.values() for each in own if each.kind]
    num_classes = len(set(kinds))
    if num_classes > max(FEW_CLASSES, len(kinds) / 2):
        raise DatasetError(
            f"The masks of {printable(root.name)} are called after {counted(num_classes, 'class')}, and there are "
            f"{len(kinds)}: {printable(', '.join(sorted(set(kinds))[:3]))}, …",
            remedy="Call masks IMAGE_CLASS.png, or IMAGE_1.png for one class, or put them in folders masks/CLASS.",
        )


def _refuse_several_values(of_one_class: Sequence[MaskFile], disk: Disk) -> None:
    """Raise DatasetError for masks that are of one class by name or folder and show more than one value."""
    for each in of_one_class[:: max(1, len(of_one_class) // LOOKED_AT)]:
        try:
            values = np.unique(_values(each, disk, None))
        except ImageError:
            continue
        if (num_values := np.count_nonzero(values)) > 1:
            raise DatasetError(
                f"{printable(disk.name(each.path))} holds {num_values} values, and by its name or folder it shows one "
                f"class alone, '{printable(each.kind)}'.",
                remedy="Put such masks into a folder `masks` with a legend beside it: classes.txt, or lines "
                "`name r g b`.",
            )


def _legend_by_boxes(
    of_classes: Sequence[MaskFile],
    masks: dict[Path, list[MaskFile]],
    root: Path,
    disk: Disk,
    log: DefectLog,
) -> Legend | None:
    """The names of the values of class masks, where XML files with boxes lie beside them; told where they are used."""
    images = {each.path: path for path, own in masks.items() for each in own}
    chosen = of_classes[:: max(1, len(of_classes) // NAMED_BY)]
    boxes = boxes_by_stem(root, disk, {images[each.path].stem for each in chosen})
    seen: dict[str, list[Seen]] = {}
    for each in chosen if boxes else ():
        try:
            values_HW = _values(each, disk, None)
            objects = next((other for other in masks[images[each.path]] if other.instances), None)
            numbers_HW = values_HW if objects is None else _values(objects, disk, None)
        except ImageError:
            continue
        if numbers_HW.shape == values_HW.shape:
            seen[images[each.path].stem] = list(_classified(values_HW, numbers_HW, disk))
    legend = legend_by_boxes(seen, boxes)
    for value in sorted({value for own in seen.values() for value, _ in own}) if legend else ():
        log.add("names_by_boxes", str(value), legend.names[value] if legend else "")
    return legend


def _classified(values_HW: Values, numbers_HW: Values, disk: Disk) -> Iterator[Seen]:
    """The class value and the extent of each object that `numbers_HW` tells apart."""
    for number, piece in _cut_out(numbers_HW, disk):
        height, width = piece.mask_HW.shape
        own_HW = values_HW[piece.top : piece.top + height, piece.left : piece.left + width]
        value = Counter(own_HW[piece.mask_HW].tolist()).most_common(1)[0][0]
        if IGNORED not in (number, value) and value != 0:
            yield value, piece.corners


def _parts(
    mask: MaskFile, values_HW: Values, reading: Reading, own: Sequence[MaskFile], disk: Disk, log: DefectLog
) -> Iterator[tuple[str, Piece]]:
    """Class and pixels of each object of one mask."""
    where = disk.name(mask.path)
    if mask.single:
        if not (values_HW > 0).any():
            log.add("mask_empty", where)
        yield from (
            (mask.kind or NAMELESS, piece) for _, piece in _cut_out((values_HW > 0).astype(np.int32), disk)
        )
    elif mask.kind is not None or (reading.legend is None and not reading.instances and not mask.instances):
        shown_HW = values_HW > 0
        if reading.void and is_voc_mask(mask.path):
            shown_HW &= values_HW != IGNORED
        yield from ((mask.kind or NAMELESS, piece) for piece in _pieces(shown_HW, where, disk, log))
    elif mask.instances or reading.instances:
        yield from _numbered(mask, values_HW, reading, own, disk)
    elif reading.legend is not None:
        yield from _by_legend(values_HW, reading.legend, where, disk, log)


def _by_legend(
    values_HW: Values, legend: Legend, where: str, disk: Disk, log: DefectLog
) -> Iterator[tuple[str, Piece]]:
    for value in np.unique(values_HW).tolist():
        if value in legend.names:
            for piece in _pieces(values_HW == value, where, disk, log):
                yield legend.names[value], piece
        elif value not in legend.background and (legend.by_colour or value != IGNORED):
            shown = f"#{value:06x}" if legend.by_colour else str(value)
            log.add("mask_value_unknown", where, shown)


def _numbered(
    mask: MaskFile, values_HW: Values, reading: Reading, own: Sequence[MaskFile], disk: Disk
) -> Iterator[tuple[str, Piece]]:
    """Each value an object; its class where the other mask of the pair has most of its pixels."""
    classes = next((each for each in own if is_voc_mask(each.path) and not each.instances), None)
    kinds_HW = None
    if classes is not None and reading.legend is not None:
        kinds_HW = _values(classes, disk, reading.legend)
        if kinds_HW.shape != values_HW.shape:
            raise DatasetError(
                f"{printable(disk.name(classes.path))} and {printable(disk.name(mask.path))} differ in size.",
                remedy="Export them again.",
            )
    border = 0xE0E0C0 if reading.legend is not None and reading.legend.by_colour else IGNORED  # VOC's void
    for value, piece in _cut_out(values_HW, disk):
        if value == border or piece.mask_HW.sum() < SPECK:
            continue
        kind = NAMELESS
        if kinds_HW is not None and reading.legend is not None:
            height, width = piece.mask_HW.shape
            own_HW = kinds_HW[piece.top : piece.top + height, piece.left : piece.left + width]
            votes = Counter(own_HW[piece.mask_HW].tolist())
            kind = reading.legend.names.get(votes.most_common(1)[0][0], "")
        if kind:
            yield kind, piece


def _pieces(mask_HW: Mask, where: str, disk: Disk, log: DefectLog) -> Iterator[Piece]:
    """The connected pieces, corners included, less specks."""
    import cv2

    _, numbers_HW = cv2.connectedComponents(mask_HW.astype(np.uint8), connectivity=8)
    sizes = np.bincount(numbers_HW.reshape(-1))
    kept = (sizes >= SPECK) & (np.arange(len(sizes)) > 0)
    if not kept.any():
        log.add("mask_empty", where)
    if kept.sum() > 1:
        log.add("mask_pieces", where, f"{kept.sum()} pieces")
    yield from (piece for _, piece in _cut_out(np.where(kept[numbers_HW], numbers_HW, 0), disk))
