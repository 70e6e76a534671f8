"""The target's sample: what is in it, and what must not change it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.evidence.samples import (
    BACKGROUND,
    SAMPLE_BOXES_PER_IMAGE,
    SAMPLE_SIZE,
    TargetSample,
    sample_target,
)
from recommender.records import Dataset, LabelledImage
from tests.datagen import make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixteen pictures, wider than high, two shapes each."""
    return open_dataset(make_dataset(tmp_path_factory.mktemp("shapes"), images=16, size=(192, 96)))


def _assert_same(one: TargetSample, other: TargetSample) -> None:
    assert np.array_equal(one.squares_N3SS, other.squares_N3SS)
    assert np.array_equal(one.labels_M, other.labels_M)
    assert np.array_equal(np.concatenate(one.boxes), np.concatenate(other.boxes))


def test_it_holds_the_train_images_and_their_objects(dataset: Dataset) -> None:
    sample = sample_target(dataset)
    train = dataset.of_split("train")
    assert sample.squares_N3SS.shape == (len(train), 3, SAMPLE_SIZE, SAMPLE_SIZE)
    assert sample.num_objects == sum(len(image.boxes_M4) for image in train)
    assert (
        len(sample.labels_M) == len(sample.images_M) == len(sample.shapes_M4) == sum(map(len, sample.boxes))
    )
    assert set(sample.labels_M) <= {BACKGROUND, 0, 1}


def test_boxes_lie_where_the_objects_are_in_the_square(dataset: Dataset) -> None:
    """Shapes differ from the picture around them; a picture twice as wide as high fills the middle half."""
    sample = sample_target(dataset)
    for boxes_M4 in sample.boxes:
        assert (boxes_M4[:, [1, 3]] >= 0.25 - 1e-6).all()
        assert (boxes_M4[:, [1, 3]] <= 0.75 + 1e-6).all()
        assert (boxes_M4[:, 2:] > boxes_M4[:, :2]).all()
    image = dataset.of_split("train")[0]
    whole = replace(
        image,
        classes_M=np.zeros(1, dtype=np.int64),
        boxes_M4=np.array([[0.5, 0.5, 1.0, 1.0]], dtype=np.float32),
    )
    (boxes,) = sample_target(replace(dataset, images=(whole,))).boxes
    assert boxes == pytest.approx(np.array([[0.0, 0.25, 1.0, 0.75]]))  # and no room for background


def test_background_has_the_objects_sizes_and_none_of_their_places(dataset: Dataset) -> None:
    sample = sample_target(dataset)
    behind = sample.labels_M == BACKGROUND
    assert 0.5 * sample.num_objects <= behind.sum() <= sample.num_objects
    for number, boxes_M4 in enumerate(sample.boxes):
        mine = sample.labels_M[sample.images_M == number]
        sizes = {
            tuple(size)
            for size in sample.shapes_M4[sample.images_M == number][mine != BACKGROUND, 2:].round(9)
        }
        for box in boxes_M4[mine == BACKGROUND]:
            for thing in boxes_M4[mine != BACKGROUND]:
                shared = np.clip(
                    np.minimum(box[2:], thing[2:]) - np.maximum(box[:2], thing[:2]), 0, None
                ).prod()
                assert shared <= 0.1 * (box[2:] - box[:2]).prod() + 1e-9
        for size in sample.shapes_M4[sample.images_M == number][mine == BACKGROUND, 2:].round(9):
            assert tuple(size) in sizes


def test_order_and_file_names_do_not_matter(dataset: Dataset, tmp_path: Path) -> None:
    moved = tuple(replace(image, name=f"other/{i}") for i, image in enumerate(dataset.images[::-1]))
    _assert_same(
        sample_target(dataset, num_images=5), sample_target(replace(dataset, images=moved), num_images=5)
    )


def test_the_seed_chooses_other_images(dataset: Dataset) -> None:
    one, other = (sample_target(dataset, num_images=4, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.squares_N3SS, other.squares_N3SS)
    _assert_same(one, sample_target(dataset, num_images=4, seed=0))


def test_a_crowd_says_no_more_than_a_few(dataset: Dataset) -> None:
    image = dataset.of_split("train")[0]
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.1, 0.9, (500, 2))
    crowd = replace(
        image,
        classes_M=np.zeros(500, dtype=np.int64),
        boxes_M4=np.concatenate([centres, np.full((500, 2), 0.01)], axis=1).astype(np.float32),
    )
    assert sample_target(replace(dataset, images=(crowd,))).num_objects == SAMPLE_BOXES_PER_IMAGE


def test_images_that_cannot_be_read_are_left_out(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    first, second, *_ = dataset.of_split("train")
    sample = sample_target(replace(dataset, images=(replace(first, path=broken), second)))
    assert len(sample.squares_N3SS) == 1
    assert "left out of the evidence" in caplog.text


def test_without_train_objects_the_others_speak_and_without_any_nobody_does(dataset: Dataset) -> None:
    val = dataset.of_split("val")
    assert sample_target(replace(dataset, images=val)).num_objects == sum(
        len(image.boxes_M4) for image in val
    )

    def bare(image: LabelledImage) -> LabelledImage:
        nothing = np.zeros((0, 4), dtype=np.float32)
        return replace(image, classes_M=np.zeros(0, dtype=np.int64), boxes_M4=nothing)

    empty = sample_target(replace(dataset, images=tuple(map(bare, dataset.images))))
    assert (empty.num_objects, len(empty.squares_N3SS), empty.boxes) == (0, 0, ())
