"""The annotation that an image belongs to, of several of which some are for images that are not there.

The annotation of `cam2/0001.jpg` must not go onto `cam1/0001.jpg` because the folder `cam2` was not downloaded.
"""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from recommender.datasets.disk import Disk
from recommender.datasets.matching import same_name
from recommender.datasets.split_names import split_of_path
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import printable

Fit = tuple[int, bool, int, int]
SPLITS: tuple[Split | None, ...] = ("train", "val", "test", None)  # the first that lists an image has it


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An image, and what an annotation file calls it."""

    path: Path
    reference: str
    near: Path  # the annotation file
    split: Split | None


def parts_of(reference: str, *, decoded: bool = True) -> list[str]:
    """The folders and the name in a path, on whatever machine it was written, or in an address, which is `decoded`."""
    _, scheme, address = reference.strip().replace("\\", "/").rpartition("://")
    plain = address.split("?")[0]
    plain = unquote(plain) if scheme and decoded else plain
    return [part for part in plain.split("/") if part]


def agreement(path: Path, parts: Sequence[str]) -> int:
    """The number of folders, from the innermost on, that `path` and the parts of a reference have in common."""
    pairs = zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: same_name(*pair), pairs))


def nearness(path: Path, near: Path) -> tuple[int, int]:
    """The fit of an image's folder and an annotation file's: `images/cam1` and `json/cam1`, then `a/x` and `a/y`."""
    pairs = zip(reversed(path.parent.parts), reversed(near.parent.parts), strict=False)
    alike = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return alike, len(os.path.commonpath([path.parent, near.parent]))


def lost_claims(claims: Sequence[Claim], root: Path, disk: Disk) -> set[int]:
    """The positions of claims to an image that another claim fits better: their own images are missing.

    Raises DatasetError where two claims of different names or folders fit one image equally well.
    """
    rivals: dict[Path, list[int]] = defaultdict(list)
    for number, claim in enumerate(claims):
        rivals[claim.path].append(number)
    lost: set[int] = set()
    for numbers in rivals.values():
        if len(numbers) > 1 and not _is_listed_again([claims[number] for number in numbers], root):
            fits = {number: _fit(claims[number], root) for number in numbers}
            best = max(fits.values())
            outdone = {n for n in numbers if fits[n] < best and not _is_whole(claims[n], root)}
            _refuse_rivals([claims[n] for n in numbers if n not in outdone], disk)
            lost |= outdone
    return lost


def _is_listed_again(claims: Sequence[Claim], root: Path) -> bool:
    """True if files of one folder give one name, and the image lies where the first split's may: that one counts."""
    first = min(claims, key=lambda claim: SPLITS.index(claim.split))
    same = {(tuple(_plain_parts(claim)), claim.near.parent) for claim in claims}
    return len(same) == 1 and _is_of_split(first, root)


def _fit(claim: Claim, root: Path) -> Fit:
    folders = agreement(claim.path, _plain_parts(claim))
    return folders, _is_of_split(claim, root), *nearness(claim.path, claim.near)


def _is_of_split(claim: Claim, root: Path) -> bool:
    """True if the image lies in no other split's folder, or in the very folder that is written."""
    written = len(_plain_parts(claim)) - 1
    if written and agreement(claim.path, _plain_parts(claim)) == written:
        return True
    return split_of_path(claim.path, root) in (None, claim.split)


def _is_whole(claim: Claim, root: Path) -> bool:
    """True if nothing in the claim speaks for another image."""
    parts = _plain_parts(claim)
    return (
        agreement(claim.path, parts) == len(parts) - 1
        and _is_of_split(claim, root)
        and claim.path.is_relative_to(claim.near.parent)
    )


def _plain_parts(claim: Claim) -> list[str]:
    return [part for part in parts_of(claim.reference) if part not in (".", "..")]


def _refuse_rivals(claims: Sequence[Claim], disk: Disk) -> None:
    first = claims[0]
    for claim in claims[1:]:
        if not _may_be_one(_plain_parts(first), _plain_parts(claim)):
            raise DatasetError(
                f"{printable(claim.near.name)}: '{printable(first.reference)}' and '{printable(claim.reference)}' "
                f"may both mean {printable(disk.name(claim.path))}.",
                remedy="Call the images and their folders as the annotations call them.",
            )


def _may_be_one(first: Sequence[str], second: Sequence[str]) -> bool:
    """True if two references may be of one image: one is the end of the other, with or without a suffix."""
    a, b = first[-1], second[-1]
    if not (same_name(a, b) or same_name(Path(a).stem, b) or same_name(a, Path(b).stem)):
        return False
    return all(same_name(*pair) for pair in zip(reversed(first[:-1]), reversed(second[:-1]), strict=False))
