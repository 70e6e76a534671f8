"""Ultralytics' trainers with our model, our data, our record keeping. Import after prepare_environment()."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import distributed as dist
from torch import nn
from ultralytics.engine import trainer as engine
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.utils import colorstr

from recommender.errors import TrialError
from recommender.families.ultralytics.architectures import architecture, frozen_layers
from recommender.families.ultralytics.validation import validator_class
from recommender.records import EpochMetrics
from recommender.tasks import Task
from recommender.training_recipe import ultralytics_arguments
from tune_jobs.training.classification import CleanPhotos
from tune_jobs.training.dataset import CleanDataset, dataset_class, read_data_yaml
from tune_jobs.training.job import STATE_FILE, TrainingJob
from tune_jobs.training.normalisation import synchronise_norms, synchronises_norms
from tune_jobs.training.resume import load_state, restore_state, save_state
from tune_jobs.training.score import metrics_of, starting_score
from tune_jobs.training.table import keep_epoch

# GPUs on which mixed precision gives losses that are not finite, or an mAP of 0: ultralytics.utils.checks.check_amp.
BREAKS_IN_HALF = re.compile(
    r"(nvidia|geforce|quadro|tesla).*?(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)", re.IGNORECASE
)

OnEpoch = Callable[[EpochMetrics], bool | None]


def trainer_arguments(job: TrainingJob, *, save_dir: str, freeze: int | None) -> dict[str, Any]:
    """The one place where a recipe becomes ultralytics arguments; all else is its default."""
    family = architecture(job.architecture).kind
    return {
        **ultralytics_arguments(job.recipe, job.start.mode, factor=family.learning_rate_factor),
        "model": job.architecture,
        "data": str(job.data / "data.yaml"),
        "deterministic": True,
        "device": job.device if job.num_processes == 1 else _devices(job),
        "workers": job.num_workers,
        "cache": "ram",
        "amp": family.mixed_precision and not job.device.startswith(("cpu", "mps")),
        "freeze": freeze,
        "save_dir": save_dir,
        "plots": False,
        "verbose": False,
        "val": True,
        "exist_ok": True,
        "pretrained": False,
    }


def _devices(job: TrainingJob) -> str:
    """The devices of all processes, of which each takes its own."""
    return ",".join(map(str, range(job.num_processes))) if job.device.startswith("cuda") else job.device


class RunTrainer(engine.BaseTrainer):  # type: ignore[misc]
    """Trains one job; collects the curve; keeps the best weights in memory. Below: one class for each task."""

    def __init__(
        self,
        job: TrainingJob,
        model: Any,
        *,
        known_classes: Sequence[int],
        save_dir: str,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.job = job
        self.own_model = model
        self.known_classes = known_classes
        self.on_epoch = on_epoch
        self.curve: list[EpochMetrics] = []
        self.best_state: dict[str, torch.Tensor] | None = None
        self.stopped_by_caller = False
        self.peak_memory_mb: float | None = None
        self.starting_score: float | None = None
        self.seconds_before = 0.0  # spent before an interruption
        self.resumed_after = 0  # epochs
        self.state_error: str | None = None  # why there may be nothing to resume from
        self._saving_s = self._saved_at_s = 0.0
        self._started_s = time.monotonic()
        known = architecture(job.architecture)
        self.family = known.kind
        self._frozen_layers = frozen_layers(job.architecture, job.start.mode, job.recipe.freeze)
        freeze = self._frozen_layers or None
        super().__init__(overrides=trainer_arguments(job, save_dir=save_dir, freeze=freeze))
        if self.device.type == "cpu":
            torch.set_num_threads(job.num_threads)  # select_device has set it to all cores but one
            self.world_size = job.num_processes if job.num_processes > 1 else 0
        elif self.device.type == "cuda":
            # Of this run alone: a process that trains one start after the other still holds the peaks before.
            torch.cuda.reset_peak_memory_stats(self.device)
        self.add_callback("on_train_batch_end", lambda _: self._watch_memory())
        self.add_callback("on_train_epoch_end", lambda _: self._finish_epoch())
        self.add_callback("on_fit_epoch_end", lambda _: self._record_epoch())

    # ── what ultralytics asks for ──

    def get_dataset(self) -> dict[str, Any]:
        return read_data_yaml(self.job.data)

    def setup_model(self) -> None:
        self.model = self.own_model
        if synchronises_norms(self.job):
            synchronise_norms(self.model, frozen_layers=self._frozen_layers)

    def get_validator(self) -> Any:
        validator = super().get_validator()
        validator.__class__ = validator_class(
            self.family
        )  # of the same state, with another reading of the output
        return validator

    def _setup_ddp(self) -> None:
        if self.device.type == "cpu":
            dist.init_process_group("gloo", rank=engine.RANK, world_size=self.world_size)
        else:
            super()._setup_ddp()

    def _setup_train(self) -> None:
        try:
            with _no_amp_download(), _no_device_ids(self.device):
                super()._setup_train()
        except (
            ValueError
        ) as error:  # what ultralytics refuses of a recipe, such as batch norm over a single value
            raise TrialError(f"ultralytics refuses the recipe: {error}") from error

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return False  # _finish_epoch refuses such a run: going on from an older state is another training

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """The curve is the record; a full run keeps results.csv for its readers as well."""
        if self.job.resumable:
            keep_epoch(self, metrics)

    def validate(self) -> tuple[Any, Any]:
        """Validate as ultralytics does, but an early stop and the best epoch go by the task's own metric."""
        before: float | None = self.best_fitness  # type: ignore[has-type]
        metrics, fitness = super().validate()
        if fitness is None:  # a process that does not lead
            return metrics, fitness
        fitness, _ = metrics_of(self.family.task, self.validator.metrics)
        self.best_fitness = fitness if before is None else max(before, fitness)
        return metrics, fitness

    def save_model(self) -> bool:
        """Keep the best averaged weights; nothing is pickled."""
        best, _ = metrics_of(self.family.task, self.validator.metrics)
        if all(best >= point.score for point in self.curve):  # of equals the latest, as in run.best_point
            self.best_state = self.averaged_state()
        return True

    def final_eval(self) -> None:
        """The last validation of the curve is the result; a second one would look like another epoch."""

    def resume_training(self, ckpt: object) -> None:
        """Go on from our own state file where there is one for this run; else score the start."""
        state = load_state(self.job.output / STATE_FILE, self.job.run_id) if self.job.resumable else None
        if state is None:
            self.starting_score = starting_score(self, self.known_classes)
        else:
            restore_state(state, self)
            self.resumed_after = self.start_epoch

    # ── ours ──

    def seconds(self) -> float:
        """Time spent on this run, before an interruption too."""
        return self.seconds_before + time.monotonic() - self._started_s

    @property
    def bare_model(self) -> Any:
        """The model without what shares it between processes."""
        return engine.unwrap_model(self.model)

    def averaged_state(self) -> dict[str, torch.Tensor]:
        """The averaged weights on the CPU; frozen layers exactly as they were loaded."""
        live = self.bare_model.state_dict()
        frozen = tuple(name for name in self.freeze_layer_names if name != ".dfl")
        state = self.ema.ema.state_dict()
        return {
            name: (live[name] if name.startswith(frozen) else tensor)
            .detach()
            .to("cpu", copy=True)
            .contiguous()
            for name, tensor in state.items()
        }

    def _watch_memory(self) -> None:
        if self.device.type == "cuda":
            used = torch.cuda.max_memory_allocated(self.device)
        else:
            used = psutil.Process(os.getpid()).memory_info().rss
        self.peak_memory_mb = max(self.peak_memory_mb or 0.0, used / 2**20)

    def _finish_epoch(self) -> None:
        """Refuse what is not finite before the validation, end a trial that is shorter than its schedule."""
        losses = {name: float(value) for name, value in (self.tloss or {}).items()}
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise TrialError(
                f"The loss {', '.join(bad)} is not finite in epoch {self.epoch + 1}.",
                remedy=f"Lower the learning rate (it was {self.job.learning_rate:g}).",
            )
        if not all(torch.isfinite(p).all().item() for p in self.ema.ema.parameters()):
            raise TrialError(
                f"A weight is not finite after epoch {self.epoch + 1}.",
                remedy=f"Lower the learning rate (it was {self.job.learning_rate:g}).",
            )
        if self.epoch + 1 >= self.job.recipe.epochs:
            self.stop = True

    def _record_epoch(self) -> None:
        if not leads():
            return
        score, details = metrics_of(self.family.task, self.validator.metrics)
        point = EpochMetrics(epoch=self.epoch + 1, score=score, details=details, seconds=self.seconds())
        numbers = (point.score, *point.details.values())
        if not all(math.isfinite(number) for number in numbers):
            raise TrialError(f"A metric is not finite in epoch {point.epoch}: {numbers}.")
        self.curve.append(point)
        if self.job.resumable and not self.stop:  # after the last epoch there is nothing to go on with
            self._save_state()
        if self.on_epoch is not None and self.on_epoch(point) is False:
            self.stopped_by_caller = not self.stop
            self.stop = True

    def _save_state(self) -> None:
        """Save the state after every epoch, unless epochs are so short that writing would take too much of the time."""
        began_s = time.monotonic()
        if self._saving_s > self.job.state_share * (began_s - self._saved_at_s):
            return
        try:
            save_state(self.job.output / STATE_FILE, self.job.run_id, self)
        except (OSError, RuntimeError) as error:  # torch wraps what a full disk says
            self.state_error = (
                self.state_error or (str(error).strip().splitlines() or [type(error).__name__])[0]
            )
        self._saved_at_s = time.monotonic()
        self._saving_s = self._saved_at_s - began_s if self.job.state_share < 1 else 0.0


class _ObjectsTrainer(RunTrainer):
    """The trainer of tasks whose images carry objects."""

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> CleanDataset:
        train = mode == "train"
        return dataset_class(self.family)(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=train,
            hyp=self.args,
            rect=not train and not self.family.square_images,
            cache=self.args.cache,
            stride=max(int(self.bare_model.stride.max()), 32),
            pad=0.0 if train else 0.5,
            prefix=colorstr(f"{mode}: "),
            task=self.family.task,
            data=self.data,
            image_fraction=self.job.recipe.fraction if train else 1.0,
            fraction_seed=self.job.recipe.seed,
        )


class DetectRun(_ObjectsTrainer, DetectionTrainer):  # type: ignore[misc]
    """An object detector."""


class SegmentRun(_ObjectsTrainer, SegmentationTrainer):  # type: ignore[misc]
    """An instance segmenter."""


class ClassifyRun(RunTrainer, ClassificationTrainer):  # type: ignore[misc]
    """An image classifier."""

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> CleanPhotos:
        train = mode == "train"
        return CleanPhotos(
            Path(img_path),
            self.args,
            augment=train,
            fraction=self.job.recipe.fraction if train else 1.0,
            seed=self.job.recipe.seed,
        )


TRAINERS: dict[Task, type[RunTrainer]] = {
    "detect": DetectRun,
    "segment": SegmentRun,
    "classify": ClassifyRun,
}


def leads() -> bool:
    """True if this process records and writes: the only one, or the first of a team."""
    return bool(engine.RANK in {-1, 0})


@contextmanager
def _no_device_ids(device: torch.device) -> Iterator[None]:
    """Ultralytics names a GPU to each process of a team; on CPUs there is none to name."""
    parallel: Any = nn.parallel
    original = parallel.DistributedDataParallel
    if device.type == "cpu":

        class WithoutIds(original):  # type: ignore[misc,valid-type]  # a class, since ultralytics asks what a model is
            def __init__(self, model: nn.Module, *, device_ids: object, **more: Any) -> None:
                super().__init__(model, **more)

        parallel.DistributedDataParallel = WithoutIds
    try:
        yield
    finally:
        parallel.DistributedDataParallel = original


def _gpu_of(model: nn.Module) -> str:
    device = next(model.parameters()).device
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else ""


@contextmanager
def _no_amp_download() -> Iterator[None]:
    """Ultralytics checks mixed precision with a model it fetches; here the GPU's name decides, as there at first."""
    original = engine.check_amp
    engine.check_amp = lambda model: not BREAKS_IN_HALF.search(_gpu_of(model))
    try:
        yield
    finally:
        engine.check_amp = original
