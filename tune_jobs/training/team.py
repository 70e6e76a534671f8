"""One training on several GPUs of a node: a process for each, of which the first records.

Our own processes in place of those that ultralytics starts: its launcher writes a program into the user's
configuration folder, deletes the output folder and loads without restriction.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from recommender.errors import UsageError
from recommender.leftovers import TEMPORARY
from recommender.records import EpochMetrics, Run
from tune_jobs.local_environment import free_port
from tune_jobs.training.job import WORK_PREFIX, TrainingJob
from tune_jobs.training.process import TrainingProcess

POLL_S = 0.2
GRACE_S = 2.0  # in which a process that died is noticed, after another one failed for it
OnEpoch = Callable[[EpochMetrics], bool | None]


def train_together(job: TrainingJob, *, on_epoch: OnEpoch | None = None) -> Run:
    """The run of a job trained by `job.num_processes` processes that share each batch (DistributedDataParallel).

    Raises:
        UsageError: the job contradicts itself.
        RuntimeError: a process died; a resumable job goes on from its last state when trained again.
    """
    job.check()
    job.output.mkdir(parents=True, exist_ok=True)
    meeting_point = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(job.num_processes),
    }
    with ExitStack() as at_end:
        at_end.callback(_clear, job.output)  # after the last one is killed
        folder = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix=TEMPORARY)))
        team = []
        for rank in range(job.num_processes):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            team.append(TrainingProcess(folder / str(rank), variables=meeting_point | own))
            at_end.callback(team[-1].kill)
        for process in team:
            process.start(job)
        return _follow(team, on_epoch)


def _follow(team: list[TrainingProcess], on_epoch: OnEpoch | None) -> Run:
    """Wait until the first has its run, or another one fails, for then the first waits for it in vain."""
    first = team[0]
    while True:
        for process in team:
            word = process.poll(POLL_S if process is first else 0.0)
            if word is None:
                continue
            kind, said = word
            if kind == "epoch":
                process.answer(go_on=on_epoch is None or on_epoch(said) is not False)
            elif kind == "done" and (process is first or said.status == "failed"):
                run: Run = said
                if run.status == "failed":
                    _look_for_the_dead([other for other in team if other is not process], team)
                return run
            elif kind == "refused":
                raise UsageError(said)
            elif kind == "died":
                raise _death(process, said, team)


def _look_for_the_dead(others: list[TrainingProcess], team: list[TrainingProcess]) -> None:
    """Report a process that failed since another one did, as a crash after which to resume."""
    until = time.monotonic() + GRACE_S
    while others and (left_s := until - time.monotonic()) > 0:
        for process in list(others):
            word = process.poll(min(POLL_S, left_s))
            if word is not None and word[0] == "died":
                raise _death(process, word[1], team)
            if word is not None and word[0] == "done":
                others.remove(process)


def _death(process: TrainingProcess, how: str, team: list[TrainingProcess]) -> RuntimeError:
    return RuntimeError(f"Process {team.index(process) + 1} of {len(team)}: {how}")


def _clear(output: Path) -> None:
    """Away with what killed processes could not take away themselves."""
    for left in output.glob(f"{WORK_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
