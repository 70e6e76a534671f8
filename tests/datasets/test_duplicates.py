"""D9: copies are found, look-alikes are not."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import image_hash, near_duplicates, read_image
from recommender.datasets.duplicates import (
    HASH_BYTES,
    MIN_SIMILARITY,
    Pictures,
    copies,
    similarity,
    thumbnail,
)
from recommender.records import ByteArray

# Sets whose images are unrelated to each other, plain ones and many of one kind among them.
DISSIMILAR = ("bccd", "website_ui", "neu_det", "mask_wearing", "wider_face", "pothole", "gtsdb_de")


def encoded(image: Image.Image, quality: int) -> ByteArray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(share * image.width), round(share * image.height)
    return image.crop((x, y, image.width - x, image.height - y))


def found(first: ByteArray, second: ByteArray) -> bool:
    return len(copies(looks([first, second]))) > 0


def looks(images: list[ByteArray]) -> Pictures:
    return Pictures(
        hashes_NB=np.stack([image_hash(image) for image in images]),
        thumbs_NSS=np.stack([thumbnail(image) for image in images]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bccd", "website_ui", "neu_det", "deep_pcb", "raccoon", "cards", "ships"])
def test_copies_of_real_images_are_found(shared: Path, name: str) -> None:
    paths = sorted((shared / "data" / name / "images" / "val").iterdir())[:30:3]
    hits = {"q50": 0, "half": 0, "crop": 0, "crop, q50, half": 0}
    for path in paths:
        whole = read_image(path)
        image = Image.fromarray(whole)
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)
        part = cropped(image, 0.04)
        hits["q50"] += found(whole, encoded(image, 50))
        hits["half"] += found(whole, encoded(half, 90))
        hits["crop"] += found(whole, np.asarray(part))
        hits["crop, q50, half"] += found(whole, encoded(part.resize(half.size), 50))
    assert hits["q50"] == hits["half"] == len(paths)
    assert min(hits.values()) >= len(paths) - 1


@pytest.mark.slow
def test_strangers_are_not_found(shared: Path) -> None:
    paths = [
        path for name in DISSIMILAR for path in sorted((shared / "data" / name / "images" / "val").iterdir())
    ]
    pairs = copies(looks([read_image(path) for path in paths]))
    assert len(pairs) == 0, pairs


def test_plain_images_are_copies_of_nothing() -> None:
    rng = np.random.default_rng(0)
    blank = [np.full((80, 96, 3), level, np.uint8) for level in (0, 128, 255)]
    noisy = [np.clip(100 + rng.normal(0, 1, (80, 96, 3)), 0, 255).astype(np.uint8) for _ in range(3)]
    line = np.zeros((80, 96, 3), np.uint8)
    line[:, 40] = 255
    other = np.zeros((80, 96, 3), np.uint8)
    other[:, 70] = 255
    pictures = [*blank, *noisy, line, other]
    assert len(copies(looks(pictures))) == 0
    assert len(near_duplicates(looks(pictures).hashes_NB)) == 0


def test_hash_is_the_definition() -> None:
    """After Neal Krawetz's dHash: brighter to the right, on a 17 × 16 grey image."""
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(picture).convert("L").resize((17, 16), Image.Resampling.LANCZOS))
    bits = np.unpackbits(image_hash(picture)).reshape(16, 16)
    assert (bits == (small[:, 1:] > small[:, :-1])).all()


def test_near_duplicates_agree_with_brute_force() -> None:
    rng = np.random.default_rng(2)
    hashes_NB = rng.integers(0, 256, (700, HASH_BYTES), dtype=np.uint8)
    for number in range(60):  # copies with a few bits flipped
        hashes_NB[number + 600] = hashes_NB[number * 3]
        hashes_NB[number + 600, :3] ^= rng.integers(0, 256, 3, dtype=np.uint8)
    bits_NB = np.unpackbits(hashes_NB, axis=1).astype(np.int64)
    distance_NN = bits_NB @ (1 - bits_NB).T + (1 - bits_NB) @ bits_NB.T
    rows, columns = np.nonzero(np.triu(distance_NN <= 30, k=1))
    expected = np.stack([rows, columns, distance_NN[rows, columns]], axis=1).tolist()
    assert len(expected) >= 60
    assert near_duplicates(hashes_NB, max_distance=30).tolist() == expected
    across = near_duplicates(hashes_NB[:600], hashes_NB[600:], max_distance=30).tolist()
    assert across == [[i, j - 600, d] for i, j, d in expected if i < 600 <= j]


def test_only_the_nearest_are_kept_of_a_film() -> None:
    frame = np.random.default_rng(5).integers(0, 256, HASH_BYTES, dtype=np.uint8)
    film_NB = np.tile(frame, (600, 1))
    film_NB[:, 0] = np.arange(600) % 251
    pairs_P3 = near_duplicates(film_NB, nearest=2)
    assert len(pairs_P3) == 2 * 599 - 1
    everything_P3 = near_duplicates(film_NB[:300])
    for i in range(299):
        distances = np.sort(everything_P3[everything_P3[:, 0] == i, 2])[:2]
        kept_P3 = near_duplicates(film_NB[:300], nearest=2)
        assert np.sort(kept_P3[kept_P3[:, 0] == i, 2]).tolist() == distances.tolist()
        if i > 3:
            break


def test_nothing_to_compare() -> None:
    empty = np.zeros((0, HASH_BYTES), np.uint8)
    assert near_duplicates(empty).shape == (0, 3)
    assert near_duplicates(empty, np.zeros((3, HASH_BYTES), np.uint8)).shape == (0, 3)


def test_ten_thousand_against_ten_thousand() -> None:
    hashes_NB = np.random.default_rng(3).integers(0, 256, (10_000, HASH_BYTES), dtype=np.uint8)
    start = time.process_time()
    near_duplicates(hashes_NB[:2000], hashes_NB)
    assert (time.process_time() - start) * 5 < 60  # a fifth of the work; 1.5 s for all on an idle core


def test_similarity_is_symmetric_and_one_for_itself() -> None:
    rng = np.random.default_rng(4)
    first, second = (
        np.asarray(Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((90, 70)))
        for _ in range(2)
    )
    a, b = thumbnail(first), thumbnail(second)
    assert similarity(a, a) > 0.999
    assert similarity(a, b) == similarity(b, a) < MIN_SIMILARITY
