"""The public checkpoints, readable in catalogue.json, and which of them have been fetched."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from recommender.atomic_files import write_json
from recommender.checkpoints.files import kept_path
from recommender.checkpoints.lineage import ancestry
from recommender.errors import NotFoundError
from recommender.families.ultralytics.architectures import architecture
from recommender.home import subfolder
from recommender.records import Checkpoint

ASSETS_VARIABLE = "RECOMMENDER_ASSETS_URL"  # a mirror of the official releases


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The record of the first fetch of a catalogue entry."""

    sha256: str  # of the tensors kept
    download_sha256: str  # of the file as published: trusted on first use, compared ever after


def catalogue() -> tuple[Checkpoint, ...]:
    """Every entry, those fetched with their path."""
    return tuple(_with_weights(entry) for entry in _entries())


def file_name(name: str) -> str:
    """The published file of an entry. Raises NotFoundError."""
    return str(_raw(name)["file"])


def published_sha256(name: str) -> str | None:
    """The sha256 the published file has to have, where known: from the catalogue or the first fetch."""
    known: str | None = _raw(name)["sha256"]
    record = fetched(name)
    return known or (record.download_sha256 if record else None)


def base_url(chosen: str | None = None) -> str:
    """The address of the published files: as chosen, as RECOMMENDER_ASSETS_URL says, or the official place."""
    return (chosen or os.environ.get(ASSETS_VARIABLE) or str(_document()["base_url"])).rstrip("/")


def fetched(name: str) -> Fetched | None:
    """The record of an earlier fetch, None when there is none or it is unreadable."""
    try:
        told = json.loads(_record(name).read_text(encoding="utf-8"))
        return Fetched(sha256=str(told["sha256"]), download_sha256=str(told["download_sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fetched_names() -> tuple[str, ...]:
    """The entries with a record of an earlier fetch, by name."""
    found = subfolder("checkpoints").glob("fetched-*.json")
    return tuple(sorted(file.stem.removeprefix("fetched-") for file in found))


def is_fetched(sha256: str) -> bool:
    """True if the weights of a fetched entry have this sha256."""
    return any(record.sha256 == sha256 for name in fetched_names() if (record := fetched(name)) is not None)


def remember(name: str, record: Fetched) -> None:
    """Note a finished fetch: written last, so that its presence means complete."""
    write_json(_record(name), {"sha256": record.sha256, "download_sha256": record.download_sha256})


def forget(name: str) -> bool:
    """Drop the record of a fetch; whether there was one."""
    file = _record(name)
    existed = file.exists()
    file.unlink(missing_ok=True)
    return existed


def _with_weights(entry: Checkpoint) -> Checkpoint:
    record = fetched(entry.name)
    if record is None or not kept_path(record.sha256).exists():
        return entry
    return replace(entry, sha256=record.sha256, path=kept_path(record.sha256))


def _record(name: str) -> Path:
    return subfolder("checkpoints") / f"fetched-{name}.json"


def _raw(name: str) -> dict[str, Any]:
    for entry in _document()["checkpoints"]:
        if entry["name"] == name:
            found: dict[str, Any] = entry
            return found
    raise NotFoundError(
        f"{name!r} is no public checkpoint of the catalogue.", remedy="See `recommend checkpoints list`."
    )


@functools.cache
def _entries() -> tuple[Checkpoint, ...]:
    document = _document()
    official = str(document["base_url"])
    plain = {entry["name"]: _checkpoint(document, entry, official) for entry in document["checkpoints"]}
    began = {entry["name"]: entry["began_from"] for entry in document["checkpoints"] if entry["began_from"]}
    lineages = {name: ancestry(plain[parent], "card") for name, parent in began.items()}
    return tuple(replace(entry, lineage=lineages.get(name)) for name, entry in plain.items())


def _checkpoint(document: dict[str, Any], entry: dict[str, Any], official: str) -> Checkpoint:
    source = document["sources"][entry["source"]]
    return Checkpoint(
        name=entry["name"],
        origin="catalogue",
        architecture=entry["architecture"],
        family=architecture(entry["architecture"]).family,
        task=architecture(entry["architecture"]).kind.task,
        num_parameters=entry["num_parameters"],
        class_names=tuple(source["class_names"]),
        licence=document["licence"],
        source_name=source["name"],
        source_hash=source.get("hash"),
        source_licence=source["licence"],
        source_images=source["train_images"],
        source_score=entry["score"],
        train_imgsz=entry["train_imgsz"],
        flops_b=entry["flops_b"],
        url=f"{official}/{entry['file']}",
        attribution=document["attribution"],
    )


@functools.cache
def _document() -> dict[str, Any]:
    text = (files("recommender.checkpoints") / "catalogue.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
