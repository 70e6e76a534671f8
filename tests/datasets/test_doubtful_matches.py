"""Names, lists and pictures that do not quite fit: matched where one thing alone can be meant, else refused."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, UnsafeInputError
from recommender.records import Dataset
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds, yolo_set


def num_boxes(dataset: Dataset) -> int:
    """Boxes of all splits."""
    return sum(len(image.classes_M) for image in dataset.images)


def renamed(paths: list[Path], name: Callable[[Path, int], str]) -> None:
    for number, path in enumerate(sorted(paths)):
        path.rename(path.with_name(name(path, number)))


def decomposed(folder: Path) -> None:
    for suffix, form in ((".png", "NFD"), (".txt", "NFC")):
        renamed(
            list(folder.rglob(f"*{suffix}")),
            lambda path, _, form=form: unicodedata.normalize(form, f"bücher사과{path.name}"),  # type: ignore[misc]
        )


def upper_labels(folder: Path) -> None:
    renamed(list(folder.rglob("shape*.txt"))[::2], lambda path, _: f"{path.stem.upper()}.txt")


def upper_images(folder: Path) -> None:
    renamed(list(folder.rglob("*.png"))[::2], lambda path, _: path.name.upper())


def prefixed_labels(folder: Path) -> None:
    renamed(list(folder.rglob("shape*.txt")), lambda path, number: f"{number:08x}-{path.name}")


def prefixed_images(folder: Path) -> None:
    renamed(list(folder.rglob("*.png")), lambda path, number: f"{number + 10**6:08x}-{path.name}")


@pytest.mark.parametrize("change", [decomposed, upper_labels, upper_images, prefixed_labels, prefixed_images])
def test_label_files_of_the_same_name_in_another_spelling(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = yolo_set(tmp_path, images=24)
    expected = open_dataset(folder)
    change(folder)
    found = open_dataset(folder)
    assert found.content_hash == expected.content_hash
    assert kinds(found) == {}


def test_case_is_not_ignored_where_two_images_differ_by_it(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=24)
    image = folder / "images" / "train" / "shape_0000.png"
    shutil.copy(folder / "images" / "train" / "shape_0001.png", image.with_name("SHAPE_0000.png"))
    upper = open_dataset(folder)
    assert kinds(upper) == {"image_without_label": 1}


@pytest.mark.parametrize("change", [decomposed, upper_images, prefixed_images])
def test_coco_names_in_another_spelling(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    expected = open_dataset(path)
    if change is decomposed:
        content = json.loads(path.read_text())
        for image in content["images"]:
            image["file_name"] = "bücher사과" + image["file_name"]
        path.write_text(json.dumps(content))
    change(path.parent)
    assert open_dataset(path).content_hash == expected.content_hash


def test_two_coco_entries_never_share_an_image(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    for image in content["images"][:2]:
        image["file_name"] = f"0000000{image['id'] % 2}-photo.png"
    path.write_text(json.dumps(content))
    first = next(path.parent.rglob("*.png"))
    first.rename(first.with_name("photo.png"))
    with pytest.raises(DatasetError, match="may both mean"):
        open_dataset(path)


def rename_half(folder: Path) -> None:
    renamed(list(folder.rglob("*.png"))[::2], lambda path, number: f"other{number}.png")


def test_images_that_may_belong_to_left_over_labels_are_no_background(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=24)
    rename_half(folder)
    with pytest.raises(DatasetError, match="image_label_doubtful"):
        open_dataset(folder)


def test_few_of_them_are_left_out_and_told(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout", images=24)
    image = sorted(folder.rglob("*.png"))[0]
    shutil.copy(image, image.with_name(f"{image.stem}_a1b2.png"))
    image.rename(image.with_name(f"{image.stem}_c3d4.png"))
    found = open_dataset(folder)
    assert kinds(found) == {"image_label_doubtful": 2, "label_without_image": 1}
    assert len(found.images) == 23


def labels_of_two_tools(folder: Path) -> None:
    for path in sorted(folder.rglob("shape*.txt"))[:8]:
        path.unlink()
        path.with_suffix(".xml").write_text("<annotation><object><name>cat</name></object></annotation>")


def xml_and_text(folder: Path) -> None:
    for path in sorted((folder / "Annotations").iterdir())[:8]:
        path.unlink()
        (folder / "JPEGImages" / f"{path.stem}.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def labelme_beside(folder: Path) -> None:
    for path in sorted(folder.rglob("shape*.txt"))[:8]:
        path.unlink()
        path.with_suffix(".json").write_text('{"shapes": []}')


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("yolo", labels_of_two_tools),
        ("yolo_flat", labels_of_two_tools),
        ("voc", xml_and_text),
        ("yolo", labelme_beside),
    ],
)
def test_labels_in_two_formats_are_refused(tmp_path: Path, form: str, change: Callable[[Path], None]) -> None:
    folder = make_dataset(tmp_path / "set", format=form, images=24)  # type: ignore[arg-type]
    change(folder)
    with pytest.raises(DatasetError, match="two formats"):
        open_dataset(folder)


def edit_xml(root: Path, **texts: str | Callable[[str], str]) -> None:
    for path in root.rglob("*.xml"):
        tree = ElementTree.parse(path)
        for tag, text in texts.items():
            element = tree.find(tag)
            if element is None:
                element = ElementTree.SubElement(tree.getroot(), tag)
            element.text = text(path.stem) if callable(text) else text
        tree.write(path)


def two_spectra(folder: Path) -> None:
    """Pictures of the same names in `visible` and `infrared`; the drawn ones are the visible."""
    (folder / "JPEGImages").rename(folder / "visible")
    (folder / "infrared").mkdir()
    for path in (folder / "visible").iterdir():
        Image.new("L", (96, 64)).save(folder / "infrared" / path.name)


@pytest.mark.parametrize(
    "texts",
    [
        {"folder": "visible", "path": ""},
        {"folder": "", "path": lambda stem: f"/home/user/set/visible/{stem}.png"},
        {"folder": "", "path": lambda stem: f"C:\\set\\visible\\{stem}.png"},
    ],
)
def test_the_folder_an_xml_names_decides(tmp_path: Path, texts: dict[str, Callable[[str], str]]) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    expected = open_dataset(folder)
    two_spectra(folder)
    edit_xml(folder, **texts)
    assert open_dataset(folder).content_hash == expected.content_hash


def test_several_pictures_for_an_xml_are_refused(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    two_spectra(folder)
    edit_xml(folder, folder="VOC", path="")
    with pytest.raises(DatasetError, match="2 images may be meant"):
        open_dataset(folder)


def test_several_pictures_for_a_label_file_are_refused(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_flat", images=24)
    (folder / "labels").mkdir()
    for name in ("a", "b"):
        (folder / name).mkdir()
    for path in list(folder.glob("*.png")):
        shutil.copy(path, folder / "a" / path.name)
        path.rename(folder / "b" / path.name)
    for path in folder.glob("shape*.txt"):
        path.rename(folder / "labels" / path.name)
    with pytest.raises(DatasetError, match="which of them was labelled"):
        open_dataset(folder)


@pytest.mark.parametrize("form", ["coco_file", "yolo_layout", "voc"])
def test_masks_of_the_same_names_are_no_pictures(tmp_path: Path, form: str) -> None:
    path = make_dataset(tmp_path / "set", format=form, images=24)  # type: ignore[arg-type]
    expected = open_dataset(path)
    folder = path.parent if path.is_file() else path
    masks = folder / "masks"
    masks.mkdir()
    for image in list(folder.rglob("*.png")):
        Image.new("L", (96, 64)).save(masks / image.name)
    assert open_dataset(path).content_hash == expected.content_hash


@pytest.mark.parametrize("cameras", [("",), ("cam1", "cam2")])
def test_a_missing_picture_makes_its_mask_no_picture(tmp_path: Path, cameras: tuple[str, ...]) -> None:
    """One of a folder is missing, or all of the second camera's."""
    drawn = make_dataset(tmp_path / "drawn", format="yolo_flat", images=24)
    folder = tmp_path / "set"
    for path in drawn.glob("shape*"):
        number = int(path.stem[-4:])
        place = folder / cameras[-1 if number < 3 else 0]
        for part in ("images", "labels", "masks"):
            (place / part).mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            shutil.copy(path, place / "labels")
            continue
        Image.new("L", (96, 80)).save(place / "masks" / path.name)
        if number >= (1 if cameras == ("",) else 3):
            shutil.copy(path, place / "images")
    shutil.copy(drawn / "classes.txt", folder)
    found = open_dataset(folder)
    assert len(found.images) == (23 if cameras == ("",) else 21)
    assert not any("masks" in image.name for image in found.images)


def test_a_class_folder_called_as_masks_are_is_read_with_its_labels(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout", images=24)
    expected = open_dataset(folder)
    for path in [*folder.rglob("*.png"), *folder.rglob("shape*.txt")]:
        place = path.parent / ("mask" if int(path.stem[-4:]) % 2 else "nomask")
        place.mkdir(exist_ok=True)
        path.rename(place / path.name)
    next((folder / "labels").rglob("mask/*.txt")).unlink()  # background
    found = open_dataset(folder)
    assert len(found.images) == len(expected.images)
    assert kinds(found) == {**kinds(expected), "image_without_label": 1}


def test_pictures_of_two_folders_for_one_coco_name_are_refused(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    for image in list(path.parent.rglob("*.png")):
        for name in ("left", "right"):
            (path.parent / name).mkdir(exist_ok=True)
            shutil.copy(image, path.parent / name / image.name)
        image.unlink()
    with pytest.raises(DatasetError, match="2 images may be meant"):
        open_dataset(path)


def test_an_xml_that_names_another_image_is_left_out_or_refused(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    expected = open_dataset(folder)
    xml = folder / "Annotations" / "shape_0003.xml"
    xml.write_text(xml.read_text().replace("shape_0003", "shape_0004"))
    found = open_dataset(folder)
    assert kinds(found)["image_doubtful"] == 1
    assert len(expected.images) - len(found.images) == 1  # 0004 has an XML of its own, which agrees
    edit_xml(folder, filename=lambda stem: f"shape_{(int(stem[-4:]) + 1) % 24:04d}.png")
    with pytest.raises(DatasetError, match="image_doubtful"):
        open_dataset(folder)


def test_one_file_name_in_every_xml_says_nothing(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    expected = open_dataset(folder)
    edit_xml(folder, filename="shape_0000.png")
    assert open_dataset(folder).content_hash == expected.content_hash


def listed(folder: Path, line: str) -> Path:
    """The set with lists of images for train and val, each line after `line`."""
    for split in ("train", "val"):
        images = sorted((folder / "images" / split).iterdir())
        (folder / f"{split}.txt").write_text("".join(line.format(split=split, name=i.name) for i in images))
    yaml = folder / "data.yaml"
    text = yaml.read_text().replace("images/train", "train.txt").replace("images/val", "val.txt")
    yaml.write_text(text)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "data/images/{split}/{name}\n",
        "D:\\work\\set\\images\\{split}\\{name}\n",
        "/home/someone/set/images/{split}/{name}\n",
        "../elsewhere/{name}\n",
    ],
)
def test_lists_of_another_machine_are_found_by_their_endings(tmp_path: Path, line: str) -> None:
    folder = yolo_set(tmp_path)
    expected = open_dataset(folder)
    found = open_dataset(listed(folder, line))
    assert found.content_hash == expected.content_hash
    assert kinds(found) == {"image_found_elsewhere": 12}


def test_a_line_never_takes_an_image_of_another_split(tmp_path: Path) -> None:
    folder = listed(yolo_set(tmp_path), "D:\\x\\{name}\n")
    lines = (folder / "train.txt").read_text()
    (folder / "train.txt").write_text(lines + (folder / "val.txt").read_text())
    assert kinds(open_dataset(folder))["image_missing"] == 3


def test_a_windows_path_in_the_yaml(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    expected = open_dataset(folder)
    yaml = folder / "data.yaml"
    yaml.write_text(yaml.read_text().replace("images/train", "D:\\sets\\this\\images\\train"))
    found = open_dataset(folder)
    assert found.content_hash == expected.content_hash
    assert (kinds(found), found.config) == ({"yaml_path_ignored": 1}, None)


@pytest.mark.parametrize("above", ["", "/content/", "../datasets/"])
def test_entries_below_a_folder_of_this_name_mean_this_folder(tmp_path: Path, above: str) -> None:
    """As Roboflow's package writes them on another machine."""
    folder = yolo_set(tmp_path / "Pets-1")
    expected = open_dataset(folder).content_hash
    yaml = folder / "data.yaml"
    text = yaml.read_text()
    yaml.write_text(text.replace(": images/", f": {above}Pets-1/images/"))
    found = open_dataset(folder)
    assert found.content_hash == expected
    assert (kinds(found), found.config) == ({"yaml_path_ignored": 2}, None)
    yaml.write_text(text.replace(": images/train", ": /content/Pets-1/../images/train"))
    with pytest.raises(UnsafeInputError):
        open_dataset(folder)


def test_a_key_that_comes_twice_is_named(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    yaml = folder / "data.yaml"
    yaml.write_text("train: images/val\n" + yaml.read_text())
    assert kinds(open_dataset(folder)) == {"yaml_key_twice": 1}
    yaml.write_text("train: images/train\nval: images/val\nnames: {0: cat, 1: dog, 1: bird}\n")
    with pytest.raises(DatasetError, match="class 1 twice"):
        open_dataset(folder)


@pytest.mark.parametrize("channels", ["10", "1", "4"])
def test_other_channels_than_three_are_named(tmp_path: Path, channels: str) -> None:
    folder = yolo_set(tmp_path)
    yaml = folder / "data.yaml"
    yaml.write_text(yaml.read_text() + f"\nchannels: {channels}\n")
    assert kinds(open_dataset(folder)) == {"channels_not_three": 1}


def two_name_files(folder: Path, first: str, second: str) -> Path:
    (folder / "classes.txt").unlink(missing_ok=True)
    for name, text in (("train", first), ("val", second)):
        (folder / name / "labels" / "classes.txt").write_text(text)
    return folder


def test_names_files_of_another_order_are_refused(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_split_first", images=24)
    (folder / "data.yaml").unlink()
    with pytest.raises(DatasetError, match="number the classes differently"):
        open_dataset(two_name_files(folder, "cat\ndog\n", "dog\ncat\n"))


def test_a_names_file_that_goes_on_where_the_other_ends(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_split_first", images=24)
    (folder / "data.yaml").unlink()
    found = open_dataset(two_name_files(folder, "cat\n", "cat\ndog\n"))
    assert found.class_names == ("cat", "dog")


def test_a_names_file_against_the_yaml_is_told(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    names = open_dataset(folder).class_names
    (folder / "labels" / "classes.txt").write_text("\n".join(reversed(names)))
    assert kinds(open_dataset(folder)) == {"names_contradict": 1}


@pytest.mark.parametrize("names", [["Food can", "Food Can"], ["stop_sign", "stop sign"], ["a", "a "]])
def test_names_that_differ_by_case_or_blanks_are_named(tmp_path: Path, names: list[str]) -> None:
    folder = yolo_set(tmp_path)
    yaml = f"train: images/train\nval: images/val\nnames: {json.dumps(names)}\n"
    (folder / "data.yaml").write_text(yaml)
    assert kinds(open_dataset(folder)) == {"names_alike": 1}


def test_names_counted_from_one_are_refused_where_ids_are_not(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    names = "".join(
        f"  {number}: {name}\n" for number, name in enumerate(open_dataset(folder).class_names, 1)
    )
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}")
    with pytest.raises(DatasetError, match="the name of the one before"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y, w, h: [x - w / 2, y - h / 2, x + w / 2, y + h / 2], "corners"),
        (lambda x, y, w, h: [x - w / 2, y - h / 2, w, h], "upper left corner and the size"),
    ],
)
def test_yolo_boxes_that_are_no_centre_and_size_are_refused(
    tmp_path: Path, change: Callable[..., list[float]], said: str
) -> None:
    folder = yolo_set(tmp_path, images=24)
    for path in (folder / "labels").rglob("*.txt"):
        rows = [list(map(float, line.split())) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{row[0]:g} {' '.join(map(str, change(*row[1:])))}\n" for row in rows))
    with pytest.raises(DatasetError, match=said):
        open_dataset(folder)


@pytest.mark.parametrize("rare", [False, True])
def test_ids_counted_from_one_are_refused(tmp_path: Path, rare: bool) -> None:
    folder = yolo_set(tmp_path, images=24)
    names = open_dataset(folder).class_names
    for number, path in enumerate(sorted(folder.rglob("shape*.txt"))):
        rows = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        ids = [len(names) if rare and number == 0 else 1 if rare else int(row[0]) + 1 for row in rows]
        path.write_text("\n".join(f"{id} {row[1]}" for id, row in zip(ids, rows, strict=True)))
    with pytest.raises(DatasetError, match="one too high"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (("park", "crash_test"), ["crash_test: taken as test"]),
        (("train_station", "crash_test"), ["crash_test: taken as test", "train_station: taken as train"]),
        (("fruits_train", "fruits_test"), []),
        (("train2017", "val_images"), []),
    ],
)
def test_a_split_word_within_an_unlike_name_is_told(
    tmp_path: Path, folders: tuple[str, str], told: list[str]
) -> None:
    layout = make_dataset(tmp_path / "set", images=12, format="yolo_flat")
    files = sorted(
        path for path in layout.iterdir() if path.suffix in (".png", ".txt") and path.stem != "classes"
    )
    for number, path in enumerate(files):
        folder = layout / folders[number >= len(files) // 2]
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    found = [defect for defect in open_dataset(layout).defects if defect.kind == "split_by_word"]
    assert sorted(example for defect in found for example in defect.examples) == told


def test_images_below_the_folder_of_their_labels_are_no_background(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=30)
    expected = open_dataset(folder).content_hash
    camera = folder / "images" / "train" / "camera"
    camera.mkdir()
    for path in sorted((folder / "images" / "train").glob("*.*"))[:2]:
        path.rename(camera / path.name)
    assert open_dataset(folder).content_hash == expected
    for path in sorted((folder / "images" / "train").glob("*.png"))[:2]:  # which have these labels
        Image.open(path).rotate(180).save(camera / path.name)
    assert kinds(open_dataset(folder)) == {"image_without_label": 2}


def test_rows_of_images_that_are_not_listed_count_among_all_rows(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    for row in content["annotations"][::2]:
        row["image_id"] = 10**6
    path.write_text(json.dumps(content))
    number = len(content["annotations"])
    with pytest.raises(DatasetError, match=f"{(number + 1) // 2} of {number} label rows"):
        open_dataset(path)


def test_a_description_below_folders_that_hold_nothing_else_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c" / "d" / "e"
    inner.parent.mkdir(parents=True)
    names = open_dataset(yolo_set(tmp_path / "set")).class_names
    (tmp_path / "set").rename(inner)
    assert open_dataset(tmp_path / "a").class_names == names
