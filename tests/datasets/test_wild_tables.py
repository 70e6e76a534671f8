"""Tables as programs and publishers leave them: read as an expert reads them, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, WrongTaskError
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
    sized,
    table,
)
from tests.datasets.test_table_doubts import HEADING, line_of, write

BLANKS = HEADING.replace(",", " ")
Lines = Callable[[list[str]], list[str]]


def blanks(row: str) -> str:
    return " ".join(cell if cell[0].isdigit() else f'"{cell}"' for cell in row.split(","))


TEXTS: dict[str, tuple[str, Lines]] = {
    "R, between blanks": (
        "labels.txt",
        lambda rows: [BLANKS, *(f'"{n}" {blanks(r)}' for n, r in enumerate(rows, 1))],
    ),
    "R, in a CSV": ("labels.csv", lambda rows: [blanks(HEADING), *map(blanks, rows)]),
    "R, two headings of images": (
        "labels.csv",
        lambda rows: [
            f"image,{HEADING}",
            *(f"{n},images/{r.split(',')[0]},{r}" for n, r in enumerate(rows, 1)),
        ],
    ),
    "tabs": ("boxes.txt", lambda rows: [row.replace(",", "\t") for row in (HEADING, *rows)]),
    "aligned by pandas": (
        "labels.txt",
        lambda rows: [BLANKS, *(f"{n:<4} {blanks(r)}" for n, r in enumerate(rows))],
    ),
    "blanks without a heading": ("annotations.txt", lambda rows: [row.replace(",", "  ") for row in rows]),
    "pandas without names": (
        "labels.csv",
        lambda rows: [",0,1,2,3,4,5", *(f"{n},{r}" for n, r in enumerate(rows))],
    ),
    "numbers of rows": (
        "labels.csv",
        lambda rows: [f"Unnamed: 0,{HEADING}", *(f"{3 * n},{r}" for n, r in enumerate(rows))],
    ),
    "a title": ("labels.csv", lambda rows: ["Boxes of May,,,,,", HEADING, *rows, ",,,,,"]),
    "comments": ("labels.csv", lambda rows: ["# made by hand, twice", "# 2024", f"#{HEADING}", *rows]),
    "empty columns": ("labels.csv", lambda rows: [f"{HEADING},,", *(f"{row},,," for row in rows)]),
}


@pytest.mark.parametrize("form", TEXTS)
def test_text_is_cut_into_the_cells_that_were_meant(tmp_path: Path, form: str) -> None:
    rows = [
        line_of(name, *each) for n, name in enumerate(images(tmp_path / "images")) for each in boxes_of(n)
    ]
    file, lines = TEXTS[form]
    (tmp_path / file).write_text("\n".join(lines(rows)) + "\n")
    for place in (tmp_path, tmp_path / file):
        assert corners(open_dataset(place)) == expected()
        assert kinds(open_dataset(place)) == {}


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def as_object(box: Box, *keys: str) -> dict[str, object]:
    x1, y1, x2, y2 = box
    return dict(zip(keys, (x1, y1, x2 - x1, y2 - y1) if "width" in keys else box, strict=True))


OBJECTS: dict[str, tuple[str, Line]] = {
    "one, as Python prints it": (
        "image,label,bbox",
        lambda n, label, b: f"{n},{label},{quoted(str(as_object(b, 'x1', 'y1', 'x2', 'y2')))}",
    ),
    "a list with the class": (
        "image,width,height,annotations",
        lambda n, label, b: (
            f"{n},96,80,{quoted(json.dumps([as_object(b, 'x', 'y', 'width', 'height') | {'label': label}]))}"
        ),
    ),
    "a list within": (
        "image,objects",
        lambda n, label, b: f"{n},{quoted(json.dumps([{'bbox': list(b), 'category': label}]))}",
    ),
}


@pytest.mark.parametrize("form", OBJECTS)
def test_objects_in_a_cell_are_rows(tmp_path: Path, form: str) -> None:
    heading, line = OBJECTS[form]
    assert corners(open_dataset(table(tmp_path, line, heading))) == expected()


@pytest.mark.parametrize("nothing", ["[]", "", "no_box"])
def test_lists_of_boxes_without_a_class_may_be_empty(tmp_path: Path, nothing: str) -> None:
    keys = ("x", "y", "width", "height")
    rows = []
    for number, name in enumerate(images(tmp_path / "images")):
        boxes = [as_object(box, *keys) for _, box in boxes_of(number)]
        one = (
            ";".join(" ".join(f"{v:g}" for v in box.values()) for box in boxes)
            if nothing == "no_box"
            else str(boxes)
        )
        rows.append(f"0,{number},{name[:-4]},{quoted(one) if number else nothing}")
    found = open_dataset(
        write(tmp_path, f"video,frame_number,image_id,{'boxes' if nothing == 'no_box' else 'found'}", rows)
    )
    assert corners(found) == expected(named=False) | {"photo_000.png": []}


def test_boxes_in_lines_of_json_are_read(tmp_path: Path) -> None:
    def line(name: str, label: str, box: Box) -> str:
        return json.dumps({"image": name, "label": label, "bbox": list(box)})

    assert corners(open_dataset(table(tmp_path, line, file="labels.jsonl"))) == expected()


HEADS: dict[str, tuple[str, Line]] = {
    "LISA": (
        "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;Lower right corner Y",
        line_of,
    ),
    "nested": (
        "a.filename,object.name,object.bndbox.xmin,object.bndbox.ymin,object.bndbox.xmax,object.bndbox.ymax",
        line_of,
    ),
    "units": ("File,Class Name,X Min (px),Y Min (px),X Max (px),Y Max (px)", line_of),
    "numbered": ("file,class,bbox_0,bbox_1,bbox_2,bbox_3", line_of),
    "rows and columns": (
        "file,class,row_min,col_min,row_max,col_max",
        lambda n, label, b: f"{n},{label},{b[1]:g},{b[0]:g},{b[3]:g},{b[2]:g}",
    ),
    "lines within": ('"file\nname",class,"x\nmin","y\nmin","x\nmax","y\nmax"', line_of),
    "axes first": ("file,class,x_start,y_start,x_end,y_end", line_of),
    "chest x-rays": (
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        lambda n, label, b: f"{n},{label},{sized(b)},,,",
    ),
    "fractions": (
        "file,class,xmin_norm,ymin_norm,xmax_norm,ymax_norm",
        lambda n, label, b: f"{n},{label},{b[0] / 96},{b[1] / 80},{b[2] / 96},{b[3] / 80}",
    ),
}


@pytest.mark.parametrize("form", HEADS)
def test_headings_of_boxes_are_known_in_all_spellings(tmp_path: Path, form: str) -> None:
    heading, line = HEADS[form]
    folder = table(tmp_path, lambda *row: line(*row).replace(",", ";" if ";" in heading else ","), heading)
    assert corners(open_dataset(folder)) == expected()


@pytest.mark.parametrize(("mark", "file"), [(";", "gt.txt"), (",", "anno_train.csv")])
def test_four_corners_and_a_code_need_no_heading(tmp_path: Path, mark: str, file: str) -> None:
    """German traffic signs' and Stanford cars' tables."""
    folder = table(
        tmp_path, lambda n, label, b: f"{n},{plain(b)},{NAMES.index(label)}".replace(",", mark), "", file
    )
    (folder / "classes.txt").write_text("cat\ndog\n")
    assert corners(open_dataset(folder, task="detect")) == expected()


def percents(key: str) -> Line:
    def line(name: str, label: str, box: Box) -> str:
        one = as_object(box, "x", "y", "width", "height") | {key: [label], "original_width": 96}
        return f"{name},{quoted(json.dumps([one]))}"

    return line


WRONG: dict[str, tuple[str, Line, str]] = {
    "angles": (
        "file,class,cx,cy,w,h,angle",
        lambda n, label, b: f"{n},{label},{sized(b)},30",
        "oriented boxes",
    ),
    "outlines": (
        "file,place,class",
        lambda n, label, b: f'{n},"[({b[0]}, 1), (9, 9), (7, 3)]",{label}',
        "where objects lie",
    ),
    "a class for each box": (
        "file,bbox,class",
        lambda n, label, b: f'{n},"{plain(b)} 1 2 9 9",{label} dog',
        "in the column of the class",
    ),
    "two boxes": (
        f"{HEADING},xmin,ymin,xmax,ymax",
        lambda n, label, b: f"{line_of(n, label, b)},1,2,9,9",
        "no boxes that are read",
    ),
    "percents": ("image,label", percents("labels"), "Label Studio"),
    "percents of rectangles": ("image,label", percents("rectanglelabels"), "Label Studio"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_would_be_misread_is_refused(tmp_path: Path, case: str) -> None:
    heading, line, said = WRONG[case]
    rows = [line(name, *boxes_of(n)[n % 3]) for n, name in enumerate(images(tmp_path / "images"))]
    with pytest.raises(DatasetError, match=said):
        open_dataset(write(tmp_path, heading, rows))


LABELS: dict[str, tuple[str, Callable[[int], str], type[DatasetError] | None]] = {
    "plus": ("file,label", lambda n: ("cat", "dog", "cat+dog")[n % 3], WrongTaskError),
    "slash": ("file,label", lambda n: ("cat", "dog", "dog / cat")[n % 3], WrongTaskError),
    "and": ("file,label", lambda n: ("cat", "dog", "cat and dog")[n % 3], WrongTaskError),
    "two questions": ("file,diagnosis,target", lambda n: f"{'abc'[n % 3]},{n % 2}", DatasetError),
    "one list each": ("file,labels", lambda n: f"['{NAMES[n % 2]}']", None),
    "whole numbers": ("file,label", lambda n: f"{n % 2}.0", None),
    "flags beside ages": ("file,age,cat,dog,cow", lambda n: f"{n + 30},{int(n % 2 == 0)},{n % 2},0", None),
    "blanks below a heading": (
        "file label_id label weather",
        lambda n: f"{n % 2} {NAMES[n % 2]} {'ab'[n % 3 > 0]}",
        None,
    ),
    "beside a date": ("file,kind,taken", lambda n: f"{NAMES[n % 2]},2024-01-0{1 + n % 3}", None),
    "no class but a date": ("file,taken", lambda n: f"2024-01-0{1 + n % 3}", DatasetError),
    "beside a size": ("file,kind,width,height", lambda n: f"{NAMES[n % 2]},96,80", None),
    "R between blanks": ("file label", lambda n: f'"{NAMES[n % 2]}"', None),
}


@pytest.mark.parametrize("case", LABELS)
def test_a_class_an_image_is_found_and_several_are_not_one(tmp_path: Path, case: str) -> None:
    heading, cells, error = LABELS[case]
    mark = "," if "," in heading else " "
    rows = [
        f"{name},{cells(n)}" if mark == "," else f'"{n}" {name} {cells(n)}'
        for n, name in enumerate(images(tmp_path / "images"))
    ]
    write(tmp_path, heading, rows)
    if error is not None:
        with pytest.raises(error):
            open_dataset(tmp_path)
        return
    found = open_dataset(tmp_path)
    assert {int(image.path.stem[-3:]): int(image.classes_M[0]) for image in found.images} == {
        n: n % 2 for n in range(24)
    }
    assert set(found.class_names) <= {"cat", "dog", "0", "1"}


@pytest.mark.parametrize("form", ["address", "folder"])
def test_images_are_named_by_addresses_and_by_folders_beside(tmp_path: Path, form: str) -> None:
    names = images(tmp_path / "images")
    rows = []
    for number, name in enumerate(names):
        place = f"my photo {number}.png" if form == "address" else f"cam{number % 2}/{number // 2}.png"
        (tmp_path / "images" / place).parent.mkdir(exist_ok=True)
        (tmp_path / "images" / name).rename(tmp_path / "images" / place)
        cells = (
            f"https://host/images%2Fmy%20photo%20{number}.png?alt=media"
            if form == "address"
            else place.replace("/", ",")
        )
        rows.append(f"{cells},{line_of('', *boxes_of(number)[1])[1:]}")
    heading = HEADING if form == "address" else f"folder,{HEADING}"
    assert kinds(open_dataset(write(tmp_path, heading, rows), task="detect")) == {}


@pytest.mark.parametrize("words", ["trainImages valImages", "TrainingSet ValidationSet"])
def test_splits_in_one_word_divide(tmp_path: Path, words: str) -> None:
    names = images(tmp_path / "images")
    rows = [f"{line_of(name, *boxes_of(n)[1])},{words.split()[n % 4 == 0]}" for n, name in enumerate(names)]
    found = open_dataset(write(tmp_path, f"{HEADING},split", rows))
    assert [len(found.of_split(split)) for split in ("train", "val")] == [18, 6]


@pytest.mark.parametrize("cell", ["-", "N/A", "NaN"])
def test_marks_for_nothing_are_background(tmp_path: Path, cell: str) -> None:
    names = images(tmp_path / "images")
    rows = [
        line_of(name, *boxes_of(n)[1]) if n else ",".join([name, *[cell] * 5]) for n, name in enumerate(names)
    ]
    found = open_dataset(write(tmp_path, HEADING, rows))
    assert found.class_names == NAMES
    assert [image.path.name for image in found.images if not len(image.classes_M)] == names[:1]


@pytest.mark.parametrize("words", ["big cat/old dog", "tench, a fish/carp, a fish"])
def test_classes_in_lists_may_hold_blanks_and_commas(tmp_path: Path, words: str) -> None:
    names = images(tmp_path / "images")
    rows = [f"{name} {words.split('/')[n % 2]}" for n, name in enumerate(names)]
    found = open_dataset(write(tmp_path, rows[0], rows[1:], "labels.txt"))
    assert set(found.class_names) == set(words.split("/"))


def early_boxes(number: int) -> list[Box]:
    """Two boxes in corners whose width is more than x and whose height is more than y."""
    x, y = float(number % 9), float(number % 7 + 3)
    return [(x, y, x + 40 + number, y + 50), (x + 20, y + 10, x + 60, y + 45)]


@pytest.mark.parametrize("form", ["sizes", "centres in fractions", "code first", "code first, tall"])
@pytest.mark.parametrize("file", ["labels.csv", "annotations.txt"])
def test_sizes_beside_a_code_are_not_taken_for_corners(tmp_path: Path, form: str, file: str) -> None:
    rows = []
    for n, name in enumerate(images(tmp_path / "images")):
        for k, (x1, y1, x2, y2) in enumerate(early_boxes(n)):
            w, h, code = x2 - x1, y2 - y1, (n + k) % 2
            cells = {
                "sizes": (x1, y1, w, h, code),
                "centres in fractions": ((x1 + w / 2) / 192, (y1 + h / 2) / 160, w / 96, h / 80, code),
                "code first": (code, x1, y1, w, 2.5),
                "code first, tall": (code, x1, y1, w, h + n / 50 + k / 99),
            }[form]
            rows.append(",".join([name, *(f"{cell:g}" for cell in cells)]))
    if file == "annotations.txt":
        rows = [row.replace(",", " ") for row in rows]
    with pytest.raises(DatasetError):
        open_dataset(write(tmp_path, rows[0], rows[1:], file), task="detect")


def test_two_numbers_after_an_image_are_no_class_of_two_words(tmp_path: Path) -> None:
    rows = [f"{name} {n % 3} {n % 2}" for n, name in enumerate(images(tmp_path / "images"))]
    (tmp_path / "labels.txt").write_text("\n".join(rows))
    with pytest.raises(DatasetError):
        open_dataset(tmp_path)


LISTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "planes": ("", ("Boeing 737", "Boeing 747", "Airbus 320")),
    "types": ("", ("type 1", "type 2", "type 3")),
    "foxes": ("file label", ("red fox", "arctic fox", "grey wolf")),
}


@pytest.mark.parametrize("suffix", [".png", ""])
@pytest.mark.parametrize("case", LISTS)
def test_classes_of_two_words_are_whole(tmp_path: Path, case: str, suffix: str) -> None:
    heading, classes = LISTS[case]
    for n, name in enumerate(images(tmp_path / "images")):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"{1025000 + n}.png")
    rows = [*[heading] * bool(heading), *(f"{1025000 + n}{suffix} {classes[n % 3]}" for n in range(24))]
    found = open_dataset(write(tmp_path, rows[0], rows[1:], "labels.txt"))
    assert set(found.class_names) == set(classes)
    assert len(found.images) == 24


def test_a_row_of_numbers_of_images_is_no_heading(tmp_path: Path) -> None:
    for n, name in enumerate(images(tmp_path / "images")):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"{n}.png")
    rows = [f"{n},{(n + 1) % 3}" for n in range(24)]
    assert len(open_dataset(write(tmp_path, rows[0], rows[1:])).images) == 24


BESIDE: dict[str, tuple[str, Callable[[int], str], str]] = {
    "KITTI's": (
        "bbox_left,bbox_top,bbox_right,bbox_bottom,rotation_y",
        lambda n: f"{n / 9 - 1:.2f}",
        "corners",
    ),
    "a view": ("xmin,ymin,xmax,ymax,view_angle", lambda n: str(n), "corners"),
    "corners": ("xmin,ymin,xmax,ymax,angle", lambda n: str(n), "corners"),
    "a camera": ("x,y,w,h,camera_angle", lambda n: "front", "sizes"),
    "words": ("x,y,w,h,angle", lambda n: "front", "sizes"),
}


@pytest.mark.parametrize("case", BESIDE)
def test_upright_boxes_may_stand_beside_other_angles(tmp_path: Path, case: str) -> None:
    heading, cell, form = BESIDE[case]
    cells = plain if form == "corners" else sized

    def line(name: str, label: str, box: Box) -> str:
        return f"{name},{label},{cells(box)},{cell(int(name[6:9]))}"

    assert corners(open_dataset(table(tmp_path, line, f"file,class,{heading}"))) == expected()


def test_flags_may_be_headed_by_numbers_of_classes(tmp_path: Path) -> None:
    heads = "01257"
    rows = [
        f"{name},{','.join(str(int(k == n % 5)) for k in range(5))}"
        for n, name in enumerate(images(tmp_path / "images"))
    ]
    found = open_dataset(write(tmp_path, f"file,{','.join(heads)}", rows))
    assert found.class_names == tuple(heads)
    assert kinds(found) == {}


@pytest.mark.parametrize("boxes", [True, False])
def test_images_may_be_saved_under_the_encoded_name_of_an_address(tmp_path: Path, boxes: bool) -> None:
    rows = []
    for n, name in enumerate(images(tmp_path / "images")):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"im%20{n}.png")
        row = line_of(f"https://host/a/im%20{n}.png", *boxes_of(n)[n % 3])
        rows.append(row if boxes else ",".join(row.split(",")[:2]))
    found = open_dataset(write(tmp_path, HEADING if boxes else "file,label", rows))
    assert kinds(found) == {}
    assert len(found.images) == NUM_IMAGES


@pytest.mark.parametrize("num", [2, 5])
@pytest.mark.parametrize("boxes", [True, False])
def test_splits_by_number_are_told_and_not_used(tmp_path: Path, boxes: bool, num: int) -> None:
    rows = [line_of(name, *boxes_of(n)[n % 3]) for n, name in enumerate(images(tmp_path / "images"))]
    rows = [row if boxes else ",".join(row.split(",")[:2]) for row in rows]
    write(tmp_path, HEADING if boxes else "filename,label", rows)
    before = [(image.name, image.split) for image in open_dataset(tmp_path).images]
    rows = [f"{row},{n % num}" for n, row in enumerate(rows)]
    found = open_dataset(write(tmp_path, f"{HEADING if boxes else 'filename,label'},split", rows))
    assert kinds(found) == {"splits_unused": 1}
    assert [(image.name, image.split) for image in found.images] == before


@pytest.mark.parametrize("word", ["dataset", "set", "phase"])
def test_a_column_called_as_splits_may_be_the_class(tmp_path: Path, word: str) -> None:
    rows = [f"{name},{NAMES[n % 2]}" for n, name in enumerate(images(tmp_path / "images"))]
    assert open_dataset(write(tmp_path, f"file,{word}", rows)).class_names == NAMES


@pytest.mark.parametrize("form", ["codes beside other words", "all words with all others"])
def test_one_of_two_columns_without_headings_is_not_taken_for_the_class(tmp_path: Path, form: str) -> None:
    rows = []
    for n, name in enumerate(images(tmp_path / "images")):
        weather = ("sun", "rain")[n // 2 % 2]
        rows.append(f"{name},{n % 3},{weather}" if "codes" in form else f"{name} {NAMES[n % 2]} {weather}")
    with pytest.raises(DatasetError, match="which column is the class: column 2, column 3"):
        open_dataset(write(tmp_path, rows[0], rows[1:], "labels.csv" if "codes" in form else "labels.txt"))


def test_numbers_that_may_be_the_class_of_boxes_are_named(tmp_path: Path) -> None:
    def line(name: str, label: str, box: Box) -> str:
        return f"{name},{int(box[2]) % 3},{sized(box)}"

    found = open_dataset(table(tmp_path, line, "pic,code,x,y,w,h"))
    assert found.class_names == ("object",)
    (told,) = (defect for defect in found.defects if defect.kind == "names_missing")
    assert "head code `class`" in told.examples[0]
