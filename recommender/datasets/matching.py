"""Names that mean one file although they are spelt differently.

Files move between systems: macOS decomposes accents (NFD), Windows ignores case, and Label Studio puts eight
hexadecimal digits before a name. A looser spelling counts only where no stricter one fits, and only where
it fits exactly one file.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")


def spellings(name: str) -> tuple[str, str, str, str]:
    """A name as it is, composed (NFC), without case, and without an upload prefix."""
    if name.isascii():  # nearly all are
        folded = name.lower()
        return name, name, folded, UPLOAD_PREFIX.sub("", folded) if "-" in folded else folded
    composed = unicodedata.normalize("NFC", name)
    folded = unicodedata.normalize("NFC", composed.casefold())
    return name, composed, folded, UPLOAD_PREFIX.sub("", folded)


def same_name(first: str, second: str) -> bool:
    """True if two names differ by Unicode form or case at most."""
    return spellings(first)[2] == spellings(second)[2]


class NameIndex:
    """Paths by name, found by the strictest spelling that fits any."""

    def __init__(self, items: Iterable[tuple[str, Path]]) -> None:
        self._levels: tuple[dict[str, list[Path]], ...] = tuple(defaultdict(list) for _ in range(4))
        for name, path in items:
            for level, spelling in zip(self._levels, spellings(name), strict=True):
                level[spelling].append(path)

    def find(self, name: str) -> list[Path]:
        """All paths of the strictest spelling that fits; empty when none does."""
        return next((found for _, found in self._found(name)), [])

    def find_one(self, name: str, others: NameIndex) -> Path | None:
        """The one path meant by `name`; None where several fit, or several of `others` would claim it."""
        for level, found in self._found(name):
            claims = others._levels[level].get(spellings(name)[level], [])
            return found[0] if level == 0 or len(found) == len(claims) == 1 else None
        return None

    def _found(self, name: str) -> Iterable[tuple[int, list[Path]]]:
        for number, (level, spelling) in enumerate(zip(self._levels, spellings(name), strict=True)):
            if found := level.get(spelling):
                yield number, found
