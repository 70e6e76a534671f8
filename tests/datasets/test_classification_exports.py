"""Image classification as tools and contests leave it: what they export is read rightly, or refused by name."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, WrongTaskError
from tests.datagen import draw_images
from tests.datasets import foreign
from tests.datasets.helpers import kinds
from tests.datasets.test_classification import counts, put

Pictures = list[tuple[Path, str]]


def pictures(folder: Path, count: int = 4, start: int = 0) -> Pictures:
    """So many pictures of cats and of dogs in one folder."""
    return [(path, kind) for kind in ("cat", "dog") for path in put(folder, kind, count, start)]


def hugging_face(root: Path) -> None:
    for split, start in (("train", 0), ("validation", 20)):
        rows = [{"file_name": path.name, "label": kind} for path, kind in pictures(root / split, start=start)]
        (root / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def label_studio_csv(root: Path) -> None:
    rows = "".join(
        f"{n},1,{kind},2024-01-01T10:00:00Z,{n},/data/upload/1/0a1b2c{n:02x}-{path.name},2.{n}\n"
        for n, (path, kind) in enumerate(pictures(root / "images"))
    )
    heading = "annotation_id,annotator,choice,created_at,id,image,lead_time\n"
    (root / "project-1.csv").write_text(heading + rows)


def cvat_tags(root: Path) -> None:
    rows = [
        f'<image id="{n}" name="{path.name}" width="32" height="32"><tag label="{kind}" source="manual"/></image>'
        for n, (path, kind) in enumerate(pictures(root / "images"))
    ]
    labels = "<labels><label><name>cat</name></label><label><name>dog</name></label></labels>"
    text = (
        f"<annotations><version>1.1</version><meta><task>{labels}</task></meta>{''.join(rows)}</annotations>"
    )
    (root / "annotations.xml").write_text(text)


def datumaro_labels(root: Path) -> None:
    items = [
        {
            "id": path.stem,
            "annotations": [{"id": 0, "type": "label", "label_id": ("cat", "dog").index(kind)}],
            "image": {"path": path.name, "size": [32, 32]},
        }
        for path, kind in pictures(root / "images" / "default")
    ]
    categories = {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}}
    (root / "annotations").mkdir()
    content = {"dm_format_version": "1.0", "categories": categories, "items": items}
    (root / "annotations" / "default.json").write_text(json.dumps(content))


def lists_of_file_and_label(root: Path) -> None:
    for split, start in (("train", 0), ("val", 20)):
        found = pictures(root / "images", start=start)
        (root / f"{split}_list.txt").write_text("".join(f"images/{p.name} {k}\n" for p, k in found))


def contest(root: Path) -> None:
    """The names of train and test are the same, and a form for answers lies beside."""
    for number in range(8):
        for split, start in (("train", 0), ("test", 50)):
            kind = ("cat", "dog")[number % 2]
            put(root / split, kind, 1, start + number)[0].rename(root / split / f"{number}.png")
    (root / "trainLabels.csv").write_text(
        "id,label\n" + "".join(f"{n},{('cat', 'dog')[n % 2]}\n" for n in range(8))
    )
    (root / "sampleSubmission.csv").write_text("id,label\n" + "".join(f"{n},cat\n" for n in range(8)))


def several_columns(root: Path) -> None:
    rows = "".join(f"L{n},{p.stem},{k},histo,80\n" for n, (p, k) in enumerate(pictures(root / "part_1")))
    (root / "metadata.csv").write_text("lesion_id,image_id,dx,dx_type,age\n" + rows)


def with_run_lengths(root: Path) -> None:
    found = pictures(root / "images")
    (root / "train.csv").write_text("image,label\n" + "".join(f"{p.name},{k}\n" for p, k in found))
    (root / "masks_rle.csv").write_text(
        "ImageId,EncodedPixels\n" + "".join(f"{p.name},1 3 10 5\n" for p, _ in found)
    )


@pytest.mark.parametrize(
    ("write", "splits"),
    [
        (hugging_face, {"train": 8, "val": 8}),
        (label_studio_csv, None),
        (cvat_tags, None),
        (datumaro_labels, None),
        (lists_of_file_and_label, {"train": 8, "val": 8}),
        (contest, None),
        (several_columns, None),
        (with_run_lengths, None),
    ],
)
def test_an_export_is_read_as_the_classes_say(
    tmp_path: Path, write: Callable[[Path], None], splits: dict[str, int] | None
) -> None:
    write(tmp_path)
    found = open_dataset(tmp_path)
    assert (found.task, found.class_names) == ("classify", ("cat", "dog"))
    of_split = Counter(image.split for image in found.images)
    assert of_split == splits if splits else (found.split_origin, len(found.images)) == ("seeded", 8)
    if write is not contest:
        assert all(found.class_names[int(image.classes_M[0])] in image.path.name for image in found.images)
    unlabelled = {"image_unclassified": 8} if write is contest else {}
    assert kinds(found) == unlabelled


def test_images_without_a_tag_are_told_and_several_tags_refused(tmp_path: Path) -> None:
    cvat_tags(tmp_path)
    file = tmp_path / "annotations.xml"
    text = file.read_text()
    tag = '<tag label="cat" source="manual"/>'
    file.write_text(text.replace(tag, "", 1))
    assert kinds(open_dataset(tmp_path)) == {"image_unclassified": 1}
    file.write_text(text.replace(tag, tag + tag.replace("cat", "dog"), 1))
    with pytest.raises(WrongTaskError, match="multi-label"):
        open_dataset(tmp_path)


def test_tags_beside_boxes_are_attributes(tmp_path: Path) -> None:
    cvat_tags(tmp_path)
    file = tmp_path / "annotations.xml"
    box = '<box label="cat" xtl="2" ytl="2" xbr="20" ybr="20"/>'
    file.write_text(file.read_text().replace("</image>", f"{box}</image>"))
    assert open_dataset(tmp_path).task == "detect"


def test_a_folder_of_images_in_val_is_no_class(tmp_path: Path) -> None:
    for kind, word in (("cat", "n02123045"), ("dog", "n02099601")):
        put(tmp_path / "tiny" / "train" / word / "images", kind, 5)
    pictures(tmp_path / "tiny" / "val" / "images", 2, 20)
    put(tmp_path / "tiny" / "test" / "images", "bird", 3)
    found = open_dataset(tmp_path)
    assert found.class_names == ("n02099601", "n02123045")
    assert len(found.images) == 10
    assert kinds(found) == {"image_unclassified": 7}


@pytest.mark.parametrize("complete", [True, False])
def test_class_folders_take_the_splits_of_a_table_that_names_every_image(
    tmp_path: Path, complete: bool
) -> None:
    found = [(path, kind) for kind in ("cat", "dog") for path in put(tmp_path / kind, kind, 6)]
    for split, own in (
        ("train", found[::2] + found[1::4]),
        ("test", found[3::4][: None if complete else -1]),
    ):
        rows = "".join(f"{n},{kind}/{path.name},{kind}\n" for n, (path, kind) in enumerate(own))
        (tmp_path / f"{split}.csv").write_text(",Filename,ClassName\n" + rows)
    read = open_dataset(tmp_path)
    assert kinds(read) == ({} if complete else {"splits_unused": 1})
    held = {image.name for image in read.images if image.split == "test"}
    assert len(held) == (3 if complete else 0)
    assert all(split != "test" for split, _ in counts(read)) is not complete


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (("faces.csv", "image_id,Bald,Smiling,Male\n{name},1,-1,1\n"), "several classes"),
        (("metadata.csv", "file_name,text\n{name},a photo of {stem}\n"), "names 8 classes for 8 images"),
        (
            (
                "{stem}.json",
                '{"version": "2.0", "schema_ref": "https://darwin/1.json", "item": {}, "annotations": []}',
            ),
            "V7 Darwin JSON",
        ),
        (("{stem}.png.json", '{"metadata": {}, "instances": [{"className": "a"}]}'), "SuperAnnotate JSON"),
        (("labels.json", '{"classes": ["cat", "dog"], "labels": {"cat_000": 0}}'), "FiftyOne"),
        (("ann/{stem}.json", '{"tags": [{"name": "cat"}], "objects": []}'), "Supervisely tags"),
        (("imagelabels.mat", "MATLAB 5.0"), "MATLAB file"),
        (("notes.json", '{"a": 1}'), "Of notes.json the form is not known"),
    ],
    ids=["attributes", "captions", "Darwin", "SuperAnnotate", "FiftyOne", "Supervisely", "MATLAB", "unknown"],
)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, file: tuple[str, str], message: str) -> None:
    for path, _ in pictures(tmp_path / "images"):
        place, content = (text.replace("{name}", path.name).replace("{stem}", path.stem) for text in file)
        written = tmp_path / place
        written.parent.mkdir(exist_ok=True)
        if written.exists():  # of a table its rows alone
            content = written.read_text() + content.partition("\n")[2]
        written.write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(tmp_path)
    assert caught.value.remedy


def test_notes_in_other_forms_beside_class_folders_do_no_harm(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        put(tmp_path / "images" / kind, kind, 5)
    (tmp_path / "lists.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    assert open_dataset(tmp_path).class_names == ("cat", "dog")


def tag_empty_images(folder: Path, tags: int) -> None:
    """Give each image without objects so many tags."""
    for path in folder.rglob("*.xml"):
        tag = "".join(f'<tag label="clear_{n}" source="manual"/>' for n in range(tags))
        path.write_text(path.read_text().replace('"></image>', f'">{tag}</image>'))
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        for row in content if isinstance(content, list) else content["items"]:
            if isinstance(content, dict):
                row["annotations"] += [{"type": "label", "label_id": n} for n in range(tags)] * (
                    not row["annotations"]
                )
            elif not row["annotations"][0]["result"]:
                value = {"choices": ["clear", "empty"][:tags]}
                row["annotations"][0]["result"] = [{"from_name": "kind", "value": value}]
        path.write_text(json.dumps(content))


@pytest.mark.parametrize("tags", [1, 2])
@pytest.mark.parametrize("boxed", [(0, 2, 4, 6, 7), (0, 2, 7)])
@pytest.mark.parametrize("write", [foreign.cvat, foreign.datumaro, foreign.label_studio])
def test_tagged_images_of_a_set_with_boxes_are_background_and_told(
    tmp_path: Path, write: Callable[..., Path], boxed: tuple[int, ...], tags: int
) -> None:
    drawn = draw_images(8, ("circle", "square"))
    drawn = [one if n in boxed else replace(one, boxes=()) for n, one in enumerate(drawn)]
    folder = write(tmp_path / "set", drawn, ("circle", "square"))
    tag_empty_images(folder, tags)
    found = open_dataset(folder)
    assert (found.task, len(found.images)) == ("detect", 8)
    assert sum(not len(image.classes_M) for image in found.images) == 8 - len(boxed)
    assert kinds(found)["image_tagged"] == 8 - len(boxed)


@pytest.mark.parametrize("form", ["class folders", "masks"])
def test_a_json_of_notes_keeps_no_folders_from_being_read(tmp_path: Path, form: str) -> None:
    for kind in ("cat", "dog"):
        put(tmp_path / kind, kind, 5)
    if form == "masks":
        shutil.rmtree(tmp_path / "dog")
        (tmp_path / "cat").rename(tmp_path / "images")
        (tmp_path / "masks").mkdir()
        for path in (tmp_path / "images").iterdir():
            mask = Image.new("L", (32, 32))
            mask.paste(255, (4, 4, 20, 24))
            mask.save(tmp_path / "masks" / path.name)
    notes = {"classes": ["cat", "dog"], "labels": {"0": "cat", "1": "dog"}}
    (tmp_path / "notes.json").write_text(json.dumps(notes))
    found = open_dataset(tmp_path)
    assert found.task == ("segment" if form == "masks" else "classify")
    assert kinds(found)["form_beside"] == 1
