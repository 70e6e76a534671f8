"""The findings of `recommend datasets inspect`, and how they are shown."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from recommender.cli.app import run
from recommender.datasets import inspect_dataset, open_dataset
from recommender.report.inspection import inspection_document, print_inspection
from tests.datagen import make_dataset, zip_of
from tests.datasets.helpers import tree_digest, write_rows, yolo_set


def test_counts_and_sizes_are_those_drawn(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    for number in range(9):
        write_rows(
            folder,
            number,
            "" if number == 0 else "0 0.5 0.5 0.25 0.5\n" * (number == 1) + "1 0.5 0.5 0.5 0.5\n",
        )
    inspection = inspect_dataset(open_dataset(folder))
    train, val = inspection.splits
    assert (train.split, train.num_images, train.num_boxes, train.num_background) == ("train", 9, 9, 1)
    assert (val.split, val.num_images, val.num_boxes, val.num_background) == ("val", 3, 6, 0)
    assert train.class_counts == (1, 8)
    assert train.boxes_per_image_Q[2] == 1.0
    assert train.box_sizes_Q[2] == pytest.approx(0.5)
    assert train.box_sides_Q[2] == pytest.approx(np.sqrt(48 * 40))
    assert train.image_widths_Q == (96.0,) * 5
    assert inspection.healthy


def copy_into(folder: Path, source: Image.Image | Path, split: str, name: str, label: str) -> None:
    path = folder / "images" / split / name
    if isinstance(source, Path):
        shutil.copy(source, path)
    else:
        source.save(path, quality=50)
    shutil.copy(folder / "labels" / label, folder / "labels" / split / f"{path.stem}.txt")


def test_copies_and_leaks_are_told_apart(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, size=(320, 240), boxes=6, images=16)
    train = folder / "images" / "train"
    first, second = train / "shape_0000.png", train / "shape_0001.png"
    copy_into(folder, first, "train", "again.png", "train/shape_0000.txt")
    copy_into(folder, first, "val", "leaked.png", "train/shape_0000.txt")
    image = Image.open(second).convert("RGB")
    copy_into(folder, image, "val", "encoded.jpg", "train/shape_0001.txt")
    copy_into(folder, image.resize((160, 120)), "train", "half.jpg", "train/shape_0001.txt")
    part = Image.open(train / "shape_0002.png").convert("RGB").crop((10, 8, 310, 232))
    copy_into(folder, part, "val", "part.jpg", "train/shape_0002.txt")
    inspection = inspect_dataset(open_dataset(folder))
    found = {defect.kind: defect for defect in inspection.defects}
    assert {kind: defect.count for kind, defect in found.items()} == {
        "exact_duplicate": 1,
        "exact_duplicate_leak": 1,
        "near_duplicate": 1,
        "near_duplicate_leak": 2,
    }
    assert found["exact_duplicate_leak"].severity == "error"
    assert found["near_duplicate_leak"].severity == "warning"
    assert any("part.jpg" in example for example in found["near_duplicate_leak"].examples)
    assert not inspection.healthy
    document = inspection_document(inspection)
    assert (document.num_leaks, document.num_duplicates) == (4, 2)


def test_classes_on_one_side_only(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, classes=("a", "b", "c", "d"), images=12)
    for path in (folder / "labels" / "train").iterdir():
        path.write_text("0 0.5 0.5 0.4 0.4\n1 0.2 0.2 0.2 0.2\n")
    for path in (folder / "labels" / "val").iterdir():
        path.write_text("0 0.5 0.5 0.4 0.4\n2 0.2 0.2 0.01 0.01\n")
    found = {defect.kind: defect for defect in inspect_dataset(open_dataset(folder)).defects}
    assert found["class_missing_in_val"].examples == ("b: 9 boxes in train",)
    assert found["class_missing_in_train"].examples == ("c: 3 boxes in val",)
    assert found["class_empty"].examples == ("d",)
    assert found["box_tiny"].count == 3


def test_command_line(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = yolo_set(tmp_path / "set")
    write_rows(folder, 0, "0 0.5 0.5 0.2 0.2\n0 nan 0 0 0\n")
    before = tree_digest(folder)
    assert run(["datasets", "inspect", str(folder), "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["dataset"]["images"] == {"train": 9, "val": 3}
    assert document["defects"][0]["kind"] == "label_not_finite"
    assert run(["datasets", "inspect", str(zip_of(folder, tmp_path / "set.zip"))]) == 0
    shown = capsys.readouterr().out
    assert "label_not_finite" in shown
    assert "labels/train/shape_0000.txt:2" in shown
    assert run(["datasets", "inspect", str(tmp_path / "nowhere")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: There is no ")
    assert tree_digest(folder) == before


def test_allow_root_opens_another_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = yolo_set(tmp_path / "data" / "set")
    (tmp_path / "configs").mkdir()
    description = tmp_path / "configs" / "signs.yaml"
    description.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [circle, square]\n")
    assert run(["datasets", "inspect", str(description), "--json"]) == 2
    captured = capsys.readouterr()
    assert "--allow-root" in captured.err
    assert (
        run(["datasets", "inspect", str(description), "--json", "--allow-root", str(tmp_path / "data")]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["dataset"]["hash"] == open_dataset(folder).content_hash


def test_odd_class_names_are_shown_escaped_and_kept(tmp_path: Path) -> None:
    """H9's part here: no control sequence, markup or line break of a name reaches the terminal."""
    names = [
        "\x1b[2J\x1b]0;title\x07",
        "[bold]markup[/bold]",
        """it's a "back\\slash"\n""",
        "two\r\nlines",
        "nu\0l",
        "\u202edlrow",
        "<script>",
        "🙂",
        "x" * 9000,
    ]
    folder = make_dataset(tmp_path, classes=names, boxes=len(names), size=(400, 300))
    dataset = open_dataset(folder)
    assert dataset.class_names == tuple(names)
    inspection = inspect_dataset(dataset)
    stream = io.StringIO()
    print_inspection(inspection, Console(file=stream, width=200, force_terminal=False))
    shown = stream.getvalue()
    assert not {character for character in shown if not character.isprintable()} - {"\n"}
    for expected in (
        "\\x1b[2J",
        "[bold]markup[/bold]",
        "'two\\r\\nlines'",
        """'it's a "back\\slash"\\n'""",
        "nu\\x00l",
        "\\u202edlrow",
        "<script>",
        "🙂",
    ):
        assert expected in shown
    document = inspection_document(inspection).to_json()
    assert document.isascii()
    assert document.isprintable()
    assert json.loads(document)["dataset"]["classes"] == names


def test_ten_thousand_classes_and_duplicate_names(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    names = [f"class {number % 9000}" for number in range(10_000)]
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {json.dumps(names)}\n")
    dataset = open_dataset(folder)
    assert dataset.class_names == tuple(names)
    assert {defect.kind: defect.count for defect in dataset.defects} == {"names_duplicate": 1000}
    stream = io.StringIO()
    print_inspection(inspect_dataset(dataset), Console(file=stream, width=120))
    assert len(stream.getvalue().splitlines()) < 100
