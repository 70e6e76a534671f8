"""`train(job)`: the one training function, for trials and full runs alike."""

from __future__ import annotations

import gc
import hashlib
import json
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommender.class_names import mapped, overlap
from recommender.errors import IntegrityError, StorageError, TrialError
from recommender.families.ultralytics.architectures import frozen_layers
from recommender.records import EpochMetrics, Run
from recommender.text import counted
from tune_jobs.address_space import limited_to
from tune_jobs.training.environment import prepare_environment
from tune_jobs.training.hardware import describe_environment
from tune_jobs.training.job import BEST_WEIGHTS, DISK_FULL, STATE_FILE, WORK_PREFIX, TrainingJob
from tune_jobs.training.record import blank_record
from tune_jobs.training.tracking import Tracking

if TYPE_CHECKING:
    import torch

    from tune_jobs.training.trainer import OnEpoch, RunTrainer

SMALL_BATCH = 4  # batch norm statistics over fewer images are too noisy for random weights


def train(job: TrainingJob, *, on_epoch: OnEpoch | None = None) -> Run:
    """Train one start on one data set and return its record.

    `on_epoch` is called after each epoch; returning False ends the run cleanly with status "stopped".
    A training that breaks (a loss that is not finite, out of memory) returns status "failed" with the
    error and the points before it; only a job that could not begin raises.

    Raises:
        UsageError: the job contradicts itself.
        IntegrityError: the weights are not those recorded.
        UnavailableError: ultralytics cannot be used safely in this process.
    """
    job.check()
    prepare_environment()
    clock = _Clock()
    state, weights_sha256 = _read_weights(job)
    job.output.mkdir(parents=True, exist_ok=True)
    record = replace(
        blank_record(job, describe_environment(job.device, job.num_threads, job.num_processes)),
        weights_sha256=weights_sha256,
    )
    with tempfile.TemporaryDirectory(dir=job.output, prefix=WORK_PREFIX) as folder:
        tracking = Tracking(job)
        outcome = _Outcome(job, folder, _followed_by(tracking, on_epoch))
        try:
            outcome.go(state)
        except (TrialError, RuntimeError, MemoryError) as error:
            if isinstance(error, TrialError):  # going on from there would break again
                (job.output / STATE_FILE).unlink(missing_ok=True)
            tracking.end("failed")
            outcome.notes += tracking.notes
            said = _one_line(error) + ("" if isinstance(error, TrialError) else limited_to())
            return replace(outcome.complete(record, clock), status="failed", error=said)
        finally:
            outcome.release()
        outcome.notes += tracking.notes
        run = outcome.complete(record, clock)
        tracking.end(run.status)
        if job.keep:
            outcome.write_weights()
        if run.status == "succeeded":
            (job.output / STATE_FILE).unlink(missing_ok=True)
        return run


def _followed_by(tracking: Tracking, on_epoch: OnEpoch | None) -> OnEpoch:
    """Report every epoch, then ask the caller, whose word counts."""

    def both(point: EpochMetrics) -> bool | None:
        tracking.log(point)
        return None if on_epoch is None else on_epoch(point)

    return both


@dataclass(frozen=True)
class _Clock:
    """The moment a training began, by the wall and by the processor."""

    wall_s: float = field(default_factory=time.monotonic)
    cpu_s: float = field(default_factory=time.process_time)


class _Outcome:
    """One training in progress and what is known of it, also after it broke."""

    def __init__(self, job: TrainingJob, folder: str, on_epoch: OnEpoch | None) -> None:
        self.job = job
        self.folder = folder
        self.on_epoch = on_epoch
        self.trainer: RunTrainer | None = None
        self.weights_transferred: float | None = None
        self.notes: list[str] = []
        self._result: dict[str, Any] = {}
        self._best_state: dict[str, torch.Tensor] | None = None
        self._names: tuple[str, ...] = ()

    def go(self, state: dict[str, torch.Tensor] | None) -> None:
        from ultralytics.utils.torch_utils import init_seeds

        from recommender.checkpoints import build_model, require_filled, transfer
        from tune_jobs.training.dataset import read_data_yaml
        from tune_jobs.training.normalisation import use_group_norm
        from tune_jobs.training.trainer import TRAINERS

        job = self.job
        names = tuple(read_data_yaml(job.data)["names"].values())
        self._names = names
        init_seeds(job.recipe.seed + 1, deterministic=True)
        model = build_model(job.architecture, len(names))
        known: list[int] = []
        if state is not None:
            called = mapped(names, dict(job.recipe.class_map))
            transferred = transfer(state, job.class_names, model, called)
            num_frozen = frozen_layers(job.architecture, job.start.mode, job.recipe.freeze)
            require_filled(job.start.checkpoint, transferred, num_frozen)
            self.weights_transferred = transferred.share()
            known = [match.target for match in overlap(called, job.class_names or ())]
        if job.recipe.normalisation == "group":
            use_group_norm(model)
            self.notes.append("group norm in place of batch norm; running statistics do not transfer")
            known = []  # not the checkpoint's own score any more
        trainer = TRAINERS[job.task](
            job, model, known_classes=known, save_dir=self.folder, on_epoch=self.on_epoch
        )
        self.trainer = trainer
        trainer.train()

    def release(self) -> None:
        """Take the numbers out of the trainer and let go of its memory: several runs share a process."""
        trainer, self.trainer = self.trainer, None
        if trainer is None:
            return
        optimizer = trainer.optimizer
        self._best_state = trainer.best_state
        self._result = {
            "curve": tuple(trainer.curve),
            "status": "stopped" if trainer.stopped_by_caller else "succeeded",
            "peak_memory_mb": trainer.peak_memory_mb,
            "starting_score": trainer.starting_score,
            "seconds": trainer.seconds(),
            "batch_used": int(trainer.batch_size),
            "optimizer_used": None if optimizer is None else type(optimizer).__name__,
            "learning_rate_used": None
            if optimizer is None
            else float(optimizer.param_groups[0]["initial_lr"]),
            "num_train_images": len(trainer.train_loader.dataset) if hasattr(trainer, "train_loader") else 0,
        }
        self.notes.extend(_differences(self.job, self._result))
        if trainer.resumed_after:
            self.notes.append(f"resumed after epoch {trainer.resumed_after}")
        if trainer.state_error is not None:
            self.notes.append(f"a state to resume from could not be kept: {trainer.state_error[:200]}")
        for loader in (getattr(trainer, "train_loader", None), getattr(trainer, "test_loader", None)):
            if loader is not None and hasattr(loader, "close"):
                loader.close()
        del trainer
        gc.collect()

    def complete(self, record: Run, clock: _Clock) -> Run:
        self.release()
        curve: tuple[EpochMetrics, ...] = self._result.get("curve", ())
        return replace(
            record,
            **({"seconds": time.monotonic() - clock.wall_s} | self._result),
            weights_transferred=self.weights_transferred,
            best=best_point(curve),
            cpu_seconds=time.process_time() - clock.cpu_s,
            notes=tuple(self.notes),
        )

    def write_weights(self) -> None:
        """best.safetensors in the output folder, complete or absent. Raises StorageError where the disk refuses."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        if self._best_state is None:
            return
        state = {
            name: tensor.half() if self.job.half and tensor.dtype == torch.float32 else tensor
            for name, tensor in self._best_state.items()
        }
        metadata = {
            "architecture": self.job.architecture,
            "task": self.job.task,
            "class_names": json.dumps(self._names),
            "normalisation": self.job.recipe.normalisation,
        }
        part = Path(self.folder) / BEST_WEIGHTS
        try:
            save_file(state, part, metadata=metadata)
            part.replace(self.job.output / BEST_WEIGHTS)
        except (OSError, SafetensorError) as error:  # safetensors wraps what a full disk says
            full = any(said in str(error) for said in DISK_FULL)
            wanted = "Free some space on that disk" if full else "Let that folder be written to"
            raise StorageError(
                f"The trained weights cannot be written below {self.job.output}: {_one_line(error)}",
                remedy=f"{wanted}; the training goes on from its last state.",
            ) from error


def best_point(curve: tuple[EpochMetrics, ...]) -> EpochMetrics | None:
    """The point whose weights are kept: the highest score, of equals the latest."""
    return max(curve, key=lambda point: (point.score, point.epoch), default=None)


def _norm_note(job: TrainingJob) -> str:
    from tune_jobs.training.normalisation import synchronises_norms

    if synchronises_norms(job):
        return f"batch norm synchronised over {counted(job.num_processes, 'process')}"
    return "batch norm of each process by itself: torch synchronises it on GPUs only"


def _differences(job: TrainingJob, result: dict[str, Any]) -> list[str]:
    """Differences of the run from what was asked, and from the full run."""
    from tune_jobs.training.normalisation import synchronises_norms

    notes = []
    recipe = job.recipe
    if job.schedule_epochs != recipe.epochs:
        notes.append(
            f"stopped after {counted(recipe.epochs, 'epoch')} of a schedule of {job.schedule_epochs}"
        )
    if result["batch_used"] != recipe.batch:
        notes.append(f"batch {result['batch_used']} instead of {recipe.batch}: out of memory")
    batch = result["batch_used"] // job.num_processes
    if job.num_processes > 1:
        notes.append(
            f"{counted(job.num_processes, 'process')} on {job.device}, {counted(batch, 'image')} of each batch in each"
        )
        notes += [_norm_note(job)] if recipe.normalisation == "batch" else []
    if synchronises_norms(job):
        batch = result["batch_used"]
    if recipe.multi_scale:
        notes.append(f"images resized at random by up to {recipe.multi_scale:.0%} of {recipe.imgsz} px")
    if recipe.normalisation == "batch" and batch < SMALL_BATCH and job.start.mode != "freeze":
        notes.append(f"batch {batch} is small for batch norm")
    if len(result["curve"]) < recipe.epochs and result["status"] == "succeeded" and recipe.patience:
        notes.append(f"no gain for {counted(recipe.patience, 'epoch')}: ended after {len(result['curve'])}")
    return notes


def _read_weights(job: TrainingJob) -> tuple[dict[str, torch.Tensor] | None, str | None]:
    """The tensors, halves widened, and the sha256 of the very bytes they came from."""
    if job.weights is None:
        return None, None
    from safetensors.torch import load

    content = job.weights.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if job.weights_sha256 is not None and found != job.weights_sha256:
        raise IntegrityError(
            f"The weights of {job.start.checkpoint!r} have sha256 {found[:12]}…, "
            f"recorded is {job.weights_sha256[:12]}…",
            remedy="Add the checkpoint again, or restore the file.",
        )
    tensors = load(content).items()
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors}, found


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
