"""The recommendation queue: returns cached answers, and has worker processes compute the others."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from pydantic import ValidationError

from recommender import __version__
from recommender.checkpoints.catalogue import fetched_names
from recommender.errors import ConflictError, RecommenderError, StorageError
from recommender.profile import ENCODER
from recommender.records import JOB_ENDED, Lease
from recommender.requests import RecommendRequest, at_usual_size
from recommender.store import Store
from recommender.store.clock import utc_now
from recommender.store.recommendation_jobs import MAX_ATTEMPTS, OPEN
from recommender.store.service_records import RecommendationJob, RegisteredDataset
from service.auth import Caller
from service.dataset_task import known_task, require_task
from service.logs import logger, where
from service.metrics import Metrics
from service.problems import HTTPProblem, problem_of
from service.settings import ServiceSettings
from service.workers import tasks
from service.workers.pools import TaskResult, WorkerPools, task_result
from service.workers.rounds import Rounds
from tune_jobs.leases import Leases

POLL_INTERVAL_S = 0.5
PAUSE_S = 2.0  # after a round that failed: the store is away for a moment, or worse
MAX_POLLED = 1000  # unfinished recommendations looked at in one round
MAX_CACHED_ANSWERS = 512  # kept in memory, some 20 kB each
FINGERPRINT_TTL_S = 0.25  # how long the fingerprint of what is known is believed


@dataclass(frozen=True, kw_only=True)
class _RunningTask:
    ask: RecommendationJob
    future: Future[TaskResult[str]]
    started_s: float


class RecommendationQueue(Rounds):
    """One per service. Its thread leases recommendation jobs from the store, which several services may share."""

    def __init__(self, store: Store, pools: WorkerPools, settings: ServiceSettings, metrics: Metrics) -> None:
        super().__init__(
            "recommendation-queue", every_s=POLL_INTERVAL_S, failure="the recommendation queue pauses"
        )
        self._store = store
        self._pools = pools
        self._settings = settings
        self._metrics = metrics
        self._holder = secrets.token_hex(8)
        self._running: dict[str, _RunningTask] = {}
        self._started_s: dict[str, float] = {}  # when an owner's newest one was started
        self._fingerprint: tuple[float, str] = (-1.0, "")
        self._answers: OrderedDict[tuple[str, str, str], RecommendationJob] = (
            OrderedDict()
        )  # by key, owner and data set
        self._lock = threading.Lock()
        self._leases = Leases(store.recommendations, self._holder)

    def close(self) -> None:
        """Stop the thread and requeue what is not answered."""
        super().close()
        for entry in self._running.values():
            entry.future.cancel()
        with contextlib.suppress(StorageError):  # away: the leases run out by themselves
            self._store.recommendations.release(self._holder)

    def submit(
        self,
        caller: Caller,
        held: RegisteredDataset,
        request: RecommendRequest,
        *,
        on_new_work: Callable[[], None],
    ) -> RecommendationJob:
        """The recommendation: answered already where the answer is cached, else queued.

        `on_new_work` is called before work is queued and may refuse it. Raises HTTPProblem, and UsageError for a task
        that the data set was not read for.
        """
        require_task(self._store, held, request.task)
        if held.task_named:
            request = request.model_copy(update={"task": held.task})
        task = request.task or known_task(self._store, held)
        request = request if task is None else at_usual_size(request, task)
        # A size that is to be chosen stays open, and one that only reading the data set, and so its task, tells.
        unasked = {"dataset", "allow_roots"} | ({"imgsz"} - request.model_fields_set)
        question = json.dumps(request.model_dump(exclude=unasked), sort_keys=True)
        key = self._cache_key(held.dataset_hash, question)
        known = self._cached_answer(key, caller.owner, held.id)
        known = known or self._store.recommendations.find(key, *OPEN, owner=caller.owner, dataset_id=held.id)
        if known is not None:
            return known
        on_new_work()
        if self._store.recommendations.count_open(caller.owner) >= self._settings.max_waiting:
            raise HTTPProblem(
                429,
                "too-many",
                "Too many of your questions wait already.",
                remedy="Wait for answers, or cancel some.",
                headers={"Retry-After": "30"},
            )
        ask = self._store.recommendations.add(
            RecommendationJob(
                id=f"rec_{secrets.token_hex(8)}",
                owner=caller.owner,
                dataset_id=held.id,
                dataset_hash=held.dataset_hash,
                question=question,
                cache_key=key,
                status="queued",
                created_at=utc_now(),
            )
        )
        self._wake.set()
        return ask

    def wait(self, ask: RecommendationJob, seconds: float) -> RecommendationJob:
        """The recommendation once it is finished, or as it stands after so many seconds."""
        end = time.monotonic() + seconds
        while ask.status not in JOB_ENDED and time.monotonic() < end:
            time.sleep(0.05)
            ask = self._store.recommendations.get(ask.id) or ask
        return ask

    def cancel(self, id: str) -> bool:
        """Cancel a recommendation; False when it is finished already."""
        done = self._store.recommendations.cancel(id)
        self._wake.set()
        return done

    def _cached_answer(self, key: str, owner: str, dataset_id: str) -> RecommendationJob | None:
        """The finished recommendation with this cache key, from memory or from the store; None where there is none."""
        cache_key = (key, owner, dataset_id)
        with self._lock:
            if cache_key in self._answers:
                self._answers.move_to_end(cache_key)
                return self._answers[cache_key]
        found = self._store.recommendations.find(key, "succeeded", owner=owner, dataset_id=dataset_id)
        if found is not None:
            with self._lock:
                self._answers[cache_key] = found
                while len(self._answers) > MAX_CACHED_ANSWERS:
                    self._answers.popitem(last=False)
        return found

    def _cache_key(self, dataset_hash: str, question: str) -> str:
        now = time.monotonic()
        if now - self._fingerprint[0] > FINGERPRINT_TTL_S:
            known = " ".join((self._store.fingerprint(), *fetched_names()))
            self._fingerprint = (now, known)
        parts = (__version__, ENCODER, self._fingerprint[1], dataset_hash, question)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _failed(self, error: Exception) -> None:
        super()._failed(error)
        self._closing.wait(PAUSE_S)

    def _round(self) -> None:
        for id, entry in list(self._running.items()):
            if entry.future.done():
                del self._running[id]
                self._finish(entry)
        waiting = self._store.recommendations.open(limit=MAX_POLLED)
        for id in self._running.keys() - {ask.id for ask, _ in waiting}:  # cancelled, or another's by now
            self._running.pop(id).future.cancel()
        self._leases.forget({ask.id for ask, _ in waiting})
        for ask, lease in in_turn(waiting, self._started_s):
            if ask.id in self._running:
                if not self._leases.holds(ask.id, lease):
                    self._running.pop(ask.id).future.cancel()
            elif len(self._running) < self._settings.workers and self._leases.holds(ask.id, lease):
                self._start(ask)

    def _start(self, ask: RecommendationJob) -> None:
        held = self._store.datasets.get(ask.dataset_id)
        if held is None:
            self._fail(ask, ConflictError("The data set was removed before the question was answered."))
        elif self._store.recommendations.num_attempts(ask.id) > MAX_ATTEMPTS:
            self._fail(
                ask, ConflictError(f"The answer was given up after {MAX_ATTEMPTS} services had died of it.")
            )
        else:
            try:
                request = RecommendRequest.model_validate(json.loads(ask.question) | {"dataset": held.path})
            except ValidationError:  # of another version that shares the store: it keeps nobody else waiting
                self._fail(
                    ask, ConflictError("Another version took this question, which is not understood here.")
                )
                return
            future = self._pools.submit_recommendation(
                self._settings.answer_timeout_s,
                tasks.compute_recommendation,
                self._store.url,
                ask.id,
                request.model_dump_json(exclude_unset=True),
            )
            future.add_done_callback(lambda _: self._wake.set())
            self._running[ask.id] = _RunningTask(ask=ask, future=future, started_s=time.monotonic())
            self._started_s[ask.owner] = time.monotonic()

    def _finish(self, entry: _RunningTask) -> None:
        ask = entry.ask
        try:
            document = task_result(entry.future)
            if json.loads(document)["dataset"]["hash"] != ask.dataset_hash:
                raise ConflictError(
                    "The data set has changed since it was given to the service.",
                    remedy="Give it again: POST /v1/datasets.",
                )
        except RecommenderError as error:
            self._fail(ask, error)
        except Exception as error:
            logger().error("no answer", recommendation=ask.id, failed_in=where(error), message=str(error))
            self._fail(ask, None)
        else:
            self._metrics.answer_seconds.observe(time.monotonic() - entry.started_s)
            self._store.recommendations.finish(
                ask.id, holder=self._holder, status="succeeded", document=document
            )

    def _fail(self, ask: RecommendationJob, error: RecommenderError | None) -> None:
        problem = problem_of(error, f"/v1/recommendations/{ask.id}").model_dump_json(exclude_none=True)
        self._store.recommendations.finish(ask.id, holder=self._holder, status="failed", problem=problem)


def in_turn(
    waiting: Sequence[tuple[RecommendationJob, Lease]], started_s: Mapping[str, float]
) -> list[tuple[RecommendationJob, Lease]]:
    """One recommendation of each owner after the other, first of those who were served least recently.

    Within an owner the order stays. `started_s` is when an owner's newest one was started.
    """
    of_owner: dict[str, list[tuple[RecommendationJob, Lease]]] = {}
    for item in waiting:
        of_owner.setdefault(item[0].owner, []).append(item)
    owners = sorted(of_owner, key=lambda owner: started_s.get(owner, 0.0))
    rounds = itertools.zip_longest(*(of_owner[owner] for owner in owners))
    return [item for items in rounds for item in items if item is not None]
