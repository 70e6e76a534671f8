"""In which encoding a zip's file names are, where it does not say.

Windows packs names in the code page of its language; read otherwise they are letter salad, and no annotation
finds its image. The encoding under which the annotations in the zip speak of its files is the right one.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator

UTF8_FLAG = 0x800
ENCODINGS = ("utf-8", "gb18030", "cp932", "cp949", "big5", "cp1251", "cp1252", "cp850", "cp437")
TEXTS = (".json", ".ndjson", ".xml", ".txt", ".yaml", ".yml", ".csv")
MAX_TEXT_BYTES = 8_000_000  # of all texts together, and twice that unpacked
MAX_NAMES = 200


def names_encoding(archive: zipfile.ZipFile) -> str | None:
    """The encoding to which `in_encoding` turns the names; None where they are right as they are, or nothing tells.

    Some packers mark the letter salad itself as UTF-8, so names that say what they are count as well.
    """
    names = [info.filename for info in archive.infolist() if not info.filename.isascii()]
    raw = [name.encode("cp437") for name in names if _encodes(name)]
    unmarked = any(
        not info.flag_bits & UTF8_FLAG for info in archive.infolist() if not info.filename.isascii()
    )
    if not raw:
        return None
    fitting = [encoding for encoding in ENCODINGS if all(_decodes(name, encoding) for name in raw)]
    if unmarked and "utf-8" in fitting:
        return "utf-8"
    text = "\n".join(_texts(archive))
    hits = {encoding: _hits(raw, encoding, text) for encoding in fitting}
    best = max(hits, key=hits.__getitem__, default="cp437")
    return best if hits.get(best, 0) > hits.get("cp437", 0) else None


def in_encoding(name: str, encoding: str | None) -> str:
    """A name as `zipfile` shows it, read in the encoding it was written in."""
    return (
        name if encoding is None or not _encodes(name) else name.encode("cp437").decode(encoding, "replace")
    )


def _encodes(name: str) -> bool:
    try:
        name.encode("cp437")
    except UnicodeEncodeError:
        return False
    return True


def _decodes(name: bytes, encoding: str) -> bool:
    try:
        name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _texts(archive: zipfile.ZipFile) -> Iterator[str]:
    left = MAX_TEXT_BYTES
    for info in archive.infolist():
        if left > 0 and info.filename.lower().endswith(TEXTS) and not info.flag_bits & 0x1:
            with archive.open(info) as file:
                data = file.read(left)
            left -= len(data)
            yield data.decode("utf-8", "replace")


def _hits(names: list[bytes], encoding: str, text: str) -> int:
    """The number of files that the texts name, as they are or escaped as JSON does."""
    found = 0
    for name in names[:MAX_NAMES]:
        stem = os.path.splitext(name.decode(encoding).rpartition("/")[2])[0]  # noqa: PTH122 - no path of ours
        found += bool(stem) and (stem in text or json.dumps(stem)[1:-1] in text)
    return found
