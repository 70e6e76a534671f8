"""From a data set to its profile: what counts is content."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from recommender.profile import compare, images_seen
from recommender.profile.embedding_workers import ImageTask, embed_images
from recommender.profile.images import MAX_OBJECTS_PER_IMAGE
from recommender.profile.probe import BATCH_IMAGES, load_probe
from recommender.profile.profiling import MAX_SAMPLED_OBJECTS, profile_dataset
from recommender.records import Dataset, Profile
from recommender.store.codec import from_bytes, to_bytes
from tests.datagen import make_dataset
from tests.datasets.outlined import scenes, write_yolo_seg

pytestmark = pytest.mark.usefixtures("quiet_home")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(
        make_dataset(tmp_path_factory.mktemp("drawn") / "set", images=20, classes=("a", "b", "c"))
    )


@pytest.fixture(scope="module")
def profile(dataset: Dataset) -> Profile:
    return profile_dataset(dataset)


def shuffled(dataset: Dataset) -> Dataset:
    order = np.random.default_rng(0).permutation(len(dataset.images))
    return replace(dataset, images=tuple(dataset.images[index] for index in order))


def test_fields_describe_the_data_set(dataset: Dataset, profile: Profile) -> None:
    assert profile.dataset_hash == dataset.content_hash
    assert sum(profile.class_counts) == profile.num_objects == sum(len(i.classes_M) for i in dataset.images)
    assert profile.num_images.train == len(dataset.of_split("train"))
    assert list(profile.box_sizes_Q) == sorted(profile.box_sizes_Q)
    assert (profile.median_width, profile.median_height) == (96, 80)
    assert set(profile.image_names) == {image.name for image in dataset.images}
    assert len(profile.object_vectors_MK) == len(profile.object_classes_M) == len(profile.object_images)


def test_the_order_of_files_changes_nothing(dataset: Dataset, profile: Profile) -> None:
    again = profile_dataset(shuffled(dataset))
    np.testing.assert_array_equal(again.embedding_D, profile.embedding_D)
    np.testing.assert_array_equal(again.object_vectors_MK, profile.object_vectors_MK)
    assert again.embedding_noise == profile.embedding_noise


def test_another_place_changes_nothing(dataset: Dataset, profile: Profile, tmp_path: Path) -> None:
    shutil.copytree(dataset.root, tmp_path / "elsewhere")
    moved = profile_dataset(open_dataset(tmp_path / "elsewhere"))
    assert to_bytes(replace(moved, dataset_name=profile.dataset_name)) == to_bytes(profile)


@pytest.mark.slow
def test_every_image_twice_is_the_same_distribution(dataset: Dataset, profile: Profile) -> None:
    doubled = profile_dataset(replace(dataset, images=dataset.images * 2))
    np.testing.assert_allclose(doubled.embedding_D, profile.embedding_D, atol=1e-5)


@pytest.mark.slow
def test_the_two_halves_of_a_set_are_alike_and_another_set_is_not(dataset: Dataset, tmp_path: Path) -> None:
    images = shuffled(dataset).images
    first, second = (profile_dataset(replace(dataset, images=part)) for part in (images[::2], images[1::2]))
    for image in images:  # the same boxes in flat grey pictures: another world
        target = tmp_path / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_grey_png())
    other = profile_dataset(
        replace(dataset, images=tuple(replace(image, path=tmp_path / image.name) for image in images[::2]))
    )
    assert compare(first, second).whole > 0.9
    assert compare(first, other).whole < compare(first, second).whole - 0.15


def test_a_cap_embeds_a_sample_but_hashes_all(dataset: Dataset, profile: Profile) -> None:
    few = profile_dataset(dataset, max_images=5)
    assert len(few.image_names) == 5
    np.testing.assert_array_equal(few.image_hashes_NB, profile.image_hashes_NB)
    assert set(profile_dataset(dataset, max_images=5, seed=1).image_names) != set(few.image_names)


@pytest.mark.slow
def test_an_unreadable_image_is_left_out(dataset: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    images = (replace(dataset.images[0], path=broken), *dataset.images[1:])
    partial = profile_dataset(replace(dataset, images=images))
    rest = profile_dataset(replace(dataset, images=dataset.images[1:]))
    assert not partial.image_hashes_NB[0].any()
    np.testing.assert_array_equal(partial.embedding_D, rest.embedding_D)
    with pytest.raises(DatasetError, match="1 image, and none can be decoded"):
        profile_dataset(replace(dataset, images=images[:1]))
    broken.unlink()
    with pytest.raises(DatasetError, match="are gone"):
        profile_dataset(replace(dataset, images=images[:1]))


def test_images_without_boxes_and_single_images_have_a_profile(dataset: Dataset) -> None:
    bare = replace(
        dataset.images[0], boxes_M4=np.zeros((0, 4), np.float32), classes_M=np.zeros(0, dtype=np.int64)
    )
    profile = profile_dataset(replace(dataset, images=(bare,)))
    assert profile.num_objects == 0
    assert profile.box_sizes_Q == ()
    assert profile.object_vectors_MK.shape == (0, profile.image_vectors_NK.shape[1])
    assert compare(profile, profile).object is None
    assert from_bytes(to_bytes(profile)).box_sizes_Q == ()


def test_a_crowded_image_counts_for_a_bounded_number_of_objects(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0.2, 0.8, (3000, 2)), np.full((3000, 2), 0.1)], axis=1)
    crowd = replace(
        dataset.images[0], boxes_M4=boxes.astype(np.float32), classes_M=np.zeros(3000, dtype=np.int64)
    )
    profile = profile_dataset(replace(dataset, images=(crowd,)))
    assert profile.num_objects == 3000
    assert len(profile.object_vectors_MK) == MAX_OBJECTS_PER_IMAGE <= MAX_SAMPLED_OBJECTS


@pytest.mark.slow
def test_progress_reaches_the_end(dataset: Dataset) -> None:
    seen: list[tuple[str, int, int]] = []
    profile_dataset(dataset, progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert seen[-1] == ("embedding images", 20, 20)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_only_a_bounded_number_of_images_is_under_way(dataset: Dataset) -> None:
    """Without the bound the whole data set would be in memory before the first batch is used."""
    asked = 0

    def endless() -> Iterator[ImageTask]:
        nonlocal asked
        while True:
            asked += 1
            yield ImageTask(index=0, image=dataset.images[0], embed=True)

    results = embed_images(endless(), load_probe(), len, num_threads=2)
    for taken in range(1, 6):
        assert len(next(results)) == BATCH_IMAGES
        assert asked <= (taken + 2) * BATCH_IMAGES
    results.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_number_of_threads_changes_nothing_and_is_put_back(dataset: Dataset, profile: Profile) -> None:
    import torch

    before = torch.get_num_threads()
    for threads in (1, 3):
        assert to_bytes(profile_dataset(dataset, num_threads=threads)) == to_bytes(profile)
    assert torch.get_num_threads() == before


def _grey_png() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (96, 80), (128, 128, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def test_one_folder_profiled_for_two_tasks_shares_its_images_and_not_its_objects(tmp_path: Path) -> None:
    folder = write_yolo_seg(tmp_path / "set", scenes())
    boxes, outlines = (profile_dataset(open_dataset(folder, task=task)) for task in ("detect", "segment"))
    assert (boxes.task, outlines.task) == ("detect", "segment")
    assert from_bytes(to_bytes(outlines)).task == "segment"
    assert boxes.dataset_hash != outlines.dataset_hash
    assert compare(boxes, outlines).image == pytest.approx(1.0, abs=0.05)
    assert np.abs(boxes.object_vectors_MK - outlines.object_vectors_MK).max() > 0.1
    assert images_seen(outlines, boxes).share == 1.0  # a leak, whatever the task


def test_a_classified_image_is_one_object(tmp_path: Path) -> None:
    for number, scene in enumerate(scenes(12)):
        folder = tmp_path / ("round", "long")[number % 2]
        folder.mkdir(exist_ok=True)
        scene.image.save(folder / f"{scene.name}.png")
    profile = profile_dataset(open_dataset(tmp_path))
    assert (profile.task, profile.num_objects, profile.class_counts) == ("classify", 12, (6, 6))
    assert profile.box_sizes_Q == (1.0,) * 5
    assert len(profile.object_vectors_MK) == 12
