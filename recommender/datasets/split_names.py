"""Splits as file and folder names speak of them."""

from __future__ import annotations

import re
from pathlib import Path

from recommender.records import Split

SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "trainset": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "valset": "val",
    "validset": "val",
    "test": "test",
    "testing": "test",
    "testset": "test",
}
ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels", "json", "xmls", "xml", "anns"})


def split_of_words(text: str) -> Split | None:
    """The split a folder or file name speaks of: `train2017`, `images_val`, `valid`; else None."""
    return next((SPLIT_WORDS[word] for word in _words(text) if word in SPLIT_WORDS), None)


def without_split_words(text: str) -> str:
    """The name less its split, so that files of one set are alike: `instances_train2017` → `instances`."""
    return "_".join(word for word in _words(text) if word not in SPLIT_WORDS)


def split_of_path(path: Path, root: Path) -> Split | None:
    """The split the folders between `root` and a file speak of, the innermost first."""
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return next((split for folder in reversed(folders) if (split := split_of_words(folder))), None)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", text.lower()) if word]
