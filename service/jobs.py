"""Trainings and sweeps: from the request body to the job in the store."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from recommender.checkpoints import all_checkpoints, get_checkpoint
from recommender.checkpoints.scratch import require_architecture, scratch_architecture
from recommender.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from recommender.records import SCRATCH, Job, Recipe, SplitCounts
from recommender.request_digests import request_digests
from recommender.requests import STRIDE, SweepRequest, TrainingRequest, at_usual_size
from recommender.store import Store
from recommender.store.records_json import decode, digest_of
from recommender.store.service_records import RecommendationJob, RegisteredDataset
from recommender.tasks import Task
from recommender.text import counted
from service.auth import Caller
from service.dataset_task import known_task, require_task, task_of
from service.dependencies import Paging, Services, find_dataset
from service.problems import HTTPProblem
from service.schemas.sweeps import SweepBody
from service.schemas.trainings import TrainingBody
from tune_jobs import sweep_host
from tune_jobs.sweep.compute_budget import ComputeBudget
from tune_jobs.training_spec import KIND, Target, TrainingSpec, submit_training

__all__ = ["KIND", "SWEEP", "advised", "job_page", "launch_sweep", "launch_training", "sweep_budgets"]
SWEEP = sweep_host.KIND
# What a recommendation says beside the start: left to it where the body does not say otherwise.
ADVISED = frozenset({"imgsz", "learning_rate", "freeze", "class_map", "architecture"})

_launching = threading.Lock()  # what is allowed at a time is counted and begun by one request after the other


def launch_training(
    services: Services, caller: Caller, held: RegisteredDataset, body: TrainingBody, *, key: str | None
) -> tuple[Job, bool]:
    """The training's job and whether it is new. Raises UsageError, NotFoundError, ConflictError."""
    with _launching:
        return _launch_training(services, caller, held, body, key=key)


def _launch_training(
    services: Services, caller: Caller, held: RegisteredDataset, body: TrainingBody, *, key: str | None
) -> tuple[Job, bool]:
    require_task(services.store, held, body.task)
    key = key or f"once-{secrets.token_hex(16)}"
    if services.store.jobs.find(owner=caller.owner, key=key) is None:
        _check_number(services, caller, KIND, services.settings.max_trainings)
    advice = (
        {"start": body.start}
        if body.start
        else _start_before(services.store, caller, key) or _first_start(services.store, caller, held, body)
    )
    open_fields = ADVISED - body.model_fields_set  # left to the advice that is followed, else to the task
    fields = body.model_dump(
        exclude={"recommendation", "dataset", "start", "allow_roots", "task"} | open_fields
    )
    followed = {name: advice[name] for name in open_fields if advice.get(name) is not None}
    if body.optimizer.lower() != Recipe.optimizer.lower():
        followed.pop("learning_rate", None)  # it is advised for the usual one
    task = body.task or task_of(services.store, held)
    asked = TrainingRequest.model_validate(
        {"dataset": held.path, "start": advice["start"], **fields, **followed}
    )
    request = at_usual_size(asked, task)
    _check_size(services, request.epochs, request.imgsz)
    target = Target(
        path=held.path,
        hash=held.dataset_hash,
        name=held.name,
        task=task,
        num_images=held.num_images,
        id=held.id,
    )
    job, new = submit_training(
        services.store,
        request,
        target,
        key=key,
        cluster=services.job_hosts.place.cluster,
        owner=caller.owner,
        formerly=request.model_copy(update={"architecture": None}) if "architecture" in followed else None,
    )
    services.job_hosts.wake()
    return job, new


def launch_sweep(services: Services, caller: Caller, body: SweepBody, *, key: str | None) -> tuple[Job, bool]:
    """The sweep's job and whether it is new. Raises UsageError, NotFoundError, HTTPProblem."""
    with _launching:
        return _launch_sweep(services, caller, body, key=key)


def _launch_sweep(
    services: Services, caller: Caller, body: SweepBody, *, key: str | None
) -> tuple[Job, bool]:
    held = [dataset_asked(services.store, caller, id, key) for id in body.datasets]
    key = key or f"once-{secrets.token_hex(16)}"
    known = services.store.jobs.find(owner=caller.owner, key=key)
    fields = body.model_dump(exclude={"datasets", "address", "storage", "allow_roots"} | _open_size(body))
    if known is None:
        _check_sweep(services, caller, body, held)
        fields["budget"] = _within(body.budget, services.settings.max_budget)
        fields["task"] = body.task or _named_task(services.store, held)
    else:  # a retry is recognised whatever has become of checkpoints, limits and tasks since
        before = json.loads(known.spec)
        fields["budget"] = body.budget or before.get("budget")
        fields["task"] = body.task or before.get("task")
        if "epochs" not in body.model_fields_set:  # version 0.1 had another default
            fields["epochs"] = before.get("epochs", fields["epochs"])
    request = SweepRequest(datasets=tuple(dataset.path for dataset in held), **fields)
    job, new = services.store.jobs.create(
        kind=SWEEP,
        owner=caller.owner,
        key=key,
        body_digests=request_digests(request, *(dataset.dataset_hash for dataset in held)),
        cluster=services.job_hosts.place.cluster,
        spec=json.dumps(
            request.model_dump(mode="json", exclude=_open_size(body))
            | {
                sweep_host.HASHES: [dataset.dataset_hash for dataset in held],
                sweep_host.IDS: [dataset.id for dataset in held],
            }
        ),
    )
    services.job_hosts.wake()
    return job, new


def dataset_asked(store: Store, caller: Caller, id: str, key: str | None) -> RegisteredDataset:
    """The data set that a launch names; one removed since, as the job of this key has it, for a retry is that job.

    Raises NotFoundError.
    """
    known = store.jobs.find(owner=caller.owner, key=key) if key and store.datasets.get(id) is None else None
    spec = json.loads(known.spec) if known else {}
    ids = spec.get(sweep_host.IDS) or [spec.get("dataset_id")]
    if known is None or id not in ids:
        return find_dataset(store, caller, id)
    place = ids.index(id)
    return RegisteredDataset(
        id=id,
        owner=known.owner,
        name=spec.get("dataset_name", ""),
        dataset_hash=spec[sweep_host.HASHES][place] if known.kind == SWEEP else spec["dataset_hash"],
        origin="upload",
        path=spec["datasets"][place] if known.kind == SWEEP else spec["dataset"],
        format="",
        class_names=(),
        num_images=SplitCounts(train=0, val=0),
        num_objects=0,
        created_at=known.created_at,
        task=spec.get("task"),
    )


def launch_again(services: Services, caller: Caller, job: Job, *, key: str) -> Job:
    """A new job for what an ended one was asked; a sweep repeats no trial that the history knows.

    Raises ConflictError while the job runs, NotFoundError where a data set is gone, HTTPProblem.
    """
    with _launching:
        known = services.store.jobs.find(owner=job.owner, key=key)
        if known is not None:
            return known
        if not job.ended:
            raise ConflictError(f"This {job.kind} has not ended.", remedy="Follow it, or cancel it first.")
        if not datasets_held(services.store, job):
            raise NotFoundError(
                "A data set of it was removed.", remedy="Give the data set again and ask anew."
            )
        settings = services.settings
        most = settings.max_sweeps if job.kind == SWEEP else settings.max_trainings
        _check_number(services, replace(caller, owner=job.owner), job.kind, most)
        again, _ = services.store.jobs.create(
            kind=job.kind,
            owner=job.owner,
            key=key,
            body_digests=(digest_of(job.spec),),
            cluster=services.job_hosts.place.cluster,
            spec=job.spec,
        )
    services.job_hosts.wake()
    return again


def cancel_job(services: Services, job: Job) -> Job:
    """The training or sweep, asked to end; one that has ended stays as it is."""
    cancelled = services.store.jobs.request_cancel(job.id)
    services.job_hosts.wake()
    return cancelled


def datasets_held(store: Store, job: Job) -> tuple[RegisteredDataset, ...]:
    """The data sets of a job; none where one of them was removed."""
    spec = json.loads(job.spec)
    paths = spec["datasets"] if job.kind == SWEEP else [spec["dataset"]]
    held = store.datasets.at_paths(job.owner, paths)
    return tuple(held) if {one.path for one in held} == set(paths) else ()


def _open_size(body: SweepBody) -> set[str]:
    """The image size as a field to leave out where none is named: each data set's task has its own."""
    return {"imgsz"} - body.model_fields_set


def _check_sweep(
    services: Services, caller: Caller, body: SweepBody, held: Sequence[RegisteredDataset]
) -> None:
    """Raise UsageError, NotFoundError or HTTPProblem for a new sweep that cannot or may not be run."""
    _require_reach(services)
    for name in body.checkpoints:
        if name != SCRATCH:
            get_checkpoint(services.store, name)
    for dataset in held:
        require_task(services.store, dataset, body.task)
        task = body.task or known_task(services.store, dataset)
        _check_size(services, body.epochs, body.imgsz if task is None else at_usual_size(body, task).imgsz)
        if body.architecture is not None and task is not None:
            require_architecture(body.architecture, task)
    _check_number(services, caller, SWEEP, services.settings.max_sweeps)


def _named_task(store: Store, held: Sequence[RegisteredDataset]) -> Task | None:
    """The task that one of the data sets was given for, None where all go by their labels.

    Raises UsageError where another was read for something else.
    """
    named = next((dataset.task for dataset in held if dataset.task_named), None)
    for dataset in held:
        require_task(store, dataset, named)
    return named


def job_page(
    services: Services, caller: Caller, kind: str, page: Paging
) -> tuple[tuple[Job, ...], str | None]:
    """Jobs of a kind, newest first, and the cursor of the next page."""
    before = None if page.cursor is None else services.store.jobs.get(page.cursor)
    if page.cursor is not None and (before is None or before.kind != kind or not caller.sees(before.owner)):
        raise UsageError(
            "The cursor is not one that this service gave out.", remedy="Use `next` of the page before."
        )
    jobs = services.store.jobs.list(owner=caller.scope, kind=kind, before=before, limit=page.limit + 1)
    shown = jobs[: page.limit]
    return shown, shown[-1].id if len(jobs) > page.limit else None


def _require_reach(services: Services) -> None:
    """Refuse trials at a job server alone, which takes trainings only: they are driven through Ray itself."""
    address = services.job_hosts.place.address or ""
    if address.startswith("http"):
        raise UnavailableError(
            f"The service reaches its cluster by the job server {address} alone, which cannot drive trials.",
            remedy="Start it with --address ray://host:10001, or run `recommend sweep` by `ray job submit`.",
        )


def _within(asked: str | None, most: str) -> str:
    """The budget asked for, the largest there is where none was. Raises UsageError for more than that."""
    cap = ComputeBudget.parse(most)
    if asked is None:
        return most
    wanted = ComputeBudget.parse(asked)
    if cap.kind == "device" and wanted.kind == "wall":  # hours of the clock may be many of devices
        raise UsageError(
            f"This service gives a sweep device time, not time of the clock: at most {most}.",
            remedy="Ask for device time, such as 1gpu-h.",
        )
    if (wanted.limit_s or 0.0) > (cap.limit_s or 0.0):
        raise UsageError(f"The budget {asked} is more than {most}, the most this service gives a sweep.")
    return asked


def sweep_budgets(most: str) -> tuple[str, ...]:
    """The budgets that a form offers, of the kind of the largest one; that alone where it is less than all."""
    cap = ComputeBudget.parse(most)
    offered = (
        ("0.5gpu-h", "1gpu-h", "2gpu-h", "8gpu-h") if cap.kind == "device" else ("10m", "30m", "2h", "8h")
    )
    within = tuple(one for one in offered if (ComputeBudget.parse(one).limit_s or 0) <= (cap.limit_s or 0))
    return within or (most,)


def _check_number(services: Services, caller: Caller, kind: str, most: int) -> None:
    """Raise HTTPProblem 429 where the caller has as many unfinished jobs of this kind as are allowed."""
    running = services.store.jobs.list(
        owner=caller.owner, kind=kind, statuses=("queued", "running"), limit=most
    )
    if len(running) >= most:
        raise HTTPProblem(
            429,
            "quota",
            f"You have {counted(len(running), kind)} under way, as many as are allowed at a time.",
            remedy="Wait for one to end, or cancel one.",
            headers={"Retry-After": "60"},
        )


def _check_size(services: Services, epochs: int, imgsz: int) -> None:
    """Raise UsageError for a training that is longer or larger than the operator allows."""
    settings = services.settings
    if epochs > settings.max_epochs or imgsz >= settings.max_imgsz + STRIDE:  # it is in whole strides
        raise UsageError(
            f"{counted(epochs, 'epoch')} at {imgsz} px: this service trains at most "
            f"{counted(settings.max_epochs, 'epoch')} at {settings.max_imgsz} px.",
            remedy="Ask for less, or ask the operator.",
        )


def _start_before(store: Store, caller: Caller, key: str) -> dict[str, Any] | None:
    """The advised fields that an earlier request with this key was given: advice may have changed since."""
    known = store.jobs.find(owner=caller.owner, key=key)
    if known is None or known.kind != KIND:
        return None
    spec = decode(TrainingSpec, known.spec)
    recipe = spec.recipe
    return {
        "start": str(spec.start),
        "imgsz": recipe.imgsz,
        "learning_rate": recipe.learning_rate,
        "freeze": recipe.freeze,
        "class_map": dict(recipe.class_map),
        "architecture": spec.architecture if spec.start.mode == "scratch" else None,
    }


def advised(store: Store, ask: RecommendationJob, row: Mapping[str, Any]) -> dict[str, Any]:
    """The start of a row of a finished answer, and `ADVISED` of it, as its own command would train it."""
    name, mode = row["checkpoint"], row["mode"]
    answer, question = json.loads(ask.document or "{}"), json.loads(ask.question)
    architecture = None
    if mode == "scratch":  # the one that the ranked starts share, as in the answer
        named = answer["provenance"]["weights_sha256"]
        ranked = [one for one in all_checkpoints(store) if one.name in named]
        architecture = scratch_architecture(ranked, answer["dataset"].get("task", "detect"))
    return {
        "start": name if mode == "scratch" else f"{name}:{mode}",
        "imgsz": row.get("imgsz") or question.get("imgsz"),
        "learning_rate": row.get("learning_rate"),
        "freeze": row.get("freeze"),
        "class_map": question.get("class_map") or {},
        "architecture": architecture,
    }


def _first_start(store: Store, caller: Caller, held: RegisteredDataset, body: TrainingBody) -> dict[str, Any]:
    """The best start of the recommendation named, or of the latest, whose weights are here, and `ADVISED` of it."""
    ask = _advice(store, caller, held, body.recommendation)
    if ask is None or ask.document is None or ask.dataset_id != held.id:
        raise UsageError(
            "There is no finished recommendation for this data set to take the start from.",
            remedy='Ask POST /v1/recommendations first, or name a start such as "coco:full".',
        )
    for row in json.loads(ask.document)["ranking"]:
        if row["available"]:
            return advised(store, ask, row)
    raise UsageError("None of the advised starts is on this machine.", remedy="Name a start, or fetch one.")


def _advice(
    store: Store, caller: Caller, held: RegisteredDataset, id: str | None
) -> RecommendationJob | None:
    if id is not None:
        ask = store.recommendations.get(id)
        return ask if ask is not None and caller.sees(ask.owner) else None
    asks = store.recommendations.page(owner=caller.owner, dataset_id=held.id, limit=20).items
    return next((ask for ask in asks if ask.status == "succeeded"), None)
