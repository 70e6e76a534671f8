"""`run_trials`: trials on a Ray cluster, resumable, each counted once, within a hard budget."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FrameType

from recommender.errors import UnavailableError, UsageError
from recommender.records import Run
from recommender.store import Store
from recommender.text import counted
from tune_jobs.cluster import Cluster, TrialResources, connect, trial_resources
from tune_jobs.storage import UrlStorage, require_writable
from tune_jobs.sweep.compute_budget import ComputeBudget
from tune_jobs.sweep.display import Display, Silent
from tune_jobs.sweep.estimated import estimates_of
from tune_jobs.sweep.policy import NOT_WANTED, NOTHING_FITS, Policy, RunAll, SweepView, TrialView
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trial_driver import Slots, TrialDriver
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec

MAX_BROKEN_FITS = 5  # in a row, with no trial ended in between: something is wrong with the cluster
INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """Cluster, resources, budget and limits of a sweep."""

    address: str | None = None  # None: a local cluster, or RAY_ADDRESS
    allow_loopback: bool = True  # a head at a loopback address need not ask for a token
    num_cpus: int | None = None  # of a local cluster
    gpus_per_trial: float | None = None
    cpus_per_trial: float | None = None
    max_parallel: int | None = None
    budget: str | None = None
    storage: str | None = None  # a path or URL that keeps finished runs beside the store
    limits: TrialLimits = field(default_factory=TrialLimits)


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The result of a sweep. `reason` None: every trial came to its end."""

    view: SweepView
    reason: str | None

    @property
    def trials(self) -> tuple[TrialView, ...]:
        """Every trial, in the order asked for."""
        return self.view.trials

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that count, known before or new, in the order asked for."""
        return tuple(trial.run for trial in self.view.of_state("finished") if trial.run is not None)

    @property
    def was_interrupted(self) -> bool:
        """True if Ctrl-C or a signal ended it."""
        return self.reason == INTERRUPTED


def run_trials(
    specs: Sequence[TrialSpec],
    *,
    store: Store,
    settings: SweepSettings | None = None,
    policy: Policy | None = None,
    display: Display | None = None,
    began_at: float | None = None,
    device_s_before: float = 0.0,
    stop: Callable[[], str | None] | None = None,
) -> SweepResult:
    """Run the trials that the history does not know yet and record each as it ends.

    Ctrl-C, SIGTERM or a terminal that is closed ends it with everything finished kept; the same call goes on from
    there. A trial that fails, hangs or runs out of memory is recorded as failed and the others go on. `began_at` is
    the moment, on `time.monotonic`'s clock, from which a wall budget counts; `device_s_before` are seconds of devices
    spent before. `stop` is asked now and then and may return a reason to end.

    Raises:
        UsageError: two trials are one, the budget is not understood, or no node is large enough.
        UnavailableError: the cluster cannot be reached, or breaks again and again.
        StorageError: store or storage refuse; what was finished before is kept.
    """
    settings, policy = settings or SweepSettings(), policy or RunAll()
    _require_distinct(specs)
    storage = None if settings.storage is None else UrlStorage(settings.storage)
    driver_for = partial(
        TrialDriver,
        specs,
        recorder=RunRecorder(
            store,
            storage,
            keeping=[spec.id for spec in specs if spec.job.keep],
            estimates=estimates_of(specs, store, gpus_per_trial=settings.gpus_per_trial),
        ),
        policy=policy,
        compute_budget=ComputeBudget.parse(settings.budget),
        limits=settings.limits,
        began_at=time.monotonic() if began_at is None else began_at,
        device_s_before=device_s_before,
    )
    known = driver_for(slots=Slots(count=0, device="cpu", devices_per_trial=0.0))
    if policy.next(known.view()) is None:  # no cluster is started for nothing
        return _result(known, otherwise=NOT_WANTED)
    if storage is not None:
        require_writable(storage)
    num_waiting = len(known.view().of_state("waiting"))
    return _run_on_cluster(specs, settings, driver_for, num_waiting, display=display, stop=stop)


def _run_on_cluster(
    specs: Sequence[TrialSpec],
    settings: SweepSettings,
    driver_for: Callable[..., TrialDriver],
    num_waiting: int,
    *,
    display: Display | None,
    stop: Callable[[], str | None] | None,
) -> SweepResult:
    """Start or join the cluster, and run the trials that wait; the driver is made once its slots are known."""
    joined = connect(settings.address, num_cpus=settings.num_cpus, allow_loopback=settings.allow_loopback)
    with joined as cluster:
        resources = trial_resources(
            cluster.nodes(),
            gpus_per_trial=settings.gpus_per_trial,
            cpus_per_trial=settings.cpus_per_trial,
            num_trials=num_waiting,
        )
        devices = resources.gpus or resources.cpus
        trial_driver = driver_for(
            slots=Slots(
                count=resources.num_slots,
                max_parallel=settings.max_parallel,
                device=resources.device,
                devices_per_trial=devices,
            )
        )
        with _interruptible(trial_driver):
            on_step = _watcher(trial_driver, display, stop)
            _drive(trial_driver, specs, cluster, resources, settings.limits, on_step)
    return _result(trial_driver)


def _drive(
    trial_driver: TrialDriver,
    specs: Sequence[TrialSpec],
    cluster: Cluster,
    resources: TrialResources,
    limits: TrialLimits,
    on_step: Callable[[], None],
) -> None:
    """Fit until all is over. A trial killed for memory by Ray itself breaks the whole fit: then fit again."""
    fit = _fit_on(cluster, trial_driver, specs, resources, limits, on_step)
    broken_in_a_row = 0
    while not trial_driver.is_over():
        ended = trial_driver.num_ended
        try:
            fit()
        except Exception as error:  # of any kind: Ray Tune wraps what it meets in several of its own
            if _is_cut_off(cluster):
                raise UnavailableError(
                    "The connection to the cluster was lost.",
                    remedy="The same command goes on with what is finished.",
                ) from error
            broken_in_a_row = 1 if trial_driver.num_ended > ended else broken_in_a_row + 1
            if broken_in_a_row >= MAX_BROKEN_FITS:
                raise UnavailableError(
                    f"Ray Tune broke {broken_in_a_row} times in a row: {_last_line(error)}",
                    remedy="Look at the cluster (`ray status`); the same command goes on with what is finished.",
                ) from error
        if not trial_driver.is_over():
            trial_driver.requeue_running("its fit broke, out of memory perhaps")
    on_step()


def _fit_on(
    cluster: Cluster,
    trial_driver: TrialDriver,
    specs: Sequence[TrialSpec],
    resources: TrialResources,
    limits: TrialLimits,
    on_step: Callable[[], None],
) -> Callable[[], None]:
    """One fit of Ray Tune: in this process, or on the cluster when this one is outside."""
    from tune_jobs.sweep.artefact_store import open_artefact_store
    from tune_jobs.sweep.remote_driver import fit_from_outside, open_host
    from tune_jobs.sweep.trainable import SweepConfig, versions_of_training
    from tune_jobs.sweep.tuning import run_fit

    if cluster.node_id is None:
        host = open_host(specs)
        return partial(
            fit_from_outside, host, trial_driver, specs, limits=limits, resources=resources, on_step=on_step
        )
    alone = cluster.is_local and len(cluster.nodes()) == 1
    config = SweepConfig(
        specs={spec.id: spec for spec in specs},
        limits=limits,
        artefact_store=None if alone else open_artefact_store(cluster.node_id),
        home_node=cluster.node_id,
        num_gpus=resources.gpus,
        num_threads=resources.num_threads,
        versions=versions_of_training(),
    )
    return partial(run_fit, trial_driver, config, cpus=resources.cpus, on_step=on_step)


def _is_cut_off(cluster: Cluster) -> bool:
    """True if this process is outside the cluster and Ray has given its connection up: it is not taken up again."""
    from ray.util.client import ray as client

    return cluster.node_id is None and not client.is_connected()


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]


def _watcher(
    trial_driver: TrialDriver, display: Display | None, stop: Callable[[], str | None] | None
) -> Callable[[], None]:
    shown = display or Silent()

    def on_step() -> None:
        nonlocal shown
        reason = None if stop is None else stop()
        if reason is not None:
            trial_driver.stop(reason)
        try:
            shown.show(trial_driver.view())
        except OSError:  # its reader, say `head`, has gone; raised into Ray Tune it would break every fit
            shown = Silent()

    return on_step


def _result(trial_driver: TrialDriver, *, otherwise: str = NOTHING_FITS) -> SweepResult:
    trial_driver.close()
    if trial_driver.error is not None:
        raise trial_driver.error
    view = trial_driver.view()
    finished = not view.of_state("waiting", "cut off")
    return SweepResult(view=view, reason=None if finished else trial_driver.stop_reason() or otherwise)


@contextlib.contextmanager
def _interruptible(trial_driver: TrialDriver) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or end of the terminal asks for the end; a second one is not held back."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread; a service stops a sweep by other means
        return
    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        trial_driver.stop(INTERRUPTED)
        for known, handler in before.items():
            signal.signal(known, handler)

    for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if caught != signal.SIGHUP or signal.getsignal(caught) != signal.SIG_IGN:  # else `nohup` means it
            before[caught] = signal.signal(caught, ask)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


def _require_distinct(specs: Sequence[TrialSpec]) -> None:
    twice = sorted(id for id, count in Counter(spec.id for spec in specs).items() if count > 1)
    if twice:
        raise UsageError(
            f"Asked for twice: {counted(len(twice), 'trial')}, {twice[0]} among them.",
            remedy="Name each start once.",
        )
