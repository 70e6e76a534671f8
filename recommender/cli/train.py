"""`recommend train`: the full training, launched exactly once and seen through."""

from __future__ import annotations

import itertools
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recommender.cli.console import err, print_json, progress_bars
from recommender.cli.options import (
    AllowRoots,
    Architecture,
    AsJson,
    Batch,
    ClassMaps,
    DatasetPath,
    ImageSize,
    LearningRate,
    Optimizer,
    Patience,
    TaskChoice,
    request_of,
)
from recommender.cli.sweep import INTERRUPTED
from recommender.errors import UnavailableError, UsageError
from recommender.home import expanded
from recommender.starts import SCRATCH
from recommender.store import open_store
from recommender.tasks import task_definition
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.progress import Progress
    from recommender.records import Dataset, Job, Notice, Profile, Recommendation, Run
    from recommender.requests import RecommendRequest, TrainingRequest
    from recommender.store import Store
    from tune_jobs.hosting import JobLocation
    from tune_jobs.training_spec import Target


def train(
    context: typer.Context,
    dataset: DatasetPath,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:MODE]|FILE.pt", help="coco:full, NAME:freeze, scratch; else the advised."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="At most.")] = 100,
    imgsz: ImageSize = None,
    batch: Batch = 16,
    patience: Patience = 50,
    optimizer: Optimizer = "AdamW",
    learning_rate: LearningRate = None,
    freeze: Annotated[
        str | None,
        typer.Option(metavar="none|stem|backbone|neck", help="Freeze up to there; else as the start says."),
    ] = None,
    architecture: Architecture = None,
    name: Annotated[str | None, typer.Option(help="Of the checkpoint that comes out.")] = None,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    gpus: Annotated[int | None, typer.Option(help="On one node; else one where there is one.")] = None,
    cpus: Annotated[int | None, typer.Option(help="Threads; else what fits.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="cpu|gpu|0,1", help="Instead of --gpus, as ultralytics has it.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|ray://…|http://…", help="Ray cluster; else a local one, started for it."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help="Where results go, reachable from the cluster's nodes."),
    ] = None,
    class_maps: ClassMaps = None,
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    again: Annotated[
        bool, typer.Option("--again", help="Train even if the same was trained before.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Launch it and return.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a start on a data set in full; given again after a crash, the command goes on where it was.

    Exit code 0 once it has trained, or with --detach once it is launched; 130 where Ctrl-C left it to run on.
    """
    from recommender.requests import TrainingRequest

    request = request_of(
        TrainingRequest,
        context,
        dataset=str(expanded(dataset).absolute()),
        gpus=gpus if device is None else gpus_of(device),
    )
    with open_store() as store:
        place = place_of(address, storage)
        job, notices = launch(store, request, place, again=again, detach=detach)
        run = store.runs.get(job.run_id or "")
    _print(job, run, notices, as_json=as_json)
    _fail_unless_well(job, detached=detach)


def gpus_of(device: str) -> int:
    """The number of GPUs that "cpu", "gpu", "cuda", "cuda:0" or "0,1" asks for. Raises UsageError for anything else."""
    text = device.strip().casefold().removeprefix("cuda:")
    if text == "cpu":
        return 0
    if text in ("gpu", "cuda"):
        return 1
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise UsageError(f"--device {device!r} is not understood.", remedy="Write cpu, gpu, 0 or 0,1.")
    count = len(set(numbers))
    if {int(number) for number in numbers} != set(range(count)):
        raise UsageError(
            f"--device {device!r}: a training takes the GPUs it is given, counted from 0.",
            remedy=f"Choose them by CUDA_VISIBLE_DEVICES={','.join(dict.fromkeys(numbers))} before the command, while "
            f"no other training of yours runs on this machine, and write --gpus {count}.",
        )
    return count


def launch_first(
    store: Store,
    recommendation: Recommendation,
    asked: RecommendRequest,
    *,
    address: str | None,
    as_json: bool,
) -> None:
    """Train the first start of the answer that is available, for `recommend --launch`."""
    from recommender.requests import TrainingRequest

    request = TrainingRequest.model_validate(
        {
            "dataset": str(expanded(asked.dataset).absolute()),
            "task": recommendation.task,  # an outlined set may have been ranked for its boxes
            "epochs": asked.epochs,
            "class_map": asked.class_map,
            "allow_roots": asked.allow_roots,
        }
    )
    request = with_first_start(request, recommendation, store)
    place = place_of(address, None)
    job, notices = launch(store, request, place, again=False, detach=False)
    if not as_json:  # stdout holds one document, the recommendation
        _print(job, store.runs.get(job.run_id or ""), notices, as_json=False)
    _fail_unless_well(job)


def with_first_start(
    request: TrainingRequest, recommendation: Recommendation, store: Store
) -> TrainingRequest:
    """The request with the first start of the ranking, and with the architecture its scratch stands for."""
    from recommender.checkpoints import get_checkpoint
    from recommender.checkpoints.scratch import scratch_architecture

    leading = recommendation.ranking[0]
    row = next(row for row in recommendation.ranking if row.available)
    architecture = request.architecture
    if not leading.available:
        err().print(
            f"{printable(leading.start)} leads but is not on this machine (recommend checkpoints fetch "
            f"{printable(leading.start.checkpoint)}): {printable(row.start)} is trained."
        )
    start = str(row.start)
    if start == SCRATCH and architecture is None:
        ranked = [get_checkpoint(store, name) for name in recommendation.provenance.weights_sha256]
        architecture = scratch_architecture(ranked, recommendation.task)
    advised = {
        "imgsz": row.imgsz or request.imgsz,
        "learning_rate": request.learning_rate or (row.learning_rate if usual_optimizer(request) else None),
        "freeze": request.freeze or row.freeze,
    }
    return request.model_copy(update={"start": start, "architecture": architecture, **advised})


def usual_optimizer(request: TrainingRequest) -> bool:
    """True for the one that advised learning rates are of."""
    from recommender.records import Recipe

    return request.optimizer.lower() == Recipe.optimizer.lower()


def place_of(address: str | None, storage: str | None) -> JobLocation:
    """The location of a training, from the flags."""
    from tune_jobs.hosting import JobLocation
    from tune_jobs.storage import require_storage

    if storage is not None and "://" not in storage:
        storage = str(expanded(storage).absolute())
    place = JobLocation(address=None if address in (None, "local") else address, storage=storage)
    place.check()
    require_storage(storage)
    return place


def launch(
    store: Store,
    request: TrainingRequest,
    place: JobLocation,
    *,
    again: bool,
    detach: bool,
) -> tuple[Job, tuple[Notice, ...]]:
    """Ask for the training, or find it again, and see it to its end; returns it as it is then.

    What is wrong with the data set is said before anything is trained, and returned too.
    """
    from recommender.cli.following import CurveView, follow
    from recommender.costs.estimates import in_words
    from recommender.report.notices import print_notices
    from recommender.store.records_json import decode
    from tune_jobs.hosting import ensure_host
    from tune_jobs.training_spec import TrainingSpec

    place.require_answer()  # before the data are read
    request, target, notices = _resolved(store, request)
    print_notices(notices, err())
    job = _job_of(store, request, target, place, again=again)
    if job.status == "succeeded":
        sys.stderr.write(f"Already trained, {job.ended_at}; --again trains it once more.\n")
        return job, notices
    spec = decode(TrainingSpec, job.spec)
    expected = in_words(spec.estimate, spec.gpus)
    sys.stderr.write(f"Training {request.start} on {target.name!a}{expected}.\n")
    if detach:
        ensure_host(store, place)
        return job, notices
    ended = follow(store, job, place, CurveView(err(), request.epochs, target.task)) or store.jobs.require(
        job.id
    )
    return ended, notices


def _fail_unless_well(job: Job, *, detached: bool = False) -> None:
    if job.status == "failed":
        raise UnavailableError(f"The training failed: {job.error}")
    if job.status == "cancelled":
        raise typer.Exit(1)
    if not job.ended and not detached:  # a script that needs the weights must not go on
        raise typer.Exit(INTERRUPTED)


def _resolved(store: Store, request: TrainingRequest) -> tuple[TrainingRequest, Target, tuple[Notice, ...]]:
    """The request with its start chosen, what it is to be trained on, and what is wrong with that."""
    from recommender.datasets import open_dataset
    from recommender.profile.known import known_profile
    from recommender.profile.notices import dataset_notices
    from recommender.requests import at_usual_size
    from tune_jobs.artefact_transfer import pack_dataset
    from tune_jobs.training_spec import Target

    roots = tuple(Path(root) for root in request.allow_roots)
    with progress_bars() as progress:
        if request.start is None:
            request, dataset, profile = _with_advice(store, request, progress)
        else:
            request = request.model_copy(update={"start": _registered(store, request.start)})
            dataset = open_dataset(
                request.dataset,
                task=request.task,
                allowed_roots=roots,
                progress=progress,
            )
            profile = known_profile(dataset, store, progress=progress)  # for the checkpoint that comes out
        request = at_usual_size(request, dataset.task)
        notices = dataset_notices(dataset, profile)
        pack_dataset(dataset)  # here, where the images have just been read: the launcher finds it packed
    target = Target(
        path=request.dataset,
        hash=dataset.content_hash,
        name=dataset.name,
        task=dataset.task,
        num_images=dataset.num_images,
    )
    return request, target, notices


def _with_advice(
    store: Store, request: TrainingRequest, progress: Progress
) -> tuple[TrainingRequest, Dataset, Profile]:
    """The request with the start that a recommendation puts first, and what that has read."""
    from recommender.pipeline import conclude, study
    from recommender.requests import RecommendRequest

    same = request.model_dump(
        include={"dataset", "task", "epochs", "imgsz", "class_map", "allow_roots"}, exclude_unset=True
    )
    asked = RecommendRequest.model_validate(same)
    case = study(asked, store=store, progress=progress)
    return with_first_start(request, conclude(case), store), case.target, case.profile


def _registered(store: Store, start: str) -> str:
    """The start with a weights file in it registered and named; any other as it is."""
    from recommender.checkpoints import get_checkpoint

    whole = Path(start).is_file()
    file, colon, mode = (start, "", "") if whole else start.rpartition(":")
    if start == SCRATCH or not Path(file).is_file():
        return start
    return f"{get_checkpoint(store, file, allow_paths=True).name}{colon}{mode}"


def _job_of(
    store: Store, request: TrainingRequest, target: Target, place: JobLocation, *, again: bool
) -> Job:
    """The job that this very command asked for before and that has not ended badly, else a new one."""
    from recommender.request_digests import request_digests
    from tune_jobs.training_spec import submit_training

    key = ""
    for digest in request_digests(request, f" {target.hash} {place.cluster} {place.storage}"):
        for number in itertools.count(1):
            candidate = f"cli:{digest[:32]}:{number}"
            known = store.jobs.find(owner="", key=candidate)
            if known is None:
                key = key or candidate
                break
            ended_badly = known.status in ("failed", "cancelled")
            if not ended_badly and not (again and known.status == "succeeded"):
                return known
    return submit_training(store, request, target, key=key, cluster=place.cluster)[0]


def _print(job: Job, run: Run | None, notices: tuple[Notice, ...], *, as_json: bool) -> None:
    from recommender.costs.estimates import memory_beside, time_beside
    from recommender.report.runs import training_document

    if as_json:
        warnings = [asdict(notice) for notice in notices]
        document = {**training_document(job, run).model_dump(mode="json"), "warnings": warnings}
        print_json(document)
        return
    lines = [f"training {job.id}: {job.status}"]
    if run is not None and run.best is not None:
        label = task_definition(run.task).metric.label
        lines += [f"best {label} {run.best.score:.3f} in epoch {run.best.epoch} of {len(run.curve)}"]
        lines += [f"took {time_beside(run)}; {memory_beside(run)}"]
        lines += [f"in the history as run {run.id[:12]}"]
    if job.checkpoint:
        lines += [f"checkpoint {job.checkpoint}", f"results in {job.artefacts}"]
    sys.stdout.write("\n".join(lines) + "\n")
