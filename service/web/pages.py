"""The pages; their forms are in `actions`."""

from __future__ import annotations

import json
import secrets
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from recommender.costs.devices import devices
from recommender.costs.gpus import BANDWIDTH_AND_MEMORY
from recommender.errors import NotFoundError, UnavailableError
from recommender.profile.known import source_profile
from recommender.records import JOB_ENDED, Recommendation
from recommender.report.columns import cost_columns
from recommender.report.cost_picture import cost_picture
from recommender.report.document import RecommendationDocument, restored
from recommender.report.headline import LABELS, trials_worth
from recommender.report.map_labels import labels
from recommender.report.page import page
from recommender.report.rows import names_of, shown_rows
from recommender.report.runs import RunDetail, differences, run_detail, run_summary
from recommender.store import Store
from recommender.store.paging import MAX_PAGE
from recommender.store.service_records import RecommendationJob
from recommender.tasks import TASKS, task_definition
from recommender.text import printable
from service.dataset_task import task_of
from service.dependencies import (
    CallerDep,
    DatasetDep,
    Paging,
    PagingDep,
    RecommendationDep,
    ServicesDep,
    SweepDep,
    TrainingDep,
)
from service.jobs import KIND, SWEEP, datasets_held, job_page, sweep_budgets
from service.neighbours import neighbours, visible_map
from service.page_templates import STATIC, axis_top, login_page, render
from service.problems import HTTPProblem
from service.routes.history import get_run as find_run
from service.routes.history import list_checkpoints
from service.routes.strict import StrictRoute
from service.schemas.from_records import (
    dataset_answer,
    recommendation_json,
    recommendation_summary,
    sweep_answer,
    training_answer,
)
from service.schemas.recommendations import RecommendationAnswer, RecommendationStatus
from service.web import actions, reference
from service.web.figures import MEANINGS, balance_of, evidence_of

MOST_COMPARED = 8  # curves that can be told apart
router = APIRouter(route_class=StrictRoute)
router.include_router(actions.router)


def mount_static(app: FastAPI) -> None:
    """Serve what the pages need: one script, one style sheet, one icon."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


@router.get("/")
def home(request: Request, services: ServicesDep, caller: CallerDep, paging: PagingDep) -> Response:
    """The data sets, and the form to upload one."""
    found = services.store.datasets.page(owner=caller.scope, cursor=paging.cursor, limit=paging.limit)
    return render(
        request,
        "home.html",
        datasets=[dataset_answer(services.store, held) for held in found.items],
        next=found.next_cursor,
        max_upload_mb=services.settings.max_upload_mb,
        tasks=TASKS,
    )


@router.get("/login")
def login() -> Response:
    """Ask for a key."""
    return Response(login_page(), media_type="text/html")


@router.get("/favicon.ico")
def favicon() -> Response:
    """A redirect to the icon."""
    return RedirectResponse("/static/icon.svg", 308)


@router.get("/datasets/{id}")
def dataset(request: Request, services: ServicesDep, caller: CallerDep, held: DatasetDep) -> Response:
    """A data set: health, neighbours, and the form for a recommendation."""
    services.datasets.start_inspection(held)
    try:
        near, places = neighbours(services, caller, held), visible_map(services, caller).places
    except UnavailableError:  # the index is still being built
        near, places = None, ()
    answer = dataset_answer(services.store, held)
    task = task_of(services.store, held)
    return render(
        request,
        "dataset.html",
        set=answer,
        live=answer.health is None,
        task=task_definition(task),
        balance=balance_of(answer.classes, answer.health),
        asks=[
            recommendation_summary(ask)
            for ask in services.store.recommendations.page(
                owner=caller.scope, dataset_id=held.id, limit=10
            ).items
        ],
        near=near,
        places=places,
        labels=labels(places, held.dataset_hash),
        devices=devices(),
        gpus=tuple(BANDWIDTH_AND_MEMORY),
    )


@router.get("/recommendations/{id}")
def recommendation(
    request: Request, services: ServicesDep, caller: CallerDep, asked: RecommendationDep
) -> Response:
    """The ranked starts, or the progress."""
    text = recommendation_json(asked)
    done = RecommendationAnswer.model_validate_json(text) if asked.document else None
    held = services.store.datasets.get(asked.dataset_id)
    rows = done.ranking if done else ()
    again = _restored(services.store, asked)
    columns = cost_columns(again.ranking) if again else ()
    num_classes = len(again.profile.class_names) if again else 0
    return render(
        request,
        "recommendation.html",
        metric=task_definition(done.dataset.task if done else "detect").metric.label,
        answer=done or RecommendationStatus.model_validate_json(text),
        live=asked.status not in JOB_ENDED,
        set_name=held.name if held else "a data set that was removed",
        rows=shown_rows(rows),
        on_these_images=names_of(shown_rows(rows).on_these_images),
        meanings=MEANINGS,
        labels=LABELS,
        top=axis_top(max((row.score.high for row in rows), default=1.0)),
        scratch=next((row.score.mean for row in rows if row.mode == "scratch"), None),
        evidence=evidence_of,
        may_launch=held is not None and caller.may("POST"),
        token=secrets.token_hex(8),
        trials={top: actions.num_trials(asked, top) for top in (2, 4, 8)},
        budgets=sweep_budgets(services.settings.max_budget),
        costs=cost_picture(again) if again else None,
        worth=trials_worth(again) if again else None,
        columns=columns,
        cells={
            row.rank: [column.cell(row, num_classes) for column in columns]
            for row in (again.ranking if again else ())
        },
    )


def _restored(store: Store, asked: RecommendationJob) -> Recommendation | None:
    """The answer as it was made; None where there is none yet."""
    profile = source_profile(asked.dataset_hash, store) if asked.document else None
    if asked.document is None or profile is None:
        return None
    return restored(RecommendationDocument.model_validate_json(asked.document), profile)


@router.get("/recommendations/{id}/report")
def report(services: ServicesDep, asked: RecommendationDep) -> Response:
    """The answer as one page to keep or send around."""
    again = _restored(services.store, asked)
    if again is None:
        raise NotFoundError("There is no answer to download.", remedy="Wait for the answer, or ask again.")
    disposition = f'attachment; filename="answer-{asked.id}.html"'
    return Response(page(again), media_type="text/html", headers={"Content-Disposition": disposition})


@router.get("/trainings")
def trainings(request: Request, services: ServicesDep, caller: CallerDep, paging: PagingDep) -> Response:
    """Every training, newest first."""
    jobs, following = job_page(services, caller, KIND, paging)
    tried, more = job_page(services, caller, SWEEP, Paging(limit=10, cursor=None))
    return render(
        request,
        "trainings.html",
        trainings=[training_answer(services.store, job) for job in jobs],
        sweeps=[sweep_answer(services.store, job) for job in tried],
        more_sweeps=more is not None,
        next=following,
    )


@router.get("/sweeps")
def sweeps(request: Request, services: ServicesDep, caller: CallerDep, paging: PagingDep) -> Response:
    """Every sweep, newest first."""
    jobs, following = job_page(services, caller, SWEEP, paging)
    shown = [sweep_answer(services.store, job) for job in jobs]
    return render(request, "sweeps.html", sweeps=shown, next=following)


@router.get("/sweeps/{id}")
def sweep(request: Request, services: ServicesDep, caller: CallerDep, job: SweepDep) -> Response:
    """Trials with their curves, live while they run."""
    told = [json.loads(event.data) for event in services.store.jobs.every_event(job.id, "trial")]
    held = services.store.datasets.at_paths(job.owner, json.loads(job.spec)["datasets"])
    answer = sweep_answer(services.store, job)
    unfinished = job.status != "succeeded" or (answer.result is not None and answer.result.ended_early)
    return render(
        request,
        "sweep.html",
        sweep=answer,
        trials=told,
        newest=tuple({trial["id"]: trial for trial in told}.values()),
        held=held,
        live=not job.ended,
        may_change=caller.may("POST"),
        may_go_on=job.ended and unfinished and bool(datasets_held(services.store, job)),
        token=secrets.token_hex(8),
    )


@router.get("/trainings/{id}")
def training(request: Request, services: ServicesDep, caller: CallerDep, job: TrainingDep) -> Response:
    """One training with its curve, live while it runs."""
    points = [json.loads(event.data) for event in services.store.jobs.every_event(job.id, "epoch")]
    return render(
        request,
        "training.html",
        job=training_answer(services.store, job),
        task=task_definition(json.loads(job.spec).get("task", "detect")),
        curve=points,
        live=not job.ended,
        may_change=caller.may("POST"),
        may_train_again=job.status in ("failed", "cancelled") and bool(datasets_held(services.store, job)),
        token=secrets.token_hex(8),
    )


@router.get("/runs")
def runs(request: Request, services: ServicesDep, paging: PagingDep) -> Response:
    """The history."""
    found = services.store.runs.page(cursor=paging.cursor, limit=paging.limit)
    return render(
        request,
        "runs.html",
        runs=[run_summary(run) for run in found.items],
        ignored=services.store.runs.ignored(),
        next=found.next_cursor,
    )


@router.get("/runs/compare")
def compare(
    request: Request,
    services: ServicesDep,
    id: Annotated[tuple[str, ...], Query(max_length=MOST_COMPARED)] = (),
) -> Response:
    """Runs side by side, the best first. Raises HTTPProblem where fewer than two are named."""
    if len(set(id)) < 2:
        raise HTTPProblem(422, "request", "Only several runs can be compared.", remedy="Choose two or more.")
    found = {name: services.store.runs.get(name) for name in id}
    if gone := [name for name, run in found.items() if run is None]:
        raise NotFoundError(f"There is no run '{printable(gone[0])}'.", remedy="Choose among the history.")
    known = [run for run in found.values() if run is not None]
    known.sort(key=lambda run: run.best.score if run.best else -1.0, reverse=True)
    return render(
        request,
        "compare.html",
        runs=[run_detail(run) for run in known],
        task=task_definition(known[0].task),
        differences=differences(known),
    )


@router.get("/runs/{id}")
def run(request: Request, services: ServicesDep, caller: CallerDep, id: str) -> Response:
    """One run with its curve."""
    detail: RunDetail = find_run(services, id)
    return render(
        request,
        "run.html",
        run=detail,
        task=task_definition(detail.task),
        ignored=detail.id in services.store.runs.ignored(),
        may_change=caller.role == "admin",
    )


@router.get("/checkpoints")
def checkpoints(
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    paging: PagingDep,
    added: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """The checkpoints, the form to add one, and a word on the one just added."""
    found = list_checkpoints(services, Paging(limit=MAX_PAGE, cursor=paging.cursor), None)
    return render(
        request,
        "checkpoints.html",
        checkpoints=found.checkpoints,
        next=found.next,
        added=services.store.checkpoints.get(added) if added else None,
        datasets=services.store.datasets.page(owner=caller.scope, limit=MAX_PAGE).items,
        may_add=caller.may("POST"),
    )


@router.get("/docs")
def docs(request: Request) -> Response:
    """The API's reference."""
    schema = request.app.openapi()
    return render(request, "docs.html", schema=schema, operations=reference.operations(schema))


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The API's description for programs."""
    return JSONResponse(request.app.openapi())
