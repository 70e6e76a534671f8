"""The checkpoints of the ground truth: our zoo where it has one, else the shared domain checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.machine import home_at
from benchmarks.public_weights import to_safetensors
from benchmarks.training import job_on
from benchmarks.truth.assembled import ASSEMBLED, assembled
from benchmarks.truth.entries import FAMILIES, RANDOM_SUFFIX, name_of
from recommender.checkpoints import catalogue, fetch, zoo
from recommender.checkpoints.files import sha256_of
from recommender.checkpoints.lineage import ancestry
from recommender.datasets import open_dataset
from recommender.errors import TrialError
from recommender.records import Checkpoint, Dataset, Recipe, TrainingStep
from recommender.tasks import Task
from tune_jobs.training import train

FROM_RANDOM_RECIPE = Recipe(epochs=80, imgsz=192)
BEGINNING = "coco-yolo11n"  # what the shared domain checkpoints were fine-tuned from
LICENCE = "AGPL-3.0-or-later"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The folders of the runs, and the data sets and weights that were asked for already.

    `data` is the folder of the shared detection sets, beside it lie the others; `weights` that of public and domain
    checkpoints.
    """

    data: Path
    weights: Path
    work: Path
    threads: int = 1
    opened: dict[tuple[str, Task], Dataset] = field(default_factory=dict)
    known: dict[str, Checkpoint] = field(default_factory=dict)

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

    def has_weights(self, source: str | None) -> bool:
        """True if the weights are there, or can be made on the spot."""
        if source is None or source.endswith(RANDOM_SUFFIX):
            return True
        return _built_in(source) is not None or self._shared(source).exists()

    def checkpoint(self, source: str) -> Checkpoint:
        """The weights called after this source, converted or trained when asked for first."""
        if source not in self.known:
            # Never the shared checkpoint of the same name: the history must hold what we ship.
            self.known[source] = _built_in(source) or self._made(source)
        return self.known[source]

    def _made(self, source: str) -> Checkpoint:
        if source in FAMILIES:
            # As `recommend checkpoints fetch` keeps the file, so that a user's weights have the same sha256.
            with home_at(self.work / "home"):
                entry = next(one for one in catalogue() if one.name == source)
                return fetch(entry, file=self._shared(source))
        if source.endswith(RANDOM_SUFFIX):
            return self._described(source, self._trained_from_random(source))
        file = self.work / "weights" / f"{name_of(source)}.safetensors"
        class_names = to_safetensors(self._shared(source), file)
        return replace(self._described(source, file), class_names=class_names)

    def _described(self, source: str, file: Path) -> Checkpoint:
        """The record of weights that were trained on a shared detection set, with all that is known of them."""
        dataset = self.dataset(source.removesuffix(RANDOM_SUFFIX))
        return Checkpoint(
            name=name_of(source),
            origin="registry",
            architecture="yolo11n",
            family="yolo11",
            num_parameters=2_590_000,
            class_names=dataset.class_names,
            licence=LICENCE,
            source_name=dataset.name,
            source_hash=dataset.content_hash,
            source_images=dataset.num_images.train,
            from_scratch=source.endswith(RANDOM_SUFFIX),
            sha256=sha256_of(file),
            path=file,
            lineage=lineage_of(source),
        )

    def _shared(self, source: str) -> Path:
        if source in FAMILIES:
            return self.weights / f"{source}_coco.pt"
        return self.weights / "domain" / f"{name_of(source)}.pt"

    def _trained_from_random(self, source: str) -> Path:
        name = source.removesuffix(RANDOM_SUFFIX)
        output = self.work / "weights" / source
        file = output / "best.safetensors"
        if not file.exists():
            job = job_on(
                self.dataset(name),
                self.work / "data" / name,
                None,
                FROM_RANDOM_RECIPE,
                output=output,
                num_threads=self.threads,
                keep=True,
            )
            run = train(job)
            if run.status != "succeeded":
                raise TrialError(f"The training of {source} is {run.status}: {run.error}")
        return file


def lineage_of(source: str) -> tuple[TrainingStep, ...]:
    """The trainings before its own of a source that the zoo lacks: COCO's, or none of weights that began randomly."""
    coco = next(one for one in zoo() if one.name == BEGINNING)
    return () if source.endswith(RANDOM_SUFFIX) else ancestry(coco, "card")


def _built_in(source: str) -> Checkpoint | None:
    return next((one for one in zoo() if one.name == name_of(source)), None)
