"""Predicted masks as rings: where they land on the picture, what is kept of thin ones, and the area of many parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.datasets.outlines import area_within
from tune_jobs.compare.masks import kept_rings, rings_of_masks

SQUARE = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])


def test_a_mask_lands_where_it_was_on_the_padded_picture() -> None:
    masks_NHW = torch.zeros(1, 80, 160, dtype=torch.uint8)
    masks_NHW[0, 20:40, 40:80] = 1  # at a stride of 4 of 320 x 640 pixels
    seen = {"imgsz": (320, 640), "ori_shape": (240, 600), "ratio_pad": ((1.0, 1.0), (20, 40))}
    ((ring,),) = rings_of_masks(masks_NHW, seen)
    points_P2 = np.reshape(ring, (-1, 2)) * (600, 240)
    np.testing.assert_allclose(
        [points_P2.min(axis=0), points_P2.max(axis=0)], [(140, 40), (300, 120)], atol=4
    )


def test_an_empty_mask_has_no_rings() -> None:
    seen = {"imgsz": (320, 640), "ori_shape": (240, 600), "ratio_pad": ((1.0, 1.0), (20, 40))}
    assert rings_of_masks(torch.zeros(1, 80, 160, dtype=torch.uint8), seen) == ((),)


def test_a_thin_mask_is_kept() -> None:
    thin_P2 = np.array([(0.1, 0.5), (0.9, 0.5), (0.9, 0.501), (0.1, 0.501)])
    (ring,) = kept_rings([thin_P2])
    assert len(ring) >= 6


@pytest.mark.parametrize("turned", [False, True])
def test_the_area_of_parts_and_holes_knows_no_direction(turned: bool) -> None:
    other = SQUARE[::-1] if turned else SQUARE
    assert area_within([SQUARE, other * 0.8 + 20]) == pytest.approx(164)
    assert area_within([SQUARE, other * 0.4 + 3]) == pytest.approx(84)
