"""What a file is, told from its bytes before anything reads it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from recommender.checkpoints.quarantine.refusal import RefusalError

MAX_UNPACKED_BYTES = 6 * 2**30


def sniff(file: Path) -> str:
    """Tell "torch" or "safetensors" from the first bytes; refuse everything else by its name."""
    with file.open("rb") as stream:
        head = stream.read(512)
    original = "Add the original .pt it was made from."
    if not head:
        raise RefusalError("The file is empty.", "Copy or download it again.")
    if head.startswith(b"PK\x03\x04"):
        return "torch"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 2**20:
        return "safetensors"
    if head.startswith(b"version https://git-lfs"):
        raise RefusalError(
            "It is a Git LFS pointer, not the weights themselves.", "Run `git lfs pull` first."
        )
    if head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise RefusalError(
            "It is a web page, not weights; a download went wrong.", "Download the file itself again."
        )
    if (
        head[4:8] == b"TFL3"
        or head.startswith(b"\x89HDF")
        or b"onnx" in head[:64].lower()
        or head[:1] == b"\x08"
    ):
        raise RefusalError(
            "It is an export (ONNX, TFLite, HDF5 or alike), from which training cannot start.", original
        )
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "torch"  # the format before torch 1.6
    if not set(head) - set(range(32, 127)) - set(b"\t\r\n\f\x1b"):
        raise RefusalError(
            "It is a text file (a model YAML?), not weights.", "Add the .pt or .safetensors file."
        )
    raise RefusalError(
        "It is not a checkpoint that torch or safetensors wrote, or it is damaged.", "Copy it again."
    )


def check_archive(file: Path) -> None:
    """Refuse damaged, exploding and TorchScript archives."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise RefusalError(
                    f"It unpacks to more than {MAX_UNPACKED_BYTES // 2**30} GiB.", "Add the weights alone."
                )
            if any(
                "/code/" in member.filename or member.filename.endswith("/constants.pkl")
                for member in members
            ):
                raise RefusalError(
                    "It is a TorchScript export, from which training cannot start.",
                    "Add the original .pt it was exported from.",
                )
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise RefusalError(
            f"The archive is truncated or damaged ({error}).", "Copy or download it again."
        ) from None
    if broken is not None:
        raise RefusalError(
            f"The archive is damaged: the checksum of {broken!r} is wrong.", "Copy or download it again."
        )
