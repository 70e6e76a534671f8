"""Finding the image an annotation means, wherever in the data set it lies."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from pathlib import Path

from recommender.datasets.disk import OUTSIDE_REMEDY, Disk
from recommender.datasets.words import split_of_path
from recommender.errors import UnsafeInputError
from recommender.records import Split
from recommender.text import printable


class ImageIndex:
    """All images below a folder, by name and by stem."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self.paths = tuple(disk.images(root))
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def of_name(self, reference: str, near: Path, split: Split | None) -> Path | None:
        """The image a `file_name` means: as written beside `near`, else by name anywhere below the root.

        Raises UnsafeInputError when it leads out and no image of that name lies inside.
        """
        plain = reference.replace("\\", "/")
        parts = [part for part in plain.rpartition("://")[2].split("?")[0].split("/") if part]
        if not parts or "\0" in plain:
            return None
        written = near.parent / plain
        inside = self._disk.contains(written)
        found = self._by_name.get(parts[-1], [])
        if inside and (real := Path(os.path.realpath(written))) in found:
            return real
        ending = [path for path in found if path.parts[-len(parts) :] == tuple(parts)]
        best = self._best(ending or found, near, split)
        if best is None and not inside:
            raise UnsafeInputError(
                f"{printable(near.name)} names {printable(reference)!r}, which leads out of the data set's folder.",
                remedy=OUTSIDE_REMEDY,
            )
        return best

    def count(self, reference: str) -> int:
        """How many images are called so, in whatever folder."""
        return len(self._by_name.get(reference, []))

    def of_stem(self, stem: str, near: Path, split: Split | None) -> Path | None:
        """The image of that name less its suffix."""
        return self._best(self._by_stem.get(stem, []), near, split)

    def _best(self, found: list[Path], near: Path, split: Split | None) -> Path | None:
        if len(found) <= 1:
            return found[0] if found else None

        def preference(path: Path) -> tuple[bool, int, int, int, str]:
            shared = len(os.path.commonpath([path.parent, near.parent]))
            pairs = zip(reversed(path.parent.parts), reversed(near.parent.parts), strict=False)
            alike = sum(
                1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
            )  # cam1 and cam1
            return split_of_path(path, self._root) != split, -alike, -shared, len(path.parts), str(path)

        return min(found, key=preference)
