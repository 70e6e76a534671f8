"""Turns the coordinates of annotations into fractions of the upright image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.datasets.raw import Float64Array


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The size that annotations refer to, and the EXIF orientation by which the picture is turned after it."""

    size: tuple[float, float] = (1.0, 1.0)  # width, height
    orientation: int = 1

    def corners(self, corners_M4: Float64Array) -> Float64Array:
        """Boxes x min, y min, x max, y max as fractions of the upright image."""
        first_M2, second_M2 = self.points(corners_M4[:, :2]), self.points(corners_M4[:, 2:])
        if self.orientation == 1:
            return np.concatenate([first_M2, second_M2], axis=1)
        return np.concatenate([np.minimum(first_M2, second_M2), np.maximum(first_M2, second_M2)], axis=1)

    def points(self, points_P2: Float64Array) -> Float64Array:
        """Points x, y as fractions of the upright image."""
        scaled: Float64Array = points_P2 / np.array(self.size)
        if self.orientation == 1:
            return scaled
        x, y = scaled.T
        turned: Float64Array = np.stack(
            {
                2: (1 - x, y),
                3: (1 - x, 1 - y),
                4: (x, 1 - y),
                5: (y, x),
                6: (1 - y, x),
                7: (1 - y, 1 - x),
                8: (y, 1 - x),
            }[self.orientation],
            axis=1,
        )
        return turned
