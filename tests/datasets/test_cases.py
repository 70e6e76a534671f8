"""Small sets rebuilt from public bug reports, in ../shared/cases: read right, or refused for the right reason."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.conftest import ROOT
from tests.datasets.helpers import kinds

CASES = ROOT.parent / "shared" / "cases"


class Read(NamedTuple):
    """Images and boxes as they were drawn, and the kind of what is said."""

    images: int
    boxes: int
    said: str | None = None


EXPECTED: dict[str, Read | str] = {
    "01a-cvat-all-masks-crowd": Read(10, 20, "label_crowd_used"),
    "01b-cvat-half-masks-crowd": Read(10, 20, "label_crowd_used"),
    "02-coco-size-swapped": Read(10, 20, "image_size_wrong"),
    "03a-face-landmarks-some-missing": "keypoints",
    "03c-plate-corners-4-points": "keypoints",
    "04-labelimg-two-class-files": "number the classes differently",
    "06-multispectral-tiff": Read(10, 20, "channels_not_three"),
    "07a-nfd-images-nfc-labels": Read(10, 20),
    "08-cvat-for-images-xml": Read(10, 20),
    "09-cvat-ultralytics-yolo": Read(10, 20, "image_found_elsewhere"),
    "10-ids-from-one": "one too high",
    "11a-label-studio-hash-prefix": Read(10, 20),
    "11b-label-studio-same-names": Read(8, 16, "image_label_doubtful"),
    "12a-llvip-visible-infrared": Read(10, 20),
    "12d-coco-masks-beside-pictures": Read(10, 20),
    "13-lvis-coco-url": Read(10, 20),
    "14-heic-photos": Read(7, 14, "image_heic"),
    "15a-bbox-zero-with-outline": Read(10, 20, "label_bbox_wrong"),
    "16-polygon-vertex-outside": Read(10, 20, "label_clipped"),
    "18-list-windows-absolute": Read(10, 20, "image_found_elsewhere"),
    "25-ultralytics-ndjson": Read(10, 20),
    "26a-voc-size-constant": Read(10, 20, "image_size_wrong"),
    "27-class-names-by-case": Read(10, 20, "names_alike"),
    "30-zip-names-gbk": Read(6, 12),
    "33-bbox-disagrees-with-outline": Read(10, 20, "label_bbox_wrong"),
    "34-rar-and-7z": "(RAR|7-Zip) archive",
    "36-two-train-lines": Read(2, 4, "yaml_key_twice"),
    "37a-kitti-rows": "KITTI",
    "37c-dota-labeltxt": "DOTA",
    "38a-supervisely": Read(6, 12),
    "38b-supervisely-two-datasets": Read(6, 12),
    "38d-createml": Read(8, 16),
    "38f-datumaro": Read(6, 12),
    "38h-voc-beside-yolo-empty": "two formats",
    "39-voc-filename-names-another-image": "image_doubtful",
    "40a-coco-names-by-case": Read(10, 20),
    "40b-labels-by-case": Read(10, 20),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_reported_case(case: str, home: Path) -> None:
    folder = CASES / case / "set"
    if not folder.is_dir():
        pytest.skip("needs ../shared/cases")
    right = EXPECTED[case]
    packed = [path for path in sorted(folder.iterdir()) if path.suffix in (".zip", ".rar", ".7z")]
    for place in packed or [folder]:
        if isinstance(right, str):
            with pytest.raises(DatasetError, match=right) as caught:
                open_dataset(place)
            assert caught.value.remedy
            continue
        dataset = open_dataset(place)
        assert len(dataset.images) == right.images
        assert sum(len(image.classes_M) for image in dataset.images) == right.boxes
        assert all(len(image.classes_M) for image in dataset.images)  # none of them became background
        assert right.said is None or right.said in kinds(dataset)


def test_every_case_is_expected() -> None:
    if not CASES.is_dir():
        pytest.skip("needs ../shared/cases")
    assert {path.name for path in CASES.iterdir() if path.is_dir()} == set(EXPECTED)
