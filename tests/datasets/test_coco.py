"""D7: COCO JSON with every fault is counted and read on."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recommender.datasets import open_dataset
from recommender.datasets.coco_boxes import box_of
from recommender.datasets.defects import DefectLog
from recommender.errors import DatasetError, UnsafeInputError, WrongTaskError
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds, tree_digest
from tests.datasets.outlined import compressed


def document(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A COCO file on disk and its content."""
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    return path, json.loads(path.read_text())


def opened(path: Path, content: dict[str, Any]) -> Any:
    path.write_text(json.dumps(content))
    return open_dataset(path)


def test_faults_are_counted_by_kind(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    rows = content["annotations"]
    rows[0]["bbox"][2] = 0
    rows[1]["bbox"][0] = math.nan
    rows[2]["bbox"][3] = -4
    rows[3]["category_id"] = 77
    rows[4]["image_id"] = 7777
    rows[5]["iscrowd"] = 1
    rows[6]["id"] = rows[7]["id"]
    del rows[8]["id"]
    del rows[9]["bbox"]
    content["images"].append({"id": 0, "file_name": "again.png"})
    content["images"].append({"file_name": "no id.png"})
    content["images"].append({"id": 99, "file_name": "not there.png"})
    content["categories"].append({"id": 1, "name": "other"})
    before = tree_digest(path.parent / "images")
    dataset = opened(path, content)
    assert kinds(dataset) == {
        "label_zero_area": 1,
        "label_not_finite": 1,
        "label_negative": 1,
        "label_class_unknown": 1,
        "label_dangling_image": 1,
        "label_crowd": 1,
        "label_duplicate_id": 1,
        "label_missing_id": 1,
        "label_no_box": 1,
        "image_duplicate_id": 1,
        "image_missing_id": 1,
        "image_missing": 1,
        "image_unlabelled": 2,  # rows 0 and 1, and 2 and 3, are all their images have
        "category_broken": 1,
    }
    assert "`categories`" in next(one.remedy for one in dataset.defects if one.kind == "label_class_unknown")
    assert tree_digest(path.parent / "images") == before


def test_images_that_the_file_does_not_list_are_told(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    unlisted = content["images"].pop()
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] != unlisted["id"]]
    found = opened(path, content)
    assert (len(found.images), kinds(found)) == (23, {"image_beside": 1})


def test_without_width_and_height_the_image_itself_counts(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    expected = open_dataset(path).content_hash
    for image in content["images"]:
        del image["width"], image["height"]
    assert opened(path, content).content_hash == expected


def test_annotations_of_another_size_are_scaled(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    expected = open_dataset(path)
    for image in content["images"]:
        image["width"] *= 4
        image["height"] *= 4
    for row in content["annotations"]:
        row["bbox"] = [4 * value for value in row["bbox"]]
    dataset = opened(path, content)
    assert dataset.content_hash == expected.content_hash
    assert kinds(dataset) == {"image_size_differs": 24}


def test_categories_need_be_neither_contiguous_nor_in_order(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    expected = open_dataset(path).content_hash
    renumber = {1: "18", 2: 90}
    content["categories"] = [{"id": renumber[c["id"]], "name": c["name"]} for c in content["categories"]][
        ::-1
    ]
    for row in content["annotations"]:
        row["category_id"] = {1: 18, 2: "90"}[row["category_id"]]
    assert opened(path, content).content_hash == expected


def test_splits_are_matched_by_class_name(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="coco")
    expected = open_dataset(folder).content_hash
    path = folder / "annotations" / "instances_val.json"
    content = json.loads(path.read_text())
    for row in content["categories"]:
        row["id"] = 3 - row["id"]
    for row in content["annotations"]:
        row["category_id"] = 3 - row["category_id"]
    path.write_text(json.dumps(content))
    assert open_dataset(folder).content_hash == expected
    content["categories"].append({"id": 9, "name": "hexagon"})
    path.write_text(json.dumps(content))
    dataset = open_dataset(folder)
    assert dataset.class_names == ("circle", "square", "hexagon")
    assert kinds(dataset) == {"names_differ": 1}


def test_outlines_and_masks_count_as_their_extent(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    expected = open_dataset(path)
    for number, row in enumerate(content["annotations"]):
        x, y, w, h = row.pop("bbox")
        image = content["images"][row["image_id"]]
        if number % 2:
            row["segmentation"] = [[x, y, x + w, y, x + w, y + h / 2], [x, y + h, x + w, y + h, x, y]]
        else:
            mask_HW = np.zeros((image["height"], image["width"]), np.uint8)
            mask_HW[int(y) : int(y + h), int(x) : int(x + w)] = 1
            row["segmentation"] = run_lengths(mask_HW)
    dataset = opened(path, content)
    for found, wanted in zip(dataset.images, expected.images, strict=True):
        np.testing.assert_allclose(found.boxes_M4, wanted.boxes_M4, atol=1e-6)


def run_lengths(mask_HW: np.ndarray[Any, Any]) -> dict[str, Any]:
    """COCO's uncompressed counts of a mask."""
    flat = mask_HW.flatten(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    ends = [0, *edges.tolist(), len(flat)]
    return {"size": list(mask_HW.shape), "counts": [b - a for a, b in pairwise(ends)]}


@given(st.integers(1, 12), st.integers(1, 12), st.data())
@settings(deadline=None, max_examples=60)
def test_mask_extents_agree_with_brute_force(height: int, width: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask_HW = np.array(bits, np.uint8).reshape(height, width)
    mask = run_lengths(mask_HW)
    log = DefectLog()
    found = {
        box_of({"segmentation": mask}, "", log),
        box_of({"segmentation": {**mask, "counts": compressed(mask["counts"])}}, "", log),
    }
    ys, xs = np.nonzero(mask_HW)
    expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else None
    assert found == {expected}


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [0, 0], "counts": "PP"},
        {"size": [10, 10], "counts": "ÿ" * 50},
        {"size": [10, 10], "counts": "00000000000000000" * 1000},
        {"size": [10, 10], "counts": "oooooooooooooooo"},
        {"size": [10, 10], "counts": [5, 10**9]},
        {"size": [10, 10], "counts": [-5, 10]},
        {"size": [10, True], "counts": [5, 5]},
        {"size": [2**31, 2**31], "counts": "oT1"},
        {"size": [10], "counts": [1, 1]},
        {"size": [10, 10], "counts": None},
        [[1, 2, 3]],
        [[1, 2, "x", 4, 5, 6]],
        [math.nan] * 6,
        7,
    ],
)
def test_broken_masks_are_counted(mask: Any) -> None:
    log = DefectLog()
    assert box_of({"segmentation": mask}, "somewhere", log) is None
    assert log.count("label_no_box") == 1


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([0, 1, 2, "1", "shape_0000.png", [1, 2, 30, 40], [0, 0, 0, 0], 10**400, -1]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "image_id", "bbox", "counts", "size"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "file_name", "width", "height", "name",
             "supercategory"]
        ),
        ANYTHING,
        max_size=6,
    )
    | ANYTHING,
    max_size=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return document(tmp_path_factory.mktemp("coco"))


@pytest.mark.slow
@given(ROWS, ROWS, ROWS, ANYTHING)
@example([{"id": 1}], [{"image_id": []}], [{"id": [], "name": "x"}], None)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_document_crashes(
    base: tuple[Path, dict[str, Any]],
    images: list[Any],
    annotations: list[Any],
    categories: list[Any],
    extra: Any,
) -> None:
    path, content = base
    changed = {
        "images": content["images"] + images,
        "annotations": content["annotations"] + annotations,
        "categories": content["categories"] + categories,
        "info": extra,
    }
    try:
        path.write_text(json.dumps(changed))
    except UnicodeEncodeError:
        return
    try:
        dataset = open_dataset(path)
    except DatasetError:
        return
    for image in dataset.images:
        assert np.isfinite(image.boxes_M4).all()
        assert (image.boxes_M4[:, 2:] > 0).all()
        assert (image.classes_M < len(dataset.class_names)).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"images": ' + "9" * 5000 + "}",
        "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_broken_json_is_told(tmp_path: Path, text: str) -> None:
    path, _ = document(tmp_path)
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"annotations\.json"):
        open_dataset(path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../etc/hostname", "images/../../../x.jpg"])
def test_file_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    path, content = document(tmp_path)
    content["images"][0]["file_name"] = name
    with pytest.raises(UnsafeInputError, match="leads out"):
        opened(path, content)


def test_file_names_of_another_machine_are_found_by_name(tmp_path: Path) -> None:
    path, content = document(tmp_path)
    expected = open_dataset(path).content_hash
    for number, image in enumerate(content["images"]):
        prefix = ("/home/me/data/", "C:\\data\\", "https://example.org/img/", "train2017/")[number % 4]
        image["file_name"] = prefix + image["file_name"]
    assert opened(path, content).content_hash == expected


def test_several_files_for_one_split_are_ambiguous(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="coco")
    train = folder / "annotations" / "instances_train.json"
    (folder / "annotations" / "instances_train_v2.json").write_bytes(train.read_bytes())
    with pytest.raises(DatasetError, match="Several COCO files"):
        open_dataset(folder)


def test_coco_as_it_is_downloaded(tmp_path: Path) -> None:
    """Captions, keypoints and panoptic files beside the instances do not disturb."""
    folder = make_dataset(tmp_path, format="coco")
    expected = open_dataset(folder).content_hash
    for name in ("captions_train2017.json", "person_keypoints_val2017.json", "image_info_test2017.json"):
        content = {
            "images": [],
            "annotations": [{"id": 1, "image_id": 1, "caption": "x", "keypoints": [1, 2, 2]}],
        }
        (folder / "annotations" / name).write_text(json.dumps(content))
    assert open_dataset(folder).content_hash == expected


@pytest.mark.parametrize(
    ("change", "task"),
    [
        ({"keypoints": [1, 2, 2] * 17}, "pose"),
        ({"bbox": [10, 10, 20, 20, 0.3]}, "OBB"),
        ({"segments_info": [{"id": 1}]}, "panoptic"),
        ({"bbox": None, "caption": "a dog"}, "captioning"),
        ({"bbox": None}, "classification"),
    ],
)
def test_other_tasks_are_refused_by_name(tmp_path: Path, change: dict[str, Any], task: str) -> None:
    path, content = document(tmp_path)
    for row in content["annotations"]:
        row.update(change)
        if row["bbox"] is None:
            del row["bbox"]
    with pytest.raises(WrongTaskError, match=task):
        opened(path, content)
    path.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}]))
    with pytest.raises(WrongTaskError, match="results"):
        open_dataset(path)
