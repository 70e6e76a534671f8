"""One training as a job, and its identity."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from recommender.errors import UsageError
from recommender.families.ultralytics.architectures import architecture, freeze_depths, learning_rate_factor
from recommender.records import Recipe, Start
from recommender.tasks import Task
from recommender.text import counted
from recommender.training_recipe import OPTIMIZERS, learning_rate

RECIPE_VERSION = 1  # raise when the same recipe would train differently; part of every run's id
BEST_WEIGHTS = "best.safetensors"  # names of what a run leaves in its output folder
STATE_FILE = "resume.pt"
DISK_FULL = tuple(  # what the system says, by quota or limit too
    os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
)
WORK_PREFIX = "run-"  # of the folder there that is gone when the run ends


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One training to be done.

    `data` is the clean export of the whole data set; `recipe.fraction` is applied here, nested by seed.
    Everything is written below `output`, nothing elsewhere; with `keep` False nothing is left there.
    """

    data: Path  # folder with data.yaml, images/ and labels/, written by our exporter
    output: Path
    start: Start
    architecture: str
    recipe: Recipe
    kind: Literal["trial", "full"]
    target_hash: str
    target_name: str
    weights: Path | None = None  # safetensors; None trains from random weights
    weights_sha256: str | None = None  # checked when given
    class_names: tuple[str, ...] | None = None  # of the checkpoint; None is unknown
    source_hash: str | None = None
    device: str = "cpu"  # "cpu", "cuda:0", "mps"
    num_processes: int = 1  # several share the batch, each with a GPU of its own from cuda:0 on
    num_threads: int = 1  # of each process
    num_workers: int = 4  # data loading processes on an accelerator; none on the CPU
    keep: bool = False  # leave best.safetensors in `output`
    half: bool = True  # store kept weights in fp16
    resumable: bool = False  # keep a state file in `output` and go on from it after a crash
    state_share: float = 1.0  # of the time that may go into writing it; 1 writes it after every epoch

    @property
    def run_id(self) -> str:
        """Content hash of what was asked: target, start, weights, architecture, recipe and its code."""
        asked = {
            "target": self.target_hash,
            "start": str(self.start),
            "mode": self.start.mode,
            "weights": self.weights_sha256,
            "architecture": self.architecture,
            "recipe": _asked_of(self.recipe),
            "version": RECIPE_VERSION,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def task(self) -> Task:
        """The task of the architecture."""
        return architecture(self.architecture).kind.task

    @property
    def schedule_epochs(self) -> int:
        """Epochs over which the learning rate and the augmentation are laid out."""
        return self.recipe.schedule_epochs or self.recipe.epochs

    @property
    def learning_rate(self) -> float:
        """The recipe's, or the default of optimiser, mode and family."""
        return learning_rate(self.recipe, self.start.mode, factor=learning_rate_factor(self.architecture))

    def check(self) -> None:
        """Refuse a job that cannot mean what it says.

        Raises:
            UsageError: with the value received, what is allowed and the remedy.
        """
        self._check_start()
        self._check_recipe()
        self._check_devices()

    def _check_start(self) -> None:
        if (self.start.mode == "scratch") != (self.weights is None):
            raise UsageError(
                f"Start {str(self.start)!r} in mode {self.start.mode!r} with weights {self.weights}.",
                remedy="Mode scratch takes no weights; full and freeze need a safetensors file.",
            )
        depth, allowed = self.recipe.freeze, freeze_depths(self.architecture, self.start.mode)
        if depth is not None and depth not in allowed:
            raise UsageError(
                f"{self.architecture} in mode {self.start.mode!r} cannot be frozen up to its {depth}.",
                remedy="stem goes with full; backbone and, where there is one, neck go with freeze.",
            )

    def _check_recipe(self) -> None:
        recipe = self.recipe
        if recipe.optimizer.lower() not in OPTIMIZERS:
            raise UsageError(
                f"Optimiser {recipe.optimizer!r} is not offered; allowed are AdamW, Adam, NAdam, RAdam and SGD.",
                remedy="Name one: 'auto' would pick another one for a trial than for the full run.",
            )
        _require("epochs", recipe.epochs, 1, 100_000)
        _require("schedule_epochs", self.schedule_epochs, recipe.epochs, 100_000)
        _require("batch", recipe.batch, 1, 4096)
        _require("imgsz", recipe.imgsz, 32, 4096)
        if not 0.0 < recipe.fraction <= 1.0:
            raise UsageError(
                f"fraction {recipe.fraction} is outside (0, 1].", remedy="1.0 takes every train image."
            )
        if not 0.0 <= recipe.multi_scale < 1.0:
            raise UsageError(
                f"multi_scale {recipe.multi_scale} is outside [0, 1).",
                remedy="0 keeps one size, 0.5 is usual.",
            )
        if not 0.0 < self.learning_rate <= 1.0:
            raise UsageError(
                f"learning_rate {self.learning_rate:g} is outside (0, 1].", remedy="Leave it out."
            )

    def _check_devices(self) -> None:
        _require("num_threads", self.num_threads, 1, 1024)
        if "," in self.device:
            raise UsageError(
                f"Device {self.device!r} names several devices; one run uses one.",
                remedy="Give one device and num_processes, or let a sweep place several runs side by side.",
            )
        _require("num_processes", self.num_processes, 1, 64)
        if self.recipe.batch % self.num_processes:
            raise UsageError(
                f"A batch of {self.recipe.batch} cannot be shared by {counted(self.num_processes, 'GPU')}.",
                remedy=f"Choose a multiple of {self.num_processes} images.",
            )


def _require(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(
            f"{name} {value} is outside {low} to {high}.", remedy=f"Choose {name} in that range."
        )


def _asked_of(recipe: Recipe) -> dict[str, object]:
    """The recipe by field; what later versions added is left out at its default, so that old runs keep their ids."""
    asked = asdict(recipe)
    for later in ("class_map", "multi_scale", "freeze"):
        if not asked[later]:
            del asked[later]
    return asked
