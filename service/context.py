"""What routes are given: the caller, the service's parts, and the things that paths name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from recommender.errors import NotFoundError
from recommender.records import Job
from recommender.store import Store
from recommender.store.paging import MAX_PAGE
from recommender.store.service_records import Ask, HeldDataset
from recommender.text import printable
from service.atlas import AtlasKeeper
from service.auth import Caller
from service.desk import Desk
from service.feeds import Feeds
from service.holdings import Holdings
from service.launching import Launching
from service.metrics import Metrics
from service.pools import Pools
from service.problems import Refusal
from service.rates import TokenBuckets
from service.readiness import Readiness
from service.settings import ServiceSettings

ID = Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
COSTLY_WAIT = {"Retry-After": "5"}


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of one running service. Routes read it; only the application builds it."""

    settings: ServiceSettings
    store: Store
    metrics: Metrics
    pools: Pools
    desk: Desk
    feeds: Feeds
    holdings: Holdings
    atlas: AtlasKeeper
    launching: Launching
    readiness: Readiness
    costly: TokenBuckets
    logins: TokenBuckets


async def services(request: Request) -> Services:
    """The parts of the service. Async, as what follows: a plain function would cost a change of threads."""
    return cast(Services, request.app.state.services)


async def caller(request: Request) -> Caller:
    """Who calls; the gate has made sure that there is somebody."""
    return cast(Caller, request.state.caller)


ServicesOf = Annotated[Services, Depends(services)]
CallerOf = Annotated[Caller, Depends(caller)]


def costly(parts: ServicesOf, who: CallerOf) -> None:
    """Spend the key's allowance for what costs more than reading."""
    wait_s = parts.costly.take(who.key_id)
    if wait_s:
        headers = {"Retry-After": str(int(wait_s) + 1)}
        raise Refusal(429, "too-many", "Too many costly requests for this key.", headers=headers)


def held_dataset(parts: ServicesOf, who: CallerOf, id: Annotated[str, ID]) -> HeldDataset:
    """The data set that the path names, if the caller may know of it."""
    return find_dataset(parts.store, who, id)


def find_dataset(store: Store, who: Caller, id: str) -> HeldDataset:
    """The data set of this id. Raises NotFoundError, for other people's too."""
    held = store.get_held_dataset(id)
    if held is None or not who.sees(held.owner):
        raise NotFoundError(
            f"There is no data set {printable(id)!r}.", remedy="GET /v1/datasets lists yours."
        )
    return held


def asked(parts: ServicesOf, who: CallerOf, id: Annotated[str, ID]) -> Ask:
    """The recommendation that the path names, if the caller may know of it."""
    found = parts.store.get_ask(id)
    if found is None or not who.sees(found.owner):
        raise NotFoundError(
            f"There is no recommendation {printable(id)!r}.", remedy="GET /v1/recommendations lists yours."
        )
    return found


def find_job(store: Store, who: Caller, id: str, kind: str) -> Job:
    """The job of this id and kind. Raises NotFoundError, for other people's too."""
    job = store.get_job(id)
    if job is None or job.kind != kind or not who.sees(job.owner):
        raise NotFoundError(f"There is no {kind} {printable(id)!r}.", remedy=f"GET /v1/{kind}s lists yours.")
    return job


def training(parts: ServicesOf, who: CallerOf, id: Annotated[str, ID]) -> Job:
    """The training that the path names."""
    return find_job(parts.store, who, id, "training")


def sweep(parts: ServicesOf, who: CallerOf, id: Annotated[str, ID]) -> Job:
    """The sweep that the path names."""
    return find_job(parts.store, who, id, "sweep")


@dataclass(frozen=True, kw_only=True)
class Paging:
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None


async def paging(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items per page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=300, description="`next` of the page before.")] = None,
) -> Paging:
    """The page asked for."""
    return Paging(limit=limit, cursor=cursor)


DatasetOf = Annotated[HeldDataset, Depends(held_dataset)]
AskOf = Annotated[Ask, Depends(asked)]
TrainingOf = Annotated[Job, Depends(training)]
SweepOf = Annotated[Job, Depends(sweep)]
PagingOf = Annotated[Paging, Depends(paging)]
