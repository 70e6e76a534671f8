"""Ray Tune, driven by the trial driver through Tune's own searcher, scheduler, stopper and callback interfaces."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from recommender.leftovers import TEMPORARY
from tune_jobs.sweep.trainable import SweepConfig
from tune_jobs.sweep.trial_slot import trial_slot

UNFIT = ""  # stands for our trial in one of Tune's that only keeps the slot of a node that cannot train
ENDLESS = -1  # restarts are the trial driver's to count
TUNE_VARIABLES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard file per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
    "MLFLOW_DISABLE_TELEMETRY": "true",  # Tune imports MLflow where it is installed, to count who uses it
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "120",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class TrialDriving(Protocol):
    """Calls from Tune to the trial driver, or to what stands for it on a cluster it is not on."""

    def next_id(self) -> str | None:
        """The trial to start next; None when there is none just now."""

    def is_over(self) -> bool:
        """True if nothing more is to be started."""

    def stop_reason(self) -> str | None:
        """The reason why everything stops at once; None while it does not."""

    def accepts(self, id: str) -> bool:
        """True if what this trial says still counts."""

    def is_given_back(self, id: str) -> bool:
        """True if nodes were found unfit by this trial and it was at fault: other trials may have their slots."""

    def silent_trials(self) -> list[str]:
        """Trials whose actors have not been heard for too long."""

    def started(self, id: str) -> None:
        """An actor has taken this trial."""

    def receive(self, id: str, event: dict[str, Any]) -> str | None:
        """Take in an event of an actor; returns the reason why its trial is to stop, if it is."""

    def worker_lost(self, id: str, why: str) -> bool:
        """The actor of this trial is gone; answers whether the trial is begun again."""

    def requeue(self, id: str) -> None:
        """The trial is to be suggested anew."""


def run_fit(
    trial_driver: TrialDriving, config: SweepConfig, *, cpus: float, on_step: Callable[[], None]
) -> None:
    """Run Ray Tune until the trial driver is over. Returns normally or raises what broke the fit as a whole."""
    resources = {"CPU": cpus} | ({"GPU": config.num_gpus} if config.num_gpus else {})
    searcher = _Searcher(trial_driver)
    pickled = ray.cloudpickle.dumps(config)
    with _tune_settings(), tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        # Nothing in that folder is ever read again: what counts is in the store and in the user's storage.
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial_slot(), sweep=pickled), resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=_Scheduler(trial_driver, searcher),
                num_samples=-1,  # until the searcher says that it is finished
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial_{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=folder,
                verbose=0,
                stop=_Stopper(trial_driver),
                callbacks=[_Callback(trial_driver, searcher, on_step)],
                failure_config=tune.FailureConfig(max_failures=ENDLESS),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )
        tuner.fit()


class _Tied:
    """An object that Tune must not copy: it pickles what it is given, to restore from; we restore from the store."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class _Searcher(_Tied, Searcher):  # type: ignore[misc]
    """Asks the trial driver for the next trial; Tune's trial ids are mapped to ours."""

    def __init__(self, trial_driver: TrialDriving) -> None:
        super().__init__(metric="none", mode="max")
        self._trial_driver = trial_driver
        self.ids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        id = self._trial_driver.next_id()
        if id is not None:
            self.ids[trial_id] = id
            return {"id": id}
        return Searcher.FINISHED if self._trial_driver.is_over() else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the trial driver of a trial that Tune thinks has ended: Tune would wait for ever for one that runs."""
        id = self.ids[trial_id]
        if self._trial_driver.accepts(id):
            self._trial_driver.worker_lost(id, "it ended without a result")
            self._trial_driver.requeue(id)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a sweep resumes from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Not called: nothing pickled by Tune is ever loaded."""


class _Scheduler(_Tied, FIFOScheduler):  # type: ignore[misc]
    """Passes what trials say to the trial driver, and its answers back to their actors."""

    def __init__(self, trial_driver: TrialDriving, searcher: _Searcher) -> None:
        super().__init__()
        self._trial_driver = trial_driver
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        id = self._searcher.ids[trial.trial_id]
        if id == UNFIT and result.get("kind") == "unfit" and not self._trial_driver.is_over():
            given_back = result.get("unfit_on") and self._trial_driver.is_given_back(result["id"])
            return str(TrialScheduler.STOP if given_back else TrialScheduler.CONTINUE)
        if not self._trial_driver.accepts(id):
            return str(TrialScheduler.STOP)
        if result.get("id") == id:
            if result.get("kind") == "unfit":
                self._searcher.ids[trial.trial_id] = UNFIT
            reason = self._trial_driver.receive(id, result)
            actor = trial.temporary_state.ray_actor
            if reason is not None and actor is not None:
                # Before the next `train` call in the actor's queue: the run ends at this epoch and is whole.
                actor.request_stop.remote(id, reason)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A result that says "done" comes here only."""
        id = self._searcher.ids[trial.trial_id]
        if self._trial_driver.accepts(id) and result.get("id") == id and result.get("kind") == "run":
            self._trial_driver.receive(id, result)


class _Stopper(_Tied, tune.Stopper):  # type: ignore[misc]
    def __init__(self, trial_driver: TrialDriving) -> None:
        self._trial_driver = trial_driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._trial_driver.stop_reason() is not None


class _Callback(_Tied, tune.Callback):  # type: ignore[misc]
    """Tells the trial driver of starts and losses, kills actors that fell silent, and lets the display draw."""

    def __init__(self, trial_driver: TrialDriving, searcher: _Searcher, on_step: Callable[[], None]) -> None:
        self._trial_driver = trial_driver
        self._searcher = searcher
        self._on_step = on_step

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._trial_driver.started(self._searcher.ids[trial.trial_id])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if not self._trial_driver.worker_lost(self._searcher.ids[trial.trial_id], _why(trial)):
            trial.max_failures = 0  # Tune has queued it again; its first word ends it, or its next failure

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._trial_driver.worker_lost(self._searcher.ids[trial.trial_id], _why(trial))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        for id in self._trial_driver.silent_trials():
            for trial in trials:
                actor = trial.temporary_state.ray_actor
                if actor is not None and self._searcher.ids.get(trial.trial_id) == id:
                    ray.kill(actor, no_restart=True)
        self._on_step()


def _why(trial: Any) -> str:
    """The last line of what Tune wrote about the failure."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        lines = Path(trial.error_file).read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return lines[-1].strip()[:300]
    return "its worker process or node died"


@contextlib.contextmanager
def _tune_settings() -> Iterator[None]:
    """Tune's switches for the time of the fit, and its loggers silent: what matters is in the runs."""
    before = {name: os.environ.get(name) for name in TUNE_VARIABLES}
    logger = logging.getLogger("ray.tune")
    level = logger.level
    os.environ.update(TUNE_VARIABLES)
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
