"""Groups of near duplicates among images, for a split that keeps each on one side."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from recommender.datasets.duplicates import HASH_BYTES, image_hash, near_duplicates
from recommender.datasets.images import ImageError, read_image
from recommender.progress import Progress
from recommender.records import ByteArray, LabelledImage

MAX_IMAGES = 5000  # looked at; of larger sets exact copies alone are kept together
LOOK_SIDE = 192  # pixels


def near_groups(images: Sequence[LabelledImage], progress: Progress) -> list[list[str]]:
    """sha256 of the images of each group of two or more that look alike, directly or over others.

    Blank images and those that do not decode are in no group. Empty for more than MAX_IMAGES images.
    """
    paths = {image.sha256: image.path for image in images}
    names = sorted(paths)
    if len(names) > MAX_IMAGES:
        return []

    def look(name: str) -> ByteArray:
        try:
            return image_hash(read_image(paths[name], max_side=LOOK_SIDE))
        except ImageError:
            return np.zeros(HASH_BYTES, np.uint8)  # as a blank image's: near to none

    hashes_NB = np.zeros((len(names), HASH_BYTES), np.uint8)
    with ThreadPoolExecutor(max_workers=min(8, 1 + (os.cpu_count() or 1))) as threads:
        for number, hash_B in enumerate(threads.map(look, names)):
            hashes_NB[number] = hash_B
            progress("looking for near duplicates", number + 1, len(names))
    return [[names[member] for member in group] for group in _connected(near_duplicates(hashes_NB).tolist())]


def _connected(pairs: Sequence[Sequence[int]]) -> list[list[int]]:
    """The connected components of at least two nodes."""
    leader: dict[int, int] = {}

    def find(node: int) -> int:
        while leader.setdefault(node, node) != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for first, second, *_ in pairs:
        leader[find(first)] = find(second)
    groups: dict[int, list[int]] = defaultdict(list)
    for node in list(leader):
        groups[find(node)].append(node)
    return [sorted(group) for group in groups.values()]
