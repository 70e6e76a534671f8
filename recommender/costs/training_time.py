"""Durations of trainings on this machine: a simple model of work, scaled by the runs that were timed here.

An image of an epoch costs a fixed part (reading, augmentation) and a part that grows with the network's operations at
the image size; a frozen backbone saves the backward pass through it. Both parts were measured once for YOLO11n on two
threads of a processor; whatever ran on the same hardware says how much faster or slower it is. On a GPU small networks
wait for the processor that asks for their steps, so that an epoch of few images takes as long at any image size.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from recommender.records import Environment, Mode, Recipe, Run
from recommender.tasks import Task
from recommender.text import counted

IMAGE_S = 0.005  # reading and augmenting one image
GFLOP_S = 0.049  # forward and backward, per 10⁹ operations of the forward pass
SHARE_OF_MODE: dict[Mode, float] = {"full": 1.0, "scratch": 1.0, "freeze": 0.6}
GFLOPS_PER_MILLION_PARAMETERS = 2.5  # at 640 px; YOLO11n: 6.5 for 2.6
VALIDATION_SHARE = 0.4  # of what a training image costs: no backward pass
USUAL_FLOPS_B = 6.5  # 10⁹ operations at 640 px: YOLO11n, where nothing tells
START_S = 3.0  # of a training, before its first epoch
NEWEST = 5  # runs that say how fast this hardware is: machines, their load and libraries change
USUAL_VALIDATION = 0.3  # validation images for a training image, which runs do not record
MIN_EPOCHS = 2  # the first epoch holds warm-up and caches
# By the constants: of shorter epochs most goes into what surrounds the images, so they tell no speed.
MIN_EPOCH_S = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainingWork:
    """The facts that the time of a training depends on."""

    imgsz: int  # pixels
    mode: Mode
    num_train_images: int
    num_val_images: int
    epochs: int
    flops_b: float  # 10^9 operations of the forward pass, for one image of 640 × 640 pixels
    batch: int = Recipe.batch

    @property
    def steps(self) -> int:
        """Batches of an epoch; those of validation are twice as large."""
        return math.ceil(self.num_train_images / self.batch) + math.ceil(
            self.num_val_images / (2 * self.batch)
        )

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch on the hardware the constants were measured on."""
        return self.epoch_s_at(IMAGE_S, GFLOP_S)

    def epoch_s_at(self, image_s: float, gflop_s: float) -> float:
        """Seconds of an epoch where an image costs so much, and so much for every 10^9 operations."""
        image_s += gflop_s * self.flops_b * (self.imgsz / 640) ** 2
        trained = self.num_train_images * SHARE_OF_MODE[self.mode]
        return image_s * (trained + VALIDATION_SHARE * self.num_val_images)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The speed of the hardware of the newest runs, and the runs it was measured on."""

    factor: float  # seconds there for a second of `TrainingWork.epoch_s`
    num_runs: int  # that say so; 0 is a rough guess
    hardware: str
    image_s: float = IMAGE_S
    gflop_s: float = GFLOP_S
    # What a GPU cannot hurry: a step that waits for the processor to ask for it, and an epoch beside its steps.
    least_step_s: float = 0.0
    between_epochs_s: float = 0.0
    start_s: float = START_S
    # In words, where no run says it.
    known_by: str = "by a rough guess, since nothing long enough to tell was timed here"

    @property
    def told(self) -> str:
        """The hardware, and the runs that were timed on it, in words."""
        return f"{self.hardware}, {self.basis}" if self.num_runs else self.hardware

    @property
    def basis(self) -> str:
        """The runs that say so, in words; one alone may have been held up."""
        if not self.num_runs:
            return self.known_by
        guess = "a rough guess from " if self.num_runs == 1 else ""
        return f"by {guess}{counted(self.num_runs, 'run')} timed here"

    def epoch_s(self, work: TrainingWork) -> float:
        """Seconds of an epoch."""
        images_s = work.epoch_s_at(self.image_s, self.gflop_s)
        return self.factor * (max(images_s, work.steps * self.least_step_s) + self.between_epochs_s)

    def seconds(self, work: TrainingWork) -> float:
        """The seconds of a whole training."""
        return self.start_s + self.epoch_s(work) * work.epochs


ROUGH = Speed(factor=1.0, num_runs=0, hardware="a processor")  # where nothing has run yet and there is no GPU


def known_speed(
    newest: Sequence[Run],
    flops_b: Mapping[str, float],
    *,
    task: Task | None = None,
    kind: Literal["trial", "full"] | None = None,
    reference: Callable[[Environment], Speed] = lambda _: ROUGH,
) -> Speed | None:
    """The speed of the hardware that the newest run used; None where nothing has run.

    `newest` are runs, newest first, of which `NEWEST` count: those of the task and kind asked for where there are any,
    since trials share their machine and tasks differ in what they do beside the network. `flops_b` is by architecture,
    and runs of others do not count. `reference` is what is known of such hardware before anything ran on it. The median
    of the ratios stands against single runs that were held up.
    """
    timed = [run for run in newest if len(run.curve) >= MIN_EPOCHS and run.architecture in flops_b]
    # What broke off tells no number of images, nor on what it ran.
    timed = [run for run in timed if _work_of(run, flops_b).epoch_s >= MIN_EPOCH_S]
    if not timed:
        return None
    where = _place(timed[0].environment)
    timed = [run for run in timed if _place(run.environment) == where]
    timed = [run for run in timed if task is None or run.task == task] or timed
    timed = [run for run in timed if kind is None or run.kind == kind] or timed
    expected = reference(timed[0].environment)
    ratios = list(_ratios(timed[:NEWEST], flops_b, expected))
    if not ratios:
        return None
    factor = expected.factor * statistics.median(ratios)
    return replace(expected, factor=factor, num_runs=len(ratios), hardware=where[0])


def _place(environment: Environment) -> tuple[str, str, int, int]:
    return environment.hardware, environment.device, environment.num_threads, environment.num_processes


def _ratios(runs: Iterable[Run], flops_b: Mapping[str, float], expected: Speed) -> Iterable[float]:
    """Measured over expected seconds of an epoch."""
    for run in runs:
        epoch_s = (run.curve[-1].seconds - run.curve[0].seconds) / (len(run.curve) - 1)
        if epoch_s > 0 and math.isfinite(epoch_s):
            yield epoch_s / expected.epoch_s(_work_of(run, flops_b))


def _work_of(run: Run, flops_b: Mapping[str, float]) -> TrainingWork:
    return TrainingWork(
        flops_b=flops_b[run.architecture],
        imgsz=run.recipe.imgsz,
        mode=run.start.mode,
        num_train_images=run.num_train_images,
        num_val_images=round(USUAL_VALIDATION * run.num_train_images),
        epochs=len(run.curve),
        batch=run.batch_used or run.recipe.batch,
    )
