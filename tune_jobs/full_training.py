"""One attempt of a full training, as a Ray job: `python -m tune_jobs.full_training STORAGE JOB ATTEMPT`.

It fetches its inputs, goes on from the newest state an earlier attempt left, trains, reports after every epoch, and
leaves results and then its outcome, all in its own folder of the storage. It knows no store: the launcher takes in
what it says, while its attempt counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recommender.errors import RecommenderError, StorageError, UnavailableError
from recommender.leftovers import TEMPORARY
from recommender.records import EpochMetrics, Run
from recommender.text import counted
from tune_jobs.artefact_transfer import Artefact, deliver
from tune_jobs.artefacts import write_artefacts
from tune_jobs.chunks import chunks_of
from tune_jobs.inputs import artefact_name
from tune_jobs.messages import (
    CARD,
    CRASH,
    OUTCOME,
    STATE,
    STATE_MANIFEST,
    AttemptOutcome,
    Crash,
    InputManifest,
    Report,
    ResultFile,
    ResumeStateManifest,
    Revoked,
)
from tune_jobs.orphans import end_with_node
from tune_jobs.storage import (
    RetryingStorage,
    Storage,
    attempt,
    get_record,
    inputs,
    open_storage,
    put_record,
    report,
    revoked,
)
from tune_jobs.training import TrainingJob, train

Train = Callable[..., Run]  # as tune_jobs.training.train
Finish = Callable[[TrainingJob], None]  # as tune_jobs.artefacts.write_artefacts
STATE_FILES = ("resume.pt", "results.csv")  # what an attempt needs to go on
STATE_SHARE = 0.1  # of the time may go into carrying the state away


def train_anywhere(job: TrainingJob, *, on_epoch: Callable[[EpochMetrics], bool]) -> Run:
    """The run of a training in this process, or in one for each GPU."""
    from tune_jobs.training.team import train_together

    return (train if job.num_processes == 1 else train_together)(job, on_epoch=on_epoch)


def main(
    arguments: list[str] | None = None,
    *,
    training: Train = train_anywhere,
    artefacts: Finish = write_artefacts,
) -> int:
    """Run the attempt; 0 when an outcome is left or nobody wants one, 1 when another attempt may do better."""
    if arguments is None:
        end_with_node()
    url, job_id, number = sys.argv[1:] if arguments is None else arguments
    one = TrainingAttempt(RetryingStorage(open_storage(url)), job_id, int(number))
    try:
        one.run(training, artefacts)
    except Exception as error:
        with contextlib.suppress(StorageError):
            one.last_words(error)
        raise
    return 0


class _NodeFaultError(Exception):
    """A training that its node broke: another attempt goes on from its state."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.error)
        self.run = run


class TrainingAttempt:
    """One attempt at one job."""

    def __init__(self, storage: Storage, job_id: str, number: int) -> None:
        self._storage = storage
        self._job_id = job_id
        self._number = number
        self._batches = 0
        self._state_carried_s = 0.0  # when, on the monotonic clock
        self._state_cost_s = 0.0
        self._state_every_s = 0.0
        self._output = Path()

    def run(self, training: Train, artefacts: Finish) -> None:
        """Train and leave an outcome, unless somebody else has taken over."""
        card = get_record(self._storage, inputs(self._job_id, CARD), InputManifest)
        if card is None or not self._wanted():
            return
        self._state_every_s = card.state_every_s
        with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}{self._job_id}-") as folder:
            self._output = Path(folder)
            try:
                job = self._training_job(card)
                self._fetch_state()
                run = training(job, on_epoch=self.on_epoch)
            except StorageError:
                raise
            except RecommenderError as error:  # the request itself: another attempt would meet the same
                self._leave(AttemptOutcome(status="failed", run=None, error=str(error)))
                return
            if run.status == "succeeded":
                artefacts(job)
                self._leave(
                    AttemptOutcome(status="succeeded", run=run, files=self._carry_results(job.output))
                )
            elif run.status == "failed":
                if (job.output / STATE_FILES[0]).exists():
                    # Its node broke it: out of memory, a GPU's fault. What the training itself broke leaves no state.
                    if run.curve:  # else it broke before its first epoch, or it is not the one that records
                        self._carry_state(run.curve[-1].epoch)
                    raise _NodeFaultError(run)
                self._leave(AttemptOutcome(status="failed", run=run, error=run.error))

    def on_epoch(self, point: EpochMetrics) -> bool:
        """Carry the state away now and then, report, and stop when nobody wants the result any more."""
        if (
            self._state_is_due()
        ):  # before the report: what was reported is never trained again, where it is carried
            self._carry_state(point.epoch)
        put_record(self._storage, report(self._job_id, self._number, self._batches), Report(points=(point,)))
        self._batches += 1
        return self._wanted()

    def last_words(self, error: BaseException) -> None:
        """Say why it ended, where that is still possible."""
        run = error.run if isinstance(error, _NodeFaultError) else None
        named = str(error) if run else f"{type(error).__name__}: {error}"
        crash = Crash(error=" ".join(named.split())[:500], run=run)
        put_record(self._storage, attempt(self._job_id, self._number, CRASH), crash)

    def _leave(self, outcome: AttemptOutcome) -> None:
        put_record(self._storage, attempt(self._job_id, self._number, OUTCOME), outcome)

    def _wanted(self) -> bool:
        return get_record(self._storage, revoked(self._job_id, self._number), Revoked) is None

    # ── inputs ──

    def _training_job(self, card: InputManifest) -> TrainingJob:
        spec = card.spec
        return TrainingJob(
            data=deliver(card.data, self._chunks),
            output=self._output,
            start=spec.start,
            architecture=spec.architecture,
            recipe=spec.recipe,
            kind="full",
            target_hash=spec.dataset_hash,
            target_name=spec.dataset_name,
            weights=None if card.weights is None else deliver(card.weights, self._chunks),
            weights_sha256=spec.weights_sha256,
            class_names=spec.class_names,
            source_hash=spec.source_hash,
            **_places(spec.gpus, card.num_threads),
            keep=True,
            resumable=True,
        )

    def _chunks(self, artefact: Artefact) -> Iterator[bytes]:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
            file = Path(folder) / "artefact"
            if not self._storage.get(artefact_name(self._job_id, artefact), file):
                raise StorageError(f"The {artefact.kind} of job {self._job_id} is not in the storage.")
            yield from chunks_of(file)

    # ── state ──

    def _fetch_state(self) -> None:
        """The newest whole state of an earlier attempt, where there is one."""
        for number in range(self._number - 1, 0, -1):
            card = get_record(
                self._storage, attempt(self._job_id, number, STATE_MANIFEST), ResumeStateManifest
            )
            if card is not None and all(self._fetch_state_file(number, card, file) for file in card.files):
                return
            for name in STATE_FILES:
                (self._output / name).unlink(missing_ok=True)

    def _fetch_state_file(self, number: int, card: ResumeStateManifest, file: ResultFile) -> bool:
        target = self._output / file.name
        name = attempt(self._job_id, number, f"{STATE}-{card.epochs_done}/{file.name}")
        return (
            file.name in STATE_FILES
            and self._storage.get(name, target)
            and _described(target, file.name) == file
        )

    def _state_is_due(self) -> bool:
        since_s = time.monotonic() - self._state_carried_s
        return since_s >= max(self._state_every_s, self._state_cost_s / STATE_SHARE)

    def _carry_state(self, epochs_done: int) -> None:
        """Files first, then the card that names them, then away with the older ones."""
        begun_s = time.monotonic()
        present = [name for name in STATE_FILES if (self._output / name).exists()]
        if not present:
            return
        older = get_record(
            self._storage, attempt(self._job_id, self._number, STATE_MANIFEST), ResumeStateManifest
        )
        for name in present:
            place = attempt(self._job_id, self._number, f"{STATE}-{epochs_done}/{name}")
            self._storage.put(place, self._output / name)
        files = tuple(_described(self._output / name, name) for name in present)
        card = ResumeStateManifest(epochs_done=epochs_done, files=files)
        put_record(self._storage, attempt(self._job_id, self._number, STATE_MANIFEST), card)
        if older is not None and older.epochs_done != epochs_done:
            self._storage.remove(attempt(self._job_id, self._number, f"{STATE}-{older.epochs_done}"))
        self._state_carried_s = time.monotonic()
        self._state_cost_s = self._state_carried_s - begun_s

    # ── results ──

    def _carry_results(self, output: Path) -> tuple[ResultFile, ...]:
        files = []
        for path in sorted(output.rglob("*")):
            name = path.relative_to(output).as_posix()
            if path.is_file() and name not in ("resume.pt", "best.safetensors"):
                self._storage.put(attempt(self._job_id, self._number, f"results/{name}"), path)
                files.append(_described(path, name))
        return tuple(files)


def _described(path: Path, name: str) -> ResultFile:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return ResultFile(name=name, sha256=digest, num_bytes=path.stat().st_size)


def _places(asked: int | None, num_threads: int) -> dict[str, Any]:
    """Device and processes of the training: on the GPUs that Ray has given to this process, else on the CPU.

    A job that asked for none sees those of its node all the same.
    """
    if asked == 0:
        return {"device": "cpu", "num_processes": 1, "num_threads": num_threads}
    gpus = asked or 1
    from tune_jobs.training import prepare_environment

    prepare_environment()
    import torch

    found = torch.cuda.device_count()
    if gpus > 1 and found < gpus:
        raise UnavailableError(
            f"{counted(gpus, 'GPU')} were asked for, the node gives {found}.",
            remedy="Ask for fewer, or name a cluster whose nodes have as many.",
        )
    device = "cuda:0" if found else "cpu"
    return {"device": device, "num_processes": gpus, "num_threads": max(1, num_threads // gpus)}


if __name__ == "__main__":
    sys.exit(main())
