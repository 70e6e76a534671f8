"""Prometheus metrics, one registry per application."""

from __future__ import annotations

from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double every series
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ANSWER_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """Counters and gauges; routes are named by their template, so labels stay few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        route = ("method", "route")
        self.requests = counter("recommender_requests", "Requests answered.", (*route, "status"))
        self.seconds = histogram(
            "recommender_request_seconds", "Until the response began.", route, buckets=_REQUEST_S
        )
        self.under_way = gauge("recommender_requests_under_way", "Requests not yet answered.")
        self.followers = gauge("recommender_followers", "Open event streams.")
        self.questions = gauge("recommender_questions", "Recommendations asked for.", ("status",))
        self.answer_seconds = histogram(
            "recommender_answer_seconds", "From taking a question up to its answer.", buckets=_ANSWER_S
        )
        self.jobs = gauge("recommender_jobs", "Trainings and sweeps.", ("kind", "status"))
        self.budget = gauge(
            "recommender_sweep_budget_seconds",
            "Of sweeps under way: seconds spent, and allowed where there is a budget.",
            ("part",),
        )
        self.runs = gauge("recommender_runs", "Runs in the history.", ("status",))
        self.index_sets = gauge("recommender_index_datasets", "Data sets in the index.")
        self.index_swaps = counter("recommender_index_swaps", "Times the index was renewed.")
        self.launch_failures = counter("recommender_launcher_failures", "Rounds of the launcher that failed.")

    def page(self) -> bytes:
        """The metrics page."""
        return generate_latest(self.registry)
