"""Tables that were once read wrongly without a word, or refused although they are good; and tables made at random."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.datasets.tables.classes import refuse_lists
from recommender.errors import DatasetError
from recommender.records import Dataset
from tests.datasets.helpers import kinds
from tests.datasets.test_box_tables import (
    NAMES,
    NUM_IMAGES,
    Box,
    Line,
    boxes_of,
    corners,
    expected,
    images,
    plain,
    table,
)

HEADING = "filename,class,xmin,ymin,xmax,ymax"


def line_of(name: str, label: str, box: Box) -> str:
    """A row below HEADING."""
    return f"{name},{label},{plain(box)}"


def write(folder: Path, heading: str, rows: Sequence[str], name: str = "labels.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([heading, *rows]) + "\n")
    return folder


GOOD: dict[str, tuple[str, Line]] = {
    "decimal commas": (
        "filename;class;xmin;ymin;xmax;ymax",
        lambda name, label, b: f"{name};{label};" + ";".join(f"{v:.2f}".replace(".", ",") for v in b),
    ),
    "German": (HEADING.replace("class", "Klasse"), line_of),
    "scikit-image": (
        "filename,class,minr,minc,maxr,maxc",
        lambda name, label, b: f"{name},{label},{b[1]:g},{b[0]:g},{b[3]:g},{b[2]:g}",
    ),
    "start and end": ("filename,class,startX,startY,endX,endY", line_of),
    "named corners": ("filename,class,top_left_x,top_left_y,bottom_right_x,bottom_right_y", line_of),
    "a cell called box": ("image,class,box", lambda n, label, b: f'{n},{label},"[{plain(b)}]"'),
}


@pytest.mark.parametrize("form", GOOD)
def test_a_good_table_is_read(tmp_path: Path, form: str) -> None:
    heading, line = GOOD[form]
    found = open_dataset(table(tmp_path, line, heading))
    assert corners(found) == expected()
    assert kinds(found) == {}


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        ("xmin,ymin,xmax,ymax,shot,class", "{x},{y},{right},70,{number},{name}"),
        ("id,class_name,frame,xmin,ymin,xmax,ymax", "{x},{code},images/{number}.png,{x},{y},{right},70"),
    ],
)
def test_what_counts_something_else_names_no_image(tmp_path: Path, heading: str, line: str) -> None:
    """Coordinates, numbers of rows and codes of classes are names of some images, too."""
    rows = []
    for number, name in enumerate(images(tmp_path / "images")):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"{number}.png")
        cells = {"x": 23 - number, "y": number + 1, "right": 60 + number % 3, "number": number}
        rows.append(line.format(**cells, code=number % 2, name=NAMES[number % 2]))
    found = open_dataset(write(tmp_path, heading, rows))
    assert {name: box[0] for name, ((_, box),) in corners(found).items()} == {
        f"{number}.png": 23 - number for number in range(NUM_IMAGES)
    }


def scored(name: str, label: str, box: Box) -> str:
    return f"{name},{label},{71.5 + box[0] / 7:.1f},{plain(box)}"


REFUSED: dict[str, tuple[str, Line, str]] = {
    "lists of classes": (
        "filename;class;xmin;ymin;xmax;ymax",
        lambda n, label, b: f"{n};['{label}', 'dog'];" + plain(b).replace(",", ";"),
        "lists or JSON",
    ),
    "scores in percent": ("filename,class,confidence,xmin,ymin,xmax,ymax", scored, "scores"),
    "a second box a row": (
        "filename,class,x1,y1,x2,y2,class.1,x1.1,y1.1,x2.1,y2.1",
        lambda n, label, b: f"{line_of(n, label, b)},{label},{plain(b)}",
        "no boxes that are read",
    ),
    "codes without a heading": (
        "",
        lambda n, label, b: f"{NAMES.index(label)},{n},{plain(b)}",
        "which column is the class",
    ),
    "a split that is none": (
        f"{HEADING},split",
        lambda n, label, b: f"{line_of(n, label, b)},{'hidden' if n > 'photo_020' else 'train'}",
        "which split is 'hidden'",
    ),
    "a heading too few": (HEADING, lambda n, label, b: f"{line_of(n, label, b)},0", "no boxes that are read"),
    "a heading too few where rows begin alike": (
        "filename,xmin,ymin,xmax,ymax",
        lambda n, label, b: f"{label},{n},{plain(b)}",
        "no boxes that are read",
    ),
    "thousands": (
        "filename;class;xmin;ymin;xmax;ymax",
        lambda n, label, b: f"{n};{label};" + ";".join(f"1,{v:03.0f}" for v in b),
        "label_not_finite",
    ),
    "a quotation mark that is never closed": (
        HEADING,
        lambda n, label, b: line_of(n, f'"{label}' if n == "photo_020.png" and b[0] == 0 else label, b),
        "no valid CSV",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_read_wrongly_is_refused(tmp_path: Path, case: str) -> None:
    heading, line, said = REFUSED[case]
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(table(tmp_path, line, heading))
    assert caught.value.remedy


LABELS: dict[str, tuple[str, Callable[[int], str], str]] = {
    "rows of other lengths": ("file,label", lambda n: NAMES[n % 2] + ", brown" * (n % 3 == 0), "8 of 25"),
    "a heading too few": ("file,label", lambda n: f"{NAMES[n % 2]},{n % 3}", "form is not known"),
    "several with bars": ("file,label", lambda n: ("a|b", "b|c", "a|c")[n % 3], "several classes"),
    "boxes in a cell": ("file,PredictionString", lambda n: f"cat 1.0 {n % 3} 4 30 40", "lists or JSON"),
    "a split that is none": (
        "file,label,split",
        lambda n: f"{NAMES[n % 2]},{'train' if n < 20 else 'blind'}",
        "which split is 'blind'",
    ),
    "flags in words": ("file,cat,dog", lambda n: f"{n % 2 == 0},{n % 2 == 1}", ""),
    "flags beside a class": ("file,label,occluded", lambda n: f"{n % 2},{int(n % 3 == 0)}", ""),
    "flags of sound images": ("file,defect,is_valid", lambda n: f"{n % 2},{int(n != 3)}", ""),
    "flags beside the number of a class": ("file,is_valid,class_id", lambda n: f"{int(n > 18)},{n % 2}", ""),
    "the words of another column": ("id,no,label,sex", lambda n: f"{n}.png,{n % 2},{'MF'[n % 2]}", ""),
    "several flags, one called after a class": (
        "file,cat,other_class",
        lambda n: f"{n % 2},{int(n % 3 == 0)}",
        "several classes",
    ),
    "ages before images": ("age,no,label", lambda n: f"{n},{NAMES[n % 2]}", ""),
}


@pytest.mark.parametrize("case", LABELS)
def test_tables_of_classes_are_read_as_meant_or_refused(tmp_path: Path, case: str) -> None:
    heading, cells, said = LABELS[case]
    rows = []
    for number, name in enumerate(images(tmp_path / "images")):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"{number}.png")
        first = {"age": number // 3, "id,": number}.get(heading[:3], f"{number}.png")
        rows.append(f"{first},{cells(number)}")
    write(tmp_path, heading, rows)
    if said:
        with pytest.raises(DatasetError, match=said):
            open_dataset(tmp_path)
    else:
        found = open_dataset(tmp_path)
        assert {int(image.path.stem): int(image.classes_M[0]) for image in found.images} == {
            number: number % 2 for number in range(NUM_IMAGES)
        }


def test_a_long_cell_of_digits_holds_nothing_up() -> None:
    began = time.process_time()
    refuse_lists(["1" * 1000, "cat"], "labels.csv")
    assert time.process_time() - began < 1
    for cell in ("cat 1.0 2 4 30 40", "1. 2. 3. -4"):
        with pytest.raises(DatasetError, match="lists or JSON"):
            refuse_lists([cell], "labels.csv")


BOXED = "xmin,ymin,xmax,ymax"
SCORED = {
    "decimal commas": (
        f"filename;class;confidence;{BOXED}".replace(",", ";"),
        "{name};{label};0,{share};{box}",
    ),
    "percent signs": (f"filename,class,confidence,{BOXED}", "{name},{label},{share}%,{box}"),
    "whole percents": (f"filename,class,score,{BOXED}", "{name},{label},{share},{box}"),
    "prob": (f"filename,class,prob,{BOXED}", "{name},{label},0.{share},{box}"),
    "class_probs": (f"filename,class,class_probs,{BOXED}", "{name},{label},0.{share},{box}"),
    "certainty": (f"filename,class,certainty,{BOXED}", "{name},{label},0.{share},{box}"),
    "no heading": ("", "{name},{box},{label},0.{share}"),
}
SURE = {
    "1": (f"filename,class,confidence,{BOXED}", "{name},{label},1,{box}"),
    "0 and 1": (f"filename,class,confidence,{BOXED}", "{name},{label},{flag},{box}"),
    "100 percent": (f"filename,class,confidence,{BOXED}", "{name},{label},100%,{box}"),
    "grades of an annotator": (f"filename,class,certainty,{BOXED}", "{name},{label},{grade},{box}"),
    "ages": (f"filename,class,age,{BOXED}", "{name},{label},{share},{box}"),
    "visible shares": (f"filename,class,visible,{BOXED}", "{name},{label},0.{share},{box}"),
    "flags without a heading": ("", "{name},{box},{label},{flag}"),
    "ages without a heading": ("", "{name},{box},{label},{share}"),
}


def filled(form: str) -> Line:
    """A row of a box, with a share of 31 to 98 percent."""

    def line(name: str, label: str, box: Box) -> str:
        number = int(name[6:9])
        cells = plain(box).replace(",", ";" if ";" in form else ",")
        return form.format(
            name=name,
            label=label,
            box=cells,
            share=31 + 3 * number % 68,
            flag=number % 2,
            grade=1 + number % 5,
        )

    return line


@pytest.mark.parametrize("case", SCORED)
def test_results_of_a_detector_are_no_labels(tmp_path: Path, case: str) -> None:
    heading, form = SCORED[case]
    with pytest.raises(DatasetError, match="detector's results"):
        open_dataset(table(tmp_path, filled(form), heading))


ROWS: dict[str, Callable[[list[str]], str]] = {
    "a comma ends each row": lambda rows: "\n".join([rows[0], *(f"{row}," for row in rows[1:])]),
    "blanks after commas": lambda rows: "\n".join(
        [
            "filename, class, bbox",
            *(f'{n}, {c}, "[{b}]"' for n, c, b in (row.split(",", 2) for row in rows[1:])),
        ]
    ),
    "a separator for Excel": lambda rows: "\n".join(["sep=|", *(row.replace(",", "|") for row in rows)]),
    "a wrong separator for Excel": lambda rows: "\n".join(
        ["sep=,", *(row.replace(",", ";") for row in rows)]
    ),
    "a separator for Excel that is none": lambda rows: "\r\n".join(["sep=", *rows]),
    "lists beside other marks": lambda rows: "\n".join(
        f"{n};{c};[{b}]" for n, c, b in (row.split(",", 2) for row in ["image,class,bbox", *rows[1:]])
    ),
    "names of rows as R writes them": lambda rows: "\n".join(
        [rows[0], *(f'"{n}",{row}' for n, row in enumerate(rows[1:], 1))]
    ),
    "lines of an old Macintosh": lambda rows: "\r".join(rows),
    "a column called cls": lambda rows: "\n".join([rows[0].replace("class", "cls"), *rows[1:]]),
}


@pytest.mark.parametrize("form", ROWS)
def test_rows_are_read_as_programs_write_them(tmp_path: Path, form: str) -> None:
    table(tmp_path, line_of, HEADING)
    path = tmp_path / "labels.csv"
    text = ROWS[form](path.read_text().splitlines())
    for encoding in ("utf-8", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert corners(open_dataset(tmp_path)) == expected()


def test_cells_without_a_value_are_no_class(tmp_path: Path) -> None:
    names = images(tmp_path / "images")
    boxed = [line_of(name, *each) for n, name in enumerate(names[:20]) for each in boxes_of(n)]
    write(tmp_path, HEADING, boxed + [f"{name},NA,NA,NA,NA,NA" for name in names[20:]])
    found = open_dataset(tmp_path)
    assert found.class_names == NAMES
    assert kinds(found) == {}
    assert sum(len(image.classes_M) == 0 for image in found.images) == 4
    write(tmp_path, HEADING, [*boxed, f"{names[20]},NA,1,2,30,40"])
    assert kinds(open_dataset(tmp_path))["label_class_unknown"] == 1
    for none in ("0,0,0,0", ",,,"):
        write(tmp_path, HEADING, [*boxed, f"{names[20]},NA,{none}", f"{names[21]},NA,{none}"])
        assert kinds(open_dataset(tmp_path)).keys() <= {"image_without_row"}
    write(tmp_path, HEADING, [*boxed, *(f"{name},NA,1,2,30,40" for name in names[20:])])
    found = open_dataset(tmp_path)  # no number is missing: a class of that name
    assert found.class_names == ("NA", *NAMES)
    assert kinds(found) == {}


def test_images_of_class_na_are_told(tmp_path: Path) -> None:
    labels = [*NAMES * 10, *["NA"] * 4]
    rows = [f"{name},{label}" for name, label in zip(images(tmp_path / "images"), labels, strict=True)]
    for first in ("", "sep=,\n"):
        found = open_dataset(write(tmp_path, f"{first}file,label", rows))
        assert found.class_names == NAMES
        assert kinds(found) == {"image_unclassified": 4}


@pytest.mark.parametrize("case", SURE)
def test_boxes_beside_numbers_that_are_no_scores_are_labels(tmp_path: Path, case: str) -> None:
    heading, form = SURE[case]
    assert corners(open_dataset(table(tmp_path, filled(form), heading))) == expected()


@pytest.mark.parametrize("boxes", [True, False])
def test_the_name_of_the_whole_set_is_no_split(tmp_path: Path, boxes: bool) -> None:
    folder = tmp_path / "training_data"
    names = images(folder / "train")
    (folder / "test").mkdir()
    for name in names[18:]:
        (folder / "train" / name).rename(folder / "test" / name)
    rows = [line_of(name, NAMES[n % 2], boxes_of(n)[n % 3][1]) for n, name in enumerate(names)]
    if boxes:
        write(folder, HEADING, rows)
    else:
        write(folder, "filename,label", [",".join(row.split(",")[:2]) for row in rows])
    found = open_dataset(folder)
    assert {image.path.name for image in found.of_split("test")} == set(names[18:])


def test_the_splits_of_automl_are_read(tmp_path: Path) -> None:
    words = ("TRAIN", "VALIDATE", "TEST")
    rows = [
        f"{words[n // 8]},gs://b/{name},{label},{b[0] / 96},{b[1] / 80},,,{b[2] / 96},{b[3] / 80},,"
        for n, name in enumerate(images(tmp_path / "images"))
        for label, b in boxes_of(n)
    ]
    found = open_dataset(write(tmp_path, rows[0], rows[1:]))
    assert [len(found.of_split(split)) for split in ("train", "val", "test")] == [8, 8, 8]


@pytest.mark.parametrize("heading", ["filename", "filename,width,height"])
def test_images_that_only_another_list_names_are_no_background(tmp_path: Path, heading: str) -> None:
    names = images(tmp_path / "images")
    boxed = [line_of(name, *each) for n, name in enumerate(names[:18]) for each in boxes_of(n)]
    write(tmp_path, HEADING, boxed, "train_annotations.csv")
    write(tmp_path, heading, [name + ",96,80" * ("width" in heading) for name in names[18:]], "test.csv")
    write(tmp_path, "filename,hour", [f"{name},{n}" for n, name in enumerate(names)], "hours.csv")
    found = open_dataset(tmp_path)
    assert kinds(found) == {"table_unread": 1, "image_without_row": 6}
    assert len(found.images) == 18
    (tmp_path / "test.csv").unlink()
    assert len(open_dataset(tmp_path).images) == NUM_IMAGES  # notes on all of them tell nothing


def test_classes_of_all_images_beside_boxes_of_a_few_are_told(tmp_path: Path) -> None:
    names = images(tmp_path / "images")
    write(
        tmp_path, HEADING, [line_of(name, *each) for n, name in enumerate(names[:8]) for each in boxes_of(n)]
    )
    write(tmp_path, "filename,label", [f"{name},{NAMES[n % 2]}" for n, name in enumerate(names)], "kinds.csv")
    assert kinds(open_dataset(tmp_path)) == {"table_unread": 1, "image_without_row": 16}
    assert len(open_dataset(tmp_path, task="classify").images) == NUM_IMAGES


def test_boxes_without_classes_beside_a_table_of_images_are_told(tmp_path: Path) -> None:
    names = images(tmp_path / "images")
    boxed = [f"{name},{plain(box)}" for n, name in enumerate(names) for _, box in boxes_of(n)]
    write(tmp_path, "filename,xmin,ymin,xmax,ymax", boxed, "boxes.csv")
    write(
        tmp_path, "filename,weather", [f"{name},{'sun' if n % 2 else 'rain'}" for n, name in enumerate(names)]
    )
    found = open_dataset(tmp_path)
    assert found.task == "classify"
    assert kinds(found) == {"form_beside": 1}


def test_boxes_in_cells_are_no_names_of_classes(tmp_path: Path) -> None:
    rows = [
        f'{n},{name},"({plain(boxes_of(n)[n % 3][1])})",{n % 2}'
        for n, name in enumerate(images(tmp_path / "images"))
    ]
    assert open_dataset(write(tmp_path, ",filename,bbox,class_id", rows)).class_names == ("0", "1")


@pytest.mark.parametrize("unit", ["fractions", "pixels of the left"])
def test_an_order_that_boxes_leave_open_is_told(tmp_path: Path, unit: str) -> None:
    def line(name: str, label: str, b: Box) -> str:
        if unit == "fractions":
            return f'{name},{label},"[{b[1] / 80}, {b[0] / 96}, {b[3] / 80}, {b[2] / 96}]"'
        return f'{name},{label},"[{b[1]}, {b[0] * 0.8}, {b[3]}, {b[2] * 0.8}]"'

    assert kinds(open_dataset(table(tmp_path, line, "image,class,bbox"))) == {"box_order_assumed": 1}


SIZES = ((120, 80), (80, 120), (90, 90))
HEADINGS = {
    "corners": (
        "xmin ymin xmax ymax",
        "x1 y1 x2 y2",
        "left top right bottom",
        "bbox_xmin bbox_ymin bbox_xmax bbox_ymax",
    ),
    "sizes": (
        "x y w h",
        "xmin ymin width height",
        "left top width height",
        "bbox_x bbox_y bbox_width bbox_height",
    ),
    "centres": ("x_center y_center width height", "cx cy w h", "x y w h", "XCenter YCenter Width Height"),
}
EXTRA = (["width", "height"], ["difficult"], ["source"], ["id"], ["confidence"])


def random_table(rng: random.Random, folder: Path) -> dict[str, set[tuple[str, tuple[int, ...]]]]:
    """Write boxes in a random form; those of each image, in corners of pixels."""
    form, cell, turned, part = (
        rng.choice(sorted(HEADINGS)),
        rng.random() < 0.3,
        rng.random() < 0.3,
        rng.random() < 0.4,
    )
    file, label = rng.choice(["filename", "image_id", "frame"]), rng.choice(["class", "category", "ClassID"])
    named = rng.choice(["{}.png", "{}", "images/{}.png", "C:\\x\\{}.PNG"])
    keys = rng.choice(HEADINGS[form]).split()
    order = (
        [1, 0, 3, 2] if turned else [0, 1, 2, 3]
    )  # headings move with their columns, in a cell there are none
    blocks = [[file], [label], ["bbox"] if cell else [keys[k] for k in order]]
    blocks += [extra for extra in EXTRA if rng.random() < 0.3 and not {*map(str.lower, keys)} & {*extra}]
    rng.shuffle(blocks)
    heads = [head for block in blocks for head in block]
    truth: dict[str, set[tuple[str, tuple[int, ...]]]] = {}
    rows: list[str] = []
    for number, _ in enumerate(SIZES * 4):
        width, height = SIZES[number % 3]
        for _ in range(rng.randint(1, 3)):
            w, h = rng.randint(4, width), rng.randint(4, height)
            x, y, name = rng.randint(0, width - w), rng.randint(0, height - h), rng.choice(["cat", "big dog"])
            truth.setdefault(str(number), set()).add((name, (x, y, x + w, y + h)))
            values = {
                "corners": (x, y, x + w, y + h),
                "sizes": (x, y, w, h),
                "centres": (x + w / 2, y + h / 2, w, h),
            }[form]
            units = (width, height, width, height) if part else (1, 1, 1, 1)
            written = [f"{value / unit:g}" for value, unit in zip(values, units, strict=True)]
            cells = {"difficult": "0", "source": f"lab{number % 2}", "id": str(len(rows)), "confidence": "1"}
            cells |= {"width": str(width), "height": str(height), file: named.format(number), label: name}
            cells |= dict(zip(keys, written, strict=True))
            cells |= {"bbox": f'"[{", ".join(written[k] for k in order)}]"'}
            rows.append(";".join(cells[head] for head in heads))
    write(folder, ";".join(heads), rows)
    return truth


def read_boxes(found: Dataset) -> dict[str, set[tuple[str, tuple[int, ...]]]]:
    """The boxes of each image, in corners of pixels."""
    boxes: dict[str, set[tuple[str, tuple[int, ...]]]] = {}
    for image in found.images:
        for c, (x, y, w, h) in zip(image.classes_M, image.boxes_M4.astype(np.float64), strict=True):
            ends = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * ([image.width, image.height] * 2)
            place = tuple(int(value) for value in ends.round())
            boxes.setdefault(image.path.stem, set()).add((found.class_names[c], place))
    return boxes


def test_random_tables_are_read_as_written_or_not_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(12):
        width, height = SIZES[number % 3]
        pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    num_equal = 0
    for seed in range(12):
        truth = random_table(random.Random(seed), tmp_path)
        try:
            found = open_dataset(tmp_path)
        except DatasetError:
            continue
        equal = read_boxes(found) == truth
        assert equal or any(defect.severity != "info" for defect in found.defects), seed
        num_equal += equal
    assert num_equal >= 8


def test_rows_with_numbers_and_a_cell_too_many_are_not_those_of_r(tmp_path: Path) -> None:
    names = images(tmp_path / "images")
    rows = [f"{n},{name},{NAMES[n % 2]},{n % 3}" for n, name in enumerate(names)]
    write(tmp_path, "id,filename,label", rows)
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    assert caught.value.remedy
