"""A limit on the bytes decoded at a time by all threads of this process together."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from recommender.datasets.limits import LIMITS

LARGE = 16_000_000  # pixels of an image whose memory is worth returning at once


class PixelBudget:
    """Lets threads decode as long as their images together stay within `max_pixels`; a larger one goes alone."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def __call__(self, num_pixels: int) -> Iterator[None]:
        """Wait for room for one image, and give it back in the end."""
        wanted = min(num_pixels, self._max_pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + wanted <= self._max_pixels)
            self._taken += wanted
        try:
            yield
        finally:
            if num_pixels > LARGE:
                _give_back_memory()
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


def _give_back_memory() -> None:
    """Return freed memory to the system: the allocator keeps the blocks of each thread that decoded."""
    from PIL import Image

    core: Any = vars(Image)["core"]
    core.clear_cache()
    with suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)


decoding = PixelBudget(LIMITS.image_pixels)
