"""The ASGI application: builds the components and puts the middleware in front of the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Scope

from recommender import __version__
from recommender.store import Store
from service import openapi, problems
from service.auth import COOKIE, SECURE_COOKIE
from service.dataset_storage import DatasetStorage
from service.dependencies import Services
from service.event_streams import EventStreams
from service.metrics import Metrics
from service.middleware.authentication import AuthenticationMiddleware
from service.middleware.body_limits import BodyLimitMiddleware
from service.middleware.head import HeadMiddleware
from service.middleware.host_check import HostCheckMiddleware
from service.middleware.request_context import RequestContextMiddleware
from service.page_templates import login_page
from service.rate_limits import TokenBuckets
from service.readiness import Readiness
from service.routes import datasets, history, operations, recommendations, sweeps, trainings
from service.settings import MB, ServiceSettings
from service.web import pages
from service.workers.dataset_map import DatasetMapRefresher
from service.workers.housekeeping import Housekeeping
from service.workers.job_hosts import JobHosts
from service.workers.pools import WorkerPools
from service.workers.recommendation_queue import RecommendationQueue

UPLOADS = frozenset({"/v1/datasets", "/v1/checkpoints", "/upload", "/checkpoints/add"})


def create_app(settings: ServiceSettings, store: Store) -> FastAPI:
    """The ASGI application. Raises UsageError for settings under which it must not run."""
    settings.check()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = build(settings, store, metrics)
        app.state.services = services
        services.dataset_map.open()
        services.queue.open()
        services.job_hosts.open()
        housekeeping = Housekeeping(store)
        housekeeping.open()
        try:
            yield
        finally:
            housekeeping.close()
            close(services)

    app = FastAPI(
        title="Checkpoint Recommender",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # the usual page loads its scripts from elsewhere; ours is in web/
        redoc_url=None,
        openapi_url=None,
        strict_content_type=True,
    )
    problems.install(app)
    for api in (datasets, recommendations, trainings, sweeps, history):
        app.include_router(api.router, prefix="/v1")
    app.include_router(operations.router)
    app.include_router(pages.router, include_in_schema=False)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    pages.mount_static(app)
    _add_middleware(app, settings, store, metrics)
    return app


def build(settings: ServiceSettings, store: Store, metrics: Metrics) -> Services:
    """The components of a service, not yet started."""
    pools = WorkerPools(recommendation_workers=settings.workers, task_memory_mb=settings.task_memory_mb)
    dataset_map = DatasetMapRefresher(store, metrics)
    job_hosts = JobHosts(store, settings, metrics)
    per_minute = settings.costly_per_minute
    return Services(
        settings=settings,
        store=store,
        metrics=metrics,
        pools=pools,
        queue=RecommendationQueue(store, pools, settings, metrics),
        event_streams=EventStreams(metrics, max_followers=settings.max_followers),
        datasets=DatasetStorage(store, pools, settings),
        dataset_map=dataset_map,
        job_hosts=job_hosts,
        readiness=Readiness(store, dataset_map, job_hosts, metrics, settings),
        costly_requests=TokenBuckets(per_s=per_minute / 60, burst=per_minute),
        login_attempts=TokenBuckets(
            per_s=settings.attempts_per_minute / 60, burst=settings.attempts_per_minute
        ),
    )


def close(services: Services) -> None:
    """Stop the components: those that start work before the worker pools that carry it out."""
    services.event_streams.close()
    services.job_hosts.close()
    services.queue.close()
    services.dataset_map.close()
    services.pools.close()


def _add_middleware(app: FastAPI, settings: ServiceSettings, store: Store, metrics: Metrics) -> None:
    """Add the middleware, innermost first."""

    def limit_of(scope: Scope) -> int:
        upload = scope["method"] == "POST" and scope["path"] in UPLOADS
        return settings.max_upload_mb * MB if upload else settings.max_body_kb * 1024

    per_minute = settings.attempts_per_minute
    app.add_middleware(HeadMiddleware)
    app.add_middleware(
        AuthenticationMiddleware,
        store=store,
        cookie=SECURE_COOKIE if settings.behind_tls_proxy else COOKIE,
        requests=TokenBuckets(per_s=settings.requests_per_s, burst=settings.requests_per_s),
        attempts=TokenBuckets(per_s=per_minute / 60, burst=per_minute),
        login_page=login_page().encode(),
    )
    app.add_middleware(HostCheckMiddleware, hosts=settings.hosts)
    app.add_middleware(
        BodyLimitMiddleware,
        limit_of=limit_of,
        idle_s=settings.body_idle_timeout_s,
        min_bytes_per_s=settings.min_upload_kb_per_s * 1024,
    )
    app.add_middleware(RequestContextMiddleware, metrics=metrics, strict_transport=settings.behind_tls_proxy)
