"""The format of a file, recognised by its bytes before anything reads it."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from recommender.checkpoints.quarantine.foreign import ORIGINAL, refuse_export
from recommender.checkpoints.quarantine.refusal import RefusalError

MAX_UNPACKED_BYTES = 6 * 2**30


def sniff(file: Path) -> str:
    """Tell "zip", "torch" (before 1.6) or "safetensors" from the first bytes; refuse all else by its name."""
    with file.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise RefusalError("The file is empty.", "Copy or download it again.")
    if head.startswith(b"PK\x03\x04"):
        return "zip"  # torch's own archives, and zipped runs
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 * 2**20:
        return "safetensors"
    if head.startswith(b"version https://git-lfs"):
        raise RefusalError(
            "It is a Git LFS pointer, not the weights themselves.", "Run `git lfs pull` first."
        )
    refuse_export(head)
    if head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise RefusalError(
            "It is a web page, not weights; a download went wrong.", "Download the file itself again."
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


def weights_inside(file: Path, folder: Path) -> Path:
    """The file itself, or the weights of the training run that was zipped, unpacked into `folder`.

    Raises RefusalError for a zip without weights, with several to choose from, or of another tool.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            names = [PurePosixPath(member.filename) for member in members]
            if any(name.name in {"data.pkl", "constants.pkl"} for name in names):
                return file  # torch's own archive
            if any(name.suffix == ".npy" or name.name == "model.weights.h5" for name in names):
                raise RefusalError("It is a NumPy or Keras archive, not weights of torch.", ORIGINAL)
            chosen = _chosen([member for member in members if _is_weights(member.filename)])
            if chosen.file_size > MAX_UNPACKED_BYTES:
                raise RefusalError(f"{chosen.filename!r} unpacks to {chosen.file_size / 2**30:.1f} GiB.")
            unpacked = folder / f"unpacked{PurePosixPath(chosen.filename).suffix}"
            with archive.open(chosen) as packed, unpacked.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 2**20)
            return unpacked
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise RefusalError(
            f"The archive is truncated, damaged or encrypted ({error}).",
            "Copy or download it again, or unpack it.",
        ) from None


def _is_weights(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in {".pt", ".pth", ".safetensors"} and "__MACOSX" not in path.parts


def _chosen(weights: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """The one `best.pt`, else the only weights file."""
    best = [member for member in weights if PurePosixPath(member.filename).stem == "best"]
    for choice in (best, weights):
        if len(choice) == 1:
            return choice[0]
    if not weights:
        raise RefusalError("It is a zip without weights in it.", "Add the best.pt of the training itself.")
    named = ", ".join(member.filename for member in weights[:5])
    raise RefusalError(
        f"It is a zip with {len(weights)} weights files in it: {named[:300]}.",
        "Unpack it and add one of them.",
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
