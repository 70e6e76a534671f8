"""Form actions of the pages. Each ends in a redirect, so that reloading repeats nothing."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from recommender.errors import NotFoundError
from recommender.records import SCRATCH
from recommender.store.service_records import RecommendationJob
from service import auth
from service.auth import caller_of_key, open_session
from service.checkpoint_uploads import CHECKPOINT_FIELDS, register_upload
from service.dependencies import (
    CallerDep,
    DatasetDep,
    RecommendationDep,
    ServicesDep,
    SweepDep,
    TrainingDep,
    find_dataset,
    limit_costly_requests,
)
from service.jobs import advised, cancel_job, launch_again, launch_sweep, launch_training
from service.middleware.authentication import cookie_of, too_many
from service.page_templates import login_page
from service.problems import HTTPProblem
from service.routes.datasets import read_and_register, task_field
from service.routes.history import get_run as find_run
from service.schemas.recommendations import RecommendationBody
from service.schemas.sweeps import SweepBody
from service.schemas.trainings import TrainingBody
from service.uploads import receive_upload

router = APIRouter()
Text = Annotated[str, Form(max_length=4096)]
BodyT = TypeVar("BodyT", bound=BaseModel)


def _require_admin(caller: CallerDep) -> None:
    """Runs have no owner: every forecast of the service learns from them. Raises HTTPProblem 403."""
    if caller.role != "admin":
        raise HTTPProblem(
            403,
            "role",
            "Only an administrator may change the history, from which the forecasts of all learn.",
            remedy="Ask an administrator to ignore or forget the run.",
        )


@router.post("/login")
def login(request: Request, services: ServicesDep, key: Annotated[str, Form(max_length=200)]) -> Response:
    """Exchange a key for a session cookie, which scripts cannot read and other sites cannot send."""
    caller = caller_of_key(services.store, key.strip())
    if (
        caller is None
    ):  # wrong keys alone are counted: whoever shares an address with a guesser can still log in
        wait_s = services.login_attempts.take(request.client.host if request.client else "unknown")
        if wait_s:
            return too_many(request.scope, wait_s)
        return Response(login_page("This key is not valid."), 401, media_type="text/html")
    cookie = open_session(services.store, caller, hours=services.settings.session_hours)
    response = RedirectResponse("/", 303)
    response.set_cookie(
        _cookie_name(services),
        cookie,
        max_age=round(services.settings.session_hours * 3600),
        path="/",
        httponly=True,
        samesite="strict",
        secure=services.settings.behind_tls_proxy,
    )
    return response


@router.post("/logout")
def logout(request: Request, services: ServicesDep) -> Response:
    """End the session here and in the store."""
    cookie = cookie_of(request.headers, _cookie_name(services))
    if cookie is not None:
        services.store.keys.close_session(auth.digest(cookie))
    response = RedirectResponse("/", 303)
    response.delete_cookie(
        _cookie_name(services), path="/", secure=services.settings.behind_tls_proxy, httponly=True
    )
    return response


@router.post("/upload", dependencies=[Depends(limit_costly_requests)])
async def upload(request: Request, services: ServicesDep, caller: CallerDep) -> Response:
    """Take a data set in, for browsers without script; with it the API is called."""
    form = await receive_upload(request, fields=frozenset({"task"}))
    task = await run_in_threadpool(task_field, services, form)
    place = form.file or form.folder
    held, *_ = await read_and_register(request, services, caller, place, None, form, task)
    return RedirectResponse(f"/datasets/{held.id}", 303)


@router.post("/checkpoints/add", dependencies=[Depends(limit_costly_requests)])
async def add_checkpoint(request: Request, services: ServicesDep, caller: CallerDep) -> Response:
    """Register uploaded weights, linked to the data set they were trained on where one is chosen."""
    form = await receive_upload(request, fields=CHECKPOINT_FIELDS)
    added = await register_upload(request, services, caller, form)
    return RedirectResponse(f"/checkpoints?added={added.name}", 303)


@router.post("/runs/{id}/ignore", dependencies=[Depends(_require_admin)])
def ignore_run(services: ServicesDep, id: str, ignored: Annotated[bool, Form()]) -> Response:
    """Keep a run out of all forecasts, or let it back in."""
    services.store.runs.ignore(find_run(services, id).id, ignored=ignored)
    return RedirectResponse(f"/runs/{id}", 303)


@router.post("/runs/{id}/remove", dependencies=[Depends(_require_admin)])
def remove_run(services: ServicesDep, id: str) -> Response:
    """Forget a run for good."""
    services.store.runs.remove(find_run(services, id).id)
    return RedirectResponse("/runs", 303)


@router.post("/datasets/{id}/ask")
def ask(
    services: ServicesDep,
    caller: CallerDep,
    held: DatasetDep,
    epochs: Annotated[int, Form(ge=1, le=100_000)],
    licence: Text = "any",
    imgsz: Text = "",
    device: Text = "",
    max_latency: Text = "",
    gpu: Text = "",
    max_hours: Text = "",
    price: Text = "",
    max_cost: Text = "",
) -> Response:
    """Rank the starts. A field that is left empty asks for nothing."""
    limits = {
        "imgsz": imgsz,
        "device": device,
        "max_latency": max_latency,
        "gpu": gpu,
        "max_hours": max_hours,
        "price": price,
        "max_cost": max_cost,
    }
    named = {name: value.strip() for name, value in limits.items() if value.strip()}
    asked_for = {"dataset": held.id, "epochs": epochs, "licence": licence}
    body = _of_form(RecommendationBody, asked_for | named)
    asked = services.queue.submit(
        caller, held, body, on_new_work=lambda: limit_costly_requests(services, caller)
    )
    return RedirectResponse(f"/recommendations/{asked.id}", 303)


@router.post("/datasets/{id}/remove")
def remove(services: ServicesDep, held: DatasetDep) -> Response:
    """Delete a data set."""
    services.datasets.delete(held)
    return RedirectResponse("/", 303)


@router.post("/recommendations/{id}/cancel")
def cancel_recommendation(services: ServicesDep, asked: RecommendationDep) -> Response:
    """Cancel a recommendation."""
    services.queue.cancel(asked.id)
    return RedirectResponse(f"/datasets/{asked.dataset_id}", 303)


@router.post("/recommendations/{id}/train", dependencies=[Depends(limit_costly_requests)])
def train(
    services: ServicesDep,
    caller: CallerDep,
    asked: RecommendationDep,
    rank: Annotated[int, Form(ge=1)],
    token: Text,
) -> Response:
    """Launch the full training of one start; the page's token makes a double click one training."""
    row = next((row for row in _ranking(asked) if row["rank"] == rank), None)
    if row is None:
        raise NotFoundError(f"The ranking has no start {rank}.", remedy="Reload the page.")
    held = find_dataset(services.store, caller, asked.dataset_id)
    question = json.loads(asked.question)
    body = _of_form(
        TrainingBody,
        {
            "dataset": held.id,
            "task": question.get("task"),
            "epochs": question["epochs"],
            **advised(services.store, asked, row),
        },
    )
    job, _ = launch_training(services, caller, held, body, key=f"train-{asked.id}-{token}"[:128])
    return RedirectResponse(f"/trainings/{job.id}", 303)


@router.post("/recommendations/{id}/try", dependencies=[Depends(limit_costly_requests)])
def try_first(
    services: ServicesDep,
    caller: CallerDep,
    asked: RecommendationDep,
    top: Annotated[int, Form(ge=1, le=20)],
    epochs: Annotated[int, Form(ge=1, le=1000)],
    budget: Text,
    token: Text,
    axes: Text = "",
) -> Response:
    """Try the first starts of a ranking with short trainings."""
    checkpoints, modes = trial_starts(asked, top)
    if not checkpoints:
        raise NotFoundError("There is no start to try.", remedy="Wait for the answer, or ask again.")
    body = _of_form(
        SweepBody,
        {
            "datasets": [asked.dataset_id],
            "checkpoints": checkpoints,
            "modes": modes,
            "epochs": epochs,
            "imgsz": json.loads(asked.question).get("imgsz") or _ranking(asked)[0]["imgsz"],
            "budget": budget,
            "axes": [one for one in axes.split(",") if one],
        },
    )
    job, _ = launch_sweep(services, caller, body, key=f"try-{asked.id}-{token}"[:128])
    return RedirectResponse(f"/sweeps/{job.id}", 303)


def trial_starts(asked: RecommendationJob, top: int) -> tuple[list[str], list[str]]:
    """The checkpoints and the modes among the first starts that are here: trials try each in each."""
    rows = [row for row in _ranking(asked) if row["available"]][:top]
    return list(dict.fromkeys(row["checkpoint"] for row in rows)), list(
        dict.fromkeys(row["mode"] for row in rows)
    )


def num_trials(asked: RecommendationJob, top: int) -> int:
    """The trials of the first starts, at most: one from scratch, and each checkpoint in each mode among them."""
    checkpoints, modes = trial_starts(asked, top)
    scratch = SCRATCH in checkpoints
    return (len(checkpoints) - scratch) * (len(modes) - scratch) + scratch


@router.post("/sweeps/{id}/cancel")
def cancel_sweep(services: ServicesDep, job: SweepDep) -> Response:
    """Cancel a sweep."""
    cancel_job(services, job)
    return RedirectResponse(f"/sweeps/{job.id}", 303)


@router.post("/sweeps/{id}/again", dependencies=[Depends(limit_costly_requests)])
def sweep_again(services: ServicesDep, caller: CallerDep, job: SweepDep, token: Text) -> Response:
    """Go on with a sweep that ended before all of its trials had."""
    again = launch_again(services, caller, job, key=f"again-{job.id}-{token}"[:128])
    return RedirectResponse(f"/sweeps/{again.id}", 303)


@router.post("/trainings/{id}/again", dependencies=[Depends(limit_costly_requests)])
def train_again(services: ServicesDep, caller: CallerDep, job: TrainingDep, token: Text) -> Response:
    """Launch a training that failed or was cancelled once more."""
    again = launch_again(services, caller, job, key=f"again-{job.id}-{token}"[:128])
    return RedirectResponse(f"/trainings/{again.id}", 303)


@router.post("/trainings/{id}/cancel")
def cancel(services: ServicesDep, job: TrainingDep) -> Response:
    """Cancel a training."""
    cancel_job(services, job)
    return RedirectResponse(f"/trainings/{job.id}", 303)


def _of_form(body: type[BodyT], fields: dict[str, Any]) -> BodyT:
    """The body that a form stands for. Raises RequestValidationError, which names its fields."""
    try:
        return body.model_validate(fields)
    except ValidationError as error:
        found = [{**one, "loc": ("form", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(found) from None


def _ranking(asked: RecommendationJob) -> list[dict[str, Any]]:
    """The rows of an answer, none where there is no answer."""
    found: list[dict[str, Any]] = json.loads(asked.document)["ranking"] if asked.document else []
    return found


def _cookie_name(services: ServicesDep) -> str:
    return auth.SECURE_COOKIE if services.settings.behind_tls_proxy else auth.COOKIE
