"""Sweeps driven from outside the cluster (`ray://`): Ray Tune runs on the head, the decisions are made here.

Ray Tune cannot be driven through a Ray client. So an actor on the cluster runs the fit and asks its questions of a
trial_driver that lives with the store, in the process of the user. Nothing but that process writes to the store.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recommender.errors import UnavailableError
from recommender.home import home, subfolder
from tune_jobs.actor_storage import ActorStorage, StorageActor
from tune_jobs.artefact_transfer import Artefact, unreadable
from tune_jobs.cluster import TrialResources
from tune_jobs.sweep.resume_states import drop_state
from tune_jobs.sweep.trained import trained_name, trained_path
from tune_jobs.sweep.trial_driver import TrialDriver
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec

POLL_S = 0.3  # between two exchanges, and so what an answer may take longer than in one process
DRIVER_GONE_S = 120.0  # without an exchange: nobody waits for the answer any more


Question = tuple[int, str, tuple[Any, ...]]
EVENT_FIELDS = ("token", "kind", "note", "node", "unfit_on", "process", "memory_mb", "point", "run")
REMOTE_CALLS = frozenset({"next_id", "started", "receive", "worker_lost", "requeue"})  # made by the cluster


@dataclass(frozen=True, kw_only=True)
class DriverStatus:
    """The driver's state that Tune reads all the time, sent along with every exchange."""

    stop_reason: str | None = None
    is_over: bool = False
    wanted: frozenset[str] = frozenset()
    given_back: frozenset[str] = frozenset()
    silent: tuple[str, ...] = ()


def status_of(trial_driver: TrialDriver) -> DriverStatus:
    """The state of the trial driver."""
    view = trial_driver.view()
    return DriverStatus(
        stop_reason=trial_driver.stop_reason(),
        is_over=trial_driver.is_over(),
        wanted=frozenset(trial.id for trial in view.of_state("running")),
        given_back=frozenset(
            trial.id for trial in view.of_state("failed") if trial_driver.is_given_back(trial.id)
        ),
        silent=tuple(trial_driver.silent_trials()),
    )


class RemoteTrialDriver:
    """Stands for the trial driver where Ray Tune runs. Questions wait for their answers, statuses do not."""

    def __init__(self) -> None:
        self._status = DriverStatus()
        self._questions: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self._answers: dict[int, queue.SimpleQueue[Any]] = {}
        self._numbers = itertools.count()
        self._last_contact = time.monotonic()

    def exchange(self, answers: dict[int, Any], driver_status: DriverStatus) -> list[Question]:
        """Take the driver's answers, in a thread of its own, and return what is asked meanwhile."""
        self._last_contact, self._status = time.monotonic(), driver_status
        for number, answer in answers.items():
            self._answers[number].put(answer)
        asked: list[Question] = []
        with contextlib.suppress(queue.Empty):
            asked.append(self._questions.get(timeout=POLL_S))
            while True:
                asked.append(self._questions.get_nowait())
        return asked

    def next_id(self) -> str | None:
        """The trial to start next, asked of the trial driver."""
        found: str | None = None if self.is_over() else self._ask("next_id")
        return found

    def is_over(self) -> bool:
        """True if no trial will be started any more, a moment ago."""
        return self._status.is_over or self.stop_reason() is not None

    def stop_reason(self) -> str | None:
        """The reason why everything has to stop, a moment ago."""
        if time.monotonic() - self._last_contact > DRIVER_GONE_S:
            return "the driver is gone"
        return self._status.stop_reason

    def accepts(self, id: str) -> bool:
        """True if what this trial says mattered a moment ago."""
        return id in self._status.wanted

    def is_given_back(self, id: str) -> bool:
        """True if the slots that this trial took out were given back a moment ago."""
        return id in self._status.given_back

    def silent_trials(self) -> list[str]:
        """Trials whose actors had not sent an event for too long a moment ago."""
        return list(self._status.silent)

    def started(self, id: str) -> None:
        """Tell the trial driver that an actor takes the trial up."""
        self._ask("started", id)

    def receive(self, id: str, event: dict[str, Any]) -> str | None:
        """Hand an event to the trial driver; states lie here, so they are dropped here."""
        if event["kind"] == "run":
            drop_state(id)
        reason: str | None = self._ask("receive", id, {name: event.get(name) for name in EVENT_FIELDS})
        return reason

    def worker_lost(self, id: str, why: str) -> bool:
        """Ask the trial driver whether a lost trial may be started again."""
        return bool(self._ask("worker_lost", id, why))

    def requeue(self, id: str) -> None:
        """Tell the trial driver that Ray Tune has forgotten a lost trial."""
        self._ask("requeue", id)

    def _ask(self, method: str, *arguments: Any) -> Any:
        number = next(self._numbers)
        self._answers[number] = queue.SimpleQueue()
        self._questions.put((number, method, arguments))
        try:
            return self._answers[number].get(timeout=DRIVER_GONE_S)
        except queue.Empty:
            return None  # the next status says that the driver is gone
        finally:
            self._answers.pop(number, None)


class Host(StorageActor):
    """The actor on the cluster that runs the fits of a sweep driven from outside, and keeps its files."""

    def __init__(self) -> None:
        super().__init__()
        self._trial_driver = RemoteTrialDriver()

    def exchange(self, answers: dict[int, Any], driver_status: DriverStatus) -> list[Question]:
        """Take answers to questions, and return what is asked, as `RemoteTrialDriver.exchange`."""
        return self._trial_driver.exchange(answers, driver_status)

    def has(self, artefact: Artefact) -> bool:
        """True if the artefact lies here whole."""
        place = home() / _arrived(artefact)
        return place.exists() and place.stat().st_size == artefact.num_bytes

    def fit(
        self,
        specs: Sequence[TrialSpec],
        limits: TrialLimits,
        resources: TrialResources,
        versions: Mapping[str, str],
    ) -> None:
        """Run Ray Tune here until the trial driver is over."""
        import ray

        from tune_jobs.sweep.artefact_store import open_artefact_store
        from tune_jobs.sweep.trainable import SweepConfig
        from tune_jobs.sweep.tuning import run_fit

        here = ray.get_runtime_context().get_node_id()
        config = SweepConfig(
            specs={spec.id: _lying_here(spec) for spec in specs},
            limits=limits,
            artefact_store=open_artefact_store(here),
            home_node=here,
            num_gpus=resources.gpus,
            num_threads=resources.num_threads,
            versions=versions,
        )
        run_fit(self._trial_driver, config, cpus=resources.cpus, on_step=lambda: None)


def open_host(specs: Sequence[TrialSpec]) -> Any:
    """Start the host on the cluster's head and hand it the artefacts it has not got; it ends with its handle."""
    import ray

    options = {"num_cpus": 0, "max_concurrency": 4, "resources": {"node:__internal_head__": 0.001}}
    host = ray.remote(Host).options(**options).remote()
    artefacts = {spec.data.sha256: spec.data for spec in specs}
    artefacts |= {spec.weights.sha256: spec.weights for spec in specs if spec.weights is not None}
    for artefact in artefacts.values():
        if not ray.get(host.has.remote(artefact)):
            try:
                ActorStorage(lambda: host).put(_arrived(artefact), artefact.source)
            except OSError as error:
                raise unreadable(artefact.kind, artefact.source, error) from error
    return host


def fit_from_outside(
    host: Any,
    trial_driver: TrialDriver,
    specs: Sequence[TrialSpec],
    *,
    limits: TrialLimits,
    resources: TrialResources,
    on_step: Callable[[], None],
) -> None:
    """Run one fit on the host and answer its questions. Raises what broke the fit."""
    import ray

    from tune_jobs.sweep.trainable import versions_of_training

    future = host.fit.remote(list(specs), limits, resources, versions_of_training())
    answers: dict[int, Any] = {}
    while not ray.wait([future], timeout=0)[0]:
        questions = ray.get(host.exchange.remote(answers, status_of(trial_driver)))
        answers = {
            number: _answer(trial_driver, method, arguments) for number, method, arguments in questions
        }
        on_step()
    _bring_weights(host, trial_driver, specs)
    ray.get(future)


def _bring_weights(host: Any, trial_driver: TrialDriver, specs: Sequence[TrialSpec]) -> None:
    """Fetch the trained weights that are wanted here; what does not arrive is trained again when asked for."""
    finished = {trial.id for trial in trial_driver.view().of_state("finished")}
    for spec in specs:
        if not spec.job.keep or spec.id not in finished or trained_path(spec.id).exists():
            continue
        with tempfile.TemporaryDirectory(dir=subfolder("trained"), prefix=".arriving-") as folder:
            part = Path(folder) / "best.safetensors"
            if ActorStorage(lambda: host).get(trained_name(spec.id), part):
                part.replace(trained_path(spec.id))


def _answer(trial_driver: TrialDriver, method: str, arguments: tuple[Any, ...]) -> Any:
    if method not in REMOTE_CALLS:
        raise UnavailableError(
            f"The cluster asks {method!r} of the driver.", remedy="Use the same version there."
        )
    return getattr(trial_driver, method)(*arguments)


def _arrived(artefact: Artefact) -> str:
    """The artefact's file below the head's home."""
    return f"shipments/{artefact.sha256}.arrived"


def _lying_here(spec: TrialSpec) -> TrialSpec:
    weights = None if spec.weights is None else replace(spec.weights, source=home() / _arrived(spec.weights))
    return replace(spec, data=replace(spec.data, source=home() / _arrived(spec.data)), weights=weights)
