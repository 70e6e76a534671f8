"""Prometheus metrics, one registry per application."""

from __future__ import annotations

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
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters and gauges; routes are named by their template, so labels stay few."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "recommender_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "recommender_request_seconds",
            "Until the response began.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "recommender_requests_under_way", "Requests not yet answered.", registry=self.registry
        )
        self.followers = Gauge("recommender_followers", "Open event streams.", registry=self.registry)
        self.questions = Gauge(
            "recommender_questions", "Recommendations asked for.", ("status",), registry=self.registry
        )
        self.answer_seconds = Histogram(
            "recommender_answer_seconds",
            "From taking a question up to its answer.",
            buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
            registry=self.registry,
        )
        self.jobs = Gauge(
            "recommender_jobs", "Trainings and sweeps.", ("kind", "status"), registry=self.registry
        )
        self.budget = Gauge(
            "recommender_sweep_budget_seconds",
            "Of sweeps under way: seconds spent, and allowed where there is a budget.",
            ("part",),
            registry=self.registry,
        )
        self.runs = Gauge("recommender_runs", "Runs in the history.", ("status",), registry=self.registry)
        self.index_sets = Gauge(
            "recommender_index_datasets", "Data sets in the index.", registry=self.registry
        )
        self.index_swaps = Counter(
            "recommender_index_swaps", "Times the index was renewed.", registry=self.registry
        )
        self.launch_failures = Counter(
            "recommender_launcher_failures", "Rounds of the launcher that failed.", registry=self.registry
        )

    def page(self) -> bytes:
        """The metrics page."""
        return generate_latest(self.registry)
