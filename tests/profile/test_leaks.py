"""A target's images found again in a source."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import image_hash, read_image
from recommender.profile import images_seen, leaks
from tests.datagen import draw_images
from tests.profile.synthetic import synthetic_profile

SOURCE = synthetic_profile("source", images=4, seed=1)
TARGET = synthetic_profile("target", images=4, seed=2)


def reencoded(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.resize((image.width // 2, image.height // 2)).save(buffer, "JPEG", quality=50)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def test_a_set_has_seen_itself_and_not_another() -> None:
    assert images_seen(TARGET, TARGET).share == 1.0
    assert images_seen(TARGET, SOURCE) == replace(images_seen(TARGET, TARGET), share=0.0, indices=())


def test_encoded_and_scaled_copies_are_found_and_named() -> None:
    pictures = [drawn.image for drawn in draw_images(4, ["a", "b"], size=(320, 240))]
    hashes = np.stack([image_hash(np.asarray(picture)) for picture in pictures])
    copies = np.stack([image_hash(np.asarray(reencoded(picture))) for picture in pictures[1:3]])
    found = images_seen(replace(TARGET, image_hashes_NB=hashes), replace(SOURCE, image_hashes_NB=copies))
    assert found.share == 0.5
    assert found.examples(("w", "x", "y", "z")) == ("x", "y")


def test_blank_and_unreadable_images_match_nothing() -> None:
    blank = np.zeros((4, 32), dtype=np.uint8)
    assert (
        images_seen(replace(TARGET, image_hashes_NB=blank), replace(SOURCE, image_hashes_NB=blank)).share
        == 0.0
    )


def test_plain_pictures_neither_match_by_chance_nor_dilute_the_share() -> None:
    """Four set bits each, none in common: eight bits apart, well within reach of a near duplicate."""
    plain = np.zeros((3, 32), dtype=np.uint8)
    plain[0, 0], plain[1, 9], plain[2, 20] = 0b1111, 0b1111, 0b1111
    target = replace(TARGET, image_hashes_NB=np.concatenate([TARGET.image_hashes_NB, plain]))
    source = replace(SOURCE, image_hashes_NB=np.concatenate([TARGET.image_hashes_NB, plain[::-1]]))
    found = images_seen(target, source)
    assert found.share == 1.0
    assert found.indices == (0, 1, 2, 3)


@pytest.mark.slow
def test_real_sets_of_one_kind_share_no_image(shared: Path) -> None:
    def hashed(name: str) -> np.ndarray:
        files = sorted((shared / "data" / name / "images").resolve().rglob("*.jpg"))
        return np.stack([image_hash(read_image(file, max_side=320)) for file in files])

    for one, other in (("mask_wearing", "wider_face"), ("neu_det", "deep_pcb"), ("gtsdb_de", "coco_mini")):
        target = replace(TARGET, image_hashes_NB=hashed(one))
        assert images_seen(target, replace(SOURCE, image_hashes_NB=hashed(other))).share == 0.0
        assert images_seen(target, target).share == 1.0


def test_frames_of_one_film_are_found_at_once_and_of_many_images_some_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film = np.repeat(TARGET.image_hashes_NB[:1], 3000, axis=0)
    target = replace(TARGET, image_hashes_NB=np.concatenate([film, SOURCE.image_hashes_NB]))
    source = replace(SOURCE, image_hashes_NB=film)
    found = images_seen(target, source)
    assert (found.share, found.indices) == (3000 / 3004, tuple(range(3000)))
    monkeypatch.setattr(leaks, "MAX_SOURCE_PAIRS", 3000 * 100)
    some = images_seen(target, source)
    assert len(some.indices) < 100
    assert set(some.indices) < set(found.indices)
    assert some.share == pytest.approx(found.share, abs=0.02)
