"""What the page's forms do. Each ends in a redirect, so that reloading repeats nothing."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from recommender.errors import NotFoundError
from recommender.store.service_records import Ask
from service import auth
from service.auth import caller_of_key, open_session
from service.context import AskOf, CallerOf, DatasetOf, ServicesOf, SweepOf, TrainingOf, costly, find_dataset
from service.gate import cookie_of, too_many
from service.jobs import launch_sweep, launch_training
from service.rendering import login_page
from service.routes.datasets import take_in
from service.schemas.recommendations import RecommendationBody
from service.schemas.sweeps import SweepBody
from service.schemas.trainings import TrainingBody
from service.uploads import receive_upload

router = APIRouter()
Text = Annotated[str, Form(max_length=4096)]


@router.post("/login")
def login(request: Request, parts: ServicesOf, key: Annotated[str, Form(max_length=200)]) -> Response:
    """Exchange a key for a session cookie, which scripts cannot read and other sites cannot send."""
    wait_s = parts.logins.take(request.client.host if request.client else "unknown")
    if wait_s:
        return too_many(request.scope, wait_s)
    caller = caller_of_key(parts.store, key.strip())
    if caller is None:
        return Response(login_page("This key is not valid."), 401, media_type="text/html")
    cookie = open_session(parts.store, caller, hours=parts.settings.session_hours)
    response = RedirectResponse("/", 303)
    response.set_cookie(
        _cookie_name(parts),
        cookie,
        max_age=round(parts.settings.session_hours * 3600),
        path="/",
        httponly=True,
        samesite="strict",
        secure=parts.settings.behind_tls_proxy,
    )
    return response


@router.post("/logout")
def logout(request: Request, parts: ServicesOf) -> Response:
    """End the session here and in the store."""
    cookie = cookie_of(request.headers, _cookie_name(parts))
    if cookie is not None:
        parts.store.close_session(auth.digest(cookie))
    response = RedirectResponse("/", 303)
    response.delete_cookie(
        _cookie_name(parts), path="/", secure=parts.settings.behind_tls_proxy, httponly=True
    )
    return response


@router.post("/upload", dependencies=[Depends(costly)])
async def upload(request: Request, parts: ServicesOf, who: CallerOf) -> Response:
    """Take a data set in, for browsers without script; with it the API is called."""
    form = await receive_upload(request, fields=frozenset())
    held, _ = await take_in(parts, who, form.file or form.folder, None, form)
    return RedirectResponse(f"/datasets/{held.id}", 303)


@router.post("/datasets/{id}/ask")
def ask(
    parts: ServicesOf,
    who: CallerOf,
    held: DatasetOf,
    epochs: Annotated[int, Form(ge=1, le=100_000)],
    imgsz: Annotated[int, Form(ge=32, le=4096)],
    licence: Text = "any",
) -> Response:
    """Rank the starts."""
    body = RecommendationBody.model_validate(
        {"dataset": held.id, "epochs": epochs, "imgsz": imgsz, "licence": licence}
    )
    asked = parts.desk.ask(who, held, body, allowance=lambda: costly(parts, who))
    return RedirectResponse(f"/recommendations/{asked.id}", 303)


@router.post("/datasets/{id}/remove")
def remove(parts: ServicesOf, held: DatasetOf) -> Response:
    """Give a data set back."""
    parts.holdings.release(held)
    return RedirectResponse("/", 303)


@router.post("/recommendations/{id}/cancel")
def give_up(parts: ServicesOf, asked: AskOf) -> Response:
    """Give up a question."""
    parts.desk.cancel(asked.id)
    return RedirectResponse(f"/datasets/{asked.dataset_id}", 303)


@router.post("/recommendations/{id}/train", dependencies=[Depends(costly)])
def train(
    parts: ServicesOf, who: CallerOf, asked: AskOf, rank: Annotated[int, Form(ge=1)], token: Text
) -> Response:
    """Launch the full training of one start; the page's token makes a double click one training."""
    row = next((row for row in _ranking(asked) if row["rank"] == rank), None)
    if row is None:
        raise NotFoundError(f"The ranking has no start {rank}.", remedy="Reload the page.")
    start = row["checkpoint"] if row["mode"] == "scratch" else f"{row['checkpoint']}:{row['mode']}"
    held = find_dataset(parts.store, who, asked.dataset_id)
    body = TrainingBody.model_validate({"dataset": held.id, "start": start, **budget_of(asked.question)})
    job, _ = launch_training(parts, who, held, body, key=f"train-{asked.id}-{token}"[:128])
    return RedirectResponse(f"/trainings/{job.id}", 303)


@router.post("/recommendations/{id}/try", dependencies=[Depends(costly)])
def try_first(
    parts: ServicesOf,
    who: CallerOf,
    asked: AskOf,
    top: Annotated[int, Form(ge=1, le=20)],
    epochs: Annotated[int, Form(ge=1, le=1000)],
    budget: Text,
    token: Text,
) -> Response:
    """Try the first starts of a ranking with short trainings."""
    rows = [row for row in json.loads(asked.document or '{"ranking": []}')["ranking"] if row["available"]][
        :top
    ]
    body = SweepBody.model_validate(
        {
            "datasets": [asked.dataset_id],
            "checkpoints": list(dict.fromkeys(row["checkpoint"] for row in rows)),
            "modes": list(dict.fromkeys(row["mode"] for row in rows)),
            "epochs": epochs,
            "imgsz": budget_of(asked.question)["imgsz"],
            "budget": budget,
        }
    )
    job, _ = launch_sweep(parts, who, body, key=f"try-{asked.id}-{token}"[:128])
    return RedirectResponse(f"/sweeps/{job.id}", 303)


@router.post("/sweeps/{id}/cancel")
def cancel_sweep(parts: ServicesOf, job: SweepOf) -> Response:
    """Cancel a sweep."""
    parts.store.request_cancel(job.id)
    parts.launching.wake()
    return RedirectResponse(f"/sweeps/{job.id}", 303)


@router.post("/trainings/{id}/cancel")
def cancel(parts: ServicesOf, job: TrainingOf) -> Response:
    """Cancel a training."""
    parts.store.request_cancel(job.id)
    parts.launching.wake()
    return RedirectResponse(f"/trainings/{job.id}", 303)


def _ranking(asked: Ask) -> list[dict[str, Any]]:
    """The rows of an answer, none where there is no answer."""
    found: list[dict[str, Any]] = json.loads(asked.document)["ranking"] if asked.document else []
    return found


def budget_of(question: str) -> dict[str, int]:
    """Epochs and image size of a question."""
    asked = json.loads(question)
    return {"epochs": asked["epochs"], "imgsz": asked["imgsz"]}


def _cookie_name(parts: ServicesOf) -> str:
    return auth.SECURE_COOKIE if parts.settings.behind_tls_proxy else auth.COOKIE
