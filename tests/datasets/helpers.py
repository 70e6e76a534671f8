"""Helpers that several tests of data sets need."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from recommender.records import Dataset
from tests.datagen import make_dataset


def tree_digest(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def kinds(dataset: Dataset) -> dict[str, int]:
    """Defects by kind."""
    return {defect.kind: defect.count for defect in dataset.defects}


def yolo_set(folder: Path, images: int = 12) -> Path:
    """A plain YOLO set, `images/train/shape_0000.png` its first image."""
    return make_dataset(folder, images=images)


def write_rows(folder: Path, number: int, text: str | bytes) -> None:
    """Replace the label file of the train image of that number."""
    path = folder / "labels" / "train" / f"shape_{number:04d}.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
