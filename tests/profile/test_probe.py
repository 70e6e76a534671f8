"""The probe: what is averaged where, and that no image depends on its neighbours."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import StorageError
from recommender.profile import probe as probe_module
from recommender.profile.basis import BASIS_FILE
from recommender.profile.embedding import CARD, ENCODER
from recommender.profile.images import letterbox
from recommender.profile.probe import PROBE_SIZE, WEIGHTS_FILE, load_probe, read_shipped

WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]])


def mean_in(values_HW: np.ndarray, box: tuple[float, float, float, float]) -> float:
    import torch

    grid = torch.from_numpy(values_HW.astype(np.float32))[None]
    return float(probe_module.mean_in_boxes(grid, np.array([box]))[0, 0])


def test_box_means_are_exact_area_means() -> None:
    grid = np.arange(16.0).reshape(4, 4)
    assert mean_in(grid, (0, 0, 1, 1)) == pytest.approx(7.5)
    assert mean_in(grid, (0, 0, 0.5, 0.5)) == pytest.approx(np.mean([0, 1, 4, 5]))
    # one and a half cells wide, one high: (0·1 + 1·0.5) / 1.5
    assert mean_in(grid, (0, 0, 0.375, 0.25)) == pytest.approx(1 / 3)


def test_tiny_boxes_are_interpolated_and_stay_inside() -> None:
    grid = np.arange(16.0).reshape(4, 4)
    assert mean_in(grid, (0.25, 0.125, 0.25, 0.125)) == pytest.approx(0.5)  # between the first two cells
    assert mean_in(grid, (0, 0, 0, 0)) == pytest.approx(0.0)
    assert mean_in(grid, (1, 1, 1, 1)) == pytest.approx(15.0)


def test_constant_maps_give_their_constant_whatever_the_box() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = np.sort(rng.random(2)), np.sort(rng.random(2))
        assert mean_in(np.full((5, 7), 3.0), (x[0], y[0], x[1], y[1])) == pytest.approx(3.0)


def test_an_image_does_not_depend_on_its_batch() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 3, PROBE_SIZE, PROBE_SIZE), dtype=np.uint8)
    together = load_probe().pooled(list(images), [WHOLE] * 3)
    alone = load_probe().pooled([images[2]], [WHOLE])
    np.testing.assert_array_equal(together[2], alone[0])
    assert not np.array_equal(together[0], together[1])


def test_letterbox_keeps_the_aspect_and_says_where_the_picture_is() -> None:
    pixels = np.full((100, 200, 3), 7, dtype=np.uint8)
    square, content = letterbox(pixels)
    assert content == (0.0, 0.25, 1.0, 0.75)
    quarter = PROBE_SIZE // 4
    assert (square[:, quarter : 3 * quarter] == 7).all()
    assert (square[:, :quarter] == 114).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 1)])
def test_letterbox_takes_extreme_shapes(shape: tuple[int, int]) -> None:
    square, _ = letterbox(np.zeros((*shape, 3), dtype=np.uint8))
    assert square.shape == (3, PROBE_SIZE, PROBE_SIZE)


def test_the_encoder_id_stands_for_the_shipped_bytes() -> None:
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (WEIGHTS_FILE, BASIS_FILE)]
    assert digests == [CARD["probe_sha256"], CARD["basis_sha256"]]
    assert ENCODER.endswith(hashlib.sha256("".join(digests).encode()).hexdigest()[:12])


def test_changed_files_are_refused(tmp_path: Path) -> None:
    changed = bytearray(WEIGHTS_FILE.read_bytes())
    changed[-1] ^= 1
    (tmp_path / "probe.safetensors").write_bytes(changed)
    with pytest.raises(StorageError, match="differs from the one shipped"):
        read_shipped(tmp_path / "probe.safetensors", CARD["probe_sha256"])


def test_masks_cut_objects_out_of_the_map() -> None:
    rng = np.random.default_rng(0)
    square = rng.integers(0, 256, (3, PROBE_SIZE, PROBE_SIZE), dtype=np.uint8)
    boxes = np.array([WHOLE[0], (0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.6, 0.6), (0.5, 0.5, 0.52, 0.52)])
    masks = np.zeros((3, 80, 80), bool)
    masks[0] = True  # the whole box
    masks[1, 8:16, 8:48] = True  # a strip of the second box, the size of a smaller one
    masks[2, 40, 40] = True  # less than a cell
    plain, cut = (load_probe().pooled([square], [boxes], given)[0] for given in ((), (masks,)))
    np.testing.assert_allclose(cut[0], plain[0])
    np.testing.assert_allclose(cut[1], plain[1], atol=1e-4)
    strip = load_probe().pooled([square], [np.array([WHOLE[0], (0.1, 0.1, 0.6, 0.2)])])[0]
    np.testing.assert_allclose(cut[2], strip[1], atol=1e-4)
    assert np.abs(cut[2] - plain[2]).max() > 0.01
    np.testing.assert_allclose(cut[3], plain[3])
