"""Boxes in CSV tables: read where headings or the boxes themselves say what the numbers are, else refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Dataset
from recommender.tasks import Task
from tests.datasets.helpers import kinds

SIZE = (96, 80)
Box = tuple[float, float, float, float]  # corners
Line = Callable[[str, str, Box], str]
NUM_IMAGES = 24
NAMES = ("cat", "dog")


def boxes_of(number: int) -> list[tuple[str, Box]]:
    """Three boxes: one at the upper left edge, one at the lower right, one in the middle."""
    shift = float(number % 8)
    boxes = [(0.0, shift, 30.0, 40.0), (60.0 + shift, 50.0, 96.0, 80.0), (40.0, 30.0, 60.0 + shift, 56.0)]
    return [(NAMES[(number + k) % 2], box) for k, box in enumerate(boxes)]


def images(folder: Path, count: int = NUM_IMAGES) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    names = [f"photo_{number:03d}.png" for number in range(count)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)).save(folder / name)
    return names


def table(folder: Path, line: Line, heading: str = "", file: str = "labels.csv") -> Path:
    rows = [line(name, *each) for n, name in enumerate(images(folder / "images")) for each in boxes_of(n)]
    (folder / file).write_text("\n".join(([heading] if heading else []) + rows) + "\n")
    return folder


def corners(dataset: Dataset) -> dict[str, list[tuple[str, Box]]]:
    """Boxes in pixels by image."""
    width, height = SIZE
    found = {}
    for image in dataset.images:
        found[image.path.name] = [
            (
                dataset.class_names[c],
                tuple(
                    round(float(v), 2)
                    for v in (
                        (x - w / 2) * width,
                        (y - h / 2) * height,
                        (x + w / 2) * width,
                        (y + h / 2) * height,
                    )
                ),
            )
            for c, (x, y, w, h) in zip(image.classes_M, image.boxes_M4, strict=True)
        ]
    return found  # type: ignore[return-value]


def expected(*, named: bool = True) -> dict[str, list[tuple[str, Box]]]:
    return {
        f"photo_{n:03d}.png": [(name if named else "object", box) for name, box in boxes_of(n)]
        for n in range(NUM_IMAGES)
    }


def sized(box: Box) -> str:
    x1, y1, x2, y2 = box
    return f"{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g}"


def plain(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box)


FORMS: dict[str, tuple[str, Line]] = {
    "tensorflow": (
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        lambda name, label, box: f"{name},96,80,{label},{plain(box)}",
    ),
    "retinanet": ("", lambda name, label, box: f"images/{name},{plain(box)},{label}"),
    "sku-110k": ("", lambda name, label, box: f"{name},{plain(box)},{label},96,80"),
    "makesense": ("", lambda name, label, box: f"{label},{sized(box)},{name},96,80"),
    "sizes of boxes and images": (
        "image_id,width,height,class,bbox_x,bbox_y,bbox_width,bbox_height",
        lambda name, label, box: f"{name[:-4]},96,80,{label},{sized(box)}",
    ),
    "automl": (
        "",
        lambda name, label, b: f"gs://b/{name},{label},{b[0] / 96},{b[1] / 80},,,{b[2] / 96},{b[3] / 80},,",
    ),
    "excel": (
        "File Name;Class;X Min;Y Min;X Max;Y Max",
        lambda n, label, b: f"{n};{label};{plain(b).replace(',', ';')}",
    ),
    "tabs": (
        "file\tclass\tx1\ty1\tx2\ty2",
        lambda n, label, b: f"{n}\t{label}\t" + plain(b).replace(",", "\t"),
    ),
    "open images": (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded",
        lambda name, label, b: (
            f"{name[:-4]},xclick,{label},1,{b[0] / 96},{b[2] / 96},{b[1] / 80},{b[3] / 80},0"
        ),
    ),
    "columns of sizes": (
        "image_id,x,y,w,h,label",
        lambda name, label, box: f"{name[:-4]},{sized(box)},{label}",
    ),
    "columns of centres": (
        "image,x_center,y_center,width,height,label",
        lambda n, label, b: (
            f"{n},{(b[0] + b[2]) / 2},{(b[1] + b[3]) / 2},{b[2] - b[0]},{b[3] - b[1]},{label}"
        ),
    ),
    "cells of sizes": (
        "image_id,width,height,bbox,category",
        lambda name, label, box: f'{name},96,80,"[{sized(box)}]",{label}',
    ),
    "sizes in short beside the image's": (
        "filename,width,height,class,x,y,w,h",
        lambda name, label, box: f"{name},96,80,{label},{sized(box)}",
    ),
    "a class's number and name": (
        "class,filename,name,xmin,ymin,xmax,ymax",
        lambda name, label, box: f"{NAMES.index(label)},{name},{label},{plain(box)}",
    ),
    "cells of corners": ("image_id;class;bbox", lambda name, label, box: f"{name};{label};[{plain(box)}]"),
}


@pytest.mark.parametrize("form", FORMS)
def test_boxes_are_read_as_they_are_meant(tmp_path: Path, form: str) -> None:
    heading, line = FORMS[form]
    file = "labels.tsv" if form == "tabs" else "labels.csv"
    folder = table(tmp_path / "set", line, heading, file)
    for place in (folder, folder / file):
        found = open_dataset(place)
        assert found.task == "detect"
        assert corners(found) == expected()
        assert kinds(found) == {}


def test_tables_without_a_class_have_one_which_is_told(tmp_path: Path) -> None:
    def wheat(name: str, label: str, box: Box) -> str:
        return f'{name[:-4]},96,80,"[{sized(box)}]",{"arvalis" if label == "cat" else "usask"}'

    found = open_dataset(table(tmp_path / "set", wheat, "image_id,width,height,bbox,source"))
    assert corners(found) == expected(named=False)
    assert kinds(found) == {"names_missing": 1}


def test_codes_of_open_images_are_named_by_its_descriptions(tmp_path: Path) -> None:
    heading, line = FORMS["open images"]
    codes = {"cat": "/m/01yrx", "dog": "/m/0bt9lr"}
    folder = table(tmp_path / "set", lambda name, label, box: line(name, codes[label], box), heading)
    (folder / "class-descriptions.csv").write_text("/m/0bt9lr,dog\n/m/01yrx,cat\n/m/0dq75,raccoon\n")
    found = open_dataset(folder)
    assert corners(found) == expected()
    assert kinds(found) == {"names_from_table": 2}


def inner(number: int) -> Box:
    return 40.0 + number % 5, 36.0, 50.0 + number % 5, 44.0


DOUBTFUL: dict[str, tuple[str, Line, str]] = {
    "widths called corners": (
        "filename,class,xmin,ymin,xmax,ymax",
        lambda name, label, box: f"{name},{label},{sized(box)}",
        "inside out",
    ),
    "corners called widths": (
        "filename,class,xmin,ymin,width,height",
        lambda name, label, box: f"{name},{label},{plain(box)}",
        "beyond their images",
    ),
    "axes exchanged": (
        "filename,class,xmin,ymin,xmax,ymax",
        lambda name, label, b: f"{name},{label},{b[1]},{b[0]},{b[3]},{b[2]}",
        "beyond their images",
    ),
    "centres or corners": (
        "filename,class,x,y,w,h",
        lambda name, label, _: f"{name},{label},{sized(inner(int(name[6:9])))}",
        "either keeps them",
    ),
    "fractions among pixels": (
        "filename,class,xmin,ymin,xmax,ymax",
        lambda n, label, b: f"{n},{label},{plain(b) if label == 'cat' else '0.1,0.1,0.4,0.5'}",
        "fractions of the image",
    ),
    "percent": (
        "filename,class,xmin,ymin,xmax,ymax",
        lambda name, label, box: f"{name},{label},{plain(tuple(v / 4 for v in box))}",  # type: ignore[arg-type]
        "upper left quarter",
    ),
    "four corners": (
        "filename,class,x1,y1,x2,y2,x3,y3,x4,y4",
        lambda n, label, b: f"{n},{label},{b[0]},{b[1]},{b[2]},{b[1]},{b[2]},{b[3]},{b[0]},{b[3]}",
        "no boxes that are read",
    ),
    "a class that is not called so": (
        "filename,xmin,ymin,xmax,ymax,fault,maker",
        lambda name, label, box: f"{name},{plain(box)},{label},x",
        "which column is the class",
    ),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_is_doubtful_is_refused_with_a_remedy(tmp_path: Path, case: str) -> None:
    heading, line, said = DOUBTFUL[case]
    folder = table(tmp_path / "set", line, heading)
    for place in (folder, folder / "labels.csv"):
        with pytest.raises(DatasetError, match=said) as caught:
            open_dataset(place)
        assert caught.value.remedy


def test_predictions_beside_a_table_are_no_labels(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0])
    rows = [f"photo_{n:03d}.png,cat,0.{n + 11},1,2,30,40" for n in range(NUM_IMAGES)]
    path = folder / "predictions.csv"
    path.write_text("\n".join(["filename,class,confidence,xmin,ymin,xmax,ymax", *rows]))
    assert corners(open_dataset(folder)) == expected()
    with pytest.raises(DatasetError, match="detector's results"):
        open_dataset(path)


def test_a_box_of_one_pixel_says_that_nothing_was_found(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0])
    path = folder / "labels.csv"
    heading, *rows = (row for row in path.read_text().splitlines() if not row.startswith("photo_000"))
    path.write_text("\n".join([heading, "photo_000.png,96,80,nothing,0,0,1,1", *rows]))
    found = open_dataset(folder)
    assert kinds(found) == {"label_zero_area": 1, "image_unlabelled": 1}
    assert found.class_names == NAMES


def test_splits_come_from_the_names_of_tables(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0], "raccoon_labels.csv")
    heading, *rows = (folder / "raccoon_labels.csv").read_text().splitlines()
    (folder / "train_labels.csv").write_text("\n".join([heading, *rows[:48]]))
    (folder / "val_labels.csv").write_text("\n".join([heading, *rows[48:]]))
    (folder / "metadata.csv").write_text("image,author\nphoto_000.png,me\n")
    found = open_dataset(folder)
    assert [len(found.of_split(split)) for split in ("train", "val", "test")] == [16, 8, 0]
    assert found.split_origin == "given"
    assert corners(found) == expected()
    assert kinds(found) == {}


@pytest.mark.parametrize(("extra", "told"), [(3, "image_without_label"), (40, "image_without_row")])
def test_images_without_a_row_are_background_where_they_are_few(
    tmp_path: Path, extra: int, told: str
) -> None:
    folder = table(tmp_path / "set", FORMS["retinanet"][1])
    rng = np.random.default_rng(1)
    for number in range(extra):
        pixels = rng.integers(0, 255, (80, 96, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"other_{number}.png")
    found = open_dataset(folder)
    assert kinds(found) == {told: extra}
    assert len(found.images) == NUM_IMAGES + (extra if told == "image_without_label" else 0)


def test_rows_without_a_box_are_background_and_other_images_are_not(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", FORMS["retinanet"][1])
    path = folder / "labels.csv"
    rows = [row for row in path.read_text().splitlines() if not row.startswith("images/photo_00")]
    path.write_text("\n".join(["images/photo_000.png,,,,,", *rows, "images/photo_001.png,,,,,nothing"]))
    found = open_dataset(folder)
    assert kinds(found) == {"image_tagged": 1, "image_without_row": 8}
    assert sum(not len(image.classes_M) for image in found.images) == 2


def class_folders(folder: Path, of: Callable[[int], str]) -> list[str]:
    names = images(folder)
    for number, name in enumerate(names):
        place = folder / of(number)
        place.mkdir(exist_ok=True)
        (folder / name).rename(place / name)
    return names


@pytest.mark.parametrize("task", [None, "classify", "detect"])
def test_class_folders_with_boxes_of_the_same_classes_stay_classes(tmp_path: Path, task: Task | None) -> None:
    names = class_folders(tmp_path / "set", lambda number: NAMES[number % 2])
    rows = [f"{name},{plain((5, 5, 60, 60))},{NAMES[n % 2]}" for n, name in enumerate(names)]
    (tmp_path / "set" / "boxes.csv").write_text("\n".join(["file,x1,y1,x2,y2,label", *rows]))
    found = open_dataset(tmp_path / "set", task=task)
    assert found.task == (task or "classify")
    assert kinds(found) == ({} if task == "detect" else {"form_beside": 1})


@pytest.mark.parametrize("one_class", [False, True])
@pytest.mark.parametrize("same_names", [False, True])
def test_folders_that_are_no_classes_of_the_boxes_are_asked_about(
    tmp_path: Path, one_class: bool, same_names: bool
) -> None:
    folder = tmp_path / "set"
    rows = ["file,x1,y1,x2,y2,label"]
    for number, name in enumerate(images(folder)):
        place = f"corner{number % 3}/{f'{number // 3}.png' if same_names else name}"
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / name).rename(folder / place)
        rows += [f"{place},{plain(box)},{'cat' if one_class else label}" for label, box in boxes_of(number)]
    (folder / "boxes.csv").write_text("\n".join(rows))
    with pytest.raises(DatasetError, match="other classes than the boxes") as caught:
        open_dataset(folder)
    assert "--task detect" in (caught.value.remedy or "")
    found = open_dataset(folder, task="detect")
    assert sum(len(image.classes_M) for image in found.images) == 3 * NUM_IMAGES
    assert open_dataset(folder, task="classify").class_names == ("corner0", "corner1", "corner2")


def test_sizes_of_images_beside_classes_are_no_boxes(tmp_path: Path) -> None:
    names = images(tmp_path / "set")
    rows = [f"{name},96,80,{NAMES[number % 2]}" for number, name in enumerate(names)]
    (tmp_path / "set" / "labels.csv").write_text("\n".join(["image,width,height,label", *rows]))
    assert open_dataset(tmp_path / "set").task == "classify"


ONE_AN_IMAGE: dict[str, tuple[str, Line]] = {
    "headed": ("filename,label,x,y,w,h", lambda name, label, box: f"{name},{label},{sized(box)}"),
    "numbers": ("file,label,x,y,w,h", lambda name, label, box: f"{name},{NAMES.index(label)},{sized(box)}"),
    "class last": ("", lambda name, label, box: f"{name},{plain(box)},{label}"),
    "box last": ("", lambda name, label, box: f"{name},{label},{plain(box)}"),
}


@pytest.mark.parametrize("form", ONE_AN_IMAGE)
def test_a_table_of_one_box_an_image_is_a_classification_where_that_is_asked(
    tmp_path: Path, form: str
) -> None:
    heading, line = ONE_AN_IMAGE[form]
    names = images(tmp_path / "set")
    rows = [line(name, NAMES[n % 2], boxes_of(n)[n % 3][1]) for n, name in enumerate(names)]
    (tmp_path / "set" / "labels.csv").write_text("\n".join([heading] * bool(heading) + rows))
    for place in (tmp_path / "set", tmp_path / "set" / "labels.csv"):
        assert open_dataset(place).task == "detect"
        found = open_dataset(place, task="classify")
        assert {image.path.name: int(image.classes_M[0]) for image in found.images} == {
            name: n % 2 for n, name in enumerate(names)
        }
    table(tmp_path / "other", line, heading)
    with pytest.raises(WrongTaskError, match="boxes or outlines"):
        open_dataset(tmp_path / "other", task="classify")


@pytest.mark.parametrize("heading", ["id,filename,class", "id,image_id,class", "filename,id,class"])
@pytest.mark.parametrize("of_boxes", [True, False])
def test_numbers_of_rows_are_not_taken_for_images_called_by_numbers(
    tmp_path: Path, heading: str, of_boxes: bool
) -> None:
    folder = tmp_path / "set"
    rows = []
    for number, name in enumerate(images(folder)):
        other = NUM_IMAGES - 1 - number
        (folder / name).rename(folder / f"{other}.png")
        cells = {
            "id": str(number),
            "filename": f"{other}.png",
            "image_id": str(other),
            "class": NAMES[other % 2],
        }
        rows.append(",".join(cells[one] for one in heading.split(",")) + f",{other},1,60,50" * of_boxes)
    (folder / "labels.csv").write_text("\n".join([heading + ",xmin,ymin,xmax,ymax" * of_boxes, *rows]))
    found = open_dataset(folder)
    assert found.task == ("detect" if of_boxes else "classify")
    for image in found.images:
        number = int(image.path.stem)
        assert found.class_names[image.classes_M[0]] == NAMES[number % 2]
        if of_boxes:
            x, _, w, _ = image.boxes_M4[0]
            assert round(float(x - w / 2) * SIZE[0]) == number


@pytest.mark.parametrize("heading", ["class", "object_name"])
def test_a_class_called_train_is_no_split(tmp_path: Path, heading: str) -> None:
    folder = table(
        tmp_path / "set",
        lambda name, _, box: f"{name},train,{plain(box)}",
        f"filename,{heading},xmin,ymin,xmax,ymax",
    )
    found = open_dataset(folder)
    assert found.class_names == ("train",)
    assert found.split_origin != "given"
    assert kinds(found) == {}


def test_lists_beside_a_table_divide_its_images(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0])
    for split, first, last in (("train", 0, 15), ("val", 15, NUM_IMAGES)):
        lines = [f"photo_{number:03d}" for number in range(first, last)]
        (folder / f"{split}.txt").write_text("\n".join(lines))
    found = open_dataset(folder)
    assert found.split_origin == "given"
    assert [len(found.of_split(split)) for split in ("train", "val")] == [15, 9]
    assert kinds(found) == {}


def cut(folder: Path, **shares: slice) -> Path:
    """The table in several, each with the rows of so many images."""
    heading, *rows = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").unlink()
    for name, share in shares.items():
        kept = rows[slice(*(None if n is None else 3 * n for n in (share.start, share.stop)))]
        (folder / f"{name}.csv").write_text("\n".join([heading, *kept]))
    return folder


@pytest.mark.parametrize("given", ["", "train.csv", "val.csv"])
def test_one_table_of_several_splits_is_read_with_the_others(tmp_path: Path, given: str) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0])
    found = open_dataset(cut(folder, train=slice(18), val=slice(18, None)) / given)
    assert corners(found) == expected()
    assert [len(found.of_split(split)) for split in ("train", "val")] == [18, 6]
    assert kinds(found) == {}


@pytest.mark.parametrize("given", ["", "train.csv"])
def test_images_of_a_table_that_is_not_read_are_no_background(tmp_path: Path, given: str) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0])
    cut(folder, train=slice(14), val=slice(14, 18), extra=slice(18, 22))
    found = open_dataset(folder / given)
    assert [len(found.of_split(split)) for split in ("train", "val")] == [14, 4]
    assert all(len(image.classes_M) for image in found.images)
    assert kinds(found) == {"table_unread": 1, "image_without_row": 6}


def test_a_file_given_alone_makes_no_background_of_the_images_of_another(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", FORMS["tensorflow"][1], FORMS["tensorflow"][0])
    cut(folder, first=slice(14), second=slice(14, None))
    assert corners(open_dataset(folder)) == expected()
    found = open_dataset(folder / "first.csv")
    assert len(found.images) == 14
    assert kinds(found) == {"table_unread": 1, "image_without_row": 10}


@pytest.mark.parametrize("nothing", ["0,0,0,0", "-1,-1,-1,-1", "0.0,0.0,0.0,0.0"])
@pytest.mark.parametrize("form", ["tensorflow", "columns of sizes", "cells of corners"])
def test_four_zeros_or_minus_ones_say_that_nothing_is_there(tmp_path: Path, form: str, nothing: str) -> None:
    heading, line = FORMS[form]
    folder = table(tmp_path / "set", line, heading)
    path = folder / "labels.csv"
    first, *rows = path.read_text().splitlines()
    rest = [row for row in rows if not row.startswith("photo_00")]
    box = tuple(map(float, nothing.split(",")))
    if form == "columns of sizes":
        empty = [f"photo_00{n},{nothing},none" for n in range(9)]
    else:
        empty = [line(f"photo_00{n}.png", "none", box) for n in range(9)]  # type: ignore[arg-type]
    path.write_text("\n".join([first, *empty, *rest]))
    found = open_dataset(folder)
    assert found.class_names == NAMES
    assert sum(not len(image.classes_M) for image in found.images) == 9
    assert kinds(found) == {"image_tagged": 9, "image_without_row": 1}


def test_numbers_within_names_of_values_are_no_values(tmp_path: Path) -> None:
    def named(name: str, label: str, box: Box) -> str:
        return f'{name};{label};"x1={box[0]:g} y1={box[1]:g} x2={box[2]:g} y2={box[3]:g}"'

    with pytest.raises(DatasetError, match="label_not_finite"):
        open_dataset(table(tmp_path / "set", named, "image;class;bbox"))


def test_fractions_may_begin_with_the_point(tmp_path: Path) -> None:
    def fractions(name: str, label: str, b: Box) -> str:
        values = (b[0] / 96, b[1] / 80, b[2] / 96, b[3] / 80)
        return f"{name};{label};[{', '.join(f'{v:.5f}'.lstrip('0') for v in values)}]"

    assert corners(open_dataset(table(tmp_path / "set", fractions, "image;class;bbox"))) == expected()


def test_flags_beside_a_class_are_no_box(tmp_path: Path) -> None:
    names = images(tmp_path / "set")
    rows = [f"{name},{n // 2 % 2},{n // 4 % 2},1,{n % 3 // 2},{NAMES[n % 2]}" for n, name in enumerate(names)]
    (tmp_path / "set" / "labels.csv").write_text("\n".join(rows))
    assert open_dataset(tmp_path / "set").task == "classify"


@pytest.mark.parametrize("heading", ["label,camera_name", "class_id,annotator_name", "class,object"])
def test_words_beside_codes_are_names_only_where_each_code_has_one(tmp_path: Path, heading: str) -> None:
    """The codes of classes stand beside who drew the box, or where: no class."""

    def line(name: str, label: str, box: Box) -> str:
        return f"{name},{NAMES.index(label)},place {int(name[6:9]) % 3},{','.join(f'{v:g}' for v in box)}"

    dataset = open_dataset(table(tmp_path, line, f"image_id,{heading},xmin,ymin,xmax,ymax"))
    assert dataset.class_names == ("0", "1")


def test_results_of_a_detector_are_no_classification_though_one_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    rows = [f"{name},{NAMES[n % 2]},0.9,1,2,30,40" for n, name in enumerate(images(folder))]
    (tmp_path / "predictions.csv").write_text(
        "\n".join(["image,class,confidence,xmin,ymin,xmax,ymax", *rows])
    )
    with pytest.raises((DatasetError, WrongTaskError)):
        open_dataset(tmp_path, task="classify")


def test_boxes_of_a_part_of_the_images_classify_none(tmp_path: Path) -> None:
    rows = [f"{name},{NAMES[n % 2]},1,2,30,40" for n, name in enumerate(images(tmp_path / "images"))][:7]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,class,xmin,ymin,xmax,ymax", *rows]))
    with pytest.raises((DatasetError, WrongTaskError)):
        open_dataset(tmp_path, task="classify")


@pytest.mark.parametrize("second", ["category", "tag", "target"])
def test_a_second_column_called_a_class_may_hold_the_splits(tmp_path: Path, second: str) -> None:
    names = images(tmp_path / "images")
    rows = [f"{name},{NAMES[n % 2]},{'train' if n % 4 else 'test'}" for n, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join([f"image,label,{second}", *rows]))
    dataset = open_dataset(tmp_path, task="classify")
    assert dataset.class_names == ("cat", "dog")
    assert sum(image.split == "test" for image in dataset.images) == 6


@pytest.mark.parametrize(
    ("heading", "told"), [("image,bbox,class", 1), ("image,xmin,ymin,xmax,ymax,class", 0)]
)
def test_an_order_that_nothing_tells_is_told(tmp_path: Path, heading: str, told: int) -> None:
    def line(name: str, label: str, b: Box) -> str:
        values = plain((b[0] * 0.8, b[1], b[2] * 0.8, b[3]))
        return f"{name},{values},{label}" if "xmin" in heading else f'{name},"[{values}]",{label}'

    folder = table(tmp_path / "set", line, heading)
    for path in (folder / "images").iterdir():
        Image.open(path).crop((0, 0, 80, 80)).save(path)
    assert kinds(open_dataset(folder)).get("box_order_assumed", 0) == told
