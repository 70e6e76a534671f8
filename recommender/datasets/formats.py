"""The forms of annotation that are known: how each is recognised, who reads it, or what to export instead.

To add one, write a file with a `read_…` function and a row below. The rows are tried in order; the first that finds
files of its form below the data set's folder reads them. A row without a reader names the form in its refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from recommender.datasets.createml import read_createml
from recommender.datasets.cvat import read_cvat
from recommender.datasets.datumaro import read_datumaro
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.label_studio import read_label_studio
from recommender.datasets.labelme import read_labelme
from recommender.datasets.ndjson import read_ndjson
from recommender.datasets.raw import RawSet
from recommender.datasets.supervisely import read_supervisely
from recommender.datasets.tables.boxes import read_box_tables
from recommender.datasets.tables.files import begins_with_boxes
from recommender.datasets.via import read_via
from recommender.datasets.voc import read_voc
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import printable

HEAD_BYTES = 65_536
SAMPLED = 24  # files looked into for each suffix


class Reader(Protocol):
    """Reads the files of one form. Raises DatasetError; counts in `log` what costs one row or image."""

    def __call__(
        self, paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str, /
    ) -> RawSet: ...


@dataclass(frozen=True, kw_only=True)
class Format:
    """One form. A file is of it when its start matches every mark."""

    name: str  # for people
    suffixes: tuple[str, ...]
    marks: tuple[bytes, ...]  # regular expressions over the first bytes
    read: Reader | None = None
    per_image: bool = (
        False  # one file an image: all files of the suffixes are handed over, the damaged ones too
    )
    remedy: str = "Export as COCO or YOLO."
    error: type[DatasetError] = DatasetError  # of a form that is not read
    holds: Callable[[Path, bytes], bool] | None = None  # a further test of a file and its first bytes
    notes: bool = False  # one file may be notes beside class folders or masks, which are read then

    def matches(self, path: Path, head: Callable[[Path], bytes]) -> bool:
        """True if a file is of this form; `head` gives its first bytes."""
        marked = all(re.search(mark, head(path), re.MULTILINE) for mark in self.marks)
        return marked and (self.holds is None or self.holds(path, head(path)))


OBB_REMEDY = "Oriented boxes are another task: export upright boxes as YOLO or COCO."
ANY_REMEDY = "Export as COCO or YOLO; of classified images, sort them into folders by class."
FORMATS: tuple[Format, ...] = (
    Format(
        name="Pascal VOC XML",
        suffixes=(".xml",),
        marks=(rb"<annotation[\s>]",),
        read=read_voc,
        per_image=True,
    ),
    Format(
        name="CVAT for images XML",
        suffixes=(".xml",),
        marks=(rb"<annotations[\s>]", rb"<version>|<image\s|<track\s|<meta>"),
        read=read_cvat,
    ),
    Format(
        name="Ultralytics NDJSON",
        suffixes=(".ndjson", ".jsonl"),
        marks=(rb'"type"\s*:\s*"(dataset|image)"',),
        read=read_ndjson,
    ),
    Format(
        name="Hugging Face's image folder with objects",
        suffixes=(".jsonl",),
        marks=(rb'"file_name"\s*:', rb'"objects"\s*:\s*\{', rb'"bbox"\s*:'),
        remedy="Export as COCO or YOLO.",
    ),
    Format(
        name="Datumaro JSON",
        suffixes=(".json",),
        marks=(rb'"items"\s*:', rb'"categories"\s*:|"dm_format_version"'),
        read=read_datumaro,
    ),
    Format(
        name="CreateML JSON",
        suffixes=(".json",),
        marks=(rb"\A\s*\[", rb'"coordinates"\s*:', rb'"image(filename|Filename)?"\s*:'),
        read=read_createml,
    ),
    Format(
        name="Supervisely JSON",
        suffixes=(".json",),
        marks=(rb'"classTitle"\s*:|"geometryType"\s*:|"shape"\s*:\s*"(rectangle|polygon|any)"',),
        read=read_supervisely,
        per_image=True,
    ),
    Format(
        name="Cityscapes JSON",
        suffixes=(".json",),
        marks=(rb'"imgHeight"\s*:', rb'"polygon"\s*:'),
        remedy="Export as COCO (cityscapesscripts' instances of the eight classes that have some).",
    ),
    Format(
        name="LabelMe JSON",
        suffixes=(".json",),
        marks=(rb'"shapes"\s*:\s*\[', rb'"(flags|version|imagePath)"'),
        read=read_labelme,
        per_image=True,
    ),
    Format(
        name="VGG Image Annotator 3 JSON",
        suffixes=(".json",),
        marks=(rb'"project"\s*:', rb'"(vid_list|pname)"'),
        remedy="Export COCO, or use VIA 2.",
    ),
    Format(
        name="VGG Image Annotator JSON",
        suffixes=(".json",),
        marks=(rb'"_via_img_metadata"|"regions"\s*:', rb'"filename"|"_via_settings"'),
        read=read_via,
    ),
    Format(
        name="Label Studio JSON",
        suffixes=(".json",),
        marks=(rb'"(rectangle|polygon|brush|ellipse)labels"|"from_name"\s*:|"choices?"\s*:',),
        read=read_label_studio,
    ),
    Format(
        name="V7 Darwin JSON",
        suffixes=(".json",),
        marks=(
            rb'"schema_ref"\s*:\s*"[^"]*darwin|"slots"\s*:\s*\[|"(bounding_box|original_filename)"\s*:',
            rb'"annotations"\s*:|"item"\s*:',
        ),
        remedy="Export as COCO; of classified images, sort them into folders by class.",
        notes=True,
    ),
    Format(
        name="SuperAnnotate JSON",
        suffixes=(".json",),
        marks=(rb'"instances"\s*:\s*\[', rb'"className"\s*:|"metadata"\s*:'),
        remedy="Export as COCO.",
        notes=True,
    ),
    Format(
        name="Hasty JSON",
        suffixes=(".json",),
        marks=(rb'"export_format_version"\s*:', rb'"label_classes"\s*:'),
        remedy="Export as COCO.",
    ),
    Format(
        name="FiftyOne's labels by number",
        suffixes=(".json",),
        marks=(rb'\A\s*\{\s*"classes"\s*:\s*\[', rb'"labels"\s*:\s*\{'),
        remedy="Export as a COCODetectionDataset, or classified images as an ImageClassificationDirectoryTree.",
        notes=True,
    ),
    Format(
        name="Supervisely tags of whole images",
        suffixes=(".json",),
        marks=(rb'"tags"\s*:\s*\[\s*\{', rb'"objects"\s*:\s*\[\s*\]'),
        remedy="Sort the images into folders by class, or write a CSV of file and label.",
        notes=True,
    ),
    Format(
        name="FiftyOne's samples",
        suffixes=(".json",),
        marks=(rb'"samples"\s*:\s*\[', rb'"(_id|filepath|_cls)"'),
        remedy="Export as a COCODetectionDataset, or classified images as an ImageClassificationDirectoryTree.",
        notes=True,
    ),
    Format(
        name="BDD100K JSON",
        suffixes=(".json",),
        marks=(rb'"box2d"\s*:',),
        remedy="Convert to COCO (bdd100k.label.to_coco).",
    ),
    Format(
        name="Labelbox JSON",
        suffixes=(".json", ".ndjson"),
        marks=(rb'"(Labeled Data|data_row|featureId)"\s*:',),
    ),
    Format(
        name="DOTA text",
        suffixes=(".txt",),
        marks=(rb"^imagesource:|^gsd:|^(-?[\d.]+\s+){8}[A-Za-z][\w-]*(\s+[0-2])?\s*$",),
        remedy=OBB_REMEDY,
        error=WrongTaskError,
    ),
    Format(
        name="KITTI text",
        suffixes=(".txt",),
        marks=(rb"^[A-Za-z][\w-]*( -?[\d.]+){14,15}\s*$",),
        remedy="Convert to YOLO or COCO: columns 5 to 8 are the box's corners in pixels.",
    ),
    Format(
        name="keras-yolo3 text",
        suffixes=(".txt",),
        marks=(rb"^\S.{0,200}\.(jpe?g|png|bmp) (\d{1,9},){4}\d{1,9}( |\s*$)",),
    ),
    Format(
        name="WIDER FACE text",
        suffixes=(".txt",),
        marks=(rb"^\S+/\S+\.jpe?g\s*\n\d+\s*\n\d+ \d+ \d+ \d+( \d){6}",),
    ),
    Format(
        name="VisDrone text",
        suffixes=(".txt",),
        marks=(rb"\A(\d{1,9},){7}\d{1,9},?\s*$",),
        remedy="Convert to YOLO (ultralytics' VisDrone.yaml shows how) or COCO: a row is x, y, w, h in pixels, a flag, "
        "the class and two more flags.",
        notes=True,
    ),
    Format(
        name="MOT text",
        suffixes=(".txt",),
        marks=(rb"\A\d{1,9},-?\d{1,9},(-?[\d.]{1,20},){6,7}-?[\d.]{1,20}\s*$",),
        remedy="Convert to YOLO or COCO: a row is the frame, the track, x, y, w, h in pixels, a flag and the class.",
        notes=True,
    ),
    Format(
        name="BBox-Label-Tool text",
        suffixes=(".txt",),
        marks=(rb"\A\d{1,4}\s*\n(\d{1,9} ){4}[^\W\d]",),
        remedy="Convert to YOLO or COCO: a row is x1, y1, x2, y2 in pixels and the class's name.",
    ),
    Format(
        name="RetinaFace text",
        suffixes=(".txt",),
        marks=(rb"\A# \S{1,200}\.(jpe?g|png)\s*\n(-?[\d.]{1,20} ){3}-?[\d.]",),
        remedy="Convert to YOLO or COCO: a row is x, y, w, h in pixels, then landmarks.",
    ),
    Format(
        name="text that begins with the class's name",
        suffixes=(".txt",),
        marks=(rb"\A[^\W\d][\w-]*( -?[\d.]{1,20}){4}\s*$",),
        remedy="Begin each row with the number of the class, followed by x y w h of the box's centre and size as "
        "fractions of the image, or convert to COCO (OIDv4's rows are x1 y1 x2 y2 in pixels).",
        notes=True,
    ),
    Format(
        name="VGG Image Annotator CSV",
        suffixes=(".csv", ".tsv"),
        marks=(rb"region_shape_attributes",),
        read=read_via,
        notes=True,
    ),
    Format(
        name="CSV of boxes",
        suffixes=(".csv", ".tsv", ".txt", ".jsonl"),
        marks=(),
        holds=begins_with_boxes,
        read=read_box_tables,
        notes=True,
    ),
    Format(
        name="an Excel table",
        suffixes=(".xlsx", ".xls"),
        marks=(),
        remedy="Save it as CSV.",
        notes=True,
    ),
    Format(name="CrowdHuman's odgt", suffixes=(".odgt",), marks=(), notes=True),
    Format(
        name="a manifest of Ground Truth",
        suffixes=(".manifest",),
        marks=(),
        remedy="Convert it to COCO; of classified images, write a CSV of file and label.",
        notes=True,
    ),
    Format(
        name="TFRecord",
        suffixes=(".tfrecord", ".record", ".tfrecords"),
        marks=(),
        remedy="Export as COCO or YOLO.",
    ),
    Format(name="MATLAB file", suffixes=(".mat",), marks=(), remedy=ANY_REMEDY, notes=True),
    Format(name="Parquet file", suffixes=(".parquet",), marks=(), remedy=ANY_REMEDY, notes=True),
    Format(name="Arrow file", suffixes=(".arrow",), marks=(), remedy=ANY_REMEDY, notes=True),
    Format(name="HDF5 file", suffixes=(".h5", ".hdf5"), marks=(), remedy=ANY_REMEDY, notes=True),
    Format(name="LMDB file", suffixes=(".mdb",), marks=(), remedy=ANY_REMEDY, notes=True),
)
OF_ANYTHING = frozenset({".h5", ".hdf5", ".mdb"})  # hold weights of networks as often as labelled images


def find_format(
    paths: Sequence[Path], disk: Disk, *, among: Callable[[Format], bool] = lambda _: True
) -> tuple[Format, list[Path]] | None:
    """The first row of which there are files, with these files; None without any.

    The first files of each suffix are looked into; the others where these are of a form that is read, and not one file
    an image.
    """

    @lru_cache(maxsize=len(FORMATS) * SAMPLED)
    def head(path: Path) -> bytes:
        return disk.head(path, HEAD_BYTES)

    by_suffix: dict[str, list[Path]] = {}
    for path in paths:
        by_suffix.setdefault(path.suffix.lower(), []).append(path)
    sampled = {path for group in by_suffix.values() for path in group[:SAMPLED]}
    for row in filter(among, FORMATS):
        files = [path for suffix in row.suffixes for path in by_suffix.get(suffix, ())]
        known = [path for path in files if path in sampled and row.matches(path, head)]
        if known and row.per_image:
            return row, files
        if known and row.read is not None:
            others = [path for path in files if path not in sampled and row.matches(path, head)]
            return row, sorted([*known, *others])
        if known:
            return row, known
    return None


def may_be_notes(row: Format, files: Sequence[Path]) -> bool:
    """True of files that do not keep class folders or masks beside them from being read; of JSON, of one alone."""
    return row.notes and (len(files) == 1 or ".json" not in row.suffixes)


def unread(row: Format, path: Path, root: Path, disk: Disk) -> DatasetError:
    """The refusal of a form that is known by name alone."""
    return row.error(
        f"{printable(root.name)} is labelled in {row.name} ({printable(disk.name(path))}), which is not read.",
        remedy=row.remedy,
    )
