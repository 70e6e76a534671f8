"""The checkpoints of the ground truth: our zoo where it has one, else the shared domain checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.build_zoo import SOURCES as ZOO_SOURCES
from benchmarks.public_weights import Weights, sha256_of, to_safetensors
from benchmarks.truth.assembled import ASSEMBLED, assembled
from benchmarks.truth.entries import FAMILIES, NAMES, RANDOM_SUFFIX
from recommender.checkpoints import catalogue, fetch
from recommender.datasets import export_yolo, open_dataset
from recommender.errors import TrialError
from recommender.records import Dataset, Recipe, Start
from recommender.tasks import Task
from tune_jobs.training import TrainingJob, train

FROM_RANDOM_RECIPE = Recipe(epochs=80, imgsz=192)


@dataclass(frozen=True, kw_only=True)
class SourceWeights:
    """Finds, converts or trains the weights of a source, once."""

    weights: Path
    zoo: Path
    work: Path
    known: dict[str, Weights] = field(default_factory=dict)

    def has(self, source: str | None) -> bool:
        """True if the weights are there, or can be made on the spot."""
        if source is None or source.endswith(RANDOM_SUFFIX):
            return True
        return self._card(source).exists() if self._in_zoo(source) else self._shared(source).exists()

    def find(self, source: str, grid: Grid) -> Weights:
        """The weights called after this source, converted or trained when asked for first."""
        if source not in self.known:
            self.known[source] = self._maker(source)(source, grid)
        return self.known[source]

    def _maker(self, source: str) -> Callable[[str, Grid], Weights]:
        if source.endswith(RANDOM_SUFFIX):
            return self._from_random
        if source in FAMILIES:
            return self._from_public
        return self._from_zoo if self._in_zoo(source) else self._from_domain

    @staticmethod
    def _in_zoo(source: str) -> bool:
        # Never the shared checkpoint of the same name: the history must hold what we ship.
        return source == "coco" or source in NAMES or source in ZOO_SOURCES

    def _card(self, source: str) -> Path:
        return self.zoo / f"{NAMES.get(source, f'{source}-yolo11n')}.json"

    def _shared(self, source: str) -> Path:
        if source in FAMILIES:
            return self.weights / f"{source}_coco.pt"
        return self.weights / "domain" / f"{source}-yolo11n.pt"

    def _from_zoo(self, source: str, grid: Grid) -> Weights:
        card = self._card(source)
        facts = json.loads(card.read_text("utf-8"))
        return Weights(
            name=source,
            path=card.with_suffix(".safetensors"),
            sha256=facts["sha256"],
            class_names=tuple(facts["class_names"]),
            source_hash=facts["source_hash"],
            architecture=facts["architecture"],
        )

    def _from_public(self, source: str, grid: Grid) -> Weights:
        """As `recommend checkpoints fetch` keeps the file, so that a user's weights have the same sha256."""
        with _home(self.work / "home"):
            entry = next(one for one in catalogue() if one.name == source)
            fetched = fetch(entry, file=self._shared(source))
        assert fetched.path is not None
        assert fetched.sha256 is not None
        return Weights(
            name=source,
            path=fetched.path,
            sha256=fetched.sha256,
            class_names=entry.class_names or (),
            source_hash=entry.source_hash,
            architecture=entry.architecture,
        )

    def _from_domain(self, source: str, grid: Grid) -> Weights:
        target = self.work / "weights" / f"{source}-yolo11n.safetensors"
        class_names = to_safetensors(self._shared(source), target)
        return Weights(
            name=source,
            path=target,
            sha256=sha256_of(target),
            class_names=class_names,
            source_hash=grid.dataset(source).content_hash,
        )

    def _from_random(self, source: str, grid: Grid) -> Weights:
        name = source.removesuffix(RANDOM_SUFFIX)
        dataset = grid.dataset(name)
        folder = self.work / "weights" / source
        target = folder / "best.safetensors"
        if not target.exists():
            job = TrainingJob(
                data=export_yolo(dataset, self.work / "data" / name).parent,
                output=folder,
                start=Start(checkpoint="scratch", mode="scratch"),
                architecture="yolo11n",
                recipe=FROM_RANDOM_RECIPE,
                kind="full",
                target_hash=dataset.content_hash,
                target_name=name,
                num_threads=grid.threads,
                keep=True,
            )
            run = train(job)
            if run.status != "succeeded":
                raise TrialError(f"The training of {source} is {run.status}: {run.error}")
        return Weights(
            name=source,
            path=target,
            sha256=sha256_of(target),
            class_names=dataset.class_names,
            source_hash=dataset.content_hash,
        )


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The folders of the runs, and the data sets opened already."""

    data: Path
    work: Path
    threads: int
    sources: SourceWeights
    opened: dict[tuple[str, Task], Dataset]

    def dataset(self, name: str, task: Task = "detect") -> Dataset:
        """One of the shared sets, opened once; segmentation sets serve detection too, by the boxes of their masks."""
        if (name, task) not in self.opened:
            folder = self.data / name
            if name in ASSEMBLED:
                folder = assembled(name, self.data, self.work / "assembled")
            elif task != "detect" or not folder.exists():
                folder = self.data.parent / ("cls" if task == "classify" else "seg") / name
            self.opened[name, task] = open_dataset(folder, task=task)
        return self.opened[name, task]


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Keeps what is fetched out of the user's own folder."""
    before = os.environ.get("RECOMMENDER_HOME")
    os.environ["RECOMMENDER_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["RECOMMENDER_HOME"]
        else:
            os.environ["RECOMMENDER_HOME"] = before
