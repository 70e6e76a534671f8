"""The application: its parts put together, its doors in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Scope

from recommender import __version__
from recommender.store import Store
from service import openapi, problems
from service.atlas import AtlasKeeper
from service.auth import COOKIE, SECURE_COOKIE
from service.bodies import Bodies
from service.context import Services
from service.desk import Desk
from service.doorman import Doorman
from service.envelope import Envelope
from service.feeds import Feeds
from service.gate import Gate
from service.holdings import Holdings
from service.launching import Launching
from service.metrics import Metrics
from service.pools import Pools
from service.rates import TokenBuckets
from service.readiness import Readiness
from service.rendering import login_page
from service.routes import datasets, history, operations, recommendations, sweeps, trainings
from service.settings import MB, ServiceSettings
from service.web import pages

UPLOADS = frozenset({"/v1/datasets", "/v1/checkpoints", "/upload"})


def create_app(settings: ServiceSettings, store: Store) -> FastAPI:
    """The ASGI application. Raises UsageError for settings under which it must not run."""
    settings.check()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts = build(settings, store, metrics)
        app.state.services = parts
        parts.atlas.open()
        parts.desk.open()
        parts.launching.open()
        try:
            yield
        finally:
            close(parts)

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
    _add_doors(app, settings, store, metrics)
    return app


def build(settings: ServiceSettings, store: Store, metrics: Metrics) -> Services:
    """The parts of a service, not yet open."""
    pools = Pools(answer_workers=settings.workers)
    atlas = AtlasKeeper(store, metrics)
    launching = Launching(store, settings, metrics)
    per_minute = settings.costly_per_minute
    return Services(
        settings=settings,
        store=store,
        metrics=metrics,
        pools=pools,
        desk=Desk(store, pools, settings, metrics),
        feeds=Feeds(metrics, most=settings.max_followers),
        holdings=Holdings(store, pools, settings),
        atlas=atlas,
        launching=launching,
        readiness=Readiness(store, atlas, launching, metrics),
        costly=TokenBuckets(per_s=per_minute / 60, burst=max(1.0, per_minute)),
        logins=TokenBuckets(per_s=settings.attempts_per_minute / 60, burst=settings.attempts_per_minute),
    )


def close(parts: Services) -> None:
    """Stop in the order that loses nothing: first whoever takes up work, then whoever does it."""
    parts.feeds.close()
    parts.launching.close()
    parts.desk.close()
    parts.atlas.close()
    parts.pools.close()


def _add_doors(app: FastAPI, settings: ServiceSettings, store: Store, metrics: Metrics) -> None:
    """The middleware, innermost first."""

    def limit_of(scope: Scope) -> int:
        upload = scope["method"] == "POST" and scope["path"] in UPLOADS
        return settings.max_upload_mb * MB if upload else settings.max_body_kb * 1024

    per_minute = settings.attempts_per_minute
    app.add_middleware(
        Gate,
        store=store,
        cookie=SECURE_COOKIE if settings.behind_tls_proxy else COOKIE,
        requests=TokenBuckets(per_s=settings.requests_per_s, burst=settings.requests_per_s),
        attempts=TokenBuckets(per_s=per_minute / 60, burst=per_minute),
        login_page=login_page().encode(),
    )
    app.add_middleware(Doorman, hosts=settings.hosts)
    app.add_middleware(
        Bodies,
        limit_of=limit_of,
        idle_s=settings.body_idle_timeout_s,
        min_bytes_per_s=settings.min_upload_kb_per_s * 1024,
    )
    app.add_middleware(Envelope, metrics=metrics, strict_transport=settings.behind_tls_proxy)
