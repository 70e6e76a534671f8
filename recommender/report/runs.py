"""The published form of runs and of trainings under way: what `--json` prints and HTTP returns."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from pydantic import Field

from recommender.costs.estimates import expected_memory_mb
from recommender.records import EpochMetrics, Estimate, Job, Recipe, Run
from recommender.records.fields import same_fields
from recommender.report.document import Document, rounded
from recommender.store.records_json import from_parsed
from recommender.tasks import task_definition


class RunSummary(Document):
    """One finished run, in a list."""

    id: str
    kind: str
    status: str
    target: str
    target_hash: str
    checkpoint: str = Field(description='"scratch" for random weights.')
    mode: str
    task: str
    metric: str = Field(description="What `score` is, e.g. map50_95.")
    score: float | None = Field(description="Of the best epoch.")
    epochs: int = Field(description="Epochs that were trained.")
    imgsz: int = Field(description="Pixels.")
    learning_rate: float | None = Field(description="At its highest; null where it is not known.")
    freeze: str = Field(description="Frozen up to the end of this part: none, stem, backbone or neck.")
    fraction: float = Field(description="Of the training images, in (0, 1].")
    seed: int
    seconds: float
    estimated_seconds: float | None = Field(
        None, description="For as many epochs, before it began; null where nothing was timed by then."
    )
    created_at: str
    error: str | None = None


class RunDetail(RunSummary):
    """One finished run with all that is needed to repeat it."""

    recipe: Recipe
    architecture: str
    weights_sha256: str | None
    source_hash: str | None
    num_train_images: int
    starting_score: float | None
    best: EpochMetrics | None
    curve: tuple[EpochMetrics, ...]
    peak_memory_mb: float | None
    estimated_memory_mb: float | None = Field(
        None,
        description="To compare with `peak_memory_mb`, at the batch and in the precision it used: of a GPU what "
        "PyTorch allocates, else the whole process.",
    )
    estimate: Estimate | None = Field(None, description="As it was made before the run began.")
    batch_used: int | None
    optimizer_used: str | None
    learning_rate_used: float | None
    weights_transferred: float | None
    hardware: str
    device: str
    num_threads: int
    versions: dict[str, str]
    notes: tuple[str, ...]
    command: str = Field(description="Repeats a full run; DATASET stands for the data set's path.")


class TrainingDocument(Document):
    """A full training, asked for, under way or ended."""

    id: str
    status: str
    metrics: EpochMetrics | None = Field(description="The newest epoch.")
    best: EpochMetrics | None = Field(description="The epoch whose weights were kept, once it has ended.")
    checkpoint: str | None = Field(description="The registered result.")
    run: str | None = None
    estimate: Estimate | None = Field(None, description="Of all its epochs, made when it was asked for.")
    seconds: float | None = Field(None, description="It took, once it has ended.")
    estimated_seconds: float | None = Field(None, description="For the epochs it trained, beside `seconds`.")
    peak_memory_mb: float | None = Field(None, description="It took.")
    estimated_memory_mb: float | None = Field(
        None,
        description="To compare with `peak_memory_mb`: of a GPU what PyTorch allocates, else the whole process.",
    )
    artefacts: str | None = Field(None, description="Where results.csv, weights/best.pt and the like lie.")
    attempts: int = Field(description="How often it was launched; more than one after a crash.")
    cancel_requested: bool = False
    error: str | None = None
    created_at: str
    ended_at: str | None = None


def run_summary(run: Run) -> RunSummary:
    """A run as a list shows it."""
    return RunSummary(
        **same_fields(RunSummary, run) | {"seconds": round(run.seconds, 2)},
        target=run.target_name,
        checkpoint=run.start.checkpoint,
        mode=run.start.mode,
        metric=task_definition(run.task).metric.name,
        epochs=len(run.curve),
        imgsz=run.recipe.imgsz,
        freeze=run.frozen_up_to,
        fraction=run.recipe.fraction,
        seed=run.recipe.seed,
        estimated_seconds=rounded(run.expected_seconds, 2),
    )


def run_detail(run: Run) -> RunDetail:
    """All of a run."""
    return RunDetail(
        **same_fields(RunDetail, run) | run_summary(run).model_dump(),
        estimated_memory_mb=rounded(expected_memory_mb(run), 2),
        hardware=run.environment.hardware,
        device=run.environment.device,
        num_threads=run.environment.num_threads,
        versions=run.environment.versions,
        command=repeat_command(run),
    )


def training_document(job: Job, run: Run | None = None) -> TrainingDocument:
    """A training as it stands, and the run it has left."""
    return TrainingDocument(
        **same_fields(TrainingDocument, job),
        best=None if run is None else run.best,
        run=job.run_id,
        estimate=_estimate_of(job),
        seconds=None if run is None else round(run.seconds, 2),
        estimated_seconds=None if run is None else rounded(run.expected_seconds, 2),
        peak_memory_mb=None if run is None else run.peak_memory_mb,
        estimated_memory_mb=None if run is None else rounded(expected_memory_mb(run), 2),
        attempts=job.attempt,
    )


def _estimate_of(job: Job) -> Estimate | None:
    """The estimate kept with a job; those of versions before 0.2 have none."""
    found = json.loads(job.spec).get("estimate")
    return None if found is None else from_parsed(Estimate, found)


def repeat_command(run: Run) -> str:
    """The command that trains the same again, from the record alone."""
    recipe: Recipe = run.recipe
    words = ["recommend", "train", "--dataset", "DATASET", "--task", run.task, "--start", str(run.start)]
    words += ["--epochs", str(recipe.epochs), "--imgsz", str(recipe.imgsz), "--batch", str(recipe.batch)]
    words += ["--patience", str(recipe.patience or 0), "--optimizer", recipe.optimizer]
    where = run.environment
    words += ["--seed", str(recipe.seed), "--cpus", str(where.num_threads * where.num_processes)]
    if where.hardware != "unknown":  # as of trials that broke off: on what is not recorded
        words += ["--gpus", str(where.num_processes if where.device.startswith("cuda") else 0)]
    if recipe.learning_rate is not None:
        words += ["--learning-rate", repr(recipe.learning_rate)]
    if recipe.freeze is not None:
        words += ["--freeze", recipe.freeze]
    if run.start.mode == "scratch":
        words += ["--architecture", run.architecture]
    for own, other in recipe.class_map:
        words += ["--map", f"{own}={other}"]
    return shlex.join([*words, "--again"])


def differences(runs: Sequence[Run]) -> list[str]:
    """The differences that keep the scores of these runs from being compared."""
    parts: dict[str, set[object]] = {
        "data set": {run.target_hash for run in runs},
        "epochs": {run.recipe.schedule_epochs or run.recipe.epochs for run in runs},
        "image size": {run.recipe.imgsz for run in runs},
        "share of the data": {run.recipe.fraction for run in runs},
    }
    return [name for name, values in parts.items() if len(values) > 1]
