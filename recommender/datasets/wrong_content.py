"""Files that hold something else than their name says: a pointer of Git LFS, a web page, or the file packed."""

from __future__ import annotations

from typing import NamedTuple


class WrongContent(NamedTuple):
    """The content of a file that is not the one meant, in words, and what to do."""

    what: str
    remedy: str


POINTER = WrongContent("a pointer of Git LFS, not the file itself", "Fetch the files with `git lfs pull`.")
PAGE = WrongContent(
    "a web page", "Download it again: the site may have asked to sign in, or to confirm a large file."
)
PACKED = WrongContent("a packed file", "Unpack it.")
PART = WrongContent("a part of an archive", "Unpack the whole archive, and give the folder.")
STARTS = {
    b"version https://git-lfs": POINTER,
    b"<!doctype html": PAGE,
    b"<html": PAGE,
    b"\x1f\x8b": PACKED,
    b"bzh": PACKED,
    b"\xfd7zxz\0": PACKED,
    b"pk\x07\x08": PART,
    b"pk\x03\x04": PACKED,
}


def wrong_content(start: bytes) -> WrongContent | None:
    """The content that these first bytes tell, where it is none of a data set; else None."""
    plain = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:32].lower()
    return next((found for mark, found in STARTS.items() if plain.startswith(mark)), None)
