"""The user's own checkpoints: admitted through the quarantine, named, remembered with their source data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.checkpoints.catalogue import catalogue, forget
from recommender.checkpoints.containment import Admitted, quarantined
from recommender.checkpoints.files import keep_copy, kept_path, load_state
from recommender.checkpoints.kept_weights import FETCHES, claimed, give_up, keeping, user_of, weights_lock
from recommender.checkpoints.lineage import ancestry, with_lineage
from recommender.checkpoints.same_network import same_network
from recommender.checkpoints.zoo import zoo
from recommender.errors import ConflictError, NotFoundError, UsageError
from recommender.families.ultralytics.models import tensor_shapes
from recommender.progress import Progress, silent
from recommender.records import SCRATCH, Checkpoint, Dataset, TrainingStep
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.store import Store

COCO = "coco"  # an alias: whatever COCO checkpoint is built in, else the smallest public one
COCO_NAMES = ("coco-yolo11n", "yolo11n")  # what "coco" means: the built-in one, else the public one
ALIASES = {
    COCO: COCO_NAMES,
    "coco-seg": ("coco-yolo11n-seg", "yolo11n-seg"),
    "imagenet": ("imagenet-yolov8n-cls", "yolov8n-cls"),
}
REFERENCE_NAMES = frozenset(name for names in ALIASES.values() for name in names)
RECOVERED_FROM = {
    "coco-yolo11n": "yolo11n",
    "imagenet-yolov8n-cls": "yolov8n-cls",
}  # built-in weights that stand in for a public file, and score below it
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def all_checkpoints(store: Store) -> tuple[Checkpoint, ...]:
    """Zoo, registry and catalogue; catalogue entries have a path once fetched."""
    return (*zoo(), *map(located, store.checkpoints.list()), *catalogue())


def names_of_files(checkpoints: Iterable[Checkpoint]) -> dict[str, tuple[str, ...]]:
    """For each name, all names of the same weights file, itself included, in this order; files not here are apart."""
    named: dict[str, list[str]] = {}
    listed = [(one.name, one.sha256 or f"not known: {one.name}") for one in checkpoints]
    for name, sha256 in listed:
        named.setdefault(sha256, []).append(name)
    return {name: tuple(named[sha256]) for name, sha256 in listed}


def get_checkpoint(store: Store, name: str, *, allow_paths: bool = False, keep: bool = False) -> Checkpoint:
    """The checkpoint of this name, or behind an alias ("coco").

    Args:
        store: where registered checkpoints are.
        name: of the zoo, the registry or the catalogue.
        allow_paths: also take the path of a weights file, which is then registered under its own name and
            hash. Never set this for names that came over the network.
        keep: such a file takes part in later rankings too, not only where it is named.

    Raises:
        NotFoundError: nobody knows it. CheckpointError: the file it names is refused.
    """
    public = {checkpoint.name: checkpoint for checkpoint in (*zoo(), *catalogue())}
    for candidate in (name, *ALIASES.get(name, ())):
        found = public.get(candidate) or store.checkpoints.get(candidate)
        if found is not None:
            return located(found)
    if allow_paths and Path(name).is_file():
        return _register_file(store, Path(name), keep=keep)
    import difflib

    known = [*public, *(one.name for one in store.checkpoints.list()), *ALIASES, SCRATCH]
    meant = {one for one in known if one.casefold() == name.casefold() and one != name}
    if len(meant) == 1:
        return get_checkpoint(store, meant.pop())
    close = [one for one in difflib.get_close_matches(name, known, n=3) if one != name]
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    raise NotFoundError(
        f"There is no checkpoint '{printable(name)}'.", remedy=f"{hint}See `recommend checkpoints list`."
    )


def add_checkpoint(
    store: Store,
    file: Path,
    *,
    name: str,
    dataset: Dataset | None = None,
    licence: str | None = None,
    source_licence: str | None = None,
    from_scratch: bool = False,
    owner: str | None = None,
    parent: str | None = None,
    progress: Progress = silent,
) -> Checkpoint:
    """Register a weights file of the user; the file itself is only read.

    Args:
        store: remembers it, and the profile of its source.
        file: an ultralytics .pt, a state dict, or safetensors; read in quarantine.
        name: letters, digits, dot, underscore, hyphen; at most 64.
        dataset: what it was trained on, profiled here; None when unknown, which costs most of the evidence.
        licence: of the weights, SPDX where possible. What is not told stays unknown.
        source_licence: of the data.
        from_scratch: its training began from random weights: that data is all it has seen.
        owner: who brought it to a service; None for the user of this machine.
        parent: the checkpoint, by name, that its training began from; else the file and its weights are asked.

    Raises:
        UsageError: impossible name, or it would have begun both at random and from a parent, or from itself.
        ConflictError: the name is taken. CheckpointError: the file is refused. NotFoundError: nobody knows the parent.
    """
    check_name(store, name)
    if parent is not None and parent.casefold() == SCRATCH:
        parent, from_scratch = None, True
    if parent is not None and from_scratch:
        raise UsageError(
            f"Its training began from random weights or from '{printable(parent)}', not from both.",
            remedy="Keep one of --from and --from-scratch.",
        )
    began_from = None if parent is None else get_checkpoint(store, parent)
    progress("quarantine", 0, 1)
    with quarantined(file) as read:
        progress("quarantine", 1, 1)
        if dataset is not None:
            from recommender.profile.known import known_profile

            known_profile(dataset, store, progress=progress)
        with keeping(read.path, read.sha256, user_of(store)) as place:
            recorded = _record(
                name,
                replace(read, path=place),
                dataset=dataset,
                licence=licence,
                source_licence=source_licence,
            )
            checkpoint = replace(recorded, from_scratch=from_scratch, owner=owner)
            visible = [entry for entry in all_checkpoints(store) if entry.owner in (None, owner)]
            twin = same_network(load_state(checkpoint), checkpoint.architecture, visible)
            if twin is not None:
                checkpoint = _as_known(checkpoint, twin)
            if began_from is not None:
                checkpoint = replace(checkpoint, lineage=_lineage_from(began_from, checkpoint))
            else:
                checkpoint = with_lineage(checkpoint, read.started_from, visible)
            return _put(store, checkpoint)


def remove_checkpoint(store: Store, name: str) -> Checkpoint:
    """Forget a registered or fetched checkpoint and its weights; built-in ones stay.

    Raises:
        NotFoundError: nobody knows it. UsageError: it is built in, or was never fetched.
    """
    checkpoint = get_checkpoint(store, name)
    if checkpoint.origin == "zoo":
        raise UsageError(
            f"{checkpoint.name!r} is built in.", remedy="Leave it out of a question with --without."
        )
    with weights_lock():
        if checkpoint.origin == "registry":
            store.checkpoints.remove(checkpoint.name)
        elif not forget(checkpoint.name):
            raise UsageError(f"{checkpoint.name!r} was never fetched.", remedy="There is nothing to remove.")
        if checkpoint.sha256 is not None:
            give_up(checkpoint.sha256, FETCHES if checkpoint.origin == "catalogue" else user_of(store))
    return checkpoint


def check_name(store: Store, name: str) -> None:
    """Raise UsageError for a name that cannot be, ConflictError for one that is taken or reserved."""
    if NAME.fullmatch(name) is None:
        raise UsageError(
            f"'{printable(name)}' cannot name a checkpoint.",
            remedy="Use at most 64 letters, digits, dots, underscores and hyphens, a letter or digit first.",
        )
    reserved = {SCRATCH, *ALIASES, *(entry.name for entry in (*zoo(), *catalogue()))}
    if name.casefold() in {taken.casefold() for taken in reserved}:
        raise ConflictError(
            f"The name {name!r} is reserved for a built-in or public checkpoint.",
            remedy="Choose another name.",
        )
    if store.checkpoints.get(name) is not None:
        raise ConflictError(
            f"A checkpoint {name!r} is registered already.",
            remedy=f"Choose another name, or first: recommend checkpoints remove {name}",
        )


def located(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the path of its weights today: the home may have moved, or the store be another machine's."""
    if checkpoint.path is None or checkpoint.path.exists() or checkpoint.sha256 is None:
        return checkpoint
    place = kept_path(checkpoint.sha256)
    return replace(checkpoint, path=place if place.exists() else None)


def _record(
    name: str,
    admitted: Admitted,
    *,
    dataset: Dataset | None = None,
    licence: str | None = None,
    source_licence: str | None = None,
) -> Checkpoint:
    chosen, num_classes = admitted.recognised.architecture, admitted.recognised.num_classes
    class_names = admitted.class_names
    if class_names is None and dataset is not None and len(dataset.class_names) == num_classes:
        class_names = dataset.class_names  # a bare state dict: its rows are the source's classes, in order
    return Checkpoint(
        name=name,
        origin="registry",
        architecture=chosen.name,
        family=chosen.family,
        task=chosen.kind.task,
        foreign_task=admitted.foreign_task,
        num_parameters=tensor_shapes(chosen.name, num_classes or 80).num_parameters,
        class_names=class_names,
        licence=licence,
        source_name=None if dataset is None else dataset.name,
        source_hash=None if dataset is None else dataset.content_hash,
        source_licence=source_licence,
        source_images=None if dataset is None else len(dataset.of_split("train")),
        source_score=admitted.score,
        train_imgsz=admitted.imgsz,
        train_epochs=admitted.epochs,
        sha256=admitted.sha256,
        path=admitted.path,
    )


def _lineage_from(parent: Checkpoint, checkpoint: Checkpoint) -> tuple[TrainingStep, ...]:
    lineage = ancestry(parent, "user")
    if checkpoint.sha256 in {step.sha256 for step in lineage}:
        raise UsageError(
            f"The file holds weights that {parent.name!r} is or began from: it cannot have begun from {parent.name!r}.",
            remedy="Leave --from out, or name what its own training began from.",
        )
    return lineage


def _as_known(checkpoint: Checkpoint, twin: Checkpoint) -> Checkpoint:
    """The checkpoint with the weights and, where the user did not tell them, the facts of the same network."""
    told = checkpoint.source_hash is not None
    known = replace(twin, name=checkpoint.name, origin="registry", owner=checkpoint.owner)
    return replace(
        checkpoint if told else known,
        sha256=twin.sha256,
        path=twin.path,
        kept=checkpoint.kept,
        from_scratch=checkpoint.from_scratch or twin.from_scratch,
        class_names=checkpoint.class_names or twin.class_names,
        licence=checkpoint.licence or twin.licence,
        source_licence=checkpoint.source_licence or (None if told else twin.source_licence),
    )


def _register_file(store: Store, file: Path, *, keep: bool) -> Checkpoint:
    with quarantined(file) as read, keeping(read.path, read.sha256, user_of(store)) as place:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._")[:48] or "file"
        recorded = replace(_record(f"{stem}-{read.sha256[:8]}", replace(read, path=place)), kept=keep)
        visible = all_checkpoints(store)
        known = same_network(load_state(recorded), recorded.architecture, visible)
        if known is not None:
            if keep and not known.kept:
                store.checkpoints.put(replace(known, kept=True), replace=True)
            return known
        return _put(store, with_lineage(recorded, read.started_from, visible))


def _put(store: Store, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint recorded with weights in our folder, where they are marked as this store's."""
    sha256 = str(checkpoint.sha256)
    with claimed(sha256, user_of(store)):
        if checkpoint.path is not None and checkpoint.path != kept_path(sha256):
            # Built in: another version of the package brings its weights elsewhere.
            checkpoint = replace(checkpoint, path=keep_copy(checkpoint.path))
        store.checkpoints.put(checkpoint)
    return checkpoint
