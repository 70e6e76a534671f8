"""Splits as file and folder names speak of them."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.records import Split

SECOND_WORDS: dict[str, Split] = {"eval": "val", "evaluation": "val", "holdout": "test"}  # or a further split
SPLIT_WORDS: dict[str, Split] = {
    **SECOND_WORDS,
    "train": "train",
    "training": "train",
    "trainval": "train",
    "trainset": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "valset": "val",
    "validset": "val",
    "test": "test",
    "testing": "test",
    "testset": "test",
}
# Words that beside a split's say nothing more.
PLAIN_WORDS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "frames", "jpg", "png"}
    | {"data", "dataset", "set", "split", "labels", "annotations", "xml", "xmls", "json"}
)
LIST_WORDS = frozenset({"autosplit", "files", "ids", "image", "images", "list"})
ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels", "json", "xmls", "xml", "anns"})


def split_of_words(text: str) -> Split | None:
    """The split a folder or file name speaks of: `train2017`, `images_val`, `valid`; else None."""
    return next((SPLIT_WORDS[word] for word in _words(text) if word in SPLIT_WORDS), None)


def without_split_words(text: str) -> str:
    """The name less its split, so that files of one set are alike: `instances_train2017` → `instances`."""
    return "_".join(word for word in _words(text) if word not in SPLIT_WORDS)


def lists_of_splits(paths: Iterable[Path]) -> dict[Path, Split | None]:
    """The lists called after splits alone; in folders without one those called as `val_list`, if train is among them.

    What a tool wrote beside a given division (`autosplit_train`) divides anew.
    """
    found: dict[Path, dict[Path, Split | None]] = {}
    for path in paths:
        if (split := split_of_words(path.stem)) and set(_words(path.stem)) <= SPLIT_WORDS.keys() | LIST_WORDS:
            found.setdefault(path.parent, {})[path] = split
    for folder, lists in found.items():
        plain = {path: split for path, split in lists.items() if not without_split_words(path.stem)}
        found[folder] = plain or (lists if "train" in lists.values() else {})
    return {path: split for lists in found.values() for path, split in lists.items()}


def without_trainval(paths: Iterable[Path]) -> list[Path]:
    """The lists less those of train and val together, where there is one of train and one of val."""
    found = list(paths)
    alone = [path for path in found if "trainval" not in _words(path.stem)]
    return alone if {"train", "val"} <= {split_of_words(path.stem) for path in alone} else found


def split_of_path(path: Path, root: Path) -> Split | None:
    """The split the folders between `root` and a file speak of, the innermost first."""
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return next((split for folder in reversed(folders) if (split := split_of_words(folder))), None)


def split_of_file(path: Path, root: Path) -> Split | None:
    """The split that a file of annotations is called after, or a folder between `root` and it."""
    return split_of_title(path) or split_of_path(path, root)


def split_of_title(path: Path) -> Split | None:
    """The split that a file of annotations itself is called after."""
    return split_of_words(apart(path.stem))


def split_of_image(path: Path, near: Path, root: Path) -> Split | None:
    """The split of an image that the file `near` names without one: that of its own folders, else of that file's.

    A folder around both says no more of an image than one around it alone: `training_data/test`.
    """
    shared = Path(os.path.commonpath((path, near)))
    return split_of_path(path, shared) or split_of_path(near, root)


def apart(title: str) -> str:
    """`trainLabels` as `train_Labels`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", title)


def tell_split_folders(paths: Iterable[Path], root: Path, log: DefectLog) -> None:
    """Say which folders were taken for a split, perhaps by chance, and which two for one."""
    found: dict[Path, Split] = {}
    for parent in dict.fromkeys(path.parent for path in paths):
        above = (folder for folder in (parent, *parent.parents) if folder.is_relative_to(root))
        folder = next((folder for folder in above if folder != root and split_of_words(folder.name)), None)
        if folder is not None and (split := split_of_words(folder.name)):
            found[folder] = split
    for name, split in split_folders_by_chance(
        {folder.name: split for folder, split in found.items()}
    ).items():
        log.add("split_by_word", name, f"taken as {split}")
    tell_joined_splits(found, log)


def tell_joined_splits(folders: Mapping[Path, Split], log: DefectLog) -> None:
    """Say which folders side by side were taken for one split by words of their own: `val` and `eval`."""
    joined: dict[tuple[Path, Split], dict[frozenset[str], str]] = {}
    for folder, split in sorted(folders.items()):
        words = frozenset(SPLIT_WORDS).intersection(_words(folder.name))
        joined.setdefault((folder.parent, split), {}).setdefault(words, folder.name)
    for (_, split), names in joined.items():
        if len(names) > 1:
            log.add("split_by_word", " and ".join(names.values()), f"together taken as {split}")


def split_folders_by_chance(found: Mapping[str, Split]) -> dict[str, Split]:
    """Folders, of those `found`, that one word of an unlike name makes a split: `crash_test` beside `park`; not
    `fruits_test` beside `fruits_train`.
    """
    plain = PLAIN_WORDS | SPLIT_WORDS.keys()
    rest = {folder: frozenset(_words(folder)) - plain for folder in found}
    if len(set(rest.values())) == 1 and len(set(found.values())) > 1:
        return {}
    return {folder: split for folder, split in found.items() if rest[folder]}


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", text.lower()) if word]
