"""Finding the image an annotation means, wherever in the data set it lies. A doubtful one is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from recommender.datasets.claims import Claim, agreement, lost_claims, nearness, parts_of
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import OUTSIDE_REMEDY, Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.matching import NameIndex, same_name
from recommender.datasets.split_names import split_of_path
from recommender.errors import DatasetError, UnsafeInputError
from recommender.records import Split
from recommender.text import counted, printable

# Folders of pictures that are drawn from annotations, or measured beside the photos.
MASK_FOLDERS = frozenset(
    {
        "ann",
        "anns",
        "annot",
        "annotation",
        "annotations",
        "depth",
        "gt",
        "groundtruth",
        "lab",
        "label",
        "labels",
    }
    | {"msk", "testannot", "trainannot", "trimap", "trimaps", "truth", "valannot"}
    | {"mask", "masks", "overlay", "overlays", "preview", "previews", "seg", "segmentation", "segmentations"}
    | {
        "segmentationclass",
        "segmentationobject",
        "segmentationclasspng",
        "segmentationobjectpng",
        "semantic",
        "thumbnail",
        "thumbnails",
        "thumbs",
    }
)

PREVIEW = re.compile(
    r"(?i)(^|[^a-z])(depth|overlays?|previews?|thumb(nail)?s?)([^a-z]|$)|visuali[sz]ations?$"
)


class ImageIndex:
    """All images below a folder, by name and by stem."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self.paths = tuple(disk.images(root))
        self._by_name = NameIndex((path.name, path) for path in self.paths)
        self._by_stem = NameIndex((path.stem, path) for path in self.paths)

    def beside(self, claimed: Collection[Path]) -> list[Path]:
        """The other images of the folders that hold the claimed ones; no masks and no previews."""
        folders = {path.parent for path in claimed}
        return [
            path
            for path in self.paths
            if path not in claimed and path.parent in folders and not is_mask(path, self._root)
        ]

    def tell_beside(self, claimed: Collection[Path], log: DefectLog) -> None:
        """Tell which of them a list of images does not name: they are left out; less previews as `a_vis` of `a`."""
        stems = {(path.parent, path.stem) for path in claimed}
        for path in self.beside(claimed):
            word = re.split(r"[ ._-]", path.stem)[-1]
            drawn = word.lower() == "vis" or names_masks(word)
            if not (drawn and (path.parent, path.stem[: -len(word) - 1]) in stems):
                log.add("image_beside", self._disk.name(path))

    def of_names(self, references: Sequence[tuple[str, Path, Split | None]]) -> list[Path | None]:
        """The image that each `file_name` of the whole data set means, given with its file and split, as `of_name`.

        None also for a reference whose image is not there although one of that name is, which another reference
        fits better. Raises DatasetError also where two references may mean the same image.
        """
        found = [self.of_name(*reference) for reference in references]
        of_folder = {near: split_of_path(near, self._root) for near in {near for _, near, _ in references}}
        known = [number for number, path in enumerate(found) if path is not None]
        claims = [
            Claim(path=path, reference=reference, near=near, split=split or of_folder[near])
            for path, (reference, near, split) in zip(found, references, strict=True)
            if path is not None
        ]
        for position in lost_claims(claims, self._root, self._disk):
            found[known[position]] = None
        return found

    def of_name(self, reference: str, near: Path, split: Split | None) -> Path | None:
        """The image a `file_name` means: as written beside `near`, else by name anywhere below the root.

        Names may differ by Unicode form, case, upload prefix or suffix, where that fits one image alone.
        Raises UnsafeInputError when it leads out and no image of that name lies inside, DatasetError when
        several images may be meant.
        """
        parts = parts_of(reference)
        if not parts or "\0" in reference:
            return None
        written = Path(os.path.normpath(near.parent / reference.replace("\\", "/")))
        as_saved = parts_of(reference, decoded=False)[-1]  # curl leaves `%20` in a name
        found = self._called(as_saved) or self._called(parts[-1])
        if written in found:
            return written
        if (
            len(found) > 1
            and self._disk.contains(written)
            and (real := Path(os.path.realpath(written))) in found
        ):
            return real
        best = self._best(_longest_ending(found, parts), near, split, reference)
        if best is None and not self._disk.contains(written):
            raise UnsafeInputError(
                f"{printable(near.name)} names '{printable(reference)}', which leads out of the data set's folder.",
                remedy=OUTSIDE_REMEDY,
            )
        return None if best is None or self.is_mask_of(best, parts[-1], near) else best

    def _called(self, name: str) -> list[Path]:
        """The images of that name, which may have dots and no suffix, or a suffix of its own."""
        whole = self._by_name.find(name) or self._by_stem.find(name)
        return whole or self._by_stem.find(Path(name).stem)

    def is_mask_of(self, path: Path, name: str, near: Path) -> bool:
        """True if `path` is rather the mask of the picture called `name`: of another suffix, in a folder of masks."""
        suffix = Path(name).suffix.lower()
        return (
            suffix in IMAGE_SUFFIXES
            and suffix != path.suffix.lower()
            and path.parent != near.parent
            and is_mask(path, self._root)
            and not self._are_masks
        )

    @cached_property
    def _are_masks(self) -> bool:
        """True if all images lie in folders called as those of masks: the name tells nothing then."""
        return all(is_mask(path, self._root) for path in self.paths)

    def in_folder(self, folders: Iterable[str], name: str) -> Path | None:
        """The one image of that name, or that name less its suffix, in a folder called as the first that has it."""
        found = self._by_name.find(name) or self._by_stem.find(Path(name).stem)
        for folder in folders:
            there = [path for path in found if same_name(path.parent.name, folder)]
            if len(there) == 1:
                return there[0]
        return None

    def of_ending(self, reference: str, split: Split | None) -> Path | None:
        """The one image whose path ends as `reference` does, and that does not lie in another split's folder."""
        parts = [part for part in reference.replace("\\", "/").split("/") if part]
        found = _longest_ending(self._by_name.find(parts[-1]), parts) if parts else []
        found = [path for path in found if split_of_path(path, self._root) in (None, split)]
        return found[0] if len(found) == 1 else None

    def count(self, reference: str) -> int:
        """The number of images of this name, in any folder."""
        return len(self._by_name.find(reference))

    def of_stem(self, stem: str, near: Path, split: Split | None) -> Path | None:
        """The image of that name less its suffix. Raises DatasetError when several may be meant."""
        return self._best(self._by_stem.find(stem), near, split, stem)

    def _best(self, found: list[Path], near: Path, split: Split | None, reference: str) -> Path | None:
        if len(found) > 1:
            found = [path for path in found if not is_mask(path, self._root)] or found
        if len(found) <= 1:
            return found[0] if found else None
        split = split or split_of_path(near, self._root)

        def preference(path: Path) -> tuple[bool, int, int]:
            alike, shared = nearness(path, near)
            return split_of_path(path, self._root) != split, -alike, -shared

        least = min(preference(path) for path in found)
        best = [path for path in found if preference(path) == least]
        if len(best) > 1:
            shown = ", ".join(printable(self._disk.name(path)) for path in best[:3])
            raise DatasetError(
                f"{printable(near.name)} names '{printable(reference)}', and "
                f"{counted(len(best), 'image')} may be meant: {shown}.",
                remedy="Write the folder into the annotations, or give a folder that holds one of them.",
            )
        return best[0]


def is_mask(path: Path, root: Path) -> bool:
    """True if an image lies in a folder of masks or previews below `root`."""
    folders = path.relative_to(root).parts[:-1]
    return any(names_masks(folder) for folder in folders)


def names_masks(folder: str) -> bool:
    """True if a folder is called as those of masks or previews are."""
    return bool(MASK_FOLDERS & set(re.split(r"[^a-z]+", folder.lower()))) or is_preview(folder)


def is_preview(folder: str) -> bool:
    """True if a folder is called as those of pictures that are drawn to be looked at: they tell no classes."""
    return PREVIEW.search(folder) is not None


def _longest_ending(found: list[Path], parts: list[str]) -> list[Path]:
    """The paths that agree with `parts` for the longest way from the end."""
    longest = max((agreement(path, parts) for path in found), default=0)
    return [path for path in found if agreement(path, parts) == longest]
