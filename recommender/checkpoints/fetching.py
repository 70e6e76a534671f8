"""Public checkpoints onto this machine: download, check, quarantine, remember."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from recommender.checkpoints.catalogue import (
    ASSETS_VARIABLE,
    Fetched,
    catalogue,
    file_name,
    published_sha256,
    remember,
)
from recommender.checkpoints.catalogue import base_url as base_url_of
from recommender.checkpoints.containment import quarantined
from recommender.checkpoints.downloading import download
from recommender.checkpoints.files import sha256_of
from recommender.checkpoints.kept_weights import FETCHES, keeping
from recommender.errors import CheckpointError, IntegrityError, UsageError
from recommender.home import subfolder
from recommender.progress import Progress, silent
from recommender.records import Checkpoint
from recommender.text import counted


def fetch(
    checkpoint: Checkpoint,
    *,
    base_url: str | None = None,
    file: Path | None = None,
    again: bool = False,
    progress: Progress = silent,
) -> Checkpoint:
    """The same catalogue entry with its weights on this machine.

    Args:
        checkpoint: an entry of the catalogue; one that has its weights already is returned as it is.
        base_url: where the published files lie; otherwise RECOMMENDER_ASSETS_URL or the official place.
        file: a copy of the published file, downloaded by hand on another machine; nothing is fetched then.
        again: fetch although the weights are here.

    Raises:
        UsageError: nothing is published under this name. UnavailableError: no network, no such file.
        IntegrityError: its sha256 is not the one published, or not that of the first fetch.
        CheckpointError: the file is not the checkpoint it should be. StorageError: no space.
    """
    if checkpoint.available and not again:
        return checkpoint
    if checkpoint.origin != "catalogue":
        raise UsageError(
            f"{checkpoint.name!r} is not published anywhere.", remedy="Only catalogue entries can be fetched."
        )
    from filelock import FileLock

    name = checkpoint.name
    downloads = subfolder("downloads")
    with FileLock(downloads / f"{name}.lock"):
        here = next(entry for entry in catalogue() if entry.name == name)
        if here.available and not again:  # another process was faster
            return here
        if file is not None:
            return _admit_expected(file, checkpoint)
        target = downloads / file_name(name)
        url = f"{base_url_of(base_url)}/{target.name}"
        download(url, target, remedy=_by_hand(name, url), progress=progress)
        try:
            return _admit_expected(target, checkpoint)
        finally:
            target.unlink(missing_ok=True)


def _admit_expected(file: Path, checkpoint: Checkpoint) -> Checkpoint:
    if not file.is_file():
        raise CheckpointError(f"{file} is not a file.", remedy="Name the downloaded weights file.")
    found, expected = sha256_of(file), published_sha256(checkpoint.name)
    if expected is not None and found != expected:
        raise IntegrityError(
            f"{file.name} has sha256 {found}, expected {expected}: it was damaged or replaced on the way.",
            remedy="Fetch it again. If a new version was really published, first forget the old one: "
            f"recommend checkpoints remove {checkpoint.name}",
        )
    num_classes = len(checkpoint.class_names or ())
    with quarantined(file) as read, keeping(read.path, read.sha256, FETCHES) as place:
        what = read.recognised
        if what.architecture.name != checkpoint.architecture or what.num_classes != num_classes:
            raise CheckpointError(
                f"{file.name} holds {what.architecture.name} with {counted(what.num_classes or 0, 'class')}, "
                f"not {checkpoint.architecture} with {num_classes}.",
                remedy="Check the base URL or the file.",
            )
        remember(checkpoint.name, Fetched(sha256=read.sha256, download_sha256=found))
    return replace(checkpoint, sha256=read.sha256, path=place)


def _by_hand(name: str, url: str) -> str:
    return (
        f"Without network: download {url} elsewhere, then `recommend checkpoints fetch {name} --from FILE`; "
        f"or set {ASSETS_VARIABLE} to a mirror."
    )
