"""The forms of other annotation tools: read to the same content, or refused by name with what to export."""

from __future__ import annotations

import csv
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recommender.datasets import open_dataset
from recommender.datasets.formats import FORMATS, HEAD_BYTES
from recommender.errors import DatasetError, WrongTaskError
from tests.datagen import draw_images, make_dataset
from tests.datasets import foreign
from tests.datasets.helpers import kinds

NAMES = ("circle", "square")
Writer = Callable[[Path, Any, Any], Path]
# An image without a file or rows of its own is background, or told otherwise.
OF_EACH_IMAGE = (foreign.labelme, foreign.box_tables, foreign.via_csv)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_dataset(make_dataset(tmp_path_factory.mktemp("drawn") / "set", images=12, classes=NAMES))


@pytest.mark.parametrize("write", foreign.WRITERS, ids=lambda write: write.__name__)
def test_every_form_reads_to_the_same_content(tmp_path: Path, expected: Any, write: Writer) -> None:
    dataset = open_dataset(write(tmp_path / "set", draw_images(12, NAMES), NAMES))
    assert dataset.content_hash == expected.content_hash
    assert dataset.split_origin == "given"
    assert kinds(dataset) == {}


@pytest.mark.parametrize(
    "write", [row for row in foreign.WRITERS if row not in OF_EACH_IMAGE], ids=lambda write: write.__name__
)
def test_an_image_beside_those_of_the_list_is_told(tmp_path: Path, expected: Any, write: Writer) -> None:
    place = write(tmp_path / "set", draw_images(12, NAMES), NAMES)
    image = min((tmp_path / "set").rglob("*.png"))
    draw_images(1, NAMES, seed=9)[0].image.save(image.with_name("another.png"))
    dataset = open_dataset(place)
    assert dataset.content_hash == expected.content_hash
    assert kinds(dataset) == {"image_beside": 1}


@pytest.mark.slow
@pytest.mark.parametrize("write", foreign.WRITERS, ids=lambda write: write.__name__)
def test_a_class_without_a_name_and_a_missing_image_are_counted(tmp_path: Path, write: Writer) -> None:
    drawn = draw_images(24, NAMES)
    place = write(tmp_path / "set", drawn, ("circle", "")) if write is not foreign.cvat else None
    if place is None:
        place = write(tmp_path / "set", drawn, NAMES)
        xml = place / "annotations.xml"
        xml.write_text(xml.read_text().replace('box label="square"', 'box label=""'))
    with pytest.raises(DatasetError, match="label_class_unknown"):
        open_dataset(place)
    again = write(tmp_path / "other", drawn, NAMES)
    folder = again if again.is_dir() else again.parent
    next(iter(sorted(folder.rglob("*.png")))).unlink()
    assert kinds(open_dataset(again))["image_missing"] == 1


def test_each_row_with_a_reader_has_a_test() -> None:
    tested = {write.__name__ for write in foreign.WRITERS} | {"voc"}
    readers = {row.read.__name__.removeprefix("read_") for row in FORMATS if row.read is not None}  # type: ignore[attr-defined]
    assert readers == {name.rstrip("_12") for name in tested} - {"via_csv"}  # read_via reads it
    assert all(row.remedy for row in FORMATS)


KITTI = "Car 0.00 0 -1.57 5.00 16.00 33.00 32.00 1.57 1.73 4.15 1.00 1.75 13.22 0.01\n"
DOTA = "imagesource:GoogleEarth\ngsd:0.146\n45.0 41.0 69.0 42.0 68.0 62.0 45.0 61.0 harbor 0\n"
UNREAD: dict[str, tuple[str, str, str]] = {
    "KITTI": ("label_2/a.txt", KITTI * 3, "KITTI"),
    "KITTI for YOLO": ("labels/shape_0000.txt", KITTI * 6, "KITTI"),
    "DOTA": ("labelTxt/a.txt", DOTA, "DOTA"),
    "CSV": ("tracks.csv", "frame,a,b,c,d,e\nshape_0000.png,3,0,0,1,1\n", "form is not known|which column"),
    "keras-yolo3": ("train/_annotations.txt", "shape_0000.png 1,2,30,40,0 5,6,70,80,1\n", "keras-yolo3"),
    "TFRecord": ("cards.tfrecord", "binary", "TFRecord"),
    "Parquet": ("train.parquet", "PAR1", "Parquet"),
    "Hugging Face": (
        "metadata.jsonl",
        '{"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4]], "categories": [0]}}\n',
        "Hugging Face",
    ),
    "BDD": ("labels.json", '[{"name": "a.png", "labels": [{"box2d": {"x1": 1}}]}]', "BDD100K"),
    "VIA 3": ("p.json", '{"project": {"pid": "1", "pname": "x"}, "config": {}}', "Annotator 3"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_forms_that_are_not_read_are_named_with_a_remedy(tmp_path: Path, case: str) -> None:
    name, text, said = UNREAD[case]
    folder = make_dataset(tmp_path / "set", format="yolo_flat")
    for path in folder.glob("*.txt"):
        path.unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(folder)
    assert caught.value.remedy
    assert "classification" not in str(caught.value)
    assert isinstance(caught.value, WrongTaskError) == (case == "DOTA")
    if case in ("CSV", "TFRecord", "Parquet"):  # the file itself, too
        with pytest.raises(DatasetError, match=said):
            open_dataset(folder / name)


def test_a_form_is_named_although_the_first_of_its_files_is_broken(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    first, *others = sorted((folder / "labels").rglob("*.txt"))
    first.write_text("no labels yet\n")
    for path in others:
        path.write_text(KITTI)
    with pytest.raises(DatasetError, match=rf"KITTI text \(labels/train/{others[0].name}\)"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"Rar!\x1a\x07\x01\x00", "RAR"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7-Zip"),
        (b"\x28\xb5\x2f\xfd..", "Zstandard"),
    ],
)
def test_other_archives_are_named(tmp_path: Path, start: bytes, said: str) -> None:
    path = tmp_path / "set.bin"
    path.write_bytes(start + b"\0" * 100)
    with pytest.raises(DatasetError, match=said):
        open_dataset(path)


def test_cvat_for_video_and_rotated_boxes_are_refused(tmp_path: Path) -> None:
    folder = foreign.cvat(tmp_path / "set", draw_images(12, NAMES), NAMES)
    xml = folder / "annotations.xml"
    text = xml.read_text()
    xml.write_text(text.replace("occluded", 'rotation="30.5" occluded', 1))
    with pytest.raises(WrongTaskError, match="rotated"):
        open_dataset(folder)
    xml.write_text(text.replace("</annotations>", '<track id="0" label="circle"></track></annotations>'))
    with pytest.raises(DatasetError, match="videos"):
        open_dataset(xml)


def test_shapes_of_cvat_other_than_boxes(tmp_path: Path) -> None:
    folder = foreign.cvat(tmp_path / "set", draw_images(12, NAMES), NAMES)
    xml = folder / "annotations.xml"
    shapes = (
        '<polygon label="circle" points="10,20;30,20;30,50"/>'
        '<ellipse label="circle" cx="20" cy="35" rx="10" ry="15"/>'
        '<mask label="square" left="10" top="20" width="20" height="30" rle="1, 2"/>'
    )
    head, _, rest = xml.read_text().partition("<box")
    xml.write_text(head + shapes + "<box" + rest)
    (image,) = (i for i in open_dataset(folder).images if i.name.endswith("shape_0000.png"))
    corners = {
        (round((x - w / 2) * 96), round((y - h / 2) * 80), round((x + w / 2) * 96), round((y + h / 2) * 80))
        for x, y, w, h in image.boxes_M4.tolist()
    }
    assert (10, 20, 30, 50) in corners
    assert len(image.classes_M) == 4  # polygon and ellipse are one box of one class


def test_regions_in_columns_between_tabs(tmp_path: Path) -> None:
    folder = foreign.via_csv(tmp_path / "set", draw_images(12, NAMES), NAMES)
    expected = [image.boxes_M4.tolist() for image in open_dataset(folder).images]
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file, path.with_suffix(".tsv").open("w", newline="") as other:
            csv.writer(other, delimiter="\t").writerows(csv.reader(file))
        path.unlink()
    assert [image.boxes_M4.tolist() for image in open_dataset(folder).images] == expected


def test_an_attribute_of_many_that_is_no_class_is_asked_for(tmp_path: Path) -> None:
    folder = foreign.via_2(tmp_path / "set", draw_images(12, NAMES), NAMES)
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text().replace('{"class":', '{"colour": "red", "shape":'))
    with pytest.raises(DatasetError, match="which is the class"):
        open_dataset(folder)


@pytest.mark.parametrize("task", ["pose", "obb", "classify"])
def test_ndjson_of_another_task_is_refused(tmp_path: Path, task: str) -> None:
    path = foreign.ndjson(tmp_path / "set", draw_images(12, NAMES), NAMES)
    path.write_text(path.read_text().replace('"detect"', f'"{task}"'))
    with pytest.raises(WrongTaskError, match=task):
        open_dataset(path)


def test_lvis_names_images_by_their_address(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    expected = open_dataset(path)
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["coco_url"] = f"http://images.example.org/train2017/{image.pop('file_name').rpartition('/')[2]}"
    path.write_text(json.dumps(content))
    assert open_dataset(path).content_hash == expected.content_hash


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("gb18030", "苹果"),
        ("cp932", "りんご"),
        ("cp949", "사과"),
        ("cp1251", "яблоко"),
        ("cp850", "möhre"),
        ("utf-8", "écran"),
    ],
)
@pytest.mark.parametrize("marked", ["unmarked", "marked as UTF-8"])
@pytest.mark.parametrize("escaped", [True, False])
def test_names_of_a_zip_in_another_encoding(
    home: Path, tmp_path: Path, encoding: str, word: str, escaped: bool, marked: str
) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    expected = open_dataset(path)
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = image["file_name"].replace("shape", word)
    path.write_text(json.dumps(content, ensure_ascii=escaped))
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(path.parent.rglob("*")):
            if file.is_file():
                name = file.relative_to(path.parent).as_posix().replace("shape", word)
                kind = Unmarked if marked == "unmarked" else zipfile.ZipInfo
                packed.writestr(kind(name.encode(encoding).decode("cp437")), file.read_bytes())
    assert open_dataset(archive).content_hash == expected.content_hash


class Unmarked(zipfile.ZipInfo):
    """An entry as Windows writes it: the bytes of its name as they are, and no word on their encoding."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the standard library's name
        return self.filename.encode("cp437"), self.flag_bits & ~0x800


def test_heic_photos_are_called_that(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", images=24)
    photo = folder / "images" / "train" / "shape_0000.png"
    photo.unlink()
    photo.with_suffix(".HEIC").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + b"\0" * 200)
    (defect,) = (d for d in open_dataset(folder).defects if d.kind == "image_heic")
    assert "JPEG" in defect.remedy


@pytest.mark.parametrize("word", ["left ", "x,y,", "x ", "1", "1,", "a.jpg 1,", "box", "x1 y", ","])
def test_a_long_line_of_anything_is_soon_told_from_boxes(word: str) -> None:
    line = (word * HEAD_BYTES)[:HEAD_BYTES].encode()
    started = time.process_time()
    for row in FORMATS:
        row.matches(Path("labels.csv"), lambda _: line)
    assert time.process_time() - started < 2
