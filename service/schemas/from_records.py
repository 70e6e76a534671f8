"""Conversions from records to response bodies."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter, ValidationError

from recommender.profile import ENCODER
from recommender.profile.shipped import builtin_profiles
from recommender.records import Job
from recommender.report.inspection import InspectionDocument
from recommender.report.runs import TrainingDocument, training_document
from recommender.requests import RecommendRequest
from recommender.store import Store
from recommender.store.records_json import decode
from recommender.store.service_records import RecommendationJob, RegisteredDataset
from recommender.text import are_texts
from service.artefacts import FILES
from service.dataset_task import known_task, task_note
from service.schemas.datasets import DatasetAnswer, InspectionFailed
from service.schemas.recommendations import RecommendationSummary
from service.schemas.sweeps import SweepAnswer
from service.schemas.trainings import TrainingAnswer
from service.server_paths import without_server_paths
from tune_jobs.sweep.documents import SweepCost, SweepDocument
from tune_jobs.training_spec import TrainingSpec

BROKEN_NAMES = (
    "The name of the data set or of a class is no Unicode text: an earlier version stored its bytes as they were, "
    "shown here as Latin-1. Remove the data set and give it again, to have it read so everywhere."
)
_HEALTH = TypeAdapter[InspectionDocument | InspectionFailed](InspectionDocument | InspectionFailed)


def dataset_answer(
    store: Store, held: RegisteredDataset, findings: Collection[str] | None = None
) -> DatasetAnswer:
    """The response body of a data set; its path is not part of it.

    `findings` are the kinds of what was found where it has just been read; else its inspection tells them.
    """
    health = None if held.health is None else health_of(held.health)
    if findings is None:
        findings = (
            {defect.kind for defect in health.defects} if isinstance(health, InspectionDocument) else ()
        )
    return DatasetAnswer(
        id=held.id,
        name=held.name,
        hash=held.dataset_hash,
        origin=held.origin,
        format=held.format,
        classes=held.class_names,
        images=held.num_images,
        objects=held.num_objects,
        task=known_task(store, held),
        task_note=None if held.task_named else task_note(findings),
        names_note=None if are_texts((held.name, *held.class_names)) else BROKEN_NAMES,
        created_at=held.created_at,
        profiled=is_profiled(store, held.dataset_hash),
        health=health,
    )


def health_of(stored: str) -> InspectionDocument | InspectionFailed:
    """The inspection of a data set that was stored as JSON, or what kept it from being inspected."""
    try:
        return _HEALTH.validate_json(stored)
    except ValidationError:
        return InspectionFailed(error="Another version inspected it, whose report is not understood here.")


def is_profiled(store: Store, dataset_hash: str) -> bool:
    """True when a profile exists, so that a recommendation needs no embedding."""
    return store.profiles.has(dataset_hash, ENCODER) or dataset_hash in builtin_profiles()


def recommendation_json(ask: RecommendationJob) -> str:
    """The JSON of a RecommendationAnswer or its status; the stored document was validated when it was made."""
    head = {
        "id": ask.id,
        "status": ask.status,
        "dataset_id": ask.dataset_id,
        "created_at": ask.created_at,
        "finished_at": ask.finished_at,
    }
    if ask.problem is not None:
        head["problem"] = json.loads(ask.problem)
    text = json.dumps(head)
    return text if ask.document is None else f"{text[:-1]}, {ask.document[1:]}"


def recommendation_summary(ask: RecommendationJob) -> RecommendationSummary:
    """The entry of a recommendation in a list."""
    asked = json.loads(ask.question)  # as another version may have taken it
    return RecommendationSummary(
        id=ask.id,
        status=ask.status,
        dataset_id=ask.dataset_id,
        epochs=asked.get("epochs", RecommendRequest.model_fields["epochs"].default),
        imgsz=asked.get("imgsz"),
        created_at=ask.created_at,
        finished_at=ask.finished_at,
    )


def training_answer(store: Store, job: Job) -> TrainingAnswer:
    """The response body of a training."""
    spec = decode(TrainingSpec, job.spec)
    held = [
        dataset
        for dataset in store.datasets.of_hashes([spec.dataset_hash])
        if dataset.path == spec.dataset and dataset.owner == job.owner
    ]
    return TrainingAnswer(
        **_without_paths(training_document(job, store.runs.get(job.run_id or ""))),
        dataset=held[0].id if held else None,
        dataset_name=spec.dataset_name,
        start=str(spec.start),
        epochs=spec.recipe.epochs,
        imgsz=spec.recipe.imgsz,
        name=spec.name,
        files=FILES if job.artefacts is not None and job.status == "succeeded" else (),
    )


def sweep_answer(store: Store, job: Job) -> SweepAnswer:
    """The response body of a sweep."""
    spec = json.loads(job.spec)
    held = {dataset.path: dataset.name for dataset in store.datasets.at_paths(job.owner, spec["datasets"])}
    cost, result = (store.jobs.last_event(job.id, kind) for kind in ("cost", "result"))
    return SweepAnswer(
        id=job.id,
        status=job.status,
        datasets=len(spec["datasets"]),
        dataset_names=tuple(held.get(path, "a data set that was removed") for path in spec["datasets"]),
        modes=spec["modes"],
        seeds=spec["seeds"],
        epochs=spec["epochs"],
        imgsz=spec.get("imgsz"),
        budget=spec["budget"],
        cost=None if cost is None else SweepCost.model_validate_json(cost.data),
        result=None if result is None else SweepDocument.model_validate_json(result.data),
        cancel_requested=job.cancel_requested,
        error=None if job.error is None else without_server_paths(job.error),
        created_at=job.created_at,
        ended_at=job.ended_at,
    )


def thumbnail_url(held_id: str, number: int | None) -> str | None:
    """The URL of a thumbnail; None for None."""
    return None if number is None else f"/v1/datasets/{held_id}/pictures/{number}"


def _without_paths(document: TrainingDocument) -> dict[str, Any]:
    """The fields of a training for HTTP: no place in the storage; files are fetched by name."""
    error = None if document.error is None else without_server_paths(document.error)
    return document.model_dump() | {"artefacts": None, "error": error}
