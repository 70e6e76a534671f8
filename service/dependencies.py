"""Dependencies of the routes: the components, the caller, and the object that the path names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from recommender.errors import NotFoundError
from recommender.records import Job
from recommender.store import Store
from recommender.store.paging import MAX_PAGE
from recommender.store.service_records import RecommendationJob, RegisteredDataset
from recommender.text import printable
from service.auth import Caller
from service.dataset_storage import DatasetStorage
from service.event_streams import EventStreams
from service.metrics import Metrics
from service.problems import HTTPProblem
from service.rate_limits import TokenBuckets
from service.readiness import Readiness
from service.settings import ServiceSettings
from service.workers.dataset_map import DatasetMapRefresher
from service.workers.job_hosts import JobHosts
from service.workers.pools import WorkerPools
from service.workers.recommendation_queue import RecommendationQueue

ID = Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")


@dataclass(frozen=True, kw_only=True)
class Services:
    """The components of one running service; built by `app.build`."""

    settings: ServiceSettings
    store: Store
    metrics: Metrics
    pools: WorkerPools
    queue: RecommendationQueue
    event_streams: EventStreams
    datasets: DatasetStorage
    dataset_map: DatasetMapRefresher
    job_hosts: JobHosts
    readiness: Readiness
    costly_requests: TokenBuckets  # by key
    login_attempts: TokenBuckets  # by address


async def get_services(request: Request) -> Services:
    """The components. Async, because FastAPI would run a plain function in another thread."""
    return cast(Services, request.app.state.services)


async def get_caller(request: Request) -> Caller:
    """The authenticated caller; `AuthenticationMiddleware` has set it."""
    return cast(Caller, request.state.caller)


ServicesDep = Annotated[Services, Depends(get_services)]
CallerDep = Annotated[Caller, Depends(get_caller)]


def limit_costly_requests(services: ServicesDep, caller: CallerDep) -> None:
    """Count a costly request of the caller's key. Raises HTTPProblem 429 above the rate limit."""
    wait_s = services.costly_requests.take(caller.key_id)
    if wait_s:
        headers = {"Retry-After": str(int(wait_s) + 1)}
        raise HTTPProblem(
            429,
            "too-many",
            "Too many costly requests for this key.",
            remedy="Wait as long as Retry-After says.",
            headers=headers,
        )


def get_dataset(services: ServicesDep, caller: CallerDep, id: Annotated[str, ID]) -> RegisteredDataset:
    """The data set that the path names. Raises NotFoundError when the caller does not own it."""
    return find_dataset(services.store, caller, id)


def find_dataset(store: Store, caller: Caller, id: str) -> RegisteredDataset:
    """The data set of this id. Raises NotFoundError, also where it is another owner's."""
    held = store.datasets.get(id)
    if held is None or not caller.sees(held.owner):
        raise NotFoundError(
            f"There is no data set '{printable(id)}'.", remedy="GET /v1/datasets lists yours."
        )
    return held


def get_recommendation(services: ServicesDep, caller: CallerDep, id: Annotated[str, ID]) -> RecommendationJob:
    """The recommendation that the path names. Raises NotFoundError when the caller does not own it."""
    found = services.store.recommendations.get(id)
    if found is None or not caller.sees(found.owner):
        raise NotFoundError(
            f"There is no recommendation '{printable(id)}'.", remedy="GET /v1/recommendations lists yours."
        )
    return found


def find_job(store: Store, caller: Caller, id: str, kind: str) -> Job:
    """The job of this id and kind. Raises NotFoundError, also where it is another owner's."""
    job = store.jobs.get(id)
    if job is None or job.kind != kind or not caller.sees(job.owner):
        raise NotFoundError(f"There is no {kind} '{printable(id)}'.", remedy=f"GET /v1/{kind}s lists yours.")
    return job


def get_training(services: ServicesDep, caller: CallerDep, id: Annotated[str, ID]) -> Job:
    """The training that the path names."""
    return find_job(services.store, caller, id, "training")


def get_sweep(services: ServicesDep, caller: CallerDep, id: Annotated[str, ID]) -> Job:
    """The sweep that the path names."""
    return find_job(services.store, caller, id, "sweep")


@dataclass(frozen=True, kw_only=True)
class Paging:
    """The page of a list that a request asks for."""

    limit: int
    cursor: str | None


async def get_paging(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items per page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=300, description="`next` of the page before.")] = None,
) -> Paging:
    """The page asked for."""
    return Paging(limit=limit, cursor=cursor)


DatasetDep = Annotated[RegisteredDataset, Depends(get_dataset)]
RecommendationDep = Annotated[RecommendationJob, Depends(get_recommendation)]
TrainingDep = Annotated[Job, Depends(get_training)]
SweepDep = Annotated[Job, Depends(get_sweep)]
PagingDep = Annotated[Paging, Depends(get_paging)]
